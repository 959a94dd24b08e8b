/* test_fake_redis_scripts: the scripts that the product ships, in a fake Redis and in a real one: the same replies and
 * the same pushes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker_scripts.h"
#include "fake_redis_parts.h"
#include "redis_pair.h"

enum { SEEDS = 8, CALLS = 1000, ROOMS = 4, AGE_MS = 1000 };

static struct rivals rivals;

static int group_begin(void **state)
{
    if (!rivals_open(&rivals))
        *state = "there is no redis-server here";
    return 0;
}

static int group_end(void **state)
{
    if (*state == NULL)
        rivals_close(&rivals);
    return 0;
}

static void begin(struct pair *pair, void **state)
{
    if (*state != NULL) {
        printf("skipped: %s\n", (const char *)*state);
        skip();
    }
    pair_open(pair, &rivals);
    PAIR_RUN(pair, "FLUSHALL");
    PAIR_RUN(pair, "SCRIPT", "FLUSH");
    PAIR_RUN(pair, "CONFIG", "SET", "stream-node-max-bytes", "0");
}

/* The scripts that are shipped, driven as the product drives them, and a little worse. */
enum shipped { OPEN, PUBLISH, READ, FENCE, LEASE_WRITE, LEASE_CLAIM, LEASE_DELETE, SHIPPED };
static const char *const shipped[SHIPPED] = {
    [OPEN] = script_open,
    [PUBLISH] = script_publish,
    [READ] = script_read,
    [FENCE] = script_fence,
    [LEASE_WRITE] = script_lease_write,
    [LEASE_CLAIM] = script_lease_claim,
    [LEASE_DELETE] = script_lease_delete,
};

struct driver {
    struct pair pair, subscriber;
    struct command_mix mix;
    char sha[SHIPPED][FAKE_SHA_BYTES + 1];
    int epoch, run;
    int64_t numbers[2]; /* of each publisher's last call */
};

static int below(struct driver *driver, int bound)
{
    return (int)command_mix_below(&driver->mix, (uint64_t)bound);
}

static void evalsha(struct driver *driver, struct command *command, enum shipped which, int keys)
{
    command_begin(command);
    command_add(command, SPAN_LIT("EVALSHA"));
    command_addf(command, "%s", driver->sha[which]);
    command_addf(command, "%d", keys);
}

static void open_make(struct driver *driver, struct command *command)
{
    int seen = below(driver, driver->epoch + 1);
    if (below(driver, 4) == 0)
        driver->run++;
    evalsha(driver, command, OPEN, 2);
    command_addf(command, "{0}state");
    command_addf(command, "{0}publisher%d", below(driver, 2));
    command_addf(command, "run%d", driver->run);
    command_addf(command, "e%d", ++driver->epoch);
    if (seen > 0)
        command_addf(command, "e%d", seen);
    else
        command_add(command, SPAN_LIT(""));
}

static void body_add(struct driver *driver, struct command *command)
{
    char bytes[300];
    int len = below(driver, below(driver, 5) == 0 ? 300 : 20);
    for (int i = 0; i < len; i++)
        bytes[i] = (char)below(driver, 256);
    command_add(command, span_of(bytes, (size_t)len));
}

static void publish_make(struct driver *driver, struct command *command, const char *epoch)
{
    int publisher = below(driver, 2), rooms = 1 + below(driver, 3), entries = 1 + below(driver, 5), named = 0;
    bool names[5];
    int64_t number = driver->numbers[publisher] + 1;
    if (below(driver, 10) == 0)
        number += below(driver, 4) - 1;
    driver->numbers[publisher] = number > driver->numbers[publisher] ? number : driver->numbers[publisher];
    for (int i = 0; i < entries; i++)
        named += names[i] = below(driver, 2) == 0;
    evalsha(driver, command, PUBLISH, 2 + 2 * rooms + named);
    command_addf(command, "{0}state");
    command_addf(command, "{0}publisher%d", publisher);
    int first = below(driver, ROOMS);
    for (int i = 0; i < rooms; i++) {
        command_addf(command, "{0}log%d", (first + i) % ROOMS);
        command_addf(command, "{0}room%d", (first + i) % ROOMS);
    }
    for (int i = 0; i < named; i++)
        command_addf(command, "{0}id%d", below(driver, 50));
    command_addf(command, "%s", epoch);
    command_addf(command, "%lld", (long long)number);
    command_addf(command, "%d", below(driver, 3) == 0);
    command_addf(command, "%d", rooms);
    for (int i = 0; i < rooms; i++)
        command_addf(command, "push%d", (first + i) % ROOMS);
    for (int i = 0, at = 2 + 2 * rooms; i < entries; i++) {
        command_addf(command, "%d", 1 + below(driver, rooms));
        command_addf(command, "%d", names[i] ? ++at : 0);
        command_addf(command, "%s", (const char *const[]){"0", "1", "20", "150", "100000"}[below(driver, 5)]);
        command_addf(command, "%d", 60000 + below(driver, 100000));
        command_addf(command, "%s", (const char *const[]){"", "", "sid1", "sid1 sid2"}[below(driver, 4)]);
        body_add(driver, command);
    }
}

static void read_make(struct driver *driver, struct command *command)
{
    int room = below(driver, ROOMS);
    evalsha(driver, command, READ, 2);
    command_addf(command, "{0}log%d", room);
    command_addf(command, "{0}room%d", room);
    command_addf(command, "%d", below(driver, 400));
    command_addf(command, "%d", 1 + below(driver, 60));
    command_addf(command, "%d", below(driver, 2));
    command_addf(command, "%d", 1 + below(driver, 3000));
}

static void lease_make(struct driver *driver, struct command *command, enum shipped which)
{
    evalsha(driver, command, which, which == LEASE_CLAIM ? 2 : 1);
    command_addf(command, "{0}lease%d", below(driver, 5));
    if (which == LEASE_CLAIM) {
        command_addf(command, "{0}state");
        command_addf(command, "inbox%d", below(driver, 2));
        if (below(driver, 3) == 0)
            command_add(command, SPAN_LIT(""));
        else
            command_addf(command, "e%d", 1 + below(driver, driver->epoch + 1));
        command_addf(command, "%d", below(driver, 600));
        command_addf(command, "%d", 60000 + below(driver, 1000));
        command_addf(command, "pid");
        return;
    }
    command_addf(command, "%d", 1 + below(driver, 8));
    if (which == LEASE_DELETE)
        return;
    command_addf(command, "sid%d", below(driver, 3));
    body_add(driver, command);
    body_add(driver, command);
    command_addf(command, "inbox%d", below(driver, 2));
    command_addf(command, "%d", 60000 + below(driver, 1000));
}

static void fence_make(struct driver *driver, struct command *command)
{
    evalsha(driver, command, FENCE, 2);
    command_addf(command, "{0}state");
    command_addf(command, "{0}room%d", below(driver, ROOMS));
    command_addf(command, "inbox%d", below(driver, 2));
    command_addf(command, "the room");
}

/* The real one's clock at the time of its newest entry: where it stands in the ids. */
static void clock_take(struct driver *driver)
{
    uint64_t newest = 0, newest_ms = 0;
    for (int room = 0; room < ROOMS; room++) {
        char log[16];
        struct buf reply = {0};
        snprintf(log, sizeof log, "{0}log%d", room);
        struct pair *pair = &driver->pair;
        size_t before = pair->real.len;
        pair_send_real(pair,
                       (struct span[]){SPAN_LIT("XREVRANGE"), span_str(log), SPAN_LIT("+"), SPAN_LIT("-"),
                                       SPAN_LIT("COUNT"), SPAN_LIT("1")},
                       6);
        buf_append(&reply, span_from(buf_span(&pair->real), before));
        buf_append_char(&reply, '\0');
        pair->real.len = before;
        unsigned long long seq = 0, ms = 0;
        if (sscanf(buf_span(&reply).data, "*1\r\n*2\r\n$%*d\r\n%llu-%llu", &seq, &ms) == 2 && seq > newest) {
            newest = seq;
            newest_ms = ms;
        }
        buf_finish(&reply);
    }
    if (newest_ms != 0)
        fake_redis_time(rivals.fake, (int64_t)newest_ms * 1000);
}

static void call(struct driver *driver, const struct command *command, uint64_t seed, int step)
{
    struct pair *pair = &driver->pair;
    pair_send_real(pair, command->args, command->count);
    pair_clock_sync(pair);
    clock_take(driver);
    pair_send_fake(pair, &driver->mix, command->args, command->count);
    pair_compare(pair, &(struct step){seed, step, command});
    pair_hear(&driver->subscriber, &(struct step){seed, step, command});
}

static void call_make(struct driver *driver, struct command *command)
{
    int dice = below(driver, 100);
    char epoch[16];
    snprintf(epoch, sizeof epoch, "e%d", driver->epoch);
    if (dice < 55) {
        /* Mostly the epoch that is open. */
        struct fake_redis_client *client = driver->pair.client;
        struct fake_call look = {rivals.fake, client, NULL, 0, NULL};
        struct fake_key *state = fake_key_find(&look, SPAN_LIT("{0}state"));
        const struct fake_field *open = state != NULL ? fake_table_find(state->table, SPAN_LIT("epoch")) : NULL;
        if (open != NULL && below(driver, 20) != 0)
            snprintf(epoch, sizeof epoch, SPAN_FMT, SPAN_ARG(buf_span(&open->value)));
        publish_make(driver, command, epoch);
    } else if (dice < 75) {
        read_make(driver, command);
    } else if (dice < 80) {
        fence_make(driver, command);
    } else if (dice < 83) {
        open_make(driver, command);
    } else {
        lease_make(driver, command, dice < 90 ? LEASE_WRITE : dice < 97 ? LEASE_CLAIM : LEASE_DELETE);
    }
    command_finish(command);
}

static void driver_begin(struct driver *driver, void **state)
{
    *driver = (struct driver){.epoch = 0};
    begin(&driver->pair, state);
    pair_open(&driver->subscriber, &rivals);
    for (int i = 0; i < ROOMS; i++) {
        char channel[8];
        snprintf(channel, sizeof channel, "push%d", i);
        PAIR_RUN(&driver->subscriber, "SUBSCRIBE", channel);
    }
    PAIR_RUN(&driver->subscriber, "SUBSCRIBE", "inbox0");
    PAIR_RUN(&driver->subscriber, "SUBSCRIBE", "inbox1");
    for (int i = 0; i < SHIPPED; i++) {
        const struct span load[] = {SPAN_LIT("SCRIPT"), SPAN_LIT("LOAD"), span_str(shipped[i])};
        pair_send_real(&driver->pair, load, 3);
        pair_send_fake(&driver->pair, NULL, load, 3);
        memcpy(driver->sha[i], buf_span(&driver->pair.real).data + sizeof "$40\r\n" - 1, FAKE_SHA_BYTES);
        pair_compare(&driver->pair, &(struct step){.number = i});
    }
}

static void driver_end(struct driver *driver)
{
    pair_close(&driver->subscriber);
    pair_close(&driver->pair);
}

static void test_shipped_scripts(void **state)
{
    struct driver driver;
    struct command command = {.count = 0};
    driver_begin(&driver, state);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        command_mix_init(&driver.mix, seed);
        driver.epoch = driver.run = 0;
        driver.numbers[0] = driver.numbers[1] = 0;
        PAIR_RUN(&driver.pair, "FLUSHALL");
        for (int step = 0; step < CALLS; step++) {
            call_make(&driver, &command);
            call(&driver, &command, seed, step);
        }
    }
    buf_finish(&command.bytes);
    driver_end(&driver);
}

/* What has grown too old goes: here within a second, so this waits for it. */
static void test_ages(void **state)
{
    struct driver driver;
    struct command command = {.count = 0};
    driver_begin(&driver, state);
    command_mix_init(&driver.mix, 1);
    open_make(&driver, &command);
    command_finish(&command);
    call(&driver, &command, 0, 0);
    for (int step = 1; step <= 40; step++) {
        evalsha(&driver, &command, PUBLISH, 4);
        command_add_words(&command, "{0}state {0}publisher {0}log0 {0}room0");
        command_addf(&command, "e%d", driver.epoch);
        command_addf(&command, "%d", step);
        command_add_words(&command, "0 1 push0 1 0 1000");
        command_addf(&command, "%d", AGE_MS);
        command_add(&command, SPAN_LIT(""));
        command_addf(&command, "body %d", step);
        command_finish(&command);
        call(&driver, &command, 0, step);
        usleep(AGE_MS * 1000 / 20);
        read_make(&driver, &command);
        command_finish(&command);
        call(&driver, &command, 0, step);
    }
    buf_finish(&command.bytes);
    driver_end(&driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shipped_scripts),
        cmocka_unit_test(test_ages),
    };
    return cmocka_run_group_tests(tests, group_begin, group_end);
}

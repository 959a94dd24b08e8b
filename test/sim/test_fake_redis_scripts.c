/* test_fake_redis_scripts: the scripts that the product ships, in a fake Redis and in a real one: the same replies and
 * the same pushes.
 *
 * What they read as TIME is read from a key here, so that both servers' scripts see the same moment, and so that ages
 * and lives pass without waiting. Keys end by the servers' own clocks, at other moments on each if the machine is busy:
 * so they are given a day (test_fake_redis_life has the ends of keys). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "broker_scripts.h"
#include "fake_redis_parts.h"
#include "redis_pair.h"

enum { SEEDS = 12, CALLS = 1000, ROOMS = 4, LIVES = 3, LEASES = 5, NAMES = 50, LIFE_MS = 5000, AWAY_MS = 4000 };

#define PREFIX "s:{0}:"
static const char clock_key[] = PREFIX "clock";

enum shipped {
    CHECK,
    OPEN,
    PUBLISH,
    READ,
    FENCE,
    LEASE_WRITE,
    LEASE_CLAIM,
    LEASE_RELEASE,
    PRESENT,
    PRESENT_LIST,
    PULSE,
    SHIPPED
};
static const char *const shipped[SHIPPED] = {
    [CHECK] = script_check,
    [OPEN] = script_open,
    [PUBLISH] = script_publish,
    [READ] = script_read,
    [FENCE] = script_fence,
    [LEASE_WRITE] = script_lease_write,
    [LEASE_CLAIM] = script_lease_claim,
    [LEASE_RELEASE] = script_lease_release,
    [PRESENT] = script_present,
    [PRESENT_LIST] = script_present_list,
    [PULSE] = script_pulse,
};

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

struct driver {
    struct pair pair, subscriber;
    struct command_mix mix;
    char sha[SHIPPED][FAKE_SHA_BYTES + 1];
    int64_t now_ms;
    int epoch, run;         /* counted */
    char open[16];          /* the epoch that is open */
    int64_t numbers[LIVES]; /* of each publisher's last call */
};

static int below(struct driver *driver, int bound)
{
    return (int)command_mix_below(&driver->mix, (uint64_t)bound);
}

#define ONE_OF(driver, ...) \
    ((const char *const[]){__VA_ARGS__}[below((driver), sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))])

static void evalsha(struct driver *driver, struct command *command, enum shipped which, int keys)
{
    command_begin(command);
    command_addf(command, "EVALSHA");
    command_addf(command, "%s", driver->sha[which]);
    command_addf(command, "%d", keys);
}

static void bytes_add(struct driver *driver, struct command *command)
{
    char bytes[300];
    int len = below(driver, below(driver, 5) == 0 ? 300 : 20);
    for (int i = 0; i < len; i++)
        bytes[i] = (char)below(driver, 256);
    command_add(command, span_of(bytes, (size_t)len));
}

static void epoch_add(struct driver *driver, struct command *command)
{
    if (below(driver, 3) == 0)
        command_addf(command, "%s", driver->open);
    else if (below(driver, 2) == 0)
        command_addf(command, "e%d", 1 + below(driver, driver->epoch + 1));
    else
        command_add(command, SPAN_LIT(""));
}

static void open_make(struct driver *driver, struct command *command)
{
    int life = below(driver, LIVES), seen = below(driver, driver->epoch + 1);
    driver->run += below(driver, 4) == 0;
    evalsha(driver, command, OPEN, 4);
    command_addf(command, PREFIX "state");
    command_addf(command, PREFIX "publisher%d", life);
    command_addf(command, PREFIX "lives");
    command_addf(command, PREFIX "rooms");
    command_addf(command, "run%d", driver->run);
    command_addf(command, "e%d", ++driver->epoch);
    if (seen > 0)
        command_addf(command, "e%d", seen);
    else
        command_add(command, SPAN_LIT(""));
    command_addf(command, "i:%d", life);
    command_addf(command, "%d", LIFE_MS);
}

/* A room on its channel, or a socket's own, which its owner's inbox is told of. */
static void slot_add(struct driver *driver, struct command *command, int room)
{
    if (below(driver, 4) == 0)
        command_addf(command, "@" PREFIX "owner:own%d", below(driver, LEASES));
    else
        command_addf(command, PREFIX "push:r%d", room);
    command_addf(command, "%s", ONE_OF(driver, "0", "1", "20", "150", "100000"));
    command_addf(command, "%s", ONE_OF(driver, "1024", "4096", "67108864"));
    command_addf(command, "%s", ONE_OF(driver, "60000", "200000", "3600000"));
    command_addf(command, "86400000");
}

static void publish_make(struct driver *driver, struct command *command)
{
    int life = below(driver, LIVES), slots = 1 + below(driver, 3), entries = 1 + below(driver, 5);
    int first = below(driver, ROOMS);
    int64_t number = driver->numbers[life] + 1;
    if (below(driver, 10) == 0)
        number += below(driver, 4) - 1;
    driver->numbers[life] = number > driver->numbers[life] ? number : driver->numbers[life];
    evalsha(driver, command, PUBLISH, 5 + 3 * slots);
    command_add_words(command, PREFIX "state");
    command_addf(command, PREFIX "publisher%d", life);
    command_add_words(command, PREFIX "recent " PREFIX "rooms " PREFIX "sizes");
    for (int i = 0; i < slots; i++) {
        command_addf(command, PREFIX "log:r%d", (first + i) % ROOMS);
        command_addf(command, PREFIX "room:r%d", (first + i) % ROOMS);
        command_addf(command, PREFIX "names:r%d", (first + i) % ROOMS);
    }
    command_addf(command, "%s", below(driver, 30) == 0 ? "other" : driver->open);
    command_addf(command, "%lld", (long long)number);
    command_addf(command, "%d", below(driver, 3) == 0);
    command_addf(command, "%d", slots);
    command_addf(command, "%d", 1 + below(driver, 2 * ROOMS));
    command_addf(command, "%s", ONE_OF(driver, "10000", "1000000000"));
    command_addf(command, "%s", ONE_OF(driver, "0", "0", "0", "1", "2"));
    for (int i = 0; i < slots; i++)
        slot_add(driver, command, (first + i) % ROOMS);
    for (int i = 0; i < entries; i++) {
        command_addf(command, "%d", 1 + below(driver, slots));
        if (below(driver, 2) == 0)
            command_addf(command, "%d", below(driver, NAMES));
        else
            command_add(command, SPAN_LIT(""));
        command_addf(command, "%s", ONE_OF(driver, "", "", "!4 sid1", "+2 r1-4 sid2"));
        bytes_add(driver, command);
    }
}

static void read_make(struct driver *driver, struct command *command)
{
    int room = below(driver, ROOMS);
    evalsha(driver, command, READ, 3);
    command_addf(command, PREFIX "state");
    command_addf(command, PREFIX "log:r%d", room);
    command_addf(command, PREFIX "room:r%d", room);
    command_addf(command, "%s", below(driver, 30) == 0 ? "other" : driver->open);
    command_addf(command, "%s", ONE_OF(driver, "after", "before"));
    if (below(driver, 8) == 0)
        command_addf(command, "18446744073709551615");
    else
        command_addf(command, "%d", below(driver, 1500));
    epoch_add(driver, command);
    command_addf(command, "%d", 1 + below(driver, 60));
    command_addf(command, "%d", 1 + below(driver, 3000));
}

static void fence_make(struct driver *driver, struct command *command)
{
    int rooms = 1 + below(driver, ROOMS);
    evalsha(driver, command, FENCE, 1 + rooms);
    command_addf(command, PREFIX "state");
    for (int i = 0; i < rooms; i++)
        command_addf(command, PREFIX "room:r%d", i);
    command_addf(command, "inbox%d", below(driver, LIVES));
    command_addf(command, "%d", below(driver, 100));
    command_addf(command, "%s", driver->open);
    for (int i = 0; i < rooms; i++)
        command_addf(command, "r%d", i);
}

static void lease_make(struct driver *driver, struct command *command, enum shipped which)
{
    int lease = below(driver, LEASES), life = below(driver, LIVES);
    bool owns = lease % 2 == 0 && which != LEASE_CLAIM;
    evalsha(driver, command, which, which == LEASE_CLAIM ? 4 : which == LEASE_WRITE ? 3 + owns : 2 + owns);
    command_addf(command, PREFIX "lease:pid%d", lease);
    if (which == LEASE_CLAIM)
        command_addf(command, PREFIX "state");
    command_addf(command, PREFIX "of:i:%d", life);
    if (which != LEASE_RELEASE)
        command_addf(command, PREFIX "lives");
    if (owns)
        command_addf(command, PREFIX "owner:own%d", lease);
    if (which == LEASE_CLAIM) {
        command_addf(command, "inbox%d", life);
        command_addf(command, "i:%d", life);
        epoch_add(driver, command);
        command_addf(command, "%d", below(driver, 1500));
        command_addf(command, "pid%d", lease);
        command_addf(command, PREFIX);
        command_addf(command, "%d", lease % 3 == 0 ? 1 + below(driver, 12) : 0);
        return;
    }
    command_addf(command, "%d", 1 + below(driver, 12));
    if (which == LEASE_RELEASE) {
        command_addf(command, "pid%d", lease);
        command_addf(command, "%s", ONE_OF(driver, "1", "0"));
        return;
    }
    command_addf(command, "sid%d", lease);
    bytes_add(driver, command);
    bytes_add(driver, command);
    command_addf(command, "inbox%d", life);
    command_addf(command, "i:%d", life);
    if (owns)
        command_addf(command, "own%d", lease);
    else
        command_add(command, SPAN_LIT(""));
    command_addf(command, "%d", lease % 3 == 0 ? below(driver, 1000) : 600000 + below(driver, 10000));
    command_addf(command, "pid%d", lease);
    command_add(command, SPAN_LIT(""));
    command_addf(command, "0");
    command_addf(command, "%s", lease % 3 == 0 ? "w" : "");
}

static void lapsed_make(struct driver *driver, struct command *command)
{
    int life = below(driver, LIVES);
    evalsha(driver, command, LEASE_CLAIM, 4);
    command_addf(command, PREFIX "ends:w");
    command_addf(command, PREFIX "state");
    command_addf(command, PREFIX "of:i:%d", life);
    command_addf(command, PREFIX "lives");
    command_addf(command, "inbox%d", life);
    command_addf(command, "i:%d", life);
    command_add(command, SPAN_LIT(""));
    command_addf(command, "0");
    command_add(command, SPAN_LIT(""));
    command_addf(command, PREFIX);
    command_addf(command, "0");
}

static void present_make(struct driver *driver, struct command *command)
{
    int room = below(driver, ROOMS), life = below(driver, LIVES);
    evalsha(driver, command, PRESENT, 5);
    command_addf(command, PREFIX "here:r%d", room);
    command_addf(command, PREFIX "away");
    command_addf(command, PREFIX "of:i:%d", life);
    command_addf(command, PREFIX "lives");
    command_addf(command, PREFIX "heres");
    command_addf(command, "%s", ONE_OF(driver, "+", "+", "-", "?"));
    command_addf(command, "r%d", room);
    command_addf(command, "sid%d", below(driver, 8));
    bytes_add(driver, command);
    command_addf(command, "i:%d", life);
    command_addf(command, PREFIX "push:r%d", room);
    command_addf(command, PREFIX);
    command_addf(command, "%d", AWAY_MS);
    command_addf(command, "%d", 1 + below(driver, 3));
}

static void present_list_make(struct driver *driver, struct command *command)
{
    evalsha(driver, command, PRESENT_LIST, 1);
    command_addf(command, PREFIX "here:r%d", below(driver, ROOMS));
    command_addf(command, "inbox%d", below(driver, LIVES));
    command_addf(command, "%d", below(driver, 1000));
    command_addf(command, "0");
    command_addf(command, "%d", 1 + below(driver, 100));
}

static void pulse_make(struct driver *driver, struct command *command)
{
    int life = below(driver, LIVES);
    evalsha(driver, command, PULSE, 8);
    command_add_words(command, PREFIX "state " PREFIX "lives " PREFIX "recent " PREFIX "away");
    command_addf(command, PREFIX "of:i:%d", life);
    command_add_words(command, PREFIX "rooms " PREFIX "sizes " PREFIX "heres");
    command_addf(command, "i:%d", life);
    command_addf(command, "%d", LIFE_MS);
    command_addf(command, "%d", AWAY_MS);
    command_addf(command, "inbox%d", life);
    command_addf(command, "%d", below(driver, 1000));
    command_addf(command, PREFIX);
    command_addf(command, "%s", driver->open);
}

static void check_make(struct driver *driver, struct command *command)
{
    evalsha(driver, command, CHECK, 1);
    command_addf(command, PREFIX "check");
    command_addf(command, PREFIX "push:r0");
}

static void call_make(struct driver *driver, struct command *command)
{
    int dice = below(driver, 100);
    if (dice < 45)
        publish_make(driver, command);
    else if (dice < 58)
        read_make(driver, command);
    else if (dice < 61)
        fence_make(driver, command);
    else if (dice < 64)
        open_make(driver, command);
    else if (dice < 76)
        lease_make(driver, command, ONE_OF(driver, "w", "w", "c", "r")[0] == 'w' ? LEASE_WRITE : LEASE_CLAIM);
    else if (dice < 78)
        lease_make(driver, command, LEASE_RELEASE);
    else if (dice < 79)
        lapsed_make(driver, command);
    else if (dice < 89)
        present_make(driver, command);
    else if (dice < 92)
        present_list_make(driver, command);
    else if (dice < 99)
        pulse_make(driver, command);
    else
        check_make(driver, command);
    command_finish(command);
}

/* Time passes, mostly a little. */
static void clock_step(struct driver *driver)
{
    struct command command = {.count = 0};
    int64_t most = below(driver, 50) == 0 ? 30000 : below(driver, 5) == 0 ? 2000 : 50;
    driver->now_ms += below(driver, (int)most);
    command_begin(&command);
    command_addf(&command, "HSET");
    command_addf(&command, "%s", clock_key);
    command_addf(&command, "s");
    command_addf(&command, "%lld", (long long)(driver->now_ms / 1000));
    command_addf(&command, "us");
    command_addf(&command, "%lld", (long long)(driver->now_ms % 1000 * 1000));
    command_finish(&command);
    pair_run(&driver->pair, NULL, &(struct step){.command = &command});
    buf_finish(&command.bytes);
}

/* The epoch as the state has it: the fake's, which is the real one's. */
static void epoch_look(struct driver *driver)
{
    struct fake_call look = {rivals.fake, driver->pair.client, NULL, 0, NULL};
    const struct fake_key *state = fake_key_find(&look, SPAN_LIT(PREFIX "state"));
    const struct fake_field *open = state != NULL ? fake_table_find(state->table, SPAN_LIT("epoch")) : NULL;
    snprintf(driver->open, sizeof driver->open, SPAN_FMT,
             SPAN_ARG(open != NULL ? buf_span(&open->value) : SPAN_LIT("none")));
}

static void call(struct driver *driver, const struct command *command, uint64_t seed, int step)
{
    struct step here = {seed, step, command};
    pair_run(&driver->pair, &driver->mix, &here);
    pair_hear(&driver->subscriber, &here);
}

/* In front of each script: a life of a key that is valid becomes a day. */
static const char lasting[] =
    "local server = redis\n"
    "local function lasting(run, ...)\n"
    "    local args, count = {...}, select('#', ...)\n"
    "    local at = args[1] == 'PEXPIRE' and 3 or args[1] == 'SET' and args[4] == 'PX' and 5\n"
    "    if at and (tonumber(args[at]) or 0) > 0 then\n"
    "        args[at] = '86400000'\n"
    "    end\n"
    "    return run(unpack(args, 1, count))\n"
    "end\n"
    "local redis = {error_reply = server.error_reply, status_reply = server.status_reply, sha1hex = server.sha1hex,\n"
    "    call = function(...) return lasting(server.call, ...) end,\n"
    "    pcall = function(...) return lasting(server.pcall, ...) end}\n";

static void script_load(struct driver *driver, enum shipped which)
{
    char *text = script_with_clock(shipped[which], clock_key), *whole = mem_printf("%s%s", lasting, text);
    struct command command = {.count = 3, .args = {SPAN_LIT("SCRIPT"), SPAN_LIT("LOAD"), span_str(whole)}};
    pair_send_real(&driver->pair, command.args, 3);
    pair_send_fake(&driver->pair, NULL, command.args, 3);
    memcpy(driver->sha[which], buf_span(&driver->pair.real).data + sizeof "$40\r\n" - 1, FAKE_SHA_BYTES);
    pair_compare(&driver->pair, &(struct step){.command = &command});
    free(whole);
    free(text);
}

static void driver_begin(struct driver *driver, void **state)
{
    if (*state != NULL) {
        printf("skipped: %s\n", (const char *)*state);
        skip();
    }
    *driver = (struct driver){.now_ms = INT64_C(1700000000000)};
    pair_open(&driver->pair, &rivals);
    PAIR_RUN(&driver->pair, "SCRIPT", "FLUSH");
    PAIR_RUN(&driver->pair, "CONFIG", "SET", "stream-node-max-bytes", "0");
    pair_open(&driver->subscriber, &rivals);
    for (int i = 0; i < ROOMS + LIVES; i++) {
        char channel[32];
        snprintf(channel, sizeof channel, i < ROOMS ? PREFIX "push:r%d" : "inbox%d", i < ROOMS ? i : i - ROOMS);
        PAIR_RUN(&driver->subscriber, "SUBSCRIBE", channel);
    }
    for (enum shipped i = 0; i < SHIPPED; i++)
        script_load(driver, i);
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
        memset(driver.numbers, 0, sizeof driver.numbers);
        PAIR_RUN(&driver.pair, "FLUSHALL");
        for (int step = 0; step < CALLS; step++) {
            clock_step(&driver);
            epoch_look(&driver);
            call_make(&driver, &command);
            call(&driver, &command, seed, step);
        }
    }
    buf_finish(&command.bytes);
    driver_end(&driver);
}

/* As they are, with the servers' own clocks: everything that is needed is known and allowed. */
static void test_check_script(void **state)
{
    struct driver driver;
    driver_begin(&driver, state);
    PAIR_RUN(&driver.pair, "EVAL", script_check, "1", PREFIX "check", "channel");
    driver_end(&driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shipped_scripts),
        cmocka_unit_test(test_check_script),
    };
    return cmocka_run_group_tests(tests, group_begin, group_end);
}

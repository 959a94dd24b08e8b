/* redis_pair: sends to both, reads from both, and says where they differ. See redis_pair.h. */
#include "redis_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_redis_parts.h"
#include "wire/resp.h"

enum { LIFE_TOLERANCE_MS = 3000, SET_ITEMS_MAX = 512 };

bool rivals_open(struct rivals *rivals)
{
    struct buf info = {0};
    if (!real_redis_start(&rivals->real))
        return false;
    rivals->fake = fake_redis_create(1);
    int fd = real_redis_connect(&rivals->real);
    real_redis_write(fd, SPAN_LIT("*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"));
    real_redis_read(fd, &info, 1);
    rivals->words_compared = memmem(buf_span(&info).data, info.len, "redis_version:7.0.", 18) != NULL;
    close(fd);
    buf_finish(&info);
    return true;
}

void rivals_close(struct rivals *rivals)
{
    fake_redis_restart(rivals->fake, false); /* a test that failed has left its connections */
    fake_redis_destroy(rivals->fake);
    real_redis_stop(&rivals->real);
}

static void on_out(void *arg, const char *bytes, size_t len)
{
    buf_append(&((struct pair *)arg)->fake, span_of(bytes, len));
}

void pair_clock_sync(struct pair *pair)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    fake_redis_time(pair->rivals->fake, (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void pair_open(struct pair *pair, struct rivals *rivals)
{
    *pair = (struct pair){.rivals = rivals, .fd = real_redis_connect(&rivals->real)};
    pair->client = fake_redis_connect(rivals->fake, on_out, pair);
}

void pair_close(struct pair *pair)
{
    close(pair->fd);
    fake_redis_disconnect(pair->client);
    buf_finish(&pair->real);
    buf_finish(&pair->fake);
}

void pair_send_real(struct pair *pair, const struct span *args, size_t count)
{
    struct buf bytes = {0};
    resp_command_encode(&bytes, args, count);
    real_redis_write(pair->fd, buf_span(&bytes));
    real_redis_read(pair->fd, &pair->real, 1);
    buf_finish(&bytes);
}

void pair_send_fake(struct pair *pair, struct command_mix *mix, const struct span *args, size_t count)
{
    struct buf bytes = {0};
    resp_command_encode(&bytes, args, count);
    struct span rest = buf_span(&bytes);
    while (rest.len > 0) {
        size_t some = mix != NULL && command_mix_below(mix, 3) == 0 ? 1 + command_mix_below(mix, rest.len) : rest.len;
        assert_true(fake_redis_feed(pair->client, rest.data, some));
        rest = span_from(rest, some);
    }
    buf_finish(&bytes);
}

static void print_bytes(const char *what, struct span bytes)
{
    printf("%s: ", what);
    for (size_t i = 0; i < bytes.len && i < 2000; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        if (c == '\r')
            continue;
        printf(c >= ' ' && c < 127 && c != '\\' ? "%c" : "\\x%02x", c);
    }
    printf("\n");
}

static int64_t number_of(struct span reply)
{
    int64_t number = -1;
    if (reply.len > 3 && reply.data[0] == ':')
        fake_span_i64(span_sub(reply, 1, reply.len - 3), &number);
    return number;
}

static struct span code_of(struct span reply)
{
    struct span code;
    span_next(&reply, ' ', &code);
    return code;
}

static int compare_spans(const void *a, const void *b)
{
    return fake_bytes_compare(*(const struct span *)a, *(const struct span *)b);
}

/* Sets are in no order. */
static bool sets_equal(struct span a, struct span b)
{
    struct span items[2][SET_ITEMS_MAX], sets[2] = {a, b};
    size_t counts[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        struct span line;
        if (!span_next(&sets[i], '\n', &line) || line.data[0] != '*')
            return span_equal(a, b);
        for (size_t len; sets[i].len > 0 && (len = reply_length(sets[i])) > 0 && counts[i] < SET_ITEMS_MAX;
             sets[i] = span_from(sets[i], len))
            items[i][counts[i]++] = span_sub(sets[i], 0, len);
        qsort(items[i], counts[i], sizeof items[i][0], compare_spans);
    }
    for (size_t i = 0; i < counts[0] && counts[0] == counts[1]; i++)
        if (!span_equal(items[0][i], items[1][i]))
            return false;
    return counts[0] == counts[1];
}

/* How Redis' tree is built is nobody's promise: its number of nodes is blanked. */
static bool infos_equal(struct span a, struct span b)
{
    static const char key[] = "radix-tree-nodes\r\n:";
    struct span infos[2] = {a, b}, ends[2];
    for (int i = 0; i < 2; i++) {
        const char *at = memmem(infos[i].data, infos[i].len, key, sizeof key - 1);
        if (at == NULL)
            return span_equal(a, b);
        size_t before = (size_t)(at - infos[i].data);
        ends[i] = span_from(infos[i], before + sizeof key - 1);
        ends[i] = span_from(ends[i], (size_t)span_find(ends[i], '\r'));
        infos[i] = span_sub(infos[i], 0, before);
    }
    return span_equal(infos[0], infos[1]) && span_equal(ends[0], ends[1]);
}

static bool same(bool words_compared, const struct command *command, struct span a, struct span b)
{
    struct span name = command != NULL ? command->args[0] : SPAN_LIT("");
    if (a.len > 0 && b.len > 0 && a.data[0] == '-' && b.data[0] == '-' && !words_compared)
        return span_equal(code_of(a), code_of(b));
    if (span_equal(name, SPAN_LIT("TTL")) || span_equal(name, SPAN_LIT("PTTL"))) {
        int64_t left = number_of(a) - number_of(b), most = name.len == 3 ? LIFE_TOLERANCE_MS / 1000 : LIFE_TOLERANCE_MS;
        if (number_of(a) >= 0 && number_of(b) >= 0)
            return left <= most && left >= -most;
    }
    if (span_equal(name, SPAN_LIT("SMEMBERS")) || span_equal(name, SPAN_LIT("SPOP")) ||
        span_equal(name, SPAN_LIT("KEYS")))
        return sets_equal(a, b);
    if (span_equal(name, SPAN_LIT("XINFO")))
        return infos_equal(a, b);
    if (span_equal(name, SPAN_LIT("MEMORY")) && number_of(a) > 0)
        return number_of(b) > 0;
    return span_equal(a, b);
}

void pair_compare(struct pair *pair, const struct step *step)
{
    const struct command *command = step->command;
    if (!same(pair->rivals->words_compared, command, buf_span(&pair->real), buf_span(&pair->fake))) {
        printf("seed %llu, step %d:\n", (unsigned long long)step->seed, step->number);
        for (size_t i = 0; command != NULL && i < command->count; i++)
            print_bytes("    ", command->args[i]);
        print_bytes("the real one", buf_span(&pair->real));
        print_bytes("the fake one", buf_span(&pair->fake));
        fail_msg("they differ");
    }
    buf_clear(&pair->real);
    buf_clear(&pair->fake);
}

void pair_run(struct pair *pair, struct command_mix *mix, const struct step *step)
{
    pair_send_real(pair, step->command->args, step->command->count);
    pair_clock_sync(pair);
    pair_send_fake(pair, mix, step->command->args, step->command->count);
    pair_compare(pair, step);
}

void pair_run_words(struct pair *pair, const char *const *words, size_t count)
{
    struct command command = {.count = 0};
    command_begin(&command);
    for (size_t i = 0; i < count; i++)
        command_add(&command, span_str(words[i]));
    command_finish(&command);
    pair_run(pair, NULL, &(struct step){.command = &command});
    buf_finish(&command.bytes);
}

/* The answer of a PING comes behind all that was pushed before it. */
void pair_hear(struct pair *pair, const struct step *step)
{
    static const struct span ping[] = {{"PING", 4}};
    struct buf bytes = {0};
    resp_command_encode(&bytes, ping, 1);
    real_redis_write(pair->fd, buf_span(&bytes));
    buf_finish(&bytes);
    while (!span_ends_with(buf_span(&pair->real), SPAN_LIT("*2\r\n$4\r\npong\r\n$0\r\n\r\n")))
        real_redis_read(pair->fd, &pair->real, 1);
    pair_send_fake(pair, NULL, ping, 1);
    pair_compare(pair, step);
}

/* test_fake_redis: the fake Redis against a real one: the same commands to both, the same bytes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "redis_pair.h"

enum { SEEDS = 100, COMMANDS = 400, EXPIRED_US = 8000, STREAM_SEEDS = 12, STREAM_COMMANDS = 2500 };

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

static void test_commands(void **state)
{
    struct pair pair;
    struct command_mix mix;
    struct command command = {.count = 0};
    begin(&pair, state);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        command_mix_init(&mix, seed);
        PAIR_RUN(&pair, "FLUSHALL");
        for (int step = 0; step < COMMANDS; step++) {
            command_mix_next(&mix, &command);
            if (!rivals.words_compared && span_equal(command.args[0], SPAN_LIT("XINFO")))
                continue; /* it tells other things in other versions */
            pair_run(&pair, &mix, &(struct step){seed, step, &command});
            if (!command.waits)
                continue;
            usleep(EXPIRED_US);
            struct command look = {.count = 2, .args = {SPAN_LIT("EXISTS"), command.args[1]}};
            pair_run(&pair, &mix, &(struct step){seed, step, &look});
        }
    }
    buf_finish(&command.bytes);
    pair_close(&pair);
}

/* Streams of many nodes, trimmed by nodes. */
static void test_long_streams(void **state)
{
    struct pair pair;
    struct command_mix mix;
    struct command command = {.count = 0};
    begin(&pair, state);
    for (uint64_t seed = 1; seed <= STREAM_SEEDS; seed++) {
        command_mix_init(&mix, seed);
        mix.only = 'X';
        PAIR_RUN(&pair, "FLUSHALL");
        for (int step = 0; step < STREAM_COMMANDS; step++) {
            bool adds = step % 1000 < 600; /* grows for a while, then whatever comes */
            if (adds) {
                command_begin(&command);
                command_add_words(&command, step % 3 == 0 ? "XADD x MAXLEN ~" : "XADD x");
                if (step % 3 == 0)
                    command_addf(&command, "%d", 100 + (int)command_mix_below(&mix, 300));
                command_addf(&command, "%d-1", (int)++mix.ids);
                command_addf(&command, "field");
                command_addf(&command, "%d", step);
                command_finish(&command);
            } else {
                command_mix_next(&mix, &command);
            }
            if (!rivals.words_compared && span_equal(command.args[0], SPAN_LIT("XINFO")))
                continue;
            pair_run(&pair, &mix, &(struct step){seed, step, &command});
        }
    }
    buf_finish(&command.bytes);
    pair_close(&pair);
}

static void test_channels(void **state)
{
    struct pair publisher, subscriber;
    struct command_mix mix;
    struct command command = {.count = 0};
    begin(&publisher, state);
    pair_open(&subscriber, &rivals);
    command_mix_init(&mix, 5);
    PAIR_RUN(&subscriber, "UNSUBSCRIBE", "c1");
    PAIR_RUN(&subscriber, "SUBSCRIBE", "base");
    for (int step = 0; step < 2000; step++) {
        uint64_t dice = command_mix_below(&mix, 10);
        command_begin(&command);
        if (dice < 6) {
            command_add(&command, SPAN_LIT("PUBLISH"));
            command_addf(&command, "c%d", (int)command_mix_below(&mix, 4));
            command_addf(&command, "text %d", step);
        } else {
            command_add(&command, dice < 8   ? SPAN_LIT("SUBSCRIBE")
                                  : dice < 9 ? SPAN_LIT("UNSUBSCRIBE")
                                             : SPAN_LIT("GET"));
            command_addf(&command, "c%d", (int)command_mix_below(&mix, 4));
        }
        command_finish(&command);
        pair_run(dice < 6 ? &publisher : &subscriber, &mix, &(struct step){5, step, &command});
        pair_hear(&subscriber, &(struct step){5, step, &command});
    }
    buf_finish(&command.bytes);
    pair_close(&subscriber);
    pair_close(&publisher);
}

/* What becomes of values, and of errors. */
static const char *const scripts[] = {
    "return 1",
    "return 3.99",
    "return -3.99",
    "return '3.5'",
    "return true",
    "return false",
    "return nil",
    "return",
    "return {}",
    "return {1, 2, nil, 4}",
    "return {1, {2, {3, 'x'}}, false, true}",
    "return {ok = 'fine'}",
    "return {err = 'CODE text'}",
    "return {err = 'text'}",
    "return {err = 'CODE text', ok = 'fine'}",
    "return redis.error_reply('EPOCH is gone')",
    "return redis.error_reply('-EPOCH is gone')",
    "return redis.error_reply('alone')",
    "return redis.error_reply('')",
    "return redis.error_reply(1)",
    "return redis.status_reply('PONG')",
    "return redis.status_reply()",
    "return redis.sha1hex('')",
    "return redis.sha1hex('some text')",
    "return {KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2], ARGV[3], #KEYS, #ARGV}",
    "return redis.call('SET', KEYS[1], 1.5)",
    "redis.call('SET', KEYS[1], 100000000000000000000) return redis.call('GET', KEYS[1])",
    "redis.call('SET', KEYS[1], 1234567890123) return redis.call('GET', KEYS[1])",
    "return redis.call('GET', 'not there')",
    "return type(redis.call('GET', 'not there'))",
    "return type(redis.call('HGET', 'not there', 'x'))",
    "local k = KEYS[1] redis.call('DEL', k) redis.call('HSET', k, 'a', 1) return redis.call('HMGET', k, 'a', 'b')",
    "return redis.call('GET', KEYS[1])",
    "return redis.pcall('GET', KEYS[1])",
    "return redis.pcall('GET', KEYS[1]).err",
    "local ok, e = pcall(redis.call, 'GET', KEYS[1]) return {ok and 1 or 0, e.err}",
    "local ok, e = pcall(error, {err = 'MINE own'}) return {ok and 1 or 0, e.err}",
    "error('plain')",
    "error({err = 'MINE own'})",
    "error()",
    "local x = nil; return x.y",
    "\n\nreturn 1 + {}",
    "x = 1",
    "return x",
    "_G.x = 1",
    "redis.x = 1",
    "string.x = 1",
    "KEYS = {}",
    "KEYS[1] = 'mine' return KEYS[1]",
    "return redis.call()",
    "return redis.call('NONSENSE')",
    "return redis.pcall('NONSENSE')",
    "return redis.call('GET')",
    "return redis.call('GET', {})",
    "return redis.call('GET', nil)",
    "return redis.call('SUBSCRIBE', 'x')",
    "return redis.call('EVAL', 'return 1', 0)",
    "return redis.call('AUTH', 'x')",
    "this is no Lua",
    "return 'a\\r\\nb'",
    "return {ok = 'a'}",
    "return {1, redis.call('PING'), {ok = 'x'}, {err = 'E x'}}",
    "return redis.call('ECHO2', 1)",
    "redis.call('SELECT', 3) redis.call('SET', 'in 3', 1) return redis.call('DBSIZE')",
    "return redis.call('DBSIZE')",
    "return tostring(1e15)",
    "return string.format('%.0f', 2^53)",
    "return {math.floor(2.7), math.max(1, 5), tonumber('12'), tonumber('x') or 'none', #'abc'}",
    "local t = {} for i = 1, 300 do t[i] = i end return {unpack(t)}",
    "local t = {} for i = 1, 300 do t[i] = tostring(i) end return redis.call('SADD', KEYS[2], unpack(t))",
    "return redis.call('XADD', KEYS[3], '5-1', 'a', 'b')",
    "return redis.call('XRANGE', KEYS[3], '-', '+')",
    "return redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', 0)",
    "return redis.call('ZADD', KEYS[3], 1, 'x')",
    "return redis.call('zrange', KEYS[2], 0, -1)",
    "return ARGV[1] .. ARGV[3]",
    "return assert(false, 'asserted')",
    "return select('#', 1, nil, 3)",
    "for _, v in ipairs({1, 2}) do if v == 2 then return v end end",
    "return cmp",
    "return type(next)",
};

static void test_conversions(void **state)
{
    struct pair pair;
    begin(&pair, state);
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
        for (int round = 0; round < 2; round++)
            PAIR_RUN(&pair, "EVAL", scripts[i], "3", "k1", "k2", "k3", "one", "2", "\xff\n");
    PAIR_RUN(&pair, "EVAL", "return 1", "x");
    PAIR_RUN(&pair, "EVAL", "return 1", "-1");
    PAIR_RUN(&pair, "EVAL", "return 1", "1");
    PAIR_RUN(&pair, "SCRIPT", "LOAD", "return 7");
    PAIR_RUN(&pair, "SCRIPT", "LOAD", "return '");
    PAIR_RUN(&pair, "EVALSHA", "8ca3af96f9c9df3ca51ad2a9c8ff2d08c7a4c4d2", "0");
    PAIR_RUN(&pair, "SCRIPT", "EXISTS", "E0E1F9FABFC9D4800C877A703B823AC0578FF8DB",
             "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    PAIR_RUN(&pair, "SCRIPT", "FLUSH", "SYNC");
    PAIR_RUN(&pair, "SCRIPT", "FLUSH", "NOW");
    PAIR_RUN(&pair, "SCRIPT", "NONSENSE");
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_long_streams),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_conversions),
    };
    return cmocka_run_group_tests(tests, group_begin, group_end);
}

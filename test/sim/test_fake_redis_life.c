/* test_fake_redis_life: faults that a real Redis does not have on demand: injected errors, restarts, snapshots, lumps
 * from a seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "command_mix.h"
#include "fake_redis.h"
#include "wire/resp.h"

struct life {
    struct fake_redis *redis;
    struct fake_redis_client *client;
    struct buf heard;
};

static void on_out(void *arg, const char *bytes, size_t len)
{
    buf_append(&((struct life *)arg)->heard, span_of(bytes, len));
}

static void life_begin(struct life *life, uint64_t seed)
{
    *life = (struct life){.redis = fake_redis_create(seed)};
    life->client = fake_redis_connect(life->redis, on_out, life);
}

static void life_end(struct life *life)
{
    fake_redis_disconnect(life->client);
    fake_redis_destroy(life->redis);
    buf_finish(&life->heard);
}

/* The reply, as text, until the next call. */
static const char *ask(struct life *life, const char *words)
{
    struct command command = {.count = 0};
    struct buf bytes = {0};
    command_begin(&command);
    command_add_words(&command, words);
    command_finish(&command);
    resp_command_encode(&bytes, command.args, command.count);
    buf_clear(&life->heard);
    assert_true(fake_redis_feed(life->client, buf_span(&bytes).data, bytes.len));
    buf_append_char(&life->heard, '\0');
    buf_finish(&bytes);
    buf_finish(&command.bytes);
    return buf_span(&life->heard).data;
}

#define EXPECT(life, words, reply) assert_string_equal(ask((life), (words)), (reply))

static void test_errors(void **state)
{
    struct life life;
    life_begin(&life, 1);
    EXPECT(&life, "SET key 1", "+OK\r\n");
    fake_redis_fail_next(life.redis, "OOM no memory", 2);
    EXPECT(&life, "GET key", "$1\r\n1\r\n");
    EXPECT(&life, "SET key 2", "-OOM no memory\r\n");
    EXPECT(&life, "DEL other", ":0\r\n");
    /* A script is stopped before its first write. */
    const char *stopped = ask(&life, "EVAL redis.call('PUBLISH','c','m')redis.call('SET','key','2') 0");
    assert_true(span_starts_with(span_str(stopped), SPAN_LIT("-OOM no memory script: ")));
    EXPECT(&life, "SET key 3", "+OK\r\n");
    fake_redis_fail_next(life.redis, "READONLY no", 1);
    EXPECT(&life, "PUBLISH c m", ":0\r\n");
    EXPECT(&life, "DEL key", "-READONLY no\r\n");
    fake_redis_fail_next(life.redis, "LOADING wait", 100);
    EXPECT(&life, "PING", "-LOADING wait\r\n");
    EXPECT(&life, "SUBSCRIBE c", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    fake_redis_fail_next(life.redis, "", 0);
    EXPECT(&life, "UNSUBSCRIBE c", "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n");
    EXPECT(&life, "GET key", "$1\r\n3\r\n");
    life_end(&life);
}

static void test_restarts(void **state)
{
    struct life life;
    char run_id[256];
    life_begin(&life, 1);
    snprintf(run_id, sizeof run_id, "%s", ask(&life, "INFO server"));
    ask(&life, "SET key 1");
    assert_int_equal(ask(&life, "SCRIPT LOAD return(1)")[0], '$');
    EXPECT(&life, "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0",
           "-NOSCRIPT No matching script. Please use EVAL.\r\n");
    ask(&life, "SUBSCRIBE c");
    fake_redis_restart(life.redis, true);
    assert_false(fake_redis_feed(life.client, "*1\r\n$4\r\nPING\r\n", 14));
    fake_redis_disconnect(life.client);
    life.client = fake_redis_connect(life.redis, on_out, &life);
    EXPECT(&life, "GET key", "$1\r\n1\r\n");
    assert_string_not_equal(ask(&life, "INFO server"), run_id);
    fake_redis_restart(life.redis, false);
    fake_redis_disconnect(life.client);
    life.client = fake_redis_connect(life.redis, on_out, &life);
    EXPECT(&life, "DBSIZE", ":0\r\n");
    life_end(&life);
}

static void test_snapshots(void **state)
{
    static const char *const before[] = {"SET s 1 PX 500", "HSET h a 1 b 2", "SADD e x y",
                                         "ZADD z 1 m 2 n", "XADD x 1-1 f v", "XADD x 2-1 f v"};
    static const char *const looks[] = {"GET s",         "PTTL s",       "HGETALL h", "SMEMBERS e",
                                        "ZRANGE z 0 -1", "XRANGE x - +", "DBSIZE"};
    struct life life;
    char *seen[sizeof looks / sizeof looks[0]];
    life_begin(&life, 1);
    fake_redis_time(life.redis, 1000000);
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++)
        ask(&life, before[i]);
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++)
        seen[i] = strdup(ask(&life, looks[i]));
    struct fake_redis_snapshot *snapshot = fake_redis_snapshot(life.redis);
    for (int round = 0; round < 2; round++) {
        ask(&life, "XADD x 3-1 f v");
        ask(&life, "DEL s e");
        ask(&life, "HSET h a 9");
        ask(&life, "SET more 1");
        fake_redis_restore(life.redis, snapshot);
        fake_redis_disconnect(life.client);
        life.client = fake_redis_connect(life.redis, on_out, &life);
        for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++)
            EXPECT(&life, looks[i], seen[i]);
    }
    fake_redis_time(life.redis, 1000000 + 501000);
    EXPECT(&life, "GET s", "$-1\r\n");
    fake_redis_snapshot_destroy(snapshot);
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++)
        free(seen[i]);
    life_end(&life);
}

/* How much is left of a stream that is trimmed to ten entries, about. */
static void lumps(uint64_t seed, int left[50])
{
    struct life life;
    char words[64];
    life_begin(&life, seed);
    for (int i = 0; i < 500; i++) {
        snprintf(words, sizeof words, "XADD x MAXLEN ~ 10 %d-1 f v", i + 1);
        ask(&life, words);
        if (i % 10 == 9)
            left[i / 10] = atoi(ask(&life, "XLEN x") + 1);
    }
    life_end(&life);
}

static void test_lumps(void **state)
{
    int one[50], again[50], other[50], most = 0;
    lumps(1, one);
    lumps(1, again);
    lumps(2, other);
    assert_memory_equal(one, again, sizeof one);
    assert_memory_not_equal(one, other, sizeof one);
    for (int i = 0; i < 50; i++) {
        assert_in_range(one[i], 10, 110);
        most = one[i] > most ? one[i] : most;
    }
    assert_true(most > 20);
}

static void test_bad_bytes(void **state)
{
    static const char *const bad[] = {"PING\r\n",     "*x\r\n",        "*1\r\n+PING\r\n",
                                      "*1\r\n$x\r\n", "*1\r\n$-1\r\n", "*9999999\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct life life;
        life_begin(&life, 1);
        assert_false(fake_redis_feed(life.client, bad[i], strlen(bad[i])));
        assert_int_equal(buf_span(&life.heard).data[0], '-');
        life_end(&life);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors), cmocka_unit_test(test_restarts),  cmocka_unit_test(test_snapshots),
        cmocka_unit_test(test_lumps),  cmocka_unit_test(test_bad_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

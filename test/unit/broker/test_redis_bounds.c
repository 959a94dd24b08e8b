/* test_redis_bounds: nothing in Redis is without an end, and what somebody deletes or spoils there harms its own thing.
 */
#include "instances.h"
#include <stdio.h>

static void some_of_everything(struct instance *a)
{
    struct broker_lease lease = {.pid = SPAN_LIT("pid"),
                                 .sid = SPAN_LIT("sid"),
                                 .own = SPAN_LIT("@own"),
                                 .rooms = SPAN_LIT("rooms"),
                                 .generation = 1,
                                 .window_ms = 60000};
    struct broker_publish named = {.room = SPAN_LIT("r"), .body = SPAN_LIT("x"), .id = SPAN_LIT("name")};
    struct call *written = lease_write(a, &lease);
    AWAIT_ANSWER(written);
    struct call *claimed = lease_claim(a, "pid", "", 0);
    AWAIT_ANSWER(claimed);
    subscribe_now(a, "r");
    enter(a, "r", "x");
    enter(a, "r", "goes");
    leave(a, "r", "goes", true);
    publish_now(a, "r", "x");
    publish_now(a, "@own", "x");
    struct call *call = publish_with(a, &named, NULL);
    AWAIT_ANSWER(call);
}

/* Every key has an end but `state`: the counter must never be forgotten. */
static void everything_has_an_end(void **state)
{
    static const char walk[] = "local bad = {} for _, key in ipairs(redis.call('KEYS', ARGV[1])) do "
                               "if redis.call('PTTL', key) == -1 and key ~= ARGV[2] then bad[#bad + 1] = key end end "
                               "return table.concat(bad, ' ')";
    struct instance *a = instance_up("A");
    some_of_everything(a);
    some_of_everything(a);
    instances_run(1700); /* two heartbeats sweep what has no end of its own: those away, and what the digest tells */
    const char *left = redis_ask(&redis, "EVAL", walk, "0", instances_key("*"), instances_key("state"), NULL);
    if (strstr(left, "{0}") != NULL)
        fail_msg("without an end: %s", left);
    /* Also when a log vanished meanwhile. */
    redis_ask(&redis, "DEL", instances_key("log:r"), NULL);
    redis_ask(&redis, "DEL", instances_key("names:r"), NULL);
    some_of_everything(a);
    instances_run(1700);
    left = redis_ask(&redis, "EVAL", walk, "0", instances_key("*"), instances_key("state"), NULL);
    if (strstr(left, "{0}") != NULL)
        fail_msg("without an end: %s", left);
}

/* What an instance has is lost; the instance ends; whoever comes finds nobody there. */
static void nobody_is_present_under_a_life_that_nobody_knows(void **state)
{
    static const char forget[] = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end";
    struct instance *a = instance_up("A");
    enter(a, "r", "x");
    enter(a, "r", "y");
    struct call *there = list(a, "r", 0, 10);
    AWAIT_ANSWER(there);
    assert_int_equal(there->presence.count, 2);
    instance_destroy(a);
    redis_ask(&redis, "EVAL", forget, "0", instances_key("of:*"), NULL);
    struct instance *b = instance_up("B");
    subscribe_now(b, "r");
    enter(b, "r", "z");
    AWAIT_WITHIN(16000, told_count(b, TOLD_LEFT, "r") == 2);
    there = list(b, "r", 0, 10);
    AWAIT_ANSWER(there);
    assert_int_equal(there->presence.count, 1);
    assert_true(list_has(there, "z"));
}

/* One lease of another kind: its own client is told that there is none, the others of its instance are looked after. */
static void a_spoiled_lease_harms_nobody_else(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease lease = {.sid = SPAN_LIT("sid"), .generation = 1, .window_ms = 60000};
    static const char *const pids[] = {"one", "two", "three"};
    struct call *call = NULL;
    for (int i = 0; i < 3; i++) {
        lease.pid = span_str(pids[i]);
        call = lease_write(a, &lease);
        AWAIT_ANSWER(call);
    }
    redis_ask(&redis, "SET", instances_key("lease:two"), "x", NULL);
    call = lease_claim(b, "two", "", 0);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_NONE);
    lease.pid = SPAN_LIT("two");
    call = lease_write(a, &lease);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_SPOILED);
    call = lease_claim(b, "one", "", 0);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    assert_int_equal(told_count(a, TOLD_DOWN, "") + told_count(b, TOLD_DOWN, ""), 0);
    assert_true(instances_logged("a key holds foreign or damaged data"));
    assert_false(instances_logged("lease:two")); /* a pid is nobody's business */
    /* Its instance dies without a word: the others' leases are shortened all the same. */
    redis_ask(&redis, "ZADD", instances_key("lives"), "1",
              redis_ask(&redis, "ZRANGE", instances_key("lives"), "0", "0", NULL), NULL);
    instance_destroy(a);
    AWAIT_WITHIN(8000, redis_ask_number(&redis, "PTTL", instances_key("lease:three"), NULL) <= 60000);
}

/* A list of that room's members is answered as unknown; the link, which all share, goes on. */
static void a_spoiled_room_of_those_present_harms_nobody_else(void **state)
{
    struct instance *a = instance_up("A");
    redis_ask(&redis, "SET", instances_key("here:r"), "x", NULL);
    for (int i = 0; i < 3; i++) {
        struct call *call = list(a, "r", 0, 10);
        AWAIT_ANSWER(call);
        assert_int_equal(call->result, BROKER_OK);
        assert_int_equal(call->presence.count, 0);
    }
    publish_now(a, "r", "x");
    assert_int_equal(told_count(a, TOLD_DOWN, ""), 0);
    assert_true(instances_logged("here:r"));
}

/* Nothing can be accepted: the instance must not pass for ready. */
static void a_spoiled_state_is_noticed(void **state)
{
    struct instance *a = instance_up("A");
    redis_ask(&redis, "DEL", instances_key("state"), NULL);
    redis_ask(&redis, "SET", instances_key("state"), "x", NULL);
    AWAIT(told_count(a, TOLD_DOWN, "") == 1);
    instances_run(1000);
    assert_false(a->up);
    redis_ask(&redis, "DEL", instances_key("state"), NULL);
    AWAIT(a->up);
    publish_now(a, "r", "x");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(everything_has_an_end),
        BROKER_TEST(nobody_is_present_under_a_life_that_nobody_knows),
        BROKER_TEST(a_spoiled_lease_harms_nobody_else),
        BROKER_TEST(a_spoiled_room_of_those_present_harms_nobody_else),
        BROKER_TEST(a_spoiled_state_is_noticed),
    };
    return instances_main(argc, argv, "broker/redis_bounds", tests, sizeof tests / sizeof tests[0], NULL);
}

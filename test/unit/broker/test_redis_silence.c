/* test_redis_silence: what the network swallows without a word is noticed and told soon; what is only slow is not taken
 * for dead. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "byte_proxy.h"
#include "instances.h"

static struct byte_proxy *proxy;

/* The digest's promise. */
enum { DIGEST_MS_MAX = 1000 };

static void a_lost_tail_is_told_by_the_digest(void **state)
{
    struct instance *a = instance_up_behind("A", &proxy), *b = instance_up("B");
    struct broker_lease lease = {.pid = SPAN_LIT("pid"), .own = SPAN_LIT("@own"), .generation = 1, .window_ms = 60000};
    struct call *leased = lease_write(a, &lease);
    AWAIT_ANSWER(leased);
    subscribe_now(a, "r");
    subscribe_now(b, "r");
    subscribe_now(a, "@own");
    for (int i = 0; i < 2; i++) {
        const char *room = i == 0 ? "r" : "@own";
        a->loose = true;
        publish_now(b, room, "first");
        AWAIT(told_count(a, TOLD_PUSHED, room) == 1);
        uint64_t began = now_ms(), stalled = instances_stalled_ms();
        proxy->swallow = "second";
        publish_now(b, room, "second");
        uint64_t lost = read_all(b, room)->page.last;
        AWAIT(told_count(a, TOLD_TOP, room) > 0 && told_last(a, TOLD_TOP, room)->number == lost);
        assert_in_range(now_ms() - began - (instances_stalled_ms() - stalled), 0, DIGEST_MS_MAX);
        assert_null(proxy->swallow);
        assert_int_equal(told_count(a, TOLD_PUSHED, room), 1);
    }
    /* Where nothing got lost the digest says what is known: the recorder looks at that. */
    AWAIT(told_count(b, TOLD_TOP, "r") > 0);
    assert_int_equal(told_count(a, TOLD_DOWN, ""), 0);
}

static void a_lost_push_is_a_hole_in_the_chain(void **state)
{
    struct instance *a = instance_up_behind("A", &proxy);
    a->loose = true;
    subscribe_now(a, "r");
    proxy->swallow = "2nd";
    publish_now(a, "r", "1st"); /* in calls of their own: what one call brings to a room in a row is one message */
    publish_now(a, "r", "2nd");
    publish_now(a, "r", "3rd");
    AWAIT(told_count(a, TOLD_PUSHED, "r") == 2);
    assert_true(told_at(a, TOLD_PUSHED, "r", 1)->second > told_at(a, TOLD_PUSHED, "r", 0)->number);
}

/* Every room that got something is in one of the next digests, also when there are more than fit into one. */
static void no_room_is_left_out_of_the_digest(void **state)
{
    enum { ROOMS = 1200 };
    struct instance *a = instance_up("A"), *b = instance_up("B");
    char room[16];
    for (int i = 0; i < ROOMS; i++) {
        snprintf(room, sizeof room, "r%d", i);
        subscribe(b, room);
    }
    AWAIT(told_count(b, TOLD_SUBSCRIBED, "") == ROOMS);
    for (int i = 0; i < ROOMS; i++) {
        snprintf(room, sizeof room, "r%d", i);
        publish(a, room, "x");
    }
    AWAIT_WITHIN(2000, told_count(b, TOLD_TOP, "") >= ROOMS);
    for (int i = 0; i < ROOMS; i++) {
        snprintf(room, sizeof room, "r%d", i);
        assert_int_equal(told_last(b, TOLD_TOP, room)->number, told_last(b, TOLD_PUSHED, room)->number);
    }
}

enum { SILENCE_MS_MAX = 1300 };

static void a_feed_that_died_without_a_word_is_noticed(void **state)
{
    struct instance *a = instance_up_behind("A", &proxy);
    subscribe_now(a, "r");
    instances_run(300);
    uint64_t began = now_ms();
    proxy->held[PROXY_FEED] = true;
    publish_now(a, "r", "is accepted"); /* the other link is fine */
    AWAIT_WITHIN(SILENCE_MS_MAX, told_count(a, TOLD_DOWN, "") == 1);
    assert_true(now_ms() - began >= 500);
    proxy->held[PROXY_FEED] = false;
    AWAIT(a->up);
    subscribe_now(a, "r");
    assert_int_equal(read_all(a, "r")->page.count, 1);
}

static void a_probe_that_does_not_come_back_is_lost(void **state)
{
    struct instance *a = instance_up_behind("A", &proxy);
    proxy->held[PROXY_FEED] = true;
    struct call *probed = probe(a), *listed = list(a, "r", 0, 10), *asked = stats(a);
    AWAIT_WITHIN(SILENCE_MS_MAX, probed->answers > 0 && listed->answers > 0);
    assert_int_equal(probed->result, BROKER_LOST);
    assert_int_equal(listed->result, BROKER_LOST);
    assert_int_equal(asked->result, BROKER_OK);
    proxy->held[PROXY_FEED] = false;
    AWAIT(a->up);
}

static void a_redis_that_is_slow_is_not_taken_for_dead(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up_behind("B", &proxy);
    subscribe_now(a, "r");
    subscribe_now(b, "r");
    struct call *call = publish(a, "r", "1");
    instances_turn(); /* it is stopped amid this */
    redis_process_pause(&redis, true);
    struct call *probed = probe(b);
    instances_run(1700); /* with a heartbeat or two */
    redis_process_pause(&redis, false);
    AWAIT(call->answers > 0 && probed->answers > 0);
    assert_int_equal(probed->result, BROKER_OK);
    /* Nor is a network. */
    proxy->held[PROXY_FEED] = proxy->held[PROXY_COMMANDS] = true;
    instances_run(800);
    byte_proxy_release(proxy, PROXY_COMMANDS);
    byte_proxy_release(proxy, PROXY_FEED);
    instances_run(50);
    AWAIT(told_count(a, TOLD_PUSHED, "r") == 1 && told_count(b, TOLD_PUSHED, "r") == 1);
    assert_int_equal(told_count(a, TOLD_DOWN, "") + told_count(b, TOLD_DOWN, ""), 0);
}

/* The process itself was away, as where its CPU is taken from it between requests: what came meanwhile is read before
 * anybody is taken for silent. */
static void an_instance_that_was_away_reads_before_it_judges(void **state)
{
    struct instance *a = instance_up_behind("A", &proxy);
    for (int i = 0; i < 2; i++) {
        size_t passed = proxy->passed[PROXY_COMMANDS];
        proxy->held[PROXY_FEED] = true;
        struct call *probed = probe(a);
        AWAIT(proxy->passed[PROXY_COMMANDS] > passed);
        instances_turn();
        byte_proxy_release(proxy, PROXY_FEED);
        instances_turn(); /* in the kernel by now */
        nanosleep(&(struct timespec){.tv_nsec = 700000000}, NULL);
        AWAIT_ANSWER(probed);
        assert_int_equal(probed->result, BROKER_OK);
    }
    assert_int_equal(told_count(a, TOLD_DOWN, ""), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(a_lost_tail_is_told_by_the_digest),
        BROKER_TEST(a_lost_push_is_a_hole_in_the_chain),
        BROKER_TEST(no_room_is_left_out_of_the_digest),
        BROKER_TEST(a_feed_that_died_without_a_word_is_noticed),
        BROKER_TEST(a_probe_that_does_not_come_back_is_lost),
        BROKER_TEST(a_redis_that_is_slow_is_not_taken_for_dead),
        BROKER_TEST(an_instance_that_was_away_reads_before_it_judges),
    };
    return instances_main(argc, argv, "broker/redis_silence", tests, sizeof tests / sizeof tests[0], NULL);
}

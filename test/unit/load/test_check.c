/* test_check: the delivery checker is content with sound receipts, and objects to each kind of fault: it is shown every
 * one of them. The order is compared against a slow and plain one on random histories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "load/check.h"

enum { SUBSCRIBERS = 4, PUBLISHER = 0, ROOMS = 2 };

static struct messages messages;
static struct check *check;
static struct check_totals totals;

/* Four subscribers in room 0; the first of them publishes. */
static int set_up(void **state)
{
    check = check_create(&messages, SUBSCRIBERS, ROOMS, ROOMS, false);
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        check_enter(check, i, 0);
        check_join(check, i, 0);
    }
    return 0;
}

static int tear_down(void **state)
{
    check_destroy(check);
    messages_finish(&messages);
    return 0;
}

static uint32_t publish(void)
{
    uint32_t message = check_publish(check, PUBLISHER, 0, 0);
    messages_acknowledge(&messages, message);
    return message;
}

/* To everybody but the publisher and `not_to`. */
static void deliver_but(uint32_t message, uint32_t not_to)
{
    for (uint32_t i = 1; i < SUBSCRIBERS; i++)
        if (i != not_to)
            check_receive(check, i, message);
}

static void deliver(uint32_t message)
{
    deliver_but(message, UINT32_MAX);
}

static void finish(void)
{
    check_finish(check, NULL, &totals);
}

static void assert_good(void)
{
    assert_int_equal(totals.counts.lost, 0);
    assert_int_equal(totals.counts.doubled, 0);
    assert_int_equal(totals.counts.reordered, 0);
    assert_int_equal(totals.counts.unexpected, 0);
    assert_int_equal(totals.wrongly_recovered, 0);
}

static void test_sound(void **state)
{
    for (int i = 0; i < 1000; i++)
        deliver(publish());
    for (uint32_t i = 0; i < SUBSCRIBERS; i++)
        assert_false(check_lacks(check, i));
    finish();
    assert_good();
    assert_int_equal(totals.counts.published, 1000);
    assert_int_equal(totals.counts.accepted, 1000);
    assert_int_equal(totals.counts.expected, 3000);
}

static void test_lost(void **state)
{
    deliver(publish());
    deliver_but(publish(), 2);
    deliver(publish());
    assert_true(check_lacks(check, 2));
    assert_false(check_lacks(check, 1));
    finish();
    assert_int_equal(totals.counts.lost, 1);
    assert_int_equal(totals.counts.expected, 9);
    assert_int_equal(check->rooms[1].counts.lost, 0);
}

static void test_the_last_is_lost(void **state)
{
    deliver(publish());
    publish();
    finish();
    assert_int_equal(totals.counts.lost, 3);
}

static void test_doubled(void **state)
{
    uint32_t first = publish(), second = publish();
    deliver(first);
    deliver(second);
    check_receive(check, 3, first);
    check_receive(check, 3, second);
    finish();
    assert_int_equal(totals.counts.doubled, 2);
    assert_int_equal(totals.counts.doubled_resent, 0);
    assert_int_equal(totals.counts.lost, 0);
    assert_int_equal(totals.counts.reordered, 0);
}

static void test_doubled_long_after(void **state)
{
    uint32_t first = publish();
    deliver(first);
    for (int i = 0; i < 10000; i++)
        deliver(publish());
    messages_at(&messages, first)->resent = true;
    check_receive(check, 1, first);
    finish();
    assert_int_equal(totals.counts.doubled, 1);
    assert_int_equal(totals.counts.doubled_resent, 1);
}

static void test_reordered(void **state)
{
    uint32_t first = publish(), second = publish();
    for (uint32_t i = 1; i < 3; i++) {
        check_receive(check, i, first);
        check_receive(check, i, second);
    }
    check_receive(check, 3, second);
    check_receive(check, 3, first);
    deliver(publish());
    finish();
    assert_int_equal(totals.counts.reordered, 1);
    assert_int_equal(totals.counts.lost, 0);
    assert_true(check->disagreement.found);
    assert_int_equal(check->disagreement.one, 3);
    assert_int_equal(check->disagreement.other, 1);
    assert_int_equal(check->disagreement.first, second);
    assert_int_equal(check->disagreement.second, first);
}

/* One saw ab, one bc, one ca: no two of them disagree about a pair, and yet there is no order. */
static void test_reordered_among_three(void **state)
{
    uint32_t a = publish(), b = publish(), c = publish();
    check_receive(check, 1, a);
    check_receive(check, 1, b);
    check_receive(check, 2, b);
    check_receive(check, 2, c);
    check_receive(check, 3, c);
    check_receive(check, 3, a);
    finish();
    assert_int_equal(totals.counts.reordered, 1);
}

/* Publishers do not receive their own messages: no receiver sees the whole order, and still all agree. */
static void test_gaps_are_no_disorder(void **state)
{
    for (int i = 0; i < 500; i++) {
        uint32_t by_one = check_publish(check, 1, 0, 0), by_two = check_publish(check, 2, 0, 0);
        uint32_t by_none = publish();
        check_receive(check, 2, by_one);
        check_receive(check, 2, by_none);
        check_receive(check, 1, by_two);
        check_receive(check, 1, by_none);
        check_receive(check, 3, by_one);
        check_receive(check, 3, by_two);
        check_receive(check, 3, by_none);
        check_receive(check, 0, by_one);
        check_receive(check, 0, by_two);
    }
    finish();
    assert_good();
    assert_int_equal(totals.counts.accepted, 1500);
}

static void test_recovered_whole(void **state)
{
    deliver(publish());
    uint32_t missed = publish();
    deliver_but(missed, 2);
    check_resumed(check, 2, true);
    check_receive(check, 2, missed);
    deliver(publish());
    finish();
    assert_good();
    assert_int_equal(totals.recovered, 1);
}

static void test_recovered_with_a_hole(void **state)
{
    deliver(publish());
    check_resumed(check, 2, true);
    deliver_but(publish(), 2);
    check_resumed(check, 1, true);
    check_resumed(check, 2, true);
    deliver(publish());
    check_resumed(check, 2, true);
    finish();
    assert_int_equal(totals.counts.lost, 1);
    assert_int_equal(totals.recovered, 4);
    assert_int_equal(totals.wrongly_recovered, 1);
    assert_true(check->subscribers[2].resumes[1].wrong);
}

static void test_recovered_with_a_double(void **state)
{
    uint32_t before = publish();
    deliver(before);
    check_resumed(check, 2, true);
    check_receive(check, 2, before);
    /* One that was published on the new connection is not the resume's fault. */
    uint32_t after = publish();
    deliver(after);
    check_resumed(check, 3, true);
    uint32_t later = publish();
    deliver(later);
    check_receive(check, 3, later);
    finish();
    assert_int_equal(totals.counts.doubled, 2);
    assert_int_equal(totals.wrongly_recovered, 1);
}

/* After a return without recovery, missing messages are forgiven, and old ones may come again. */
static void test_not_recovered(void **state)
{
    uint32_t first = publish();
    deliver(first);
    deliver_but(publish(), 2);
    check_resumed(check, 2, false);
    deliver_but(publish(), 2);
    check_join(check, 2, 0);
    check_receive(check, 2, first);
    deliver(publish());
    finish();
    assert_good();
    assert_int_equal(totals.not_recovered, 1);
    assert_int_equal(totals.counts.forgiven, 1);
    assert_int_equal(totals.counts.early, 1);
    assert_int_equal(totals.counts.expected, 4 * 3 - 2);
}

/* But a message is not forgiven if a later one had been received. */
static void test_not_recovered_but_lost_before(void **state)
{
    deliver_but(publish(), 2);
    deliver(publish());
    deliver_but(publish(), 2);
    check_resumed(check, 2, false);
    check_join(check, 2, 0);
    finish();
    assert_int_equal(totals.counts.lost, 1);
    assert_int_equal(totals.counts.forgiven, 1);
}

static void test_history_comes_once(void **state)
{
    uint32_t old = publish();
    deliver(old);
    check_resumed(check, 3, false);
    check_join(check, 3, 0);
    check_receive(check, 3, old);
    check_receive(check, 3, old);
    finish();
    assert_int_equal(totals.counts.early, 1);
    assert_int_equal(totals.counts.doubled, 1);
}

/* A message that was never acknowledged need not be delivered; but if one subscriber receives it, all must. */
static void test_not_acknowledged(void **state)
{
    check_publish(check, PUBLISHER, 0, 0);
    uint32_t seen = check_publish(check, PUBLISHER, 0, 0);
    deliver_but(seen, 1);
    finish();
    assert_int_equal(totals.counts.accepted, 1);
    assert_int_equal(totals.counts.lost, 1);
}

static void test_own_message_came_back(void **state)
{
    uint32_t message = publish();
    deliver(message);
    check_receive(check, PUBLISHER, message);
    finish();
    assert_int_equal(totals.counts.unexpected, 1);
}

static void test_echo(void **state)
{
    check->echo = true;
    deliver(publish());
    uint32_t second = publish();
    deliver(second);
    check_receive(check, PUBLISHER, second);
    finish();
    assert_int_equal(totals.counts.lost, 1);
    assert_int_equal(totals.counts.expected, 8);
}

static void test_rooms_are_apart(void **state)
{
    check_enter(check, 1, 1);
    check_join(check, 1, 1);
    uint32_t in_other = check_publish(check, 2, 1, 0);
    messages_acknowledge(&messages, in_other);
    check_receive(check, 3, in_other); /* is not in that room */
    deliver(publish());
    finish();
    assert_int_equal(check->rooms[1].counts.lost, 1);
    assert_int_equal(check->rooms[1].counts.unexpected, 1);
    assert_int_equal(check->rooms[0].counts.lost, 0);
    assert_int_equal(check->rooms[0].counts.expected, 3);
}

static void test_before_the_join_is_confirmed(void **state)
{
    check_enter(check, 1, 1);
    uint32_t early = check_publish(check, 2, 1, 0), missed = check_publish(check, 2, 1, 0);
    check_receive(check, 1, early);
    messages_acknowledge(&messages, missed);
    check_join(check, 1, 1);
    uint32_t owed = check_publish(check, 2, 1, 0);
    check_receive(check, 1, owed);
    finish();
    assert_good();
    assert_int_equal(totals.counts.early, 1);
    assert_int_equal(totals.counts.expected, 1);
}

static void test_who_is_away_is_not_judged(void **state)
{
    bool away[SUBSCRIBERS] = {[3] = true};
    deliver_but(publish(), 3);
    check_finish(check, away, &totals);
    assert_good();
}

/* The naive order: a matrix of which message was seen before which, closed under transitivity. */
enum { DUMB_MAX = 24 };

static bool dumb_follow(bool before[DUMB_MAX][DUMB_MAX], uint32_t a, uint32_t b)
{
    if (before[b][a])
        return false;
    for (uint32_t i = 0; i < DUMB_MAX; i++)
        for (uint32_t j = 0; j < DUMB_MAX; j++)
            before[i][j] = before[i][j] || ((i == a || before[i][a]) && (j == b || before[b][j]));
    return true;
}

static void random_history(unsigned seed)
{
    struct order order = {0};
    struct messages some = {0};
    bool before[DUMB_MAX][DUMB_MAX] = {0};
    srand(seed);
    for (uint32_t i = 0; i < DUMB_MAX; i++)
        messages_add(&some, 0, 0, i, 0);
    for (uint32_t who = 0; who < 12; who++) {
        uint32_t last = MESSAGE_NONE;
        for (uint32_t i = 0; i < DUMB_MAX; i++) {
            /* Mostly upwards, with holes; sometimes anything. */
            uint32_t next = rand() % 20 == 0 ? (uint32_t)rand() % DUMB_MAX : i;
            if (rand() % 4 == 0 || next == last)
                continue;
            bool agreed = order_follow(&order, &some, last, next, who) == MESSAGE_NONE;
            if (last != MESSAGE_NONE)
                assert_int_equal(agreed, dumb_follow(before, last, next));
            last = next;
        }
    }
    for (uint32_t a = 0; a < DUMB_MAX; a++)
        for (uint32_t b = 0; b < DUMB_MAX; b++)
            assert_int_equal(order_precedes(&order, &some, a, b), before[a][b]);
    order_finish(&order);
    messages_finish(&some);
}

static void test_order_against_a_dumb_one(void **state)
{
    for (unsigned seed = 0; seed < 2000; seed++)
        random_history(seed);
}

static void test_window(void **state)
{
    enum { COUNT = 5000 };
    static bool has[COUNT];
    struct window window = {0};
    srand(7);
    for (int i = 0; i < 20000; i++) {
        uint32_t number = (uint32_t)rand() % COUNT;
        if (number % 97 == 0)
            continue;
        assert_int_equal(window_add(&window, number), !has[number]);
        has[number] = true;
        assert_true(window_has(&window, number));
    }
    uint32_t expected = 0;
    for (uint32_t at = window_missing(&window, 0); at < COUNT; at = window_missing(&window, at + 1)) {
        while (expected < COUNT && has[expected])
            expected++;
        assert_int_equal(at, expected);
        expected++;
    }
    /* A range that has come whole takes no memory. */
    for (uint32_t i = 0; i < COUNT; i++)
        window_add(&window, i);
    assert_int_equal(window.base, COUNT / 64);
    assert_int_equal(window_missing(&window, 0), COUNT);
    window_finish(&window);
}

int main(void)
{
#define CHECK(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CHECK(test_sound),
        CHECK(test_lost),
        CHECK(test_the_last_is_lost),
        CHECK(test_doubled),
        CHECK(test_doubled_long_after),
        CHECK(test_reordered),
        CHECK(test_reordered_among_three),
        CHECK(test_gaps_are_no_disorder),
        CHECK(test_recovered_whole),
        CHECK(test_recovered_with_a_hole),
        CHECK(test_recovered_with_a_double),
        CHECK(test_not_recovered),
        CHECK(test_not_recovered_but_lost_before),
        CHECK(test_history_comes_once),
        CHECK(test_not_acknowledged),
        CHECK(test_own_message_came_back),
        CHECK(test_echo),
        CHECK(test_rooms_are_apart),
        CHECK(test_before_the_join_is_confirmed),
        CHECK(test_who_is_away_is_not_judged),
        cmocka_unit_test(test_order_against_a_dumb_one),
        cmocka_unit_test(test_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_signals: watches that start and stop while signals are delivered. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "loop/loop.h"

static struct loop *loop;
static struct signal_watch first, second, third;
static unsigned first_count, second_count, third_count;
static struct timer patience;

static void on_patience(struct timer *timer)
{
    loop_stop(loop);
}

static void raise_and_run(int number)
{
    raise(number);
    timer_start(loop, &patience, LOOP_MS(20));
    loop_run(loop);
}

static void on_second(struct signal_watch *watch, int number)
{
    second_count++;
}

static void on_third(struct signal_watch *watch, int number)
{
    third_count++;
}

/* Lets go of itself, and of the third. */
static void on_first(struct signal_watch *watch, int number)
{
    first_count++;
    signal_watch_stop(loop, watch);
    signal_watch_stop(loop, &third);
}

static void on_first_again(struct signal_watch *watch, int number)
{
    first_count++;
    if (third.caught == NULL)
        signal_watch_start(loop, &third, SIGUSR1, on_third);
}

static int set_up(void **state)
{
    struct err err;
    loop = loop_create(&err);
    timer_init(&patience, on_patience);
    first = second = third = (struct signal_watch){0};
    list_init(&first.node);
    list_init(&second.node);
    list_init(&third.node);
    first_count = second_count = third_count = 0;
    return 0;
}

static int tear_down(void **state)
{
    signal_watch_stop(loop, &first);
    signal_watch_stop(loop, &second);
    signal_watch_stop(loop, &third);
    timer_stop(loop, &patience);
    loop_destroy(loop);
    return 0;
}

static void test_each_hears_its_own(void **state)
{
    signal_watch_start(loop, &first, SIGUSR1, on_second);
    signal_watch_start(loop, &second, SIGUSR2, on_third);
    raise_and_run(SIGUSR1);
    assert_int_equal(second_count, 1);
    assert_int_equal(third_count, 0);
    raise_and_run(SIGUSR2);
    assert_int_equal(third_count, 1);
}

static void test_a_watch_that_stops_takes_no_other_along(void **state)
{
    signal_watch_start(loop, &first, SIGUSR1, on_first);
    signal_watch_start(loop, &second, SIGUSR2, on_second);
    signal_watch_start(loop, &third, SIGUSR1, on_third);
    raise_and_run(SIGUSR1);
    assert_int_equal(first_count, 1);
    assert_int_equal(third_count, 0); /* stopped before its turn */
    raise_and_run(SIGUSR2);           /* which ends the process if no watch is left */
    assert_int_equal(second_count, 1);
}

static void test_a_watch_that_starts_hears_the_next_one(void **state)
{
    signal_watch_start(loop, &first, SIGUSR1, on_first_again);
    signal_watch_start(loop, &second, SIGUSR2, on_second);
    raise_and_run(SIGUSR1);
    assert_int_equal(first_count, 1);
    assert_int_equal(third_count, 0);
    raise_and_run(SIGUSR2);
    assert_int_equal(second_count, 1);
    raise_and_run(SIGUSR1);
    assert_int_equal(third_count, 1);
}

static void test_what_a_parent_ignores(void **state)
{
    signal(SIGHUP, SIG_DFL); /* the test's own parent may be nohup */
    assert_false(signal_is_ignored(SIGHUP));
    signal(SIGHUP, SIG_IGN);
    assert_true(signal_is_ignored(SIGHUP));
    signal_watch_start(loop, &second, SIGHUP, on_second); /* a watch gets the signal even if a parent ignored it */
    assert_false(signal_is_ignored(SIGHUP));
    raise_and_run(SIGHUP);
    assert_int_equal(second_count, 1);
    signal_watch_stop(loop, &second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_hears_its_own),
        TEST(a_watch_that_stops_takes_no_other_along),
        TEST(a_watch_that_starts_hears_the_next_one),
        TEST(what_a_parent_ignores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_autoscaler: how many instances there should be, by examples and by rules that hold for all measures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/autoscaler.h"

static uint32_t wanted(uint32_t min, uint32_t max, uint32_t concurrency, struct autoscaler_measure measure)
{
    const struct autoscaler_policy policy = {min, max, concurrency, 0};
    return autoscaler_wanted(&policy, &measure);
}

static void test_examples(void **state)
{
    assert_int_equal(wanted(0, 10, 4, (struct autoscaler_measure){0}), 0);
    assert_int_equal(wanted(3, 10, 4, (struct autoscaler_measure){0}), 3);
    assert_int_equal(wanted(0, 10, 4, (struct autoscaler_measure){.queued = 1}), 1);
    assert_int_equal(wanted(0, 10, 4, (struct autoscaler_measure){.queued = 5}), 2);
    assert_int_equal(wanted(0, 10, 4, (struct autoscaler_measure){.queued = 1000}), 10);
    assert_int_equal(wanted(0, 10, 4, (struct autoscaler_measure){.queued = 4, .starting = 1}), 1);
    assert_int_equal(wanted(0, 10, 4, (struct autoscaler_measure){.queued = 5, .starting = 1, .ready = 2}), 4);
    assert_int_equal(wanted(0, 10, 4, (struct autoscaler_measure){.ready = 3, .idle_expired = 2}), 1);
    assert_int_equal(wanted(2, 10, 4, (struct autoscaler_measure){.ready = 3, .idle_expired = 3}), 2);
    /* Nobody goes while somebody waits. */
    assert_int_equal(
        wanted(0, 10, 4, (struct autoscaler_measure){.ready = 3, .idle_expired = 3, .queued = 1, .starting = 1}), 4);
}

static void test_it_stays_within_its_bounds_for_any_measure(void **state)
{
    static const uint32_t numbers[] = {0, 1, 2, 79, 80, 81, 999, 1000, 10000, UINT32_MAX - 1, UINT32_MAX};
    enum { COUNT = sizeof numbers / sizeof numbers[0] };
    srand(1);
    for (int i = 0; i < 200000; i++) {
        struct autoscaler_measure measure = {numbers[rand() % COUNT], numbers[rand() % COUNT], numbers[rand() % COUNT],
                                             numbers[rand() % COUNT], numbers[rand() % COUNT]};
        uint32_t min = (uint32_t)rand() % 1001, max = min + (uint32_t)rand() % (1001 - min);
        uint32_t concurrency = 1 + (uint32_t)rand() % 1000;
        uint32_t result = wanted(min, max, concurrency, measure);
        assert_true(result >= min && result <= max);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_it_stays_within_its_bounds_for_any_measure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

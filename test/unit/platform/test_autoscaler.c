/* test_autoscaler: how many instances there should be: hours of fleets as tables, and rules for any measure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/autoscaler.h"

enum { ROWS_MAX = 12, IDLE_MAX = 4 };
#define HOUR ((uint64_t)3600 * 1000)

/* One step: at a time, with what the fleet measured, so many instances are wanted. Times are milliseconds. */
struct row {
    uint64_t at;
    uint32_t ready, starting, queued;
    uint32_t idle;                /* so many of `ready` have no request, */
    uint64_t idle_from[IDLE_MAX]; /* since these times */
    bool failed;
    uint32_t wanted;
};

struct scenario {
    const char *name;
    uint32_t min, max, concurrency;
    uint64_t idle_ms_max;
    struct row rows[ROWS_MAX]; /* up to the first without a time */
};

static const struct scenario scenarios[] = {
    {"from zero, to zero when it is idle",
     0,
     10,
     4,
     900,
     {{.at = 1000},
      {.at = 1001, .queued = 1, .wanted = 1},
      {.at = 1002, .queued = 4, .starting = 1, .wanted = 1},
      {.at = 1500, .ready = 1, .wanted = 1},
      {.at = 2000, .ready = 1, .idle = 1, .idle_from = {2000}, .wanted = 1},
      {.at = 2899, .ready = 1, .idle = 1, .idle_from = {2000}, .wanted = 1},
      {.at = 2900, .ready = 1, .idle = 1, .idle_from = {2000}, .wanted = 0},
      {.at = 2901, .wanted = 0}}},
    {"a burst: what starts already is enough, or not",
     0,
     10,
     4,
     900,
     {{.at = 1000, .queued = 5, .wanted = 2},
      {.at = 1001, .queued = 8, .starting = 2, .wanted = 2},
      {.at = 1002, .queued = 9, .starting = 2, .wanted = 3},
      {.at = 1003, .queued = 1000, .starting = 3, .wanted = 10},
      {.at = 1004, .queued = 10000, .starting = 10, .wanted = 10},
      {.at = 1500, .queued = 5, .starting = 1, .ready = 2, .wanted = 4},
      {.at = 1600, .queued = 10000, .ready = 10, .wanted = 10}}},
    {"no instance stops while a request waits",
     0,
     10,
     4,
     900,
     {{.at = 9000, .ready = 3, .starting = 1, .queued = 1, .idle = 3, .idle_from = {1, 1, 1}, .wanted = 4},
      {.at = 9001, .ready = 3, .idle = 2, .idle_from = {1, 9000}, .wanted = 2},
      {.at = 9002, .ready = 3, .idle = 3, .idle_from = {1, 1, 1}, .wanted = 0}}},
    {"minScale is kept, without a request and when all are idle",
     3,
     10,
     4,
     900,
     {{.at = 1000, .wanted = 3},
      {.at = 1001, .starting = 3, .wanted = 3},
      {.at = 9000, .ready = 4, .idle = 4, .idle_from = {1, 1, 1, 1}, .wanted = 3},
      {.at = 9001, .ready = 2, .wanted = 3},
      {.at = 9002, .ready = 2, .queued = 5, .wanted = 4}}},
    {"maxScale is kept; minScale may be equal",
     2,
     2,
     1,
     900,
     {{.at = 1000, .queued = 50, .wanted = 2},
      {.at = 1001, .queued = 50, .ready = 1, .starting = 1, .wanted = 2},
      {.at = 9000, .ready = 2, .idle = 2, .idle_from = {1, 1}, .wanted = 2}}},
    {"a failed start holds the next one down: 0.2 s, then 0.4 s",
     1,
     10,
     4,
     900,
     {{.at = 1000, .failed = true, .wanted = 0},
      {.at = 1199, .queued = 3, .wanted = 0},
      {.at = 1200, .queued = 3, .wanted = 1},
      {.at = 1210, .failed = true, .queued = 3, .wanted = 0},
      {.at = 1609, .queued = 3, .wanted = 0},
      {.at = 1610, .queued = 3, .wanted = 1},
      /* Running instances stay, and may still stop. */
      {.at = 1700, .failed = true, .queued = 90, .ready = 2, .starting = 1, .wanted = 3},
      {.at = 1701, .ready = 2, .idle = 2, .idle_from = {1, 2}, .wanted = 1},
      /* After twenty seconds without a failure the pause is short again. */
      {.at = 21700, .failed = true, .wanted = 0},
      {.at = 21899, .wanted = 0},
      {.at = 21900, .wanted = 1}}},
    {"the clock goes back an hour: no pause of an hour, and no instance stops",
     1,
     10,
     4,
     900,
     {{.at = HOUR, .failed = true, .wanted = 0},
      {.at = 1000, .queued = 1, .wanted = 0},
      {.at = 1199, .queued = 1, .wanted = 0},
      {.at = 1200, .queued = 1, .wanted = 1},
      {.at = 1201, .ready = 2, .idle = 2, .idle_from = {HOUR, HOUR + 1}, .wanted = 2}}},
    {"the clock leaps an hour: the pause is over, and what was idle stops",
     1,
     10,
     4,
     900,
     {{.at = 1000, .failed = true, .wanted = 0},
      {.at = 1000 + HOUR, .queued = 1, .wanted = 1},
      {.at = 1001 + HOUR, .ready = 2, .idle = 2, .idle_from = {1000, 1001}, .wanted = 1}}},
};

static void play(const struct scenario *scenario)
{
    struct autoscaler_state state = {0};
    struct autoscaler_policy policy = {.instances_min = scenario->min,
                                       .instances_max = scenario->max,
                                       .concurrency = scenario->concurrency,
                                       .idle_us_max = scenario->idle_ms_max * 1000};
    for (const struct row *row = scenario->rows; row < scenario->rows + ROWS_MAX && row->at != 0; row++) {
        uint64_t idle_since_us[IDLE_MAX];
        for (uint32_t i = 0; i < row->idle; i++)
            idle_since_us[i] = row->idle_from[i] * 1000;
        struct autoscaler_measure measure = {.ready = row->ready,
                                             .starting = row->starting,
                                             .queued = row->queued,
                                             .idle_count = row->idle,
                                             .idle_since_us = idle_since_us,
                                             .start_failed = row->failed};
        uint32_t wanted = autoscaler_step(&state, &policy, &measure, row->at * 1000);
        if (wanted != row->wanted)
            fail_msg("%s: at %llu ms %u instances were expected, found %u", scenario->name, (unsigned long long)row->at,
                     row->wanted, wanted);
    }
}

static void test_scenarios(void **state)
{
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++)
        play(&scenarios[i]);
}

static void test_the_pause_doubles_up_to_its_most(void **state)
{
    struct autoscaler_state scaler = {0};
    const struct autoscaler_policy policy = {
        .instances_min = 1, .instances_max = 10, .concurrency = 4, .idle_us_max = 1000};
    uint64_t now_us = 5, expected = AUTOSCALER_PAUSE_US_MIN;
    assert_int_equal(autoscaler_pause_left_us(&scaler, now_us), 0);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(autoscaler_step(&scaler, &policy, &(struct autoscaler_measure){.start_failed = true}, now_us),
                         0);
        assert_int_equal(autoscaler_pause_left_us(&scaler, now_us), expected);
        assert_int_equal(autoscaler_pause_left_us(&scaler, now_us + 1), expected - 1);
        now_us += expected;
        assert_int_equal(autoscaler_pause_left_us(&scaler, now_us), 0);
        assert_int_equal(autoscaler_step(&scaler, &policy, &(struct autoscaler_measure){0}, now_us), 1);
        expected = expected * 2 > AUTOSCALER_PAUSE_US_MAX ? AUTOSCALER_PAUSE_US_MAX : expected * 2;
    }
}

static void test_it_stays_within_its_bounds_for_any_measure(void **state)
{
    static const uint32_t numbers[] = {0, 1, 2, 79, 80, 81, 999, 1000, 10000, UINT32_MAX - 1, UINT32_MAX};
    enum { COUNT = sizeof numbers / sizeof numbers[0] };
    struct autoscaler_state scaler = {0};
    srand(1);
    for (int i = 0; i < 200000; i++) {
        uint64_t idle_since_us[IDLE_MAX], now_us = (uint64_t)rand() % 4 * 1000000;
        for (int j = 0; j < IDLE_MAX; j++)
            idle_since_us[j] = (uint64_t)rand() % 4 * 1000000;
        struct autoscaler_measure measure = {
            .ready = numbers[rand() % COUNT],
            .starting = numbers[rand() % COUNT],
            .queued = numbers[rand() % COUNT],
            .idle_count = (uint32_t)rand() % (IDLE_MAX + 1),
            .idle_since_us = idle_since_us,
            .start_failed = rand() % 8 == 0,
            .requests_mean = numbers[rand() % COUNT],
            .cpu_mean = numbers[rand() % COUNT],
        };
        uint32_t min = (uint32_t)rand() % 1001, max = min + (uint32_t)rand() % (1001 - min);
        struct autoscaler_policy policy = {.instances_min = min,
                                           .instances_max = max,
                                           .concurrency = 1 + (uint32_t)rand() % 1000,
                                           .idle_us_max = 1000000,
                                           .concurrency_target = rand() % 2 * 0.6,
                                           .cpu_target = rand() % 2 * 0.6};
        uint32_t result = autoscaler_step(&scaler, &policy, &measure, now_us);
        assert_true(result <= max);
        /* Below minScale only as long as it must not start any. */
        assert_true(result >= min || (autoscaler_pause_left_us(&scaler, now_us) > 0 &&
                                      result <= (uint64_t)measure.ready + measure.starting));
    }
}

/* Means over a minute, of requests and of CPU, start instances before all slots are taken. */
static void test_means(void **state)
{
    static const struct {
        uint32_t concurrency, ready;
        double requests, cpu, requests_target, cpu_target;
        uint32_t wanted;
    } rows[] = {
        {10, 1, 6, 0, 0.6, 0.6, 1},       /* exactly 60 % */
        {10, 1, 9, 0, 0.6, 0.6, 2},       /* ceil(9 / 6) */
        {250, 1, 10000, 0, 0.6, 0.6, 67}, /* not 40 */
        {80, 2, 1, 1.3, 0.6, 0.6, 3},     /* ceil(1.3 / 0.6) */
        {80, 2, 1, 1.3, 0.6, 0, 2},       {10, 1, 9, 0, 0, 0.6, 1},       {10, 1, 9, 0, 0.9, 0.6, 1},
        {10, 1, 9.1, 0, 0.9, 0.6, 2},     {1, 5, 1000, 0, 0.6, 0.6, 100}, /* maxScale */
        {10, 4, 9, 0, 0.6, 0.6, 4},                                       /* what has requests stays */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct autoscaler_state scaler = {0};
        struct autoscaler_policy policy = {.instances_max = 100,
                                           .concurrency = rows[i].concurrency,
                                           .idle_us_max = 900000000,
                                           .concurrency_target = rows[i].requests_target,
                                           .cpu_target = rows[i].cpu_target};
        struct autoscaler_measure measure = {
            .ready = rows[i].ready, .requests_mean = rows[i].requests, .cpu_mean = rows[i].cpu};
        uint32_t wanted = autoscaler_step(&scaler, &policy, &measure, 1000000);
        if (wanted != rows[i].wanted)
            fail_msg("row %zu: expected %u, found %u", i, rows[i].wanted, wanted);
    }
}

/* An instance whose idle time is over stays while the mean needs it. */
static void test_the_mean_keeps_idle_instances(void **state)
{
    struct autoscaler_state scaler = {0};
    uint64_t idle[3] = {1, 1, 1};
    struct autoscaler_policy policy = {
        .instances_max = 100, .concurrency = 10, .idle_us_max = 900000000, .concurrency_target = 0.6};
    struct autoscaler_measure measure = {.ready = 5, .idle_count = 3, .idle_since_us = idle, .requests_mean = 20};
    assert_int_equal(autoscaler_step(&scaler, &policy, &measure, 1000000000), 4);
    measure.requests_mean = 1;
    assert_int_equal(autoscaler_step(&scaler, &policy, &measure, 1001000000), 2);
    assert_int_equal(autoscaler_window_s(&policy), 60);
    policy.idle_us_max = 5000000;
    assert_int_equal(autoscaler_window_s(&policy), 5);
}

static void test_manual_and_knative(void **state)
{
    struct autoscaler_state scaler = {0};
    struct kpa_policy kpa = kpa_policy_default;
    struct autoscaler_policy policy = {
        .instances_max = 100, .concurrency = 10, .idle_us_max = 900000000, .is_manual = true, .instances_manual = 7};
    struct autoscaler_measure measure = {.ready = 1, .queued = 1000, .requests_mean = 1000};
    assert_int_equal(autoscaler_step(&scaler, &policy, &measure, 1000000), 7);
    policy.is_manual = false;
    policy.kpa = &kpa;
    kpa.concurrency = 10;
    measure = (struct autoscaler_measure){.queued = 1};
    assert_int_equal(autoscaler_step(&scaler, &policy, &measure, 2000000), 1); /* the first request, at zero */
    measure = (struct autoscaler_measure){.ready = 1, .requests_mean = 9, .panic_mean = 9};
    assert_int_equal(autoscaler_step(&scaler, &policy, &measure, 3000000), 2);
    assert_true(autoscaler_idle_is_over(&policy, 3000000, 3000001));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scenarios),
        cmocka_unit_test(test_means),
        cmocka_unit_test(test_the_mean_keeps_idle_instances),
        cmocka_unit_test(test_manual_and_knative),
        cmocka_unit_test(test_the_pause_doubles_up_to_its_most),
        cmocka_unit_test(test_it_stays_within_its_bounds_for_any_measure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

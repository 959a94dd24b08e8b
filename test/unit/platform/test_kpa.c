/* test_kpa: demand's means, and Knative's autoscaler. The expected numbers were worked out by hand from the formulas of
 * knative/serving, pkg/autoscaler/scaling/autoscaler.go; each row shows the sum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/demand.h"
#include "platform/kpa.h"

#define SECOND ((uint64_t)1000000)

static void assert_close(double value, double expected)
{
    if (value < expected - 0.001 || value > expected + 0.001)
        fail_msg("expected %f, found %f", expected, value);
}

static void test_means(void **state)
{
    static struct demand demand;
    memset(&demand, 0, sizeof demand);
    assert_close(demand_mean(&demand, 60, 5 * SECOND), 0);
    demand_note(&demand, 4, 5 * SECOND);
    assert_close(demand_mean(&demand, 60, 5 * SECOND + 500000), 0); /* no second is complete */
    demand_note(&demand, 8, 5 * SECOND + 500000);
    assert_close(demand_mean(&demand, 60, 6 * SECOND), 6); /* half a second each of 4 and 8 */
    assert_close(demand_mean(&demand, 60, 8 * SECOND), (6 + 8 + 8) / 3.0);
    assert_close(demand_mean_whole(&demand, 60, 8 * SECOND), (6 + 8 + 8) / 60.0);
    assert_close(demand_mean_whole(&demand, 2, 8 * SECOND), 8);
    assert_close(demand_mean(&demand, 2, 8 * SECOND), 8);
    demand_note(&demand, 0, 8 * SECOND);
    assert_close(demand_mean(&demand, 60, 65 * SECOND), (6 + 8 + 8) / 60.0);
    assert_close(demand_mean(&demand, 60, 68 * SECOND), 0);
    demand_note(&demand, 3, 68 * SECOND);
    demand_note(&demand, 5, 60 * SECOND); /* the clock went back: it stands */
    assert_close(demand_mean(&demand, 60, 68 * SECOND), 0);
    assert_close(demand_mean(&demand, 1, 69 * SECOND), 5);
    assert_close(demand_mean(&demand, 3599, 100000 * SECOND), 5); /* a gap of more than an hour */
}

static void test_targets(void **state)
{
    struct kpa_policy policy = kpa_policy_default;
    assert_close(kpa_target(&policy), 70); /* 100 * 0.7 */
    policy.concurrency = 250;
    assert_close(kpa_target(&policy), 175);
    policy.target = 300; /* no more than containerConcurrency */
    assert_close(kpa_target(&policy), 175);
    policy.target = 10;
    assert_close(kpa_target(&policy), 7);
    policy.concurrency = 0;
    policy.target = 0.01;
    policy.utilization = 0.01;
    assert_close(kpa_target(&policy), 0.01);
    assert_int_equal(kpa_panic_window_s(&policy), 6);
    policy.window_s = 6;
    assert_int_equal(kpa_panic_window_s(&policy), 1);
}

/* At a second, with these means and so many ready: so many are wanted. containerConcurrency 10, so the target is 7. */
struct row {
    uint64_t at_s;
    double stable, panic;
    uint32_t ready, wanted;
};

static void play(const struct kpa_policy *policy, const struct row *rows, size_t count)
{
    struct kpa_state state = {0};
    for (size_t i = 0; i < count; i++) {
        struct kpa_measure measure = {rows[i].stable, rows[i].panic, rows[i].ready};
        uint32_t wanted = kpa_step(&state, policy, &measure, rows[i].at_s * SECOND);
        if (wanted != rows[i].wanted)
            fail_msg("row %zu, at %llu s: expected %u, found %u", i, (unsigned long long)rows[i].at_s, rows[i].wanted,
                     wanted);
    }
}
#define PLAY(policy, ...) \
    play(&(policy), (const struct row[]){__VA_ARGS__}, sizeof((const struct row[]){__VA_ARGS__}) / sizeof(struct row))

static void test_calm(void **state)
{
    struct kpa_policy policy = kpa_policy_default;
    policy.concurrency = 10;
    PLAY(policy, {100, 7, 7, 1, 1}, /* ceil(7 / 7) */
         {102, 7.1, 7.1, 1, 2},     /* ceil(1.01); panic would need 2 / 1 >= 2: it begins here, see below */
         {104, 13, 13, 2, 2});
    /* Without panic: three are ready, 25 requests need ceil(3.57) = 4; 4 / 3 is below 2. */
    PLAY(policy, {100, 25, 25, 3, 4}, {102, 27, 27, 4, 4}, {104, 5, 5, 4, 2}); /* no less than floor(4 / 2) */
}

static void test_panic(void **state)
{
    struct kpa_policy policy = kpa_policy_default;
    policy.concurrency = 10;
    PLAY(policy, {100, 7, 40, 1, 6}, /* ceil(40 / 7) = 6; 6 / 1 >= 2: panic */
         {102, 10, 20, 6, 6},        /* 20 need 3, and panic never shrinks */
         {104, 12, 90, 6, 13},       /* ceil(90 / 7) = 13 >= 2 * 6: the panic lasts longer */
         {130, 20, 10, 13, 13},      /* calm needs 3 or 6, still panicking */
         {164, 20, 10, 13, 13},      /* 104 + 60 is not before 164 */
         {165, 20, 10, 13, 6});      /* over: max(ceil(20 / 7), floor(13 / 2)) */
    /* From zero, ready counts as 1: a first request is 1 / 1, and no panic. */
    PLAY(policy, {100, 1, 1, 0, 1}, {102, 1, 14, 0, 2}, {104, 1, 1, 1, 2});
}

static void test_rates_and_bounds(void **state)
{
    struct kpa_policy policy = kpa_policy_default;
    policy.concurrency = 1;                             /* the target is 0.7 */
    PLAY(policy, {100, 0, 100000, 1, 1000});            /* up by 1000 times at most */
    PLAY(policy, {100, 0, 0, 9, 4}, {102, 0, 0, 4, 2}); /* floor(9 / 2), floor(4 / 2) */
    policy.instances_max = 5;
    PLAY(policy, {100, 0, 100000, 1, 5});
    policy.instances_min = 3;
    PLAY(policy, {100, 0, 0, 3, 3}, {1000, 0, 0, 3, 3});
    policy = kpa_policy_default;
    policy.concurrency = 10;
    policy.activation = 4;
    PLAY(policy, {100, 1, 1, 0, 4}, {102, 30, 30, 4, 5});
}

static void test_to_zero(void **state)
{
    struct kpa_policy policy = kpa_policy_default;
    policy.concurrency = 10;
    PLAY(policy, {100, 1, 1, 0, 1}, {110, 0, 0, 1, 1}, /* it has been active for less than a window */
         {159, 0, 0, 1, 1}, {160, 0, 0, 1, 1},         /* now the grace of 30 s begins */
         {189, 0, 0, 1, 1}, {190, 0, 0, 1, 0}, {192, 0, 0, 0, 0});
    /* A request within the grace: all begins anew, but not the window. */
    PLAY(policy, {100, 1, 1, 0, 1}, {170, 0, 0, 1, 1}, {180, 1, 1, 1, 1}, {190, 0, 0, 1, 1}, {219, 0, 0, 1, 1},
         {220, 0, 0, 1, 0});
    policy.retention_us = 120 * SECOND;
    PLAY(policy, {100, 1, 1, 0, 1}, {170, 0, 0, 1, 1}, {289, 0, 0, 1, 1}, {290, 0, 0, 1, 0});
}

static void test_the_delay_before_less(void **state)
{
    struct kpa_policy policy = kpa_policy_default;
    policy.concurrency = 10;
    policy.down_delay_us = 64 * SECOND;
    PLAY(policy, {100, 25, 25, 3, 4}, {130, 14, 14, 4, 4}, {163, 14, 14, 4, 4}, {166, 14, 14, 4, 2});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_means),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_calm),
        cmocka_unit_test(test_panic),
        cmocka_unit_test(test_rates_and_bounds),
        cmocka_unit_test(test_to_zero),
        cmocka_unit_test(test_the_delay_before_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

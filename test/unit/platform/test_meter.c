/* test_meter: billable time, and what it is worth. All expected numbers were worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "platform/prices.h"

#define MS(ms) ((uint64_t)(ms)*1000)

static void assert_close(double value, double expected)
{
    if (value < expected - 1e-9 * (1 + expected) || value > expected + 1e-9 * (1 + expected))
        fail_msg("expected %.12f, found %.12f", expected, value);
}

static void test_steps(void **state)
{
    struct meter meter = {0};
    assert_int_equal(meter_take(&meter, MS(5000)), 0);
    meter_run(&meter, MS(5000));
    meter_rest(&meter, MS(5000) + 1); /* a microsecond is a step */
    assert_int_equal(meter_take(&meter, MS(5001)), 100);
    meter_run(&meter, MS(6000));
    meter_rest(&meter, MS(6100)); /* exactly one */
    assert_int_equal(meter_take(&meter, MS(7000)), 100);
    meter_run(&meter, MS(7000));
    meter_rest(&meter, MS(7100) + 1);
    assert_int_equal(meter_take(&meter, MS(8000)), 200);
    assert_int_equal(meter_take(&meter, MS(9000)), 0);
    meter_run(&meter, MS(9000));
    meter_rest(&meter, MS(9000)); /* no time at all */
    assert_int_equal(meter_take(&meter, MS(9500)), 0);
}

/* Ten requests of 5 ms in 100 ms cost one step, and not ten. */
static void test_no_moment_twice(void **state)
{
    struct meter meter = {0};
    for (uint64_t i = 0; i < 10; i++) {
        meter_run(&meter, MS(1000 + i * 10));
        meter_rest(&meter, MS(1005 + i * 10));
    }
    assert_int_equal(meter_take(&meter, MS(1100)), 100);
    meter_run(&meter, MS(1099)); /* runs over the rounded end */
    meter_rest(&meter, MS(1150));
    assert_int_equal(meter_take(&meter, MS(1200)), 100); /* 1000 to 1200 in all */
    meter_run(&meter, MS(1200));                         /* behind it: anew */
    meter_rest(&meter, MS(1201));
    assert_int_equal(meter_take(&meter, MS(1300)), 100);
}

static void test_taken_while_open(void **state)
{
    struct meter meter = {0};
    meter_run(&meter, MS(1000));
    meter_run(&meter, MS(1050)); /* it runs already */
    assert_int_equal(meter_take(&meter, MS(1099)), 0);
    assert_int_equal(meter_take(&meter, MS(1250)), 200);
    assert_int_equal(meter_take(&meter, MS(1260)), 0);
    meter_rest(&meter, MS(1310));
    meter_rest(&meter, MS(1900));
    assert_int_equal(meter_take(&meter, MS(2000)), 200); /* 310 is 400 */
}

static void test_minimum(void **state)
{
    struct meter meter = {.ms_min = METER_INSTANCE_MS_MIN};
    meter_run(&meter, MS(1000));
    assert_int_equal(meter_take(&meter, MS(11000)), 10000);
    meter_rest(&meter, MS(21050));
    assert_int_equal(meter_take(&meter, MS(21050)), 50000); /* a minute in all */
    meter = (struct meter){.ms_min = METER_INSTANCE_MS_MIN};
    meter_run(&meter, MS(1000));
    meter_rest(&meter, MS(1000 + 60001));
    assert_int_equal(meter_take(&meter, MS(70000)), 60100);
}

/* Two idle ones for 1.5 s, one for half a millisecond twice, then none: 3000 + 0.5 + 0.5. */
static void test_counted(void **state)
{
    struct meter meter = {0};
    meter_count(&meter, 2, MS(7000));
    assert_int_equal(meter_take(&meter, MS(8000)), 2000);
    meter_count(&meter, 1, MS(8500));
    assert_int_equal(meter_take(&meter, MS(8500) + 500), 1000);
    meter_count(&meter, 0, MS(8501));
    assert_int_equal(meter_take(&meter, MS(9000)), 1);
    assert_int_equal(meter_take(&meter, MS(9999)), 0);
}

/* 30 days, 1 vCPU and 512 MiB: 2,592,000 vCPU-s and 1,296,000 GiB-s. */
static void test_month(void **state)
{
    struct prices prices;
    struct usage usage = {0}, both = {0};
    prices_load(&prices);
    used_add(&usage.kinds[METER_REQUEST], (uint64_t)PRICES_MONTH_S * 1000, 1000, 512, 0);
    assert_close(prices_usd(&prices, &usage, false), 62.208 + 3.24);
    /* less 180,000 * 0.000024 and 360,000 * 0.0000025 */
    assert_close(prices_usd(&prices, &usage, true), 65.448 - 4.32 - 0.9);
    usage_sum(&both, &usage);
    memset(&usage, 0, sizeof usage);
    used_add(&usage.kinds[METER_INSTANCE], (uint64_t)PRICES_MONTH_S * 1000, 1000, 512, 77);
    assert_close(prices_usd(&prices, &usage, false), 46.656 + 2.592); /* requests are free */
    usage_sum(&both, &usage);
    assert_close(prices_usd(&prices, &both, false), 65.448 + 49.248);
    assert_int_equal(usage_total(&both).requests, 77);
    assert_int_equal(usage_total(&both).vcpu_us, 2 * 2592000 * (uint64_t)1000000);
    memset(&usage, 0, sizeof usage);
    used_add(&usage.kinds[METER_IDLE], (uint64_t)PRICES_MONTH_S * 1000, 1000, 512, 0);
    assert_close(prices_usd(&prices, &usage, false), 6.48 + 3.24);
}

/* Two vCPUs and 2 GiB for 100 ms, 3 requests: 0.2 * 24000 + 0.2 * 2500 + 3 * 400 billionths. */
static void test_small(void **state)
{
    struct prices prices;
    struct usage usage = {0};
    char text[USD_TEXT_MAX];
    prices_load(&prices);
    used_add(&usage.kinds[METER_REQUEST], 100, 2000, 2048, 3);
    assert_close(prices_usd(&prices, &usage, false) * 1e9, 4800 + 500 + 1200);
    assert_close(prices_usd(&prices, &usage, true), 0);
    usd_print(text, prices_usd(&prices, &usage, false));
    assert_string_equal(text, "0.00000650");
    usd_print(text, 65.448);
    assert_string_equal(text, "65.45");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),   cmocka_unit_test(test_no_moment_twice), cmocka_unit_test(test_taken_while_open),
        cmocka_unit_test(test_minimum), cmocka_unit_test(test_counted),         cmocka_unit_test(test_month),
        cmocka_unit_test(test_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

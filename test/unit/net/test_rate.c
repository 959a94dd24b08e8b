/* test_rate: token buckets, beside a dumb count of the events of each second, and the table of addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/rate.h"

enum { SECOND_US = 1000000 };

static const uint64_t seed[2] = {1, 2};

static struct addr_ip ip(const char *text)
{
    struct addr addr;
    struct addr_ip ip;
    assert_true(addr_from_ip(&addr, span_str(text), 1));
    addr_ip_of(&addr, &ip);
    return ip;
}

/* So many events keep to the rate now, one after the other. */
static int count_now(struct bucket *bucket, const struct rate *rate, uint64_t now_us)
{
    int count = 0;
    for (; bucket_has(bucket, rate, now_us); count++)
        bucket_take(bucket, rate, now_us);
    return count;
}

static void test_a_burst_and_then_the_rate(void **state)
{
    const struct rate rate = {.per_second = 10, .at_once = 25};
    struct bucket bucket = {0};
    uint64_t now = 7 * SECOND_US;
    assert_int_equal(count_now(&bucket, &rate, now), 25);
    assert_int_equal(bucket_wait_us(&bucket, &rate, now), SECOND_US / 10);
    assert_false(bucket_has(&bucket, &rate, now + SECOND_US / 10 - 1));
    assert_int_equal(count_now(&bucket, &rate, now + SECOND_US / 10), 1);
    assert_int_equal(count_now(&bucket, &rate, now + SECOND_US), 9);
    assert_int_equal(count_now(&bucket, &rate, now + 100 * (uint64_t)SECOND_US), 25); /* no more than a bucket */
}

/* Tokens taken beyond the rate are paid back. */
static void test_debts(void **state)
{
    const struct rate rate = {.per_second = 100, .at_once = 1};
    struct bucket bucket = {0};
    for (int i = 0; i < 50; i++)
        bucket_take(&bucket, &rate, SECOND_US);
    assert_int_equal(bucket_wait_us(&bucket, &rate, SECOND_US), SECOND_US / 2);
    assert_true(bucket_has(&bucket, &rate, SECOND_US + SECOND_US / 2));
}

static void test_no_bound(void **state)
{
    const struct rate rate = {0};
    struct bucket bucket = {0};
    for (int i = 0; i < 1000; i++)
        bucket_take(&bucket, &rate, 0);
    assert_true(bucket_has(&bucket, &rate, 0));
    assert_int_equal(bucket.full_ns, 0);
}

/* In no stretch of time are there more events than the rate gives it, and a bucket. */
static void test_any_stretch(void **state)
{
    enum { EVENTS = 4000 };
    static uint64_t times[EVENTS];
    srand(1);
    for (int round = 0; round < 20; round++) {
        const struct rate rate = {.per_second = 1 + (uint32_t)rand() % 5000, .at_once = 1 + (uint32_t)rand() % 100};
        struct bucket bucket = {0};
        uint64_t now = SECOND_US, asked = 0;
        int count = 0;
        while (count < EVENTS && asked++ < 100000) {
            now += (uint64_t)(rand() % 3 == 0 ? rand() % 2000 : 0);
            if (!bucket_has(&bucket, &rate, now))
                continue;
            bucket_take(&bucket, &rate, now);
            times[count++] = now;
        }
        for (int from = 0; from < count; from += 7)
            for (int to = from; to < count; to += 13) {
                uint64_t span_us = times[to] - times[from];
                uint64_t most = rate.at_once + span_us * rate.per_second / SECOND_US + 2;
                assert_true((uint64_t)(to - from + 1) <= most);
            }
    }
}

static void test_each_address_has_its_own(void **state)
{
    struct rates rates;
    rates_init(&rates, seed);
    rates.rates[RATES_CONNECTS] = (struct rate){.per_second = 1, .at_once = 2};
    const struct addr_ip a = ip("192.0.2.1"), b = ip("192.0.2.2"), mapped = ip("::ffff:192.0.2.1");
    rates_take(&rates, RATES_CONNECTS, &a, SECOND_US);
    assert_int_equal(rates_wait_us(&rates, RATES_CONNECTS, &a, SECOND_US), 0);
    rates_take(&rates, RATES_CONNECTS, &mapped, SECOND_US);
    assert_int_equal(rates_wait_us(&rates, RATES_CONNECTS, &a, SECOND_US), SECOND_US);
    assert_int_equal(rates_wait_us(&rates, RATES_CONNECTS, &b, SECOND_US), 0);
    rates_take(&rates, RATES_MESSAGES, &a, SECOND_US); /* without a bound: nothing is kept of it */
    rates_take(&rates, RATES_MESSAGES, &b, SECOND_US);
    assert_int_equal(rates_wait_us(&rates, RATES_MESSAGES, &a, SECOND_US), 0);
    assert_int_equal(rates.addresses.count, 1);
    const struct addr_ip v6 = ip("2001:db8::1"), other = ip("2001:db8::2"), far = ip("2001:db8:0:1::1");
    rates_take(&rates, RATES_CONNECTS, &v6, SECOND_US);
    rates_take(&rates, RATES_CONNECTS, &other, SECOND_US);
    assert_true(rates_wait_us(&rates, RATES_CONNECTS, &v6, SECOND_US) > 0);
    assert_int_equal(rates_wait_us(&rates, RATES_CONNECTS, &far, SECOND_US), 0);
    rates_finish(&rates);
}

static struct addr_ip numbered(uint32_t number)
{
    char text[32];
    snprintf(text, sizeof text, "10.%u.%u.%u", number >> 16 & 255, number >> 8 & 255, number & 255);
    return ip(text);
}

/* Strangers with many addresses take bounded memory, and those that keep to their rate are forgotten soon. */
static void test_the_table_is_bounded(void **state)
{
    struct rates rates;
    rates_init(&rates, seed);
    rates.rates[RATES_MESSAGES] = (struct rate){.per_second = 10, .at_once = 10};
    for (uint32_t i = 0; i < RATES_ADDRESSES_MAX + 1000; i++) {
        const struct addr_ip from = numbered(i);
        rates_take(&rates, RATES_MESSAGES, &from, SECOND_US);
    }
    assert_int_equal(rates.addresses.count, RATES_ADDRESSES_MAX);
    for (uint32_t i = 0; i < RATES_ADDRESSES_MAX / 2; i++) { /* a second later all are full again */
        const struct addr_ip from = numbered(1 << 20 | i);
        rates_take(&rates, RATES_MESSAGES, &from, 2 * SECOND_US + i * 1000000ull);
    }
    assert_true(rates.addresses.count < RATES_ADDRESSES_MAX / 2 + 2000);
    rates_finish(&rates);
}

/* Asking keeps an address in the table that has a debt, whatever others come. */
static void test_debtors_are_remembered(void **state)
{
    struct rates rates;
    rates_init(&rates, seed);
    rates.rates[RATES_MESSAGES] = (struct rate){.per_second = 1, .at_once = 1};
    const struct addr_ip debtor = ip("192.0.2.1");
    for (int i = 0; i < 100; i++)
        rates_take(&rates, RATES_MESSAGES, &debtor, SECOND_US);
    for (uint32_t i = 0; i < 1000; i++) {
        const struct addr_ip from = numbered(i);
        rates_take(&rates, RATES_MESSAGES, &from, 50 * SECOND_US);
    }
    assert_true(rates_wait_us(&rates, RATES_MESSAGES, &debtor, 50 * SECOND_US) > 0);
    rates_finish(&rates);
    struct rates never = {0};
    rates_finish(&never);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_burst_and_then_the_rate),
        cmocka_unit_test(test_debts),
        cmocka_unit_test(test_no_bound),
        cmocka_unit_test(test_any_stretch),
        cmocka_unit_test(test_each_address_has_its_own),
        cmocka_unit_test(test_the_table_is_bounded),
        cmocka_unit_test(test_debtors_are_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

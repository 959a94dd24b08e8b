/* test_door: how many may come in, in all and from one address; beside a dumb count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/door.h"

static const uint64_t seed[2] = {1, 2};

static struct addr_ip ip(const char *text)
{
    struct addr addr;
    struct addr_ip ip;
    assert_true(addr_from_ip(&addr, span_str(text), 1));
    addr_ip_of(&addr, &ip);
    return ip;
}

static enum door_answer enter(struct door *door, const char *text, struct door_address **address)
{
    struct addr_ip from = ip(text);
    return door_enter(door, &from, address);
}

static void test_bounds(void **state)
{
    struct door door;
    struct door_address *a[4], *other, *none;
    door_init(&door, seed, 4, 2, DOOR_EXEMPTS_LOOPBACK);
    assert_int_equal(enter(&door, "10.0.0.1", &a[0]), DOOR_ENTERED);
    assert_int_equal(enter(&door, "10.0.0.1", &a[1]), DOOR_ENTERED);
    assert_int_equal(enter(&door, "10.0.0.1", &none), DOOR_ADDRESS_FULL);
    assert_null(none);
    assert_int_equal(enter(&door, "10.0.0.2", &other), DOOR_ENTERED);
    assert_false(door_is_at(&door, 80));
    assert_int_equal(enter(&door, "::ffff:10.0.0.1", &none), DOOR_ADDRESS_FULL); /* the same one */
    assert_int_equal(enter(&door, "10.0.0.2", &a[2]), DOOR_ENTERED);
    assert_true(door_is_at(&door, 80));
    assert_int_equal(enter(&door, "10.0.0.3", &none), DOOR_FULL);
    door_leave(&door, a[0]);
    door_leave(&door, NULL);
    assert_int_equal(enter(&door, "10.0.0.1", &a[0]), DOOR_ENTERED);
    door_leave(&door, a[0]);
    door_leave(&door, a[1]);
    door_leave(&door, a[2]);
    door_leave(&door, other);
    assert_int_equal(door.count, 0);
    assert_int_equal(door.addresses.count, 0); /* nothing is kept of those that left */
    door_finish(&door);
}

static void test_one_customer_of_ipv6_is_one_address(void **state)
{
    struct door door;
    struct door_address *a, *b;
    door_init(&door, seed, 10, 1, DOOR_EXEMPTS_LOOPBACK);
    assert_int_equal(enter(&door, "2001:db8:1:2::1", &a), DOOR_ENTERED);
    assert_int_equal(enter(&door, "2001:db8:1:2:ffff::9", &b), DOOR_ADDRESS_FULL);
    assert_int_equal(enter(&door, "2001:db8:1:3::1", &b), DOOR_ENTERED);
    door_leave(&door, a);
    door_leave(&door, b);
    door_finish(&door);
}

static void test_loopback_has_no_bound_of_its_own(void **state)
{
    static const char *const local[] = {"127.0.0.1", "127.1.2.3", "::1"};
    struct door door;
    struct door_address *address;
    door_init(&door, seed, 6, 1, DOOR_EXEMPTS_LOOPBACK);
    for (int i = 0; i < 6; i++)
        assert_int_equal(enter(&door, local[i % 3], &address), DOOR_ENTERED);
    assert_int_equal(enter(&door, "::1", &address), DOOR_FULL);
    door_finish(&door); /* with them in */
}

static void test_beside_a_dumb_count(void **state)
{
    enum { ADDRESSES = 20, MAX = 60, OF_ONE = 5 };
    static struct door_address *in[ADDRESSES][OF_ONE];
    int counts[ADDRESSES] = {0}, all = 0;
    struct door door;
    char text[32];
    door_init(&door, seed, MAX, OF_ONE, DOOR_EXEMPTS_LOOPBACK);
    srand(1);
    for (int i = 0; i < 100000; i++) {
        int n = rand() % ADDRESSES;
        struct door_address *address;
        snprintf(text, sizeof text, "10.0.0.%d", n);
        if (rand() % 5 < 2) {
            if (counts[n] > 0) {
                door_leave(&door, in[n][--counts[n]]);
                all--;
            }
            continue;
        }
        enum door_answer expected = all == MAX ? DOOR_FULL : counts[n] == OF_ONE ? DOOR_ADDRESS_FULL : DOOR_ENTERED;
        assert_int_equal(enter(&door, text, &address), expected);
        if (expected == DOOR_ENTERED) {
            in[n][counts[n]++] = address;
            all++;
        }
        assert_int_equal(door.count, all);
    }
    door_finish(&door);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_one_customer_of_ipv6_is_one_address),
        cmocka_unit_test(test_loopback_has_no_bound_of_its_own),
        cmocka_unit_test(test_beside_a_dumb_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

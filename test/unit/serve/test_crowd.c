/* test_crowd: places for connections: in all, from one address, spare ones, and the bytes of requests that wait. How
 * connections are ended while there are many is tested with real ones (test/e2e/connections). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "serve/client.h"

enum { CLIENTS = 40, SPARE = 3 };

static struct loop *loop;
static struct serve_limits limits;
static struct crowd crowd;
static struct client *clients;

static int set_up(void **state)
{
    struct err err;
    loop = loop_create(&err);
    limits_init(&limits);
    limits.connections = 10;
    limits.connections_per_address = 4;
    crowd_init(&crowd, loop, &limits, SPARE, false);
    clients = mem_zero(CLIENTS, sizeof *clients);
    return 0;
}

static int tear_down(void **state)
{
    for (int i = 0; i < CLIENTS; i++)
        if (clients[i].crowd.place != CROWD_NOWHERE)
            crowd_leave(&crowd, &clients[i].crowd);
    assert_int_equal(crowd.door.count, 0);
    assert_int_equal(crowd.spare_count, 0);
    assert_int_equal(crowd.waiting_bytes, 0);
    assert_int_equal(crowd.door.addresses.count, 0);
    assert_true(list_empty(&crowd.spare) && list_empty(&crowd.speaking) && list_empty(&crowd.unjoined) &&
                list_empty(&crowd.rest));
    crowd_finish(&crowd);
    loop_destroy(loop);
    free(clients);
    return 0;
}

static enum crowd_place enter(int i, const char *ip)
{
    struct addr addr;
    assert_true(addr_from_ip(&addr, span_str(ip), 1));
    crowd_enter(&crowd, &clients[i].crowd, &addr);
    return clients[i].crowd.place;
}

static void test_so_many_in_all(void **state)
{
    for (int i = 0; i < 10; i++)
        assert_int_equal(enter(i, "10.0.0.1"), CROWD_SPEAKING);
    assert_int_equal(enter(10, "10.0.0.1"), CROWD_SPARE);
    assert_int_equal(clients[10].crowd.refusal, REFUSAL_CONNECTIONS_FULL);
    crowd_leave(&crowd, &clients[10].crowd);
    crowd_upgraded(&crowd, &clients[3].crowd);
    assert_int_equal(enter(10, "10.0.0.1"), CROWD_SPARE);
    crowd_leave(&crowd, &clients[3].crowd);
    assert_int_equal(enter(3, "10.0.0.1"), CROWD_SPEAKING);
}

static void test_so_many_from_one_address(void **state)
{
    for (int i = 0; i < 4; i++)
        assert_int_equal(enter(i, "8.8.8.8"), CROWD_SPEAKING);
    assert_int_equal(enter(4, "8.8.8.8"), CROWD_SPARE);
    assert_int_equal(clients[4].crowd.refusal, REFUSAL_ADDRESS_FULL);
    assert_int_equal(enter(5, "::ffff:8.8.8.8"), CROWD_SPARE);
    assert_int_equal(enter(6, "8.8.8.9"), CROWD_SPEAKING);
    crowd_leave(&crowd, &clients[0].crowd);
    assert_int_equal(enter(7, "8.8.8.8"), CROWD_SPEAKING);
}

static void test_a_network_of_ipv6_is_one_address(void **state)
{
    for (int i = 0; i < 4; i++) {
        static const char *const ips[] = {"2001:db8:1:2::1", "2001:db8:1:2:ffff::", "2001:db8:1:2::3",
                                          "2001:db8:1:2:5::"};
        assert_int_equal(enter(i, ips[i]), CROWD_SPEAKING);
    }
    assert_int_equal(enter(4, "2001:db8:1:2:6:7:8:9"), CROWD_SPARE);
    assert_int_equal(enter(5, "2001:db8:1:3::1"), CROWD_SPEAKING);
}

/* Proxies and load balancers have private addresses: they are many clients. */
static void test_neighbours_are_counted_when_it_is_set(void **state)
{
    for (int i = 0; i < 8; i++)
        assert_int_equal(enter(i, "10.0.0.1"), CROWD_SPEAKING);
    crowd.door.exempts = DOOR_EXEMPTS_NONE;
    assert_int_equal(enter(8, "10.0.0.2"), CROWD_SPEAKING);
    for (int i = 0; i < 8; i++)
        crowd_leave(&crowd, &clients[i].crowd);
    for (int i = 0; i < 4; i++)
        assert_int_equal(enter(i, "10.0.0.1"), CROWD_SPEAKING);
    assert_int_equal(enter(4, "10.0.0.1"), CROWD_SPARE);
    crowd.door.address_max = 0;
    assert_int_equal(enter(5, "10.0.0.1"), CROWD_SPEAKING);
}

/* The oldest gives way; its connection is closed at the end of the turn, and leaves then. */
static void test_spare_places(void **state)
{
    for (int i = 0; i < 10; i++)
        enter(i, "10.0.0.1");
    for (int i = 10; i < 10 + SPARE; i++)
        enter(i, "10.0.0.1");
    assert_int_equal(crowd.spare_count, SPARE);
    enter(20, "10.0.0.1");
    assert_true(crowd.rest.prev == &clients[10].crowd.node);
    assert_true(crowd.spare.next == &clients[11].crowd.node);
    crowd_leave(&crowd, &clients[10].crowd);
    assert_int_equal(crowd.spare_count, SPARE);
    enter(21, "10.0.0.1");
    assert_true(crowd.rest.prev == &clients[11].crowd.node);
}

static void count(struct client *client, void *arg)
{
    ((int *)arg)[client - clients]++;
}

/* Whatever a client does, each walk comes to it, once. */
static void test_none_is_passed_over(void **state)
{
    int seen[CLIENTS] = {0};
    for (int i = 0; i < 10 + SPARE + 2; i++) /* the last two take the places of the first two spare ones */
        enter(i, "10.0.0.1");
    crowd_asked(&crowd, &clients[1].crowd);
    crowd_upgraded(&crowd, &clients[2].crowd);
    crowd_upgraded(&crowd, &clients[3].crowd);
    crowd_leave(&crowd, &clients[3].crowd);
    crowd_each(&crowd, count, seen);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(seen[i], i != 3 && i < 10 + SPARE + 2);
}

static void test_what_waits(void **state)
{
    uint32_t kept[3] = {0};
    limits.request_bytes = 100000;
    assert_true(crowd_keeps(&crowd, &kept[0], 60000));
    assert_true(crowd_keeps(&crowd, &kept[1], 40000));
    assert_false(crowd_keeps(&crowd, &kept[1], 40001));
    assert_true(crowd_keeps(&crowd, &kept[2], 2000)); /* a small one of its own */
    assert_false(crowd_keeps(&crowd, &kept[2], 3000));
    assert_true(crowd_keeps(&crowd, &kept[0], 0));
    assert_true(crowd_keeps(&crowd, &kept[2], 3000));
    assert_true(crowd_keeps(&crowd, &kept[1], 0));
    assert_int_equal(crowd.waiting_bytes, 3000);
    assert_true(crowd_keeps(&crowd, &kept[2], 0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(so_many_in_all),
        TEST(so_many_from_one_address),
        TEST(a_network_of_ipv6_is_one_address),
        TEST(neighbours_are_counted_when_it_is_set),
        TEST(spare_places),
        TEST(none_is_passed_over),
        TEST(what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

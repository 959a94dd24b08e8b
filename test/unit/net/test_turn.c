/* test_turn: the connections that the end of a turn has to do with: each once, whoever comes and goes meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/conn_parts.h"

enum { CONNS = 3000, FEW = 64 };

static struct loop *loop;
static struct net net;
static struct conn conns[CONNS];
static const struct conn_limits limits;
static const struct conn_events events;

static int set_up(void **state)
{
    struct err err;
    loop = loop_create(&err);
    net_init(&net, loop);
    for (int i = 0; i < CONNS; i++)
        conn_init(&conns[i], &net, &events, &limits);
    return 0;
}

static int tear_down(void **state)
{
    net_finish(&net);
    loop_destroy(loop);
    return 0;
}

static void turn(void)
{
    loop_stop(loop); /* the turn is finished */
    loop_run(loop);
}

static void test_a_herd_leaves_no_memory(void **state)
{
    for (int i = 0; i < CONNS; i++) {
        conn_touch(&conns[i]);
        conn_touch(&conns[i]);
    }
    assert_int_equal(net.touched.count, CONNS);
    for (int i = 0; i < CONNS; i += 3)
        net_turn_remove(&net.touched, &conns[i]);
    turn();
    for (int i = 0; i < CONNS; i++)
        assert_int_equal(conns[i].turn, 0);
    assert_int_equal(net.touched.count, 0);
    assert_null(net.touched.conns);
    conn_touch(&conns[7]);
    assert_ptr_equal(net.touched.conns[0], &conns[7]);
}

/* While some are done with, others come again: what is done with takes no place. */
static void test_the_places_of_those_done_with_are_used_again(void **state)
{
    for (int i = 0; i < FEW; i++)
        conn_touch(&conns[i]);
    assert_int_equal(net.touched.cap, FEW);
    for (int i = 0; i < FEW - 2; i++)
        conns[i].turn = 0;
    net.touched.at = FEW - 2;
    net_turn_remove(&net.touched, &conns[FEW - 2]);
    conn_touch(&conns[0]);
    assert_int_equal(net.touched.cap, FEW);
    assert_int_equal(net.touched.count, 2);
    for (uint32_t i = 0; i < net.touched.count; i++)
        assert_int_equal(net.touched.conns[i]->turn, i + 1);
    assert_ptr_equal(net.touched.conns[0], &conns[FEW - 1]);
    assert_ptr_equal(net.touched.conns[1], &conns[0]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_herd_leaves_no_memory),
        TEST(the_places_of_those_done_with_are_used_again),
    };
    return cmocka_run_group_tests_name("net/turn", tests, NULL, NULL);
}

/* test_calls: a client's calls under way: how many it may have, its share of the instance, and how each one is
 * answered. The broker's answers are held back where a test decides when they come. */
#include <stdio.h>
#include <unistd.h>

#include "fixture.h"
#include "slow_broker.h"

/* socket.disconnect().connect() while the broker is slow, again and again. */
static void publishes_of_a_socket_that_left_do_not_count_for_ever(void **state)
{
    struct browser *one = enter(0, "40");
    sessions.limits.calls_max = 8;
    for (int round = 0; round < 3; round++) {
        hold();
        slow.publish = publish_held;
        for (int i = 0; i < 4; i++)
            say(one, "42[\"say\",1]");
        say(one, "41");
        turn(20);
        assert_int_equal(held_count, 4);
        assert_true(sessions.loads.cost > 0);
        answer(BROKER_OK);
        release();
        say(one, "40");
        turn(20);
        assert_null(one->websocket.transport.session->load);
        assert_int_equal(sessions.loads.cost, 0);
    }
    say(one, "421[\"say\",2]");
    expect(one, "431[]");
}

static void beyond_its_bound_a_session_is_not_read(void **state)
{
    char text[32];
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    sessions.limits.calls_max = 8;
    hold();
    slow.publish = publish_held;
    for (int i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "42%d[\"say\",1]", i + 100);
        say(one, text);
    }
    turn(50);
    assert_int_equal(held_count, 8);
    say(two, "421[\"say\",2]");
    turn(20);
    assert_int_equal(held_count, 9);
    answer_all();
    release();
    expect(one, "43139[]");
    for (int i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "43%d[]", i + 100);
        assert_int_equal(count(one, text), 1);
    }
    expect(two, "431[]");
    assert_true(sessions.counters.stalled > 0);
}

/* One that fills all it may leaves room for the next. */
static void the_instance_is_shared(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    sessions.limits.call_bytes_total_max = 16 * 1024;
    hold();
    slow.publish = publish_held;
    for (int i = 0; i < 200; i++)
        say(one, "42[\"say\",\"and so on, and so on\"]");
    turn(50);
    size_t of_one = held_count;
    assert_true(of_one > 5 && of_one < 60);
    for (int i = 0; i < 10; i++)
        say(two, "42[\"say\",\"and so on, and so on\"]");
    turn(50);
    assert_int_equal(held_count, of_one + 10);
    answer_all();
    release();
}

static void a_silent_client_that_is_not_read_is_not_taken_for_dead(void **state)
{
    sessions.limits.calls_max = 1;
    sessions.limits.ping_interval_ms = sessions.limits.ping_timeout_ms = 40;
    struct browser *one = enter(0, "40");
    hold();
    slow.publish = publish_held;
    say(one, "42[\"say\",1]");
    turn(300);
    look(one);
    assert_false(one->closed);
    answer(BROKER_OK);
    release();
    turn(20);
    assert_false(one->websocket.transport.session == NULL);
    assert_true(count(one, "2") >= 1);
}

/* Each is answered by the write of the lease that knows of it, though there is always one more. */
static void joins_and_leaves_without_end_are_answered(void **state)
{
    char text[48];
    struct browser *one = enter(0, "40");
    sessions.limits.calls_max = 16;
    hold();
    slow.lease_write = lease_write_held;
    for (int i = 0; i < 30; i++) {
        snprintf(text, sizeof text, i % 2 == 0 ? "42%d[\"join\",\"a\"]" : "42%d[\"leave\",\"a\"]", i + 100);
        say(one, text);
    }
    turn(50);
    assert_int_equal(held_count, 1);
    assert_true(one->websocket.transport.session->load->count <= 16);
    answer_one(BROKER_OK);
    turn(20);
    look(one);
    assert_true(count(one, "43") >= 1); /* the first, before the others are through */
    assert_int_equal(count(one, "43129[]"), 0);
    answer_all();
    release();
    expect(one, "43129[]");
    for (int i = 0; i < 30; i++) {
        snprintf(text, sizeof text, "43%d[]", i + 100);
        assert_int_equal(count(one, text), 1);
    }
    assert_null(one->websocket.transport.session->load);
}

static void questions_go_one_at_a_time_and_in_turn(void **state)
{
    char text[32];
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    hold();
    slow.read = read_held;
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof text, "42%d[\"past\"]", i + 100);
        say(one, text);
    }
    say(two, "421[\"past\"]");
    turn(30);
    assert_int_equal(held_count, 2);
    answer(BROKER_OK);
    turn(10);
    look(two);
    assert_int_equal(count(two, "431[{\"entries\":[]"), 1);
    answer_all();
    release();
    expect(one, "43119[{\"entries\":[]");
    assert_int_equal(count(one, "43"), 20);
}

/* Its client leaves the namespace, or goes, while questions wait and one is under way. */
static void questions_of_those_who_have_gone_are_dropped(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    hold();
    slow.read = read_held;
    for (int i = 0; i < 5; i++) {
        say(one, "421[\"past\"]");
        say(two, "421[\"past\"]");
    }
    say(one, "41");
    turn(20);
    cut(two);
    assert_int_equal(held_count, 2);
    answer_all();
    release();
    turn(20);
    assert_int_equal(sessions.loads.asking, 0);
    assert_int_equal(sessions.loads.cost, 0);
    look(one);
    assert_int_equal(count(one, "43"), 0);
}

static bool publish_full(struct broker *asked, const struct broker_publish *publish, broker_done_fn *done, void *arg)
{
    return false;
}

static void a_full_backlog_refuses_the_message(void **state)
{
    struct browser *one = enter(0, "40");
    hold();
    slow.publish = publish_full;
    say(one, "421[\"say\",1]");
    turn(30);
    look(one);
    assert_int_equal(count(one, "43"), 0); /* it is in no log */
    assert_int_equal(sessions.refusals.counts[REFUSAL_BROKER_BACKLOG], 1);
    broker->ops = real;
    assert_null(one->websocket.transport.session->load);
    say(one, "422[\"say\",1]");
    expect(one, "432[]");
}

/* An acknowledgement says that the broker has it, and nothing else. */
static void what_the_broker_refuses_is_told_and_not_acknowledged(void **state)
{
    nsp.announce = true;
    struct browser *one = enter(0, "40");
    hold();
    slow.publish = publish_held;
    say(one, "421[\"say\",1]");
    turn(30);
    answer(BROKER_TAKEN);
    release();
    expect(one, "42[\"sennit\",{\"refused\":\"id_taken\",\"error\":\"");
    assert_int_equal(count(one, "43"), 0);
    assert_int_equal(sessions.refusals.counts[REFUSAL_ID_TAKEN], 1);
    say(one, "422[\"say\",2]");
    expect(one, "432[]");
}

/* The write that is to say that it left has failed, and is tried again soon. */
static void leaving_again_waits_for_the_lease_too(void **state)
{
    struct browser *one = enter(0, "40");
    say(one, "421[\"join\",\"r\"]");
    expect(one, "431[]");
    hold();
    slow.lease_write = lease_write_held;
    say(one, "422[\"leave\",\"r\"]");
    turn(20);
    assert_int_equal(held_count, 1);
    answer(BROKER_LOST);
    say(one, "423[\"leave\",\"r\"]");
    turn(20);
    look(one);
    assert_int_equal(count(one, "43"), 1); /* of the join */
    turn(300);
    answer_all();
    expect(one, "432[]");
    expect(one, "433[]");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, let_go)
    const struct CMUnitTest tests[] = {
        TEST(publishes_of_a_socket_that_left_do_not_count_for_ever),
        TEST(beyond_its_bound_a_session_is_not_read),
        TEST(the_instance_is_shared),
        TEST(a_silent_client_that_is_not_read_is_not_taken_for_dead),
        TEST(joins_and_leaves_without_end_are_answered),
        TEST(questions_go_one_at_a_time_and_in_turn),
        TEST(questions_of_those_who_have_gone_are_dropped),
        TEST(a_full_backlog_refuses_the_message),
        TEST(what_the_broker_refuses_is_told_and_not_acknowledged),
        TEST(leaving_again_waits_for_the_lease_too),
    };
    return cmocka_run_group_tests_name("session/calls", tests, NULL, NULL);
}

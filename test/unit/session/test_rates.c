/* test_rates: rates of messages, of one client and of one address; and what becomes of events for a client that reads
 * too slowly, by the policy of its namespace. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "fixture.h"

enum { LARGE = 60000, MANY = 100 };

/* Numbered messages; each asks for an acknowledgement. */
static void say_many(struct browser *browser, int many)
{
    char text[48];
    for (int i = 0; i < many; i++) {
        snprintf(text, sizeof text, "42%d[\"say\",%d]", 100 + i, i);
        say(browser, text);
    }
}

static size_t acks_of(struct browser *browser)
{
    look(browser);
    return count(browser, "431");
}

/* Beyond its rate a client is read more slowly. Nothing is lost, and the connection lives. */
static void a_client_is_read_at_its_rate(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    sessions.limits.messages = (struct rate){.per_second = 20, .at_once = 5};
    say_many(one, 15);
    turn(30);
    assert_true(one->websocket.transport.session->paused);
    assert_int_equal(acks_of(one), 5);
    say(two, "421[\"say\",1]"); /* its neighbour is not concerned */
    expect(two, "431[]");
    assert_int_equal(sessions.refusals.counts[REFUSAL_MESSAGES_RATE], 1);
    turn(250);
    size_t later = acks_of(one);
    assert_true(later > 5 && later < 13);
    turn(600);
    assert_int_equal(acks_of(one), 15);
    turn(200);
    assert_false(one->closed);
    assert_false(one->websocket.transport.session->paused);
    assert_int_equal(sessions.refusals.counts[REFUSAL_CALLS_FULL], 0);
}

/* So is whatever else nobody asked it for: pongs and pings cost time, too. */
static void other_packets_count_as_well(void **state)
{
    struct browser *one = enter(0, "40");
    sessions.limits.messages = (struct rate){.per_second = 20, .at_once = 4};
    for (int i = 0; i < 2; i++)
        say(one, "3");
    static const uint8_t ping[] = {0x89, 0x80, 0, 0, 0, 0};
    for (int i = 0; i < 2; i++)
        assert_int_equal(write(one->fd, ping, sizeof ping), sizeof ping);
    say(one, "421[\"say\",1]");
    turn(20);
    assert_true(one->websocket.transport.session->paused);
    assert_int_equal(acks_of(one), 0);
    expect(one, "431[]");
    assert_false(one->closed);
}

/* A pong that was asked for is free: a client at its rate answers pings in time. */
static void an_awaited_pong_is_free(void **state)
{
    struct browser *one = enter(0, "40");
    sessions.limits.messages = (struct rate){.per_second = 1, .at_once = 1};
    struct session *session = one->websocket.transport.session;
    for (int i = 0; i < 3; i++) {
        session->awaiting_pong = true;
        say(one, "3");
        turn(10);
        assert_false(session->awaiting_pong);
    }
    assert_int_equal(sessions.counters.stalled, 0);
}

/* Without a rate nobody waits. */
static void without_a_rate_nothing_is_counted(void **state)
{
    struct browser *one = enter(0, "40");
    say_many(one, 90);
    turn(100);
    assert_int_equal(acks_of(one), 90);
    assert_int_equal(sessions.counters.stalled, 0);
    assert_null(one->websocket.transport.session->extra);
    assert_int_equal(sessions.rates.addresses.count, 0);
}

static void clients_of_an_address_share_its_rate(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40"), *far = enter(2, "40");
    struct addr addr;
    assert_true(addr_from_ip(&addr, SPAN_LIT("192.0.2.7"), 1));
    addr_ip_of(&addr, &far->conn.peer);
    sessions.rates.rates[RATES_MESSAGES] = (struct rate){.per_second = 10, .at_once = 6};
    say_many(one, 10);
    turn(20);
    say_many(two, 10);
    say_many(far, 5);
    turn(60);
    assert_int_equal(acks_of(one), 6);
    assert_true(acks_of(two) <= 1);
    assert_int_equal(acks_of(far), 5);
    assert_int_equal(sessions.rates.addresses.count, 2);
    assert_true(sessions.refusals.counts[REFUSAL_ADDRESS_MESSAGES_RATE] >= 1);
    turn(2200);
    assert_int_equal(acks_of(one) + acks_of(two), 20);
    assert_false(one->closed || two->closed);
}

/* Large events for all, logged or not; a client that reads nothing gets more than its queue is to hold. */
static void publish_many(bool logged)
{
    static const struct broker_retention retention = {
        .entries_max = 1000, .bytes_max = 64 << 20, .age_ms_max = 3600000};
    char *large = mem_zero(1, LARGE);
    memset(large, 'x', LARGE - 1);
    for (int i = 0; i < MANY; i++) {
        char *text = mem_printf("[\"many\",%d,\"%s\"]", i, large);
        struct broker_publish publish = {
            .room = nsp.name, .body = span_str(text), .retention = logged ? &retention : NULL};
        assert_true(broker_publish(broker, &publish, NULL, NULL));
        turn(2);
        free(text);
    }
    free(large);
}

static size_t many_of(struct browser *browser)
{
    for (int i = 0; i < 50; i++) {
        turn(2);
        look(browser);
    }
    return count(browser, "42[\"many\"");
}

static struct browser *slow_one(enum slow_policy slow)
{
    nsp.slow = slow;
    sessions.limits.slow_queue_bytes = 4 * LARGE;
    sessions.limits.replay_queue_bytes = LARGE;
    return enter(0, "40");
}

static void what_is_not_logged_may_be_dropped(void **state)
{
    struct browser *one = slow_one(SLOW_DROP);
    publish_many(false);
    assert_true(conn_queued(&one->conn) < 6 * LARGE);
    uint64_t dropped = sessions.refusals.counts[REFUSAL_SLOW_DROPPED];
    assert_true(dropped > 0);
    assert_int_equal(many_of(one) + dropped, MANY);
    say(one, "421[\"say\",1]"); /* it lives, and goes on */
    expect(one, "431[]");
}

static void what_is_logged_comes_again(void **state)
{
    struct browser *one = slow_one(SLOW_DROP);
    publish_many(true);
    assert_true(sessions.counters.slowed > 0);
    assert_int_equal(sessions.refusals.counts[REFUSAL_SLOW_DROPPED], 0);
    expect(one, "42[\"many\",99,");
    assert_int_equal(many_of(one), MANY);
}

static void a_slow_client_may_be_closed(void **state)
{
    struct browser *one = slow_one(SLOW_CLOSE);
    sessions.limits.close_linger_ms = 20;
    publish_many(true);
    turn(50);
    assert_true(one->closed);
    assert_int_equal(one->conn.reason, CLOSE_SLOW_CONSUMER);
    assert_int_equal(sessions.counters.slowed, 0);
}

/* Without the policy, events that are not logged wait. */
static void else_it_waits(void **state)
{
    nsp.recoverable = false;
    struct browser *one = slow_one(SLOW_REREAD);
    publish_many(false);
    assert_int_equal(many_of(one), MANY);
    assert_false(one->closed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_client_is_read_at_its_rate),
        TEST(other_packets_count_as_well),
        TEST(an_awaited_pong_is_free),
        TEST(without_a_rate_nothing_is_counted),
        TEST(clients_of_an_address_share_its_rate),
        TEST(what_is_not_logged_may_be_dropped),
        TEST(what_is_logged_comes_again),
        TEST(a_slow_client_may_be_closed),
        TEST(else_it_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_bounds: the bounds of one client, in bytes, rooms and changes, and the refusals beyond them. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "fixture.h"
#include "hub/hub_parts.h"
#include "slow_broker.h"

/* Unread answers may fill the memory for answers. Clients that do read need not wait for it. */
static void unread_answers_give_way(void **state)
{
    char *large = mem_zero(1, 60000);
    memset(large, 'x', 59999);
    sessions.limits.answer_bytes_total_max = 200000;
    static const struct broker_retention retention = {
        .entries_max = 1000, .bytes_max = 64 << 20, .age_ms_max = 3600000};
    struct browser *deaf = enter(0, "40"), *one = enter(1, "40");
    for (int i = 0; i < 10; i++) {
        char *text = mem_printf("[\"many\",%d,\"%s\"]", i, large);
        struct broker_publish publish = {.room = nsp.name, .body = span_str(text), .retention = &retention};
        assert_true(broker_publish(broker, &publish, NULL, NULL));
        free(text);
    }
    turn(50);
    for (int i = 0; i < 20; i++)
        say(deaf, "421[\"past\"]");
    turn(200);
    assert_true(sessions.loads.answer_bytes > 0);
    look(one);
    say(one, "422[\"past\"]");
    expect(one, "432[{\"entries\":[{");
    assert_true(deaf->closed);
    free(large);
}

/* For a client that does not read, entries are held up to a bound in bytes, and then read again from the log. */
static void what_is_held_is_weighed(void **state)
{
    enum { LARGE = 60000, MANY = 100 };
    char *large = mem_zero(1, LARGE);
    memset(large, 'x', LARGE - 1);
    sessions.limits.slow_queue_bytes = 4 * LARGE;
    sessions.limits.replay_queue_bytes = LARGE;
    static const struct broker_retention retention = {
        .entries_max = 1000, .bytes_max = 64 << 20, .age_ms_max = 3600000};
    struct browser *one = enter(0, "40");
    struct member *member = &subscriber_find(one->websocket.transport.session, nsp.name)->member;
    size_t most = 0;
    for (int i = 0; i < MANY; i++) {
        char *text = mem_printf("[\"many\",%d,\"%s\"]", i, large);
        struct broker_publish publish = {.room = nsp.name, .body = span_str(text), .retention = &retention};
        assert_true(broker_publish(broker, &publish, NULL, NULL));
        turn(2);
        free(text);
        size_t bytes = 0;
        for (uint16_t at = 0; member_holds(member) && at < member_held(member)->count; at++)
            bytes += at < member_held(member)->at ? 0 : member_held(member)->entries[at]->body_len;
        most = bytes > most ? bytes : most;
    }
    assert_true(most > HUB_HELD_BYTES_MAX / 2); /* it was slow */
    assert_true(most < HUB_HELD_BYTES_MAX + 2 * LARGE);
    expect(one, "42[\"many\",99,");
    for (int i = 0; i < MANY; i++) {
        char start[32];
        snprintf(start, sizeof start, "42[\"many\",%d,", i);
        assert_int_equal(count(one, start), 1);
    }
    free(large);
}

/* Clients begin messages and never end them: the client that began first is closed in favour of later ones. */
static void unfinished_messages_are_bounded(void **state)
{
    enum { PART = 40000 };
    char *part = mem_zero(1, PART);
    uint8_t head[8] = {0x01, 0x80 | 126, PART >> 8, PART & 0xff}; /* not the last fragment */
    sessions.limits.unfinished_bytes_max = 3 * PART;
    for (int i = 0; i < 3; i++) {
        struct browser *one = enter(i, "40");
        assert_int_equal(write(one->fd, head, sizeof head), sizeof head);
        assert_int_equal(write(one->fd, part, PART), PART);
        turn(50);
    }
    assert_true(browsers[0].closed);
    assert_false(browsers[2].closed);
    assert_true(sessions.unfinished.bytes <= 3 * PART);
    cut(&browsers[2]);
    free(part);
}

static void what_changes_rooms_has_a_rate(void **state)
{
    char text[48];
    sessions.limits.changes_burst = 10;
    sessions.limits.changes_per_second = 20;
    struct browser *one = enter(0, "40");
    size_t before = hub_room_count(hub);
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "42[\"join\",\"room-%d\"]", i);
        say(one, text);
        snprintf(text, sizeof text, "42[\"leave\",\"room-%d\"]", i);
        say(one, text);
    }
    turn(100);
    assert_true(hub_room_count(hub) - before >= 9 && hub_room_count(hub) - before <= 14);
    turn(600);
    assert_true(hub_room_count(hub) - before >= 15 && hub_room_count(hub) - before <= 30);
    assert_false(one->closed);
}

static void a_room_named_like_a_socket_is_refused(void **state)
{
    char sid[PID_BYTES], text[64];
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    quoted(one, "40{", "\"sid\":\"", sid, sizeof sid);
    snprintf(text, sizeof text, "421[\"join\",\"%s\"]", sid);
    say(two, text);
    expect(two, "431[{\"error\":\"");
    assert_int_equal(sessions.refusals.counts[REFUSAL_ROOM_IS_SOCKET], 1);
    say(one, text);
    expect(one, "431[]"); /* its own */
    say(two, "422[\"say\",1]");
    expect(two, "432[]"); /* the connection lives on */
}

static void a_limit_of_rooms_ends_the_join_only(void **state)
{
    char text[48];
    sessions.limits.rooms_max = 3;
    struct browser *one = enter(0, "40");
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "42%d[\"join\",\"r%d\"]", i + 1, i);
        say(one, text);
        snprintf(text, sizeof text, "43%d[]", i + 1);
        expect(one, text);
    }
    say(one, "424[\"join\",\"r3\"]");
    expect(one, "434[{\"error\":\"");
    say(one, "425[\"leave\",\"r0\"]");
    expect(one, "435[]");
    say(one, "426[\"join\",\"r3\"]");
    expect(one, "436[]");
    sessions.limits.hub_rooms_max = 1;
    say(one, "427[\"leave\",\"r1\"]");
    say(one, "428[\"join\",\"new\"]");
    expect(one, "438[{\"error\":\"");
    assert_int_equal(sessions.refusals.counts[REFUSAL_INSTANCE_ROOMS_FULL], 1);
}

static void a_nsp_that_is_refused_is_counted(void **state)
{
    struct browser *one = enter(0, "40");
    say(one, "40/none,");
    expect(one, "44/none,");
    assert_int_equal(sessions.refusals.counts[REFUSAL_NAMESPACE_UNKNOWN], 1);
    sessions.limits.sockets_max = 1;
    say(one, "40/other,");
    expect(one, "44/other,");
    assert_int_equal(sessions.refusals.counts[REFUSAL_NAMESPACES_FULL], 1);
}

static size_t lease_writes;

static void lease_write_counted(struct broker *asked, const struct broker_lease *lease, broker_done_fn *done, void *arg)
{
    lease_writes += lease->rooms.len;
    real->lease_write(asked, lease, done, arg);
}

/* Each join and leave writes the whole lease, which long room names make large. The cost of a few bytes is bounded. */
static void large_leases_have_a_rate(void **state)
{
    char text[128];
    struct browser *one = enter(0, "40");
    sessions.limits.changes_burst = 200;
    sessions.limits.changes_per_second = 10;
    for (int i = 0; i < 60; i++) {
        snprintf(text, sizeof text, "42%d[\"join\",\"%090d\"]", i + 1, i);
        say(one, text);
        snprintf(text, sizeof text, "43%d[]", i + 1);
        expect(one, text);
    }
    hold();
    slow.lease_write = lease_write_counted;
    lease_writes = 0;
    for (int i = 0; i < 400; i++) {
        say(one, i % 2 == 0 ? "42[\"leave\",\"x\"]" : "42[\"join\",\"x\"]");
        turn(1);
    }
    turn(20);
    broker->ops = real;
    assert_true(lease_writes < 200 * 4096);
    assert_false(one->closed);
}

static size_t entered;

static void enter_counted(struct broker *asked, struct span room, const struct broker_present *who)
{
    entered++;
    real->present_enter(asked, room, who);
}

/* All members of a room are told of each one that comes and goes. */
static void coming_and_going_costs_what_it_tells(void **state)
{
    enum { MEMBERS = 256 };
    static struct subscriber members[MEMBERS]; /* that do nothing about what they are told */
    struct browser *one = enter(0, "40");
    policy.presence = true;
    for (int i = 0; i < MEMBERS; i++) {
        members[i].state = SUBSCRIBER_GONE;
        member_init(&members[i].member, hub, SPAN_LIT("a member"));
        member_join(&members[i].member, SPAN_LIT("/,r"), START_NOW, 0);
        member_joined(&members[i].member);
    }
    sessions.limits.changes_burst = 30;
    sessions.limits.changes_per_second = 1;
    hold();
    slow.present_enter = enter_counted;
    entered = 0;
    for (int i = 0; i < 20; i++) {
        say(one, i % 2 == 0 ? "42[\"join\",\"r\"]" : "42[\"leave\",\"r\"]");
        turn(5);
    }
    broker->ops = real;
    assert_in_range(entered, 2, 4);
    assert_false(one->closed);
    for (int i = 0; i < MEMBERS; i++)
        member_finish(&members[i].member);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, let_go)
    const struct CMUnitTest tests[] = {
        TEST(unread_answers_give_way),
        TEST(what_is_held_is_weighed),
        TEST(unfinished_messages_are_bounded),
        TEST(what_changes_rooms_has_a_rate),
        TEST(a_room_named_like_a_socket_is_refused),
        TEST(a_limit_of_rooms_ends_the_join_only),
        TEST(a_nsp_that_is_refused_is_counted),
        TEST(large_leases_have_a_rate),
        TEST(coming_and_going_costs_what_it_tells),
    };
    return cmocka_run_group_tests_name("session/bounds", tests, NULL, NULL);
}

/* test_calls: what a client has under way, its bounds, its share, and what is refused. The broker's answers are held
 * back where a test wants to say when they come. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "fixture.h"
#include "hub/hub_parts.h"

enum { HELD_MAX = 256 };

static const struct broker_ops *real;
static struct broker_ops slow;
static struct {
    broker_done_fn *done;
    broker_read_fn *read;
    void *arg;
} held[HELD_MAX];
static size_t held_count, held_answered;

static bool publish_held(struct broker *asked, const struct broker_publish *publish, broker_done_fn *done, void *arg)
{
    assert_true(held_count < HELD_MAX);
    held[held_count].done = done;
    held[held_count++].arg = arg;
    return true;
}

static void lease_write_held(struct broker *asked, const struct broker_lease *lease, broker_done_fn *done, void *arg)
{
    publish_held(asked, NULL, done, arg);
}

static void read_held(struct broker *asked, struct span room, const struct broker_range *range, broker_read_fn *done,
                      void *arg)
{
    assert_true(held_count < HELD_MAX);
    held[held_count].done = NULL;
    held[held_count].read = done;
    held[held_count++].arg = arg;
}

static void hold(void)
{
    real = broker->ops;
    slow = *real;
    held_count = held_answered = 0;
    broker->ops = &slow;
}

static void answer_one(enum broker_result result)
{
    size_t at = held_answered++;
    if (held[at].done != NULL)
        held[at].done(held[at].arg, result);
    else
        held[at].read(held[at].arg, result, &(struct broker_page){0});
}

static void answer(enum broker_result result)
{
    while (held_answered < held_count)
        answer_one(result);
}

static void answer_all(void)
{
    for (int i = 0; i < 50 && held_answered < held_count; i++) {
        answer(BROKER_OK);
        turn(5);
    }
}

static void release(void)
{
    answer(BROKER_LOST);
    broker->ops = real;
}

/* Also after a test that failed in the middle. */
static int let_go(void **state)
{
    if (broker->ops == &slow)
        release();
    return tear_down(state);
}

static void a_pid_of_another_namespace_is_nothing(void **state)
{
    char pid[PID_BYTES], text[160];
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    quoted(one, "40{", "\"pid\":\"", pid, sizeof pid);
    cut(one);
    struct browser *thief = dial(2);
    snprintf(text, sizeof text, "40/other,{\"pid\":\"%s\"}", pid);
    say(thief, text);
    expect(thief, "40/other,{");
    assert_int_equal(sessions.counters.resumes, 0);
    say(two, "421[\"say\",1]");
    expect(two, "42[\"say\",1");
    turn(20);
    look(thief);
    assert_int_equal(count(thief, "42"), 0);
    /* And it still belongs to whom it was given. */
    browsers[0].closed = false;
    assert_true(is_resumed(3, pid, ""));
}

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

/* Answers that nobody reads may fill what there is for answers; those who read have not to wait for it. */
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

/* A client that does not read: what comes meanwhile is held for it up to a bound in bytes, then read again. */
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
    struct member *member = &socket_find(one->websocket.transport.session, nsp.name)->member;
    size_t most = 0;
    for (int i = 0; i < MANY; i++) {
        char *text = mem_printf("[\"many\",%d,\"%s\"]", i, large);
        struct broker_publish publish = {.room = nsp.name, .body = span_str(text), .retention = &retention};
        assert_true(broker_publish(broker, &publish, NULL, NULL));
        turn(2);
        free(text);
        size_t bytes = 0;
        for (uint16_t at = member->held_at; at < member->held_count; at++)
            bytes += member->held[at]->body_len;
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

/* Clients that begin messages and never end them: the first to begin gives way to those who come later. */
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

/* A lease of before the configuration gave each socket a room of its own. */
static void a_socket_without_a_room_of_its_own_may_join(void **state)
{
    char pid[PID_BYTES];
    struct browser *one = enter(0, "40");
    quoted(one, "40{", "\"pid\":\"", pid, sizeof pid);
    cut(one);
    nsp.direct = true;
    assert_true(is_resumed(1, pid, ""));
    say(&browsers[1], "421[\"join\",\"r\"]");
    expect(&browsers[1], "431[");
    assert_int_equal(count(&browsers[1], "431[]"), 1);
}

static void a_namespace_that_is_refused_is_counted(void **state)
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

/* Each join and leave writes the whole lease, which long names of rooms make large: what a few bytes cost is bounded.
 */
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

static void silent_ready(struct member *member, bool whole)
{
}

/* All who are in a room are told of each who comes and goes. */
static void coming_and_going_costs_what_it_tells(void **state)
{
    enum { MEMBERS = 256 };
    static struct member members[MEMBERS];
    static const struct member_events silent = {.ready = silent_ready};
    struct browser *one = enter(0, "40");
    policy.presence = true;
    for (int i = 0; i < MEMBERS; i++) {
        member_init(&members[i], hub, &silent, SPAN_LIT("a member"));
        member_join(&members[i], SPAN_LIT("/,r"), START_NOW, 0);
        member_joined(&members[i]);
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
        member_finish(&members[i]);
}

/* A stranger who connects and cuts, again and again. All browsers have one address, which has at most as much as is
 * left. */
static void what_those_who_were_cut_off_leave_is_bounded(void **state)
{
    char first[PID_BYTES], second[PID_BYTES];
    sessions.limits.lease_bytes_max = 3000;
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    quoted(one, "40{", "\"pid\":\"", first, sizeof first);
    quoted(two, "40{", "\"pid\":\"", second, sizeof second);
    cut(one);
    assert_int_equal(sessions.refusals.counts[REFUSAL_LEASES_FULL], 0);
    cut(two);
    assert_int_equal(sessions.refusals.counts[REFUSAL_LEASES_FULL], 1);
    one->closed = two->closed = false;
    assert_false(is_resumed(2, second, ""));
    assert_true(sessions.departed.bytes > 0);
    assert_true(is_resumed(3, first, ""));
    assert_int_equal(sessions.departed.bytes, 0);
}

/* Its window has passed: nothing is left, nor counted. */
static void what_has_ended_counts_no_more(void **state)
{
    nsp.recovery_ms = 1000;
    struct browser *one = enter(0, "40");
    cut(one);
    assert_true(sessions.departed.bytes > 0);
    turn(2300);
    assert_int_equal(sessions.departed.bytes, 0);
}

/* Whoever claims a lease and is cut off before the answer leaves it once more. */
static void who_claims_and_is_cut_off_counts(void **state)
{
    char pid[PID_BYTES], text[64];
    struct browser *one = enter(0, "40");
    quoted(one, "40{", "\"pid\":\"", pid, sizeof pid);
    cut(one);
    size_t bytes = sessions.departed.bytes;
    struct browser *two = dial(1);
    snprintf(text, sizeof text, "40{\"pid\":\"%s\"}", pid);
    say(two, text);
    shutdown(two->fd, SHUT_RDWR);
    turn(50);
    assert_true(two->closed);
    assert_int_equal(sessions.departed.bytes, bytes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, let_go)
    const struct CMUnitTest tests[] = {
        TEST(a_pid_of_another_namespace_is_nothing),
        TEST(publishes_of_a_socket_that_left_do_not_count_for_ever),
        TEST(beyond_its_bound_a_session_is_not_read),
        TEST(the_instance_is_shared),
        TEST(a_silent_client_that_is_not_read_is_not_taken_for_dead),
        TEST(joins_and_leaves_without_end_are_answered),
        TEST(questions_go_one_at_a_time_and_in_turn),
        TEST(questions_of_those_who_have_gone_are_dropped),
        TEST(unread_answers_give_way),
        TEST(what_is_held_is_weighed),
        TEST(unfinished_messages_are_bounded),
        TEST(what_changes_rooms_has_a_rate),
        TEST(a_room_named_like_a_socket_is_refused),
        TEST(a_limit_of_rooms_ends_the_join_only),
        TEST(a_full_backlog_refuses_the_message),
        TEST(what_the_broker_refuses_is_told_and_not_acknowledged),
        TEST(leaving_again_waits_for_the_lease_too),
        TEST(a_socket_without_a_room_of_its_own_may_join),
        TEST(a_namespace_that_is_refused_is_counted),
        TEST(large_leases_have_a_rate),
        TEST(coming_and_going_costs_what_it_tells),
        TEST(what_those_who_were_cut_off_leave_is_bounded),
        TEST(what_has_ended_counts_no_more),
        TEST(who_claims_and_is_cut_off_counts),
    };
    return cmocka_run_group_tests_name("session/calls", tests, NULL, NULL);
}

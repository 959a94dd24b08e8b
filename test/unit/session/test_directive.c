/* test_directive: what sockets obey, in its place among the events: joins, leaves and ends that a backend asks for, of
 * live sockets and of those whose client is cut off. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fixture.h"
#include "session/backend.h"
#include "slow_broker.h"

static const struct broker_retention retention = {.entries_max = 1000, .bytes_max = 64 << 20, .age_ms_max = 3600000};
static int accepted;

static void on_accepted(void *arg, enum broker_result result)
{
    assert_int_equal(result, BROKER_OK);
    accepted++;
}

/* Of the sockets in a room (NULL: all) or of one, or all but those in a room. */
struct whom {
    const char *room, *sid, *except;
    bool unlogged, here;
};

static void tell(enum directive_op op, const char *room, struct whom whom)
{
    struct span in = span_str(whom.room), except = span_str(whom.except);
    struct directive directive = {.op = op, .room_count = room != NULL, .rooms = {span_str(room)}};
    struct subscriber_emit to = {.rooms = &in,
                                 .room_count = whom.room != NULL,
                                 .excepts = &except,
                                 .except_count = whom.except != NULL,
                                 .to_sid = span_str(whom.sid),
                                 .retention = whom.unlogged ? NULL : &retention};
    if (whom.here) {
        backend_direct_here(&sessions, &nsp, &to, &directive);
        return;
    }
    int before = accepted;
    assert_true(backend_direct(&sessions, &nsp, &to, &directive, on_accepted, NULL));
    while (accepted == before)
        turn(1);
}

/* An event for a room (NULL: the namespace), or for one socket. */
static void publish(const char *args, const char *room, const char *sid)
{
    struct span in = span_str(room);
    struct content content = content_of(span_str(args));
    struct subscriber_emit emit = {.rooms = &in,
                                   .room_count = room != NULL,
                                   .to_sid = span_str(sid),
                                   .content = &content,
                                   .retention = &retention};
    assert_true(backend_publish(&sessions, &nsp, &emit, on_accepted, NULL));
}

/* Once an event that follows has come, `start` has come so many times. */
static void expect_by_then(struct browser *browser, const char *start, size_t times)
{
    static int marks;
    char args[32], event[32];
    snprintf(args, sizeof args, "[\"mark\",%d]", ++marks);
    snprintf(event, sizeof event, "42[\"mark\",%d", marks);
    publish(args, NULL, NULL);
    expect(browser, event);
    assert_int_equal(count(browser, start), times);
}

static void ids(const struct browser *browser, char pid[PID_BYTES], char sid[PID_BYTES])
{
    quoted(browser, "40{", "\"pid\":\"", pid, PID_BYTES);
    quoted(browser, "40{", "\"sid\":\"", sid, PID_BYTES);
}

static void a_socket_joins(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    char pid[PID_BYTES], sid[PID_BYTES];
    ids(one, pid, sid);
    tell(DIRECTIVE_JOIN, "r", (struct whom){.sid = sid});
    publish("[\"say\",1]", "r", NULL);
    expect(one, "42[\"say\",1");
    tell(DIRECTIVE_JOIN, "s", (struct whom){.room = "r"});
    publish("[\"say\",2]", "s", NULL);
    expect(one, "42[\"say\",2");
    tell(DIRECTIVE_JOIN, "t", (struct whom){.except = "s"});
    publish("[\"say\",3]", "t", NULL);
    expect(two, "42[\"say\",3");
    expect_by_then(two, "42[\"say\"", 1);
    expect_by_then(one, "42[\"say\"", 2);
}

static void also_where_nothing_is_logged(void **state)
{
    nsp.recoverable = false;
    struct browser *one = enter(0, "40");
    tell(DIRECTIVE_JOIN, "r", (struct whom){.unlogged = true});
    turn(5);
    publish("[\"say\",1]", "r", NULL);
    expect(one, "42[\"say\",1");
    tell(DIRECTIVE_LEAVE, "r", (struct whom){.here = true});
    publish("[\"say\",2]", "r", NULL);
    expect_by_then(one, "42[\"say\"", 1);
}

static void a_socket_leaves(void **state)
{
    struct browser *one = enter(0, "40");
    tell(DIRECTIVE_JOIN, "r", (struct whom){.room = NULL});
    publish("[\"say\",1]", "r", NULL);
    tell(DIRECTIVE_LEAVE, "r", (struct whom){.room = "r"});
    publish("[\"say\",2]", "r", NULL);
    expect_by_then(one, "42[\"say\"", 1);
}

/* It is in the room from the directive's place on, although its client comes back later. */
static void one_that_is_cut_off_joins_in_its_place(void **state)
{
    char pid[PID_BYTES], sid[PID_BYTES];
    struct browser *one = enter(0, "40");
    ids(one, pid, sid);
    cut(one);
    publish("[\"say\",1]", "r", NULL);
    tell(DIRECTIVE_JOIN, "r", (struct whom){.sid = sid});
    publish("[\"say\",2]", "r", NULL);
    publish("[\"say\",3]", NULL, NULL);
    publish("[\"say\",4]", "r", NULL);
    tell(DIRECTIVE_LEAVE, "r", (struct whom){.sid = sid});
    publish("[\"say\",5]", "r", NULL);
    publish("[\"say\",6]", NULL, NULL);
    assert_true(is_resumed(1, pid, ""));
    expect(&browsers[1], "42[\"say\",6");
    assert_int_equal(count(&browsers[1], "42[\"say\""), 4);
    assert_int_equal(count(&browsers[1], "42[\"say\",1") + count(&browsers[1], "42[\"say\",5"), 0);
    assert_true(strstr(browsers[1].messages.data, "\"say\",2") < strstr(browsers[1].messages.data, "\"say\",3"));
    assert_true(strstr(browsers[1].messages.data, "\"say\",3") < strstr(browsers[1].messages.data, "\"say\",4"));
}

/* The client has no newer position, so the log is read from before the directive. */
static void none_is_obeyed_twice(void **state)
{
    char pid[PID_BYTES], sid[PID_BYTES];
    struct browser *one = enter(0, "40");
    ids(one, pid, sid);
    tell(DIRECTIVE_JOIN, "r", (struct whom){.sid = sid});
    turn(5);
    say(one, "421[\"leave\",\"r\"]");
    expect(one, "431[]");
    cut(one);
    assert_true(is_resumed(1, pid, ""));
    publish("[\"say\",1]", "r", NULL);
    expect_by_then(&browsers[1], "42[\"say\"", 0);
}

/* The client reads nothing, so its queue is dropped, and the log is read again from before the directive. */
static void nor_when_a_queue_was_dropped(void **state)
{
    char pid[PID_BYTES], sid[PID_BYTES], *large = mem_alloc(100001);
    struct browser *one = enter(0, "40");
    ids(one, pid, sid);
    memset(large, 'x', 100000);
    memcpy(large, "[\"big\",\"", 8);
    memcpy(large + 100000 - 2, "\"]", 3);
    sessions.limits.slow_queue_bytes = 64 << 20;
    for (int i = 0; i < 80; i++)
        publish(large, NULL, NULL);
    free(large);
    turn(50);
    tell(DIRECTIVE_JOIN, "r", (struct whom){.sid = sid});
    turn(10);
    say(one, "42[\"leave\",\"r\"]");
    turn(10);
    assert_int_equal(sessions.counters.directed, 1);
    sessions.limits.slow_queue_bytes = 1000;
    publish("[\"say\",0]", NULL, NULL);
    turn(10);
    assert_true(sessions.counters.slowed > 0);
    sessions.limits.slow_queue_bytes = 64 << 20;
    expect(one, "42[\"say\",0");
    publish("[\"say\",1]", "r", NULL);
    expect_by_then(one, "42[\"say\",1", 0);
    assert_int_equal(count(one, "42[\"big\""), 80);
}

/* What a socket was told before it came is not for it, though the log is replayed to it. */
static void a_new_socket_obeys_nothing_old(void **state)
{
    enter(0, "40");
    tell(DIRECTIVE_JOIN, "r", (struct whom){.room = NULL});
    tell(DIRECTIVE_DISCONNECT, NULL, (struct whom){.room = NULL});
    publish("[\"say\",0]", NULL, NULL);
    policy.replay = START_OLDEST;
    struct browser *two = enter(1, "40");
    expect(two, "42[\"say\",0");
    publish("[\"say\",1]", "r", NULL);
    expect_by_then(two, "42[\"say\",1", 0);
    say(two, "421[\"past\"]");
    expect(two, "431[{");
    buf_append_char(&two->messages, '\0');
    char *answer = strstr(two->messages.data, "431[{");
    assert_non_null(strstr(answer, "\"say\",0"));
    assert_null(strstr(answer, "[j"));
    assert_null(strstr(answer, "\"args\":d"));
}

/* Its room is replayed to a socket that joins by a directive, as it is to any other. */
static void the_policy_of_the_room_holds(void **state)
{
    struct browser *one = enter(0, "40");
    publish("[\"say\",1]", "r", NULL);
    policy.replay = START_OLDEST;
    tell(DIRECTIVE_JOIN, "r", (struct whom){.room = NULL});
    expect(one, "42[\"say\",1");
}

/* Otherwise a client that is cut off now would come back with a position behind the directive, and without the room. */
static void nothing_is_sent_before_the_lease_records_it(void **state)
{
    struct browser *one = enter(0, "40");
    publish("[\"say\",0]", NULL, NULL);
    expect(one, "42[\"say\",0");
    turn(5);
    hold();
    slow.lease_write = lease_write_held;
    tell(DIRECTIVE_JOIN, "r", (struct whom){.room = NULL});
    publish("[\"say\",1]", NULL, NULL);
    turn(20);
    look(one);
    assert_int_equal(count(one, "42[\"say\",1"), 0);
    answer_all();
    expect(one, "42[\"say\",1");
    release();
}

static void one_is_disconnected(void **state)
{
    char pid[PID_BYTES], sid[PID_BYTES];
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    ids(one, pid, sid);
    say(one, "40/other,");
    expect(one, "40/other,{");
    tell(DIRECTIVE_DISCONNECT, NULL, (struct whom){.sid = sid});
    expect(one, "41");
    say(one, "42/other,1[\"say\",1]");
    expect(one, "43/other,1[]");
    assert_false(one->closed);
    expect_by_then(two, "41", 0);
    assert_false(is_resumed(2, pid, ""));
}

static void one_that_is_cut_off_is_disconnected_when_it_is_back(void **state)
{
    char pid[PID_BYTES], sid[PID_BYTES];
    struct browser *one = enter(0, "40");
    ids(one, pid, sid);
    cut(one);
    publish("[\"say\",1]", NULL, NULL);
    tell(DIRECTIVE_DISCONNECT, NULL, (struct whom){.sid = sid});
    publish("[\"say\",2]", NULL, NULL);
    assert_true(is_resumed(1, pid, ""));
    expect(&browsers[1], "41");
    assert_int_equal(count(&browsers[1], "42[\"say\",1"), 1);
    assert_int_equal(count(&browsers[1], "42[\"say\",2"), 0);
}

static void a_session_is_closed(void **state)
{
    struct browser *one = enter(0, "40");
    say(one, "40/other,");
    expect(one, "40/other,{");
    tell(DIRECTIVE_CLOSE, NULL, (struct whom){.room = NULL});
    expect(one, "close 1000 ");
    assert_int_equal(count(one, "41"), 2);
    assert_int_equal(count(one, "41/other,"), 1);
}

/* The socket stays in the most rooms allowed, and goes on. */
static void a_limit_refuses_the_join_alone(void **state)
{
    sessions.limits.rooms_max = 1;
    struct browser *one = enter(0, "40");
    tell(DIRECTIVE_JOIN, "a", (struct whom){.room = NULL});
    tell(DIRECTIVE_JOIN, "b", (struct whom){.room = NULL});
    publish("[\"say\",1]", "a", NULL);
    publish("[\"say\",2]", "b", NULL);
    expect_by_then(one, "42[\"say\"", 1);
    assert_int_equal(sessions.refusals.counts[REFUSAL_ROOMS_FULL], 1);
}

static void bodies_are_checked(void **state)
{
    static const char *const bad[] = {"", "x", "j", "j1", "j1 ", "j0 ", "j2 a", "j9999999999999999999999 a", "d1 a"};
    struct directive directive;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(directive_decode(span_str(bad[i]), &directive));
    struct buf many = {0};
    buf_append_char(&many, 'j');
    for (int i = 0; i <= DIRECTIVE_ROOMS_MAX; i++)
        buf_append(&many, SPAN_LIT("1 a"));
    assert_false(directive_decode(buf_span(&many), &directive));
    assert_true(directive_decode(span_sub(buf_span(&many), 0, many.len - 3), &directive));
    assert_int_equal(directive.room_count, DIRECTIVE_ROOMS_MAX);
    buf_finish(&many);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, let_go)
    const struct CMUnitTest tests[] = {
        TEST(a_socket_joins),
        TEST(also_where_nothing_is_logged),
        TEST(a_socket_leaves),
        TEST(one_that_is_cut_off_joins_in_its_place),
        TEST(none_is_obeyed_twice),
        TEST(nor_when_a_queue_was_dropped),
        TEST(a_new_socket_obeys_nothing_old),
        TEST(the_policy_of_the_room_holds),
        TEST(nothing_is_sent_before_the_lease_records_it),
        TEST(one_is_disconnected),
        TEST(one_that_is_cut_off_is_disconnected_when_it_is_back),
        TEST(a_session_is_closed),
        TEST(a_limit_refuses_the_join_alone),
        TEST(bodies_are_checked),
    };
    return cmocka_run_group_tests_name("session/directive", tests, NULL, NULL);
}

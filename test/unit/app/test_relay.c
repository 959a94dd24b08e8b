/* test_relay: the relay's rules, rooms, exceptions, message names, questions and refusals. */
#include "asking.h"
#include "opened.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "wire/json.h"

static const char config[] = "/:\n"
                             "  log: {entries: 100}\n"
                             "  rooms: {\"n*\": {replay: all}, \"p*\": {presence: true}}\n"
                             "  events:\n"
                             "    join: {join: 0}\n"
                             "    leave: {leave: 0}\n"
                             "    say: {to: others, log: true, id: 1.id}\n"
                             "    all: {to: everyone, log: true}\n"
                             "    room: {to: room, room: 0, log: true}\n"
                             "    tell: {to: room-others, room: 0, except: 2, log: true}\n"
                             "    dm: {to: socket, socket: 0}\n"
                             "    past: {history: 0}\n"
                             "    who: {who: 0}\n"
                             "    move: {to: others, volatile: true}\n"
                             "    here: {to: others, local: true}\n"
                             "    near: {to: room-others, room: 0, except: 2, local: true}\n"
                             "/more:\n"
                             "  events: {all: {to: everyone}}\n";

static struct relay relay;

static int open_relay(void **state)
{
    relay_open_with(&relay, config);
    return 0;
}

static int close_relay(void **state)
{
    tear_down(state);
    relay_finish(&relay);
    return 0;
}

static size_t events_of(struct browser *browser)
{
    turn(30);
    look(browser);
    return count(browser, "42");
}

static void exceptions_that_cannot_be_read_keep_from_all(void **state)
{
    char sid[PID_BYTES], text[120];
    struct browser *one = enter(0, "40"), *kept = enter(1, "40"), *two = enter(2, "40");
    for (int i = 0; i < 3; i++)
        accepted(&browsers[i], "\"join\",\"r\"");
    quoted(kept, "40{", "\"sid\":\"", sid, sizeof sid);
    if (sid[0] == '\0') { /* the CONNECT reply has been cleared away by `asked` */
        cut(kept);
        kept = enter(3, "40");
        quoted(kept, "40{", "\"sid\":\"", sid, sizeof sid);
        accepted(kept, "\"join\",\"r\"");
    }
    static const char *const bad[] = {"{}", "\"\"", "true", "[null]", "[[]]", "[\"\"]", "[1,true]"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "\"tell\",\"r\",\"secret\",%s", bad[i]);
        refused(one, text, REFUSAL_EXCEPT_INVALID);
        snprintf(text, sizeof text, "\"tell\",\"r\",\"secret\",[\"%s\",%s]", sid, bad[i]);
        refused(one, text, REFUSAL_EXCEPT_INVALID);
    }
    assert_int_equal(events_of(two), 0);
    snprintf(text, sizeof text, "\"tell\",\"r\",\"secret\",[\"%s\"]", sid);
    accepted(one, text);
    assert_int_equal(events_of(two), 1);
    accepted(one, "\"tell\",\"r\",\"for all\",[]");
    accepted(one, "\"tell\",\"r\",\"for all\",null");
    accepted(one, "\"tell\",\"r\",\"for all\"");
    assert_int_equal(events_of(two), 4);
    assert_int_equal(events_of(kept), 3);
    /* The history does not show an event to a client that was excepted; the others, and the sender, find it there. */
    assert_null(strstr(asked(kept, "\"past\",\"r\",{\"limit\":10}"), "secret"));
    assert_non_null(strstr(asked(two, "\"past\",\"r\",{\"limit\":10}"), "secret"));
    assert_non_null(strstr(asked(one, "\"past\",\"r\",{\"limit\":10}"), "secret"));
}

static void a_name_that_cannot_be_read_is_refused(void **state)
{
    char text[126];
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    refused(one, "\"say\",0,{\"id\":{}}", REFUSAL_ID_INVALID);
    refused(one, "\"say\",0,{\"id\":[1]}", REFUSAL_ID_INVALID);
    refused(one, "\"say\",0,{\"id\":true}", REFUSAL_ID_INVALID);
    accepted(one, "\"say\",0,{\"id\":null}");
    accepted(one, "\"say\",0,{}");
    accepted(one, "\"say\",0");
    snprintf(text, sizeof text, "\"say\",0,{\"id\":\"%s\"}", "7d1e3c0a-5a35-4c43-9d1b-0f2c6f1d2f11");
    accepted(one, text);
    accepted(one, text);
    assert_int_equal(events_of(two), 4);
    assert_int_equal(relay.weak_ids, 0);
    accepted(one, "\"say\",0,{\"id\":7}");
    accepted(one, "\"say\",0,{\"id\":\"ann-1\"}");
    assert_int_equal(relay.weak_ids, 2);
}

/* Names are bytes: a NUL among them ends nothing, and chooses no other policy. */
static void a_room_may_hold_a_nul(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    accepted(one, "\"join\",\"n\\u0000\\u0000\"");
    accepted(one, "\"room\",\"n\\u0000\\u0000\",1");
    refused(one, "\"room\",\"n\",1", REFUSAL_ROOM_NOT_JOINED);
    accepted(two, "\"join\",\"n\\u0000\\u0000\""); /* its pattern replays everything */
    assert_int_equal(events_of(two), 1);
}

/* Ids come from databases as numbers. 42 and "42" are one room. */
static void a_number_names_a_room(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40"), *three = enter(2, "40");
    accepted(one, "\"join\",42");
    accepted(two, "\"join\",\"42\"");
    accepted(three, "\"join\",[42,-1.5]");
    refused(one, "\"room\",43,1", REFUSAL_ROOM_NOT_JOINED);
    accepted(one, "\"tell\",42,1");
    assert_int_equal(events_of(two), 1);
    assert_int_equal(events_of(three), 1);
    accepted(three, "\"room\",\"-1.5\",1");
    accepted(one, "\"tell\",42,1,-1.5");
    assert_int_equal(events_of(two), 2);
    assert_int_equal(events_of(three), 1); /* its own */
    assert_non_null(strstr(asked(one, "\"past\",42"), "entries"));
    accepted(two, "\"leave\",42");
    refused(two, "\"room\",\"42\",1", REFUSAL_ROOM_NOT_JOINED);
}

static void a_list_is_joined_and_left_whole(void **state)
{
    struct browser *one = enter(0, "40");
    accepted(one, "\"join\",[\"a\",\"b\",\"a\"]");
    accepted(one, "\"room\",\"a\",1");
    accepted(one, "\"room\",\"b\",1");
    accepted(one, "\"join\",[\"b\",\"c\"]");
    accepted(one, "\"room\",[\"a\",\"b\",\"c\"],1");
    refused(one, "\"join\",[\"d\",\"01234567890123456789\"]", REFUSAL_ROOM_IS_SOCKET);
    refused(one, "\"room\",\"d\",1", REFUSAL_ROOM_NOT_JOINED);
    accepted(one, "\"leave\",[\"a\",\"b\",\"never\"]");
    refused(one, "\"room\",\"a\",1", REFUSAL_ROOM_NOT_JOINED);
    refused(one, "\"room\",\"b\",1", REFUSAL_ROOM_NOT_JOINED);
    accepted(one, "\"room\",\"c\",1");
    accepted(one, "\"leave\",[\"never\"]");
}

/* A list that does not fit is refused as one, and only it. A room named twice counts once. */
static void a_list_beyond_the_limit_joins_nothing(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    sessions.limits.rooms_max = 4;
    accepted(one, "\"join\",[\"a\",\"b\"]");
    refused(one, "\"join\",[\"c\",\"d\",\"e\"]", REFUSAL_ROOMS_FULL);
    refused(one, "\"room\",\"c\",1", REFUSAL_ROOM_NOT_JOINED);
    accepted(one, "\"join\",[\"a\",\"c\",\"c\",\"d\",\"b\"]");
    refused(one, "\"join\",\"e\"", REFUSAL_ROOMS_FULL);
    accepted(one, "\"join\",[\"a\",\"d\"]");
    accepted(one, "\"room\",\"d\",1");
    sessions.limits.hub_rooms_max = (uint32_t)hub_room_count(sessions.hub) + 1;
    refused(two, "\"join\",[\"x\",\"y\"]", REFUSAL_INSTANCE_ROOMS_FULL);
    refused(two, "\"room\",\"x\",1", REFUSAL_ROOM_NOT_JOINED);
    accepted(two, "\"join\",[\"a\",\"x\"]");
}

static void what_is_asked_wrongly_is_told(void **state)
{
    struct browser *one = enter(0, "40");
    refused(one, "\"nothing\"", REFUSAL_EVENT_UNKNOWN);
    refused(one, "\"room\",\"x\",1", REFUSAL_ROOM_NOT_JOINED);
    refused(one, "\"join\",true", REFUSAL_ROOM_INVALID);
    refused(one, "\"join\",{\"room\":1}", REFUSAL_ROOM_INVALID);
    refused(one, "\"join\"", REFUSAL_ROOM_INVALID);
    refused(one, "\"join\",[]", REFUSAL_ROOM_INVALID);
    refused(one, "\"join\",\"\"", REFUSAL_ROOM_INVALID);
    refused(one, "\"dm\",5", REFUSAL_SOCKET_INVALID);
    refused(one, "\"dm\",\"nobody\"", REFUSAL_SOCKET_INVALID);
    refused(one, "\"past\",\"x\"", REFUSAL_ROOM_NOT_JOINED);
    refused(one, "\"past\",5", REFUSAL_ROOM_NOT_JOINED);
    refused(one, "\"past\",true", REFUSAL_ROOM_INVALID);
    refused(one, "\"past\",null,5", REFUSAL_RANGE_INVALID);
    refused(one, "\"past\",null,{\"limit\":0}", REFUSAL_RANGE_INVALID);
    refused(one, "\"past\",null,{\"limit\":\"5\"}", REFUSAL_RANGE_INVALID);
    refused(one, "\"past\",null,{\"after\":5}", REFUSAL_RANGE_INVALID);
    refused(one, "\"past\",null,{\"after\":\"x\"}", REFUSAL_POSITION_INVALID);
    refused(one, "\"who\",null,{\"cursor\":\"x\"}", REFUSAL_RANGE_INVALID);
    say(one, "42[\"past\"]");
    turn(20);
    assert_int_equal(sessions.refusals.counts[REFUSAL_ACK_MISSING], 1);
    accepted(one, "\"all\",1");
}

/* Sends an event, with the acknowledgement 1, that is nested so deep. */
static void say_nested(struct browser *browser, const char *prefix, int levels)
{
    struct buf text = {0};
    buf_append(&text, span_str(prefix));
    for (int i = 0; i < levels; i++)
        buf_append_char(&text, '[');
    for (int i = 0; i < levels; i++)
        buf_append_char(&text, ']');
    buf_append(&text, prefix[1] == '2' ? SPAN_LIT("]") : SPAN_LIT("}"));
    buf_append_char(&text, '\0');
    buf_clear(&browser->messages);
    say(browser, text.data + text.off);
    turn(20);
    look(browser);
    buf_finish(&text);
}

/* The array around the arguments is a level, too. */
static void an_event_too_deep_is_refused_alone(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    sessions.limits.nesting_max = 100;
    say_nested(one, "421[\"all\",", 99);
    assert_int_equal(count(one, "431[]"), 1);
    assert_int_equal(events_of(two), 1);
    static const int levels[] = {100, JSON_DEPTH_MAX - 1, JSON_DEPTH_MAX, 20000};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        say_nested(one, "421[\"all\",", levels[i]);
        assert_int_equal(count(one, "431[{\"error\":\"the JSON is nested deeper"), 1);
        assert_int_equal(sessions.refusals.counts[REFUSAL_TOO_DEEP], i + 1);
    }
    say_nested(one, "43", 20000); /* an answer to nothing */
    assert_false(one->closed);
    assert_int_equal(events_of(two), 1);
    accepted(one, "\"all\",1");
}

/* Where upstream has a refusal, too, its bytes are the client's answer: the cure is in the log. */
static void a_namespace_is_refused_with_a_cure(void **state)
{
    struct browser *one = enter(0, "40");
    say(one, "40/none,");
    expect(one, "44/none,{\"message\":\"Invalid namespace\"}");
    assert_int_equal(sessions.refusals.counts[REFUSAL_NAMESPACE_UNKNOWN], 1);
    say_nested(one, "40/more,{\"a\":", 600);
    expect(one, "44/more,{\"message\":\"Invalid payload\",\"data\":{\"error\":\"the JSON is nested deeper");
    sessions.limits.sockets_max = 1;
    say(one, "40/more,");
    expect(one, "44/more,{\"message\":\"Too many namespaces\",\"data\":{\"error\":");
    assert_int_equal(sessions.refusals.counts[REFUSAL_NAMESPACES_FULL], 1);
    assert_false(one->closed);
    accepted(one, "\"all\",1");
}

/* As React's StrictMode makes it. The reply goes out once, and the other namespace lives on, also when the reply was
 * out already. A session without another namespace ends then, as upstream has it. */
static void a_doubled_connect_joins_once(void **state)
{
    struct browser *one = enter(0, "40");
    buf_clear(&one->messages);
    say(one, "40/more,");
    say(one, "40/more,");
    turn(20);
    look(one);
    assert_int_equal(count(one, "40/more,"), 1);
    assert_false(one->closed);
    assert_int_equal(sessions.refusals.counts[REFUSAL_CONNECT_REPEATED], 1);
    accepted(one, "\"all\",1");
    say(one, "40/more,");
    turn(20);
    assert_int_equal(sessions.refusals.counts[REFUSAL_CONNECT_REPEATED], 2);
    accepted(one, "\"all\",1");
    say(one, "41/more,");
    say(one, "40");
    turn(20);
    assert_true(session_is_ending(one->websocket.transport.session));
}

/* The Close frame has the table's code and sentence, with the cure. */
static void a_close_says_why(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    say(one, "42[\"all\"");
    expect(one, "close 1008 a Socket.IO packet is invalid or unexpected: use a Socket.IO 3 or 4 client");
    sessions_close_some(&sessions, 10, CLOSE_DRAINED);
    expect(two, "close 1012 the instance is shutting down: connect again and reach another");
}

/* Until nothing more fits into the connection of `mute`, which does not read, as the other one does. */
static void fill_up(struct browser *from, struct browser *mute, struct browser *other_one)
{
    char text[126];
    snprintf(text, sizeof text, "42[\"here\",\"%0*d\"]", 100, 0);
    while (!conn_is_blocked(&mute->conn)) {
        for (int i = 0; i < 200; i++)
            say(from, text);
        turn(1);
        look(other_one);
        buf_clear(&other_one->messages);
    }
}

static void a_volatile_event_is_for_those_who_can_be_written_to(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40"), *three = enter(2, "40");
    say(one, "42[\"move\",1]");
    say(one, "42[\"move\",2]"); /* in one turn, too */
    expect(two, "42[\"move\",2,\"");
    assert_int_equal(count(two, "42[\"move\","), 2);
    say(one, "451-[\"move\",{\"_placeholder\":true,\"num\":0}]");
    say_binary(one, "bytes");
    expect(two, "b:bytes");
    fill_up(one, three, two);
    accepted(one, "\"move\",3");
    expect(two, "42[\"move\",3,\"");
    assert_int_equal(sessions.counters.volatile_dropped, 1);
    while (conn_is_blocked(&three->conn)) {
        look(three);
        turn(1);
    }
    accepted(one, "\"move\",4");
    expect(three, "42[\"move\",4,\"");
    assert_int_equal(count(three, "42[\"move\",3"), 0);
    assert_int_equal(sessions.counters.volatile_dropped, 1);
}

static void a_local_event_stays_here(void **state)
{
    char sid[PID_BYTES], text[126];
    struct browser *one = enter(0, "40"), *two = enter(1, "40"), *three = enter(2, "40");
    quoted(three, "40{", "\"sid\":\"", sid, sizeof sid);
    uint64_t pushed = hub_counters(hub)->pushed;
    accepted(one, "\"here\",1");
    expect(two, "42[\"here\",1,\"");
    for (int i = 0; i < 3; i++)
        accepted(&browsers[i], "\"join\",\"r\"");
    snprintf(text, sizeof text, "\"near\",\"r\",2,\"%s\"", sid);
    accepted(one, text);
    expect(two, "42[\"near\",\"r\",2,");
    turn(20);
    look(three);
    look(one);
    assert_int_equal(count(three, "42[\"near\""), 0);
    assert_int_equal(count(one, "42[\"near\""), 0);
    assert_int_equal(count(one, "42[\"here\""), 0);
    assert_int_equal(hub_counters(hub)->pushed, pushed); /* the broker was not asked */
    refused(one, "\"near\",\"else\",1", REFUSAL_ROOM_NOT_JOINED);
}

static void a_rule_that_cannot_be_is_refused_at_the_start(void **state)
{
    static const char *const wrong[][2] = {
        {"to: others, log: true, volatile: true", "does not go with `log:`"},
        {"to: others, log: true, local: true", "does not go with `log:`"},
        {"to: socket, socket: 0, local: true", "does not go with `to: socket`"},
        {"to: socket, socket: 0, ack: receiver, volatile: true", "does not go with `ack: receiver`"},
        {"to: servers", "they may come later"},
        {"to: others, volatile: 1", "true or false"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct err err = {0};
        struct relay bad;
        char *text = mem_printf("/: {events: {e: {%s}}}", wrong[i][0]);
        struct yaml_node *root = yaml_parse("config", span_str(text), &err);
        assert_false(relay_init(&bad, loop, root, &err));
        if (strstr(err.text, wrong[i][1]) == NULL)
            fail_msg("%s: %s", wrong[i][0], err.text);
        relay_finish(&bad);
        yaml_destroy(root);
        free(text);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_relay, close_relay)
    const struct CMUnitTest tests[] = {
        TEST(exceptions_that_cannot_be_read_keep_from_all),
        TEST(a_name_that_cannot_be_read_is_refused),
        TEST(a_room_may_hold_a_nul),
        TEST(a_number_names_a_room),
        TEST(a_list_is_joined_and_left_whole),
        TEST(a_list_beyond_the_limit_joins_nothing),
        TEST(an_event_too_deep_is_refused_alone),
        TEST(a_namespace_is_refused_with_a_cure),
        TEST(a_doubled_connect_joins_once),
        TEST(a_close_says_why),
        TEST(what_is_asked_wrongly_is_told),
        TEST(a_volatile_event_is_for_those_who_can_be_written_to),
        TEST(a_local_event_stays_here),
        TEST(a_rule_that_cannot_be_is_refused_at_the_start),
    };
    return cmocka_run_group_tests_name("app/relay", tests, NULL, NULL);
}

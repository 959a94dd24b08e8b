/* test_plain: clients of sennit.v1 in the relay's namespaces, on transports that follow a script, beside a client of
 * Socket.IO. */
#include <stdio.h>

#include "../session/script.h"
#include "../session/slow_broker.h"
#include "opened.h"
#include "session/plain.h"
#include "session/raw.h"
#include "session/socket.h"

static const char config[] = "/:\n"
                             "  log: {entries: 100}\n"
                             "  presence: {data: user}\n"
                             "  rooms: {\"quiet*\": {presence: false}}\n"
                             "  events:\n"
                             "    enter: {join: 0}\n"
                             "    exit: {leave: 0}\n"
                             "    all: {to: everyone, log: true, id: 0.id}\n"
                             "    others: {to: others}\n"
                             "    say: {to: room, room: 1, log: true}\n"
                             "    past: {history: 0}\n"
                             "    who: {who: 1}\n"
                             "/bare:\n"
                             "  events: {all: {to: everyone}}\n";

enum { CLIENTS = 3, LEAD_MS = 400, TIMEOUT_MS = 600, JSON_DEPTH_TEST = 1025 };

static struct relay relay;
static struct script clients[CLIENTS];

static int open_relay(void **state)
{
    relay_open_with(&relay, config);
    return 0;
}

static int close_relay(void **state)
{
    for (int i = 0; i < CLIENTS; i++)
        script_end(&clients[i]);
    let_go(state);
    relay_finish(&relay);
    return 0;
}

/* A plain client that is connected to "/", and of whose messages none waits. */
static struct script *plain(int number)
{
    struct script *client = &clients[number];
    script_begin(client, &plain_protocol);
    script_receive(client, "{\"type\":\"connect\"}");
    assert_int_equal(script_waiting(client, "{\"type\":\"connected\",\"ns\":\"/\","), 1);
    script_take(client);
    return client;
}

static struct script *socketio(int number)
{
    struct script *client = &clients[number];
    script_begin(client, &socket_protocol);
    script_receive(client, "40");
    assert_int_equal(script_waiting(client, "40{"), 1);
    script_take(client);
    return client;
}

/* The answer, or the error, that comes back for a message; nothing waits then. */
static const char *asked(struct script *client, const char *message)
{
    static char answer[4096];
    script_take(client);
    script_receive(client, message);
    bool ok = script_waiting(client, "{\"type\":\"answer\"") > 0;
    snprintf(answer, sizeof answer, "%s", script_last(client, ok ? "{\"type\":\"answer\"" : "{\"type\":\"error\""));
    script_take(client);
    return answer;
}

/* A message that asks for no answer is refused, and the error names this field (NULL: none). */
static void refused(struct script *client, const char *message, enum refusal refusal, const char *field)
{
    char expected[200];
    uint64_t before = sessions.refusals.counts[refusal];
    int len = snprintf(expected, sizeof expected, "\"reason\":\"%s\",", refusal_name(refusal));
    if (field != NULL)
        len += snprintf(expected + len, sizeof expected - (size_t)len, "\"field\":\"%s\",", field);
    snprintf(expected + len, sizeof expected - (size_t)len, "\"error\":\"");
    const char *answer = asked(client, message);
    if (strstr(answer, expected) == NULL)
        fail_msg("%s: %s, not %s", message, answer, expected);
    assert_int_equal(sessions.refusals.counts[refusal], before + 1);
    assert_false(client->closed);
}

/* The text between `before` and the next quote. */
static const char *part(const char *text, const char *before)
{
    static char to[TOKEN_BYTES];
    const char *at = strstr(text, before);
    assert_non_null(at);
    at += strlen(before);
    snprintf(to, sizeof to, "%.*s", (int)strcspn(at, "\""), at);
    return to;
}

static void a_welcome_says_what_a_client_must_know(void **state)
{
    sessions.instance = "one";
    sessions.request_timeout_ms = 300000;
    script_begin(&clients[0], &plain_protocol);
    assert_string_equal(script_last(&clients[0], "{"),
                        "{\"type\":\"welcome\",\"protocol\":\"sennit.v1\",\"instance\":\"one\",\"deadline_ms\":300000,"
                        "\"max_payload\":1000000,\"ping_interval_ms\":25000,\"ping_timeout_ms\":20000,"
                        "\"reconnect\":{\"min_ms\":100,\"max_ms\":1000}}");
}

static void a_wrong_message_is_answered_and_the_connection_goes_on(void **state)
{
    struct script *client = plain(0);
    static const struct {
        const char *message;
        enum refusal refusal;
        const char *field;
    } wrong[] = {
        {"", REFUSAL_MESSAGE_INVALID, NULL},
        {"hello", REFUSAL_MESSAGE_INVALID, NULL},
        {"{\"type\":\"join\"", REFUSAL_MESSAGE_INVALID, NULL},
        {"[\"join\"]", REFUSAL_MESSAGE_INVALID, NULL},
        {"{} {}", REFUSAL_MESSAGE_INVALID, NULL},
        {"bAAAA", REFUSAL_MESSAGE_INVALID, NULL},
        {"{}", REFUSAL_FIELD_INVALID, "type"},
        {"{\"type\":\"shout\"}", REFUSAL_FIELD_INVALID, "type"},
        {"{\"type\":7}", REFUSAL_FIELD_INVALID, "type"},
        {"{\"type\":\"join\",\"room\":\"r\",\"ref\":{}}", REFUSAL_FIELD_INVALID, "ref"},
        {"{\"type\":\"join\",\"room\":\"r\",\"ref\":\"longer than twenty\"}", REFUSAL_COUNT, NULL},
        {"{\"type\":\"join\",\"room\":\"r\",\"ref\":\"longer than twenty.\"}", REFUSAL_FIELD_INVALID, "ref"},
        {"{\"type\":\"join\"}", REFUSAL_FIELD_INVALID, "room"},
        {"{\"type\":\"join\",\"room\":{}}", REFUSAL_ROOM_INVALID, "room"},
        {"{\"type\":\"join\",\"rooms\":[\"a\",null]}", REFUSAL_ROOM_INVALID, "room"},
        {"{\"type\":\"leave\"}", REFUSAL_FIELD_INVALID, "room"},
        {"{\"type\":\"publish\"}", REFUSAL_FIELD_INVALID, "event"},
        {"{\"type\":\"publish\",\"event\":1}", REFUSAL_FIELD_INVALID, "event"},
        {"{\"type\":\"publish\",\"event\":\"none\"}", REFUSAL_EVENT_UNKNOWN, "event"},
        {"{\"type\":\"publish\",\"event\":\"all\",\"args\":{}}", REFUSAL_FIELD_INVALID, "args"},
        {"{\"type\":\"publish\",\"event\":\"all\",\"except_self\":1}", REFUSAL_FIELD_INVALID, "except_self"},
        {"{\"type\":\"publish\",\"event\":\"all\",\"id\":{}}", REFUSAL_ID_INVALID, "id"},
        {"{\"type\":\"publish\",\"event\":\"all\",\"room\":\"r\"}", REFUSAL_ROOM_UNASKED, "room"},
        {"{\"type\":\"publish\",\"event\":\"say\",\"room\":\"other\"}", REFUSAL_ROOM_NOT_JOINED, "room"},
        {"{\"type\":\"publish\",\"event\":\"say\",\"room\":true}", REFUSAL_ROOM_INVALID, "room"},
        {"{\"type\":\"publish\",\"event\":\"all\",\"attachments\":\"AA\"}", REFUSAL_FIELD_INVALID, "attachments"},
        {"{\"type\":\"publish\",\"event\":\"all\",\"attachments\":[\"A\"]}", REFUSAL_FIELD_INVALID, "attachments"},
        {"{\"type\":\"publish\",\"event\":\"all\",\"attachments\":[[]]}", REFUSAL_FIELD_INVALID, "attachments"},
        {"{\"type\":\"publish\",\"event\":\"all\",\"args\":[{\"_placeholder\":true,\"num\":1}],\"attachments\":[\"AA=="
         "\"]}",
         REFUSAL_FIELD_INVALID, "args"},
        {"{\"type\":\"publish\",\"event\":\"all\",\"attachments\":[\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\","
         "\"\"]}",
         REFUSAL_ATTACHMENTS, "attachments"},
        {"{\"type\":\"history\"}", REFUSAL_FIELD_INVALID, "ref"},
        {"{\"type\":\"history\",\"ref\":1,\"before\":\"nonsense\"}", REFUSAL_POSITION_INVALID, "before"},
        {"{\"type\":\"history\",\"ref\":1,\"after\":7}", REFUSAL_POSITION_INVALID, "after"},
        {"{\"type\":\"history\",\"ref\":1,\"limit\":0}", REFUSAL_RANGE_INVALID, "limit"},
        {"{\"type\":\"history\",\"ref\":1,\"before\":\"1a.1\",\"after\":\"1a.1\"}", REFUSAL_RANGE_INVALID, "after"},
        {"{\"type\":\"presence\",\"ref\":1,\"cursor\":1}", REFUSAL_RANGE_INVALID, "cursor"},
        {"{\"type\":\"presence\",\"ref\":1,\"cursor\":\"a\"}", REFUSAL_RANGE_INVALID, "cursor"},
        {"{\"type\":\"history\",\"ref\":1,\"room\":\"other\"}", REFUSAL_ROOM_NOT_JOINED, "room"},
        {"{\"type\":\"presence\"}", REFUSAL_FIELD_INVALID, "ref"},
        {"{\"type\":\"connect\"}", REFUSAL_CONNECTED_ALREADY, "type"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (wrong[i].refusal != REFUSAL_COUNT)
            refused(client, wrong[i].message, wrong[i].refusal, wrong[i].field);
        else
            assert_non_null(strstr(asked(client, wrong[i].message), "\"result\":null"));
    session_received_binary(client->transport.session, SPAN_LIT("bytes"));
    assert_int_equal(script_waiting(client, "{\"type\":\"error\",\"reason\":\"message_invalid\""), 1);
    assert_string_equal(asked(client, "{\"type\":\"join\",\"room\":\"r\",\"ref\":\"a\",\"more\":[1]}"),
                        "{\"type\":\"answer\",\"ref\":\"a\",\"result\":null}");
}

static void nesting_is_bounded(void **state)
{
    struct script *client = plain(0);
    sessions.limits.nesting_max = 3;
    assert_non_null(strstr(asked(client, "{\"type\":\"publish\",\"event\":\"all\",\"args\":[[[1]]],\"ref\":1}"),
                           "\"result\":null"));
    assert_non_null(strstr(asked(client, "{\"type\":\"publish\",\"event\":\"all\",\"args\":[[[[1]]]],\"ref\":2}"),
                           "\"ref\":2,\"reason\":\"too_deep\",\"field\":\"args\""));
    char deep[2 * JSON_DEPTH_TEST + 1];
    memset(deep, '[', JSON_DEPTH_TEST);
    memset(deep + JSON_DEPTH_TEST, ']', JSON_DEPTH_TEST);
    deep[2 * JSON_DEPTH_TEST] = '\0';
    refused(client, deep, REFUSAL_TOO_DEEP, NULL);
}

static void a_client_connects_once_and_what_follows_waits(void **state)
{
    struct script *client = &clients[0];
    script_begin(client, &plain_protocol);
    refused(client, "{\"type\":\"join\",\"room\":\"r\"}", REFUSAL_NOT_CONNECTED, "type");
    refused(client, "{\"type\":\"connect\",\"ns\":\"/none\"}", REFUSAL_NAMESPACE_UNKNOWN, "ns");
    refused(client, "{\"type\":\"connect\",\"ns\":[]}", REFUSAL_FIELD_INVALID, "ns");
    refused(client, "{\"type\":\"connect\",\"auth\":1}", REFUSAL_FIELD_INVALID, "auth");
    session_received(client->transport.session, SPAN_LIT("{\"type\":\"connect\",\"ns\":\"/bare\"}"));
    assert_true(client->paused);
    turn(5);
    assert_false(client->paused);
    const char *text = script_last(client, "{\"type\":\"connected\"");
    assert_non_null(strstr(text, "\"ns\":\"/bare\""));
    assert_non_null(strstr(text, "\"resume\":null,\"recovered\":false,\"at\":null}"));
    refused(client, "{\"type\":\"history\",\"ref\":1}", REFUSAL_VERB_UNKNOWN, "type");
    script_receive(client, "{\"type\":\"publish\",\"event\":\"all\"}");
    assert_string_equal(script_last(client, "{\"type\":\"event\""),
                        "{\"type\":\"event\",\"event\":\"all\",\"args\":[]}");
}

static void both_kinds_hear_each_other(void **state)
{
    struct script *ann = plain(0), *bob = plain(1), *cat = socketio(2);
    script_receive(ann, "{\"type\":\"join\",\"rooms\":[\"r\",7]}");
    script_receive(bob, "{\"type\":\"join\",\"room\":\"r\"}");
    script_receive(cat, "420[\"enter\",\"r\"]");
    /* The rule takes the room from the second argument. */
    script_receive(ann, "{\"type\":\"publish\",\"event\":\"say\",\"room\":\"r\",\"args\":[ 1 ,{\"a\":[]} ]}");
    assert_int_equal(script_waiting(cat, "42[\"say\",1,\"r\",{\"a\":[]},\""), 1);
    assert_int_equal(
        script_waiting(bob, "{\"type\":\"event\",\"event\":\"say\",\"args\":[1,\"r\",{\"a\":[]}],\"at\":\""), 1);
    script_receive(ann, "{\"type\":\"publish\",\"event\":\"say\",\"room\":\"r\",\"args\":[]}");
    assert_int_equal(script_waiting(cat, "42[\"say\",null,\"r\",\""), 1);
    script_receive(ann, "{\"type\":\"publish\",\"event\":\"say\",\"args\":[2,\"r\"]}");
    assert_int_equal(script_waiting(cat, "42[\"say\",2,\"r\",\""), 1);
    script_receive(cat, "42[\"say\",3,\"r\"]");
    assert_int_equal(script_waiting(ann, "{\"type\":\"event\",\"event\":\"say\",\"args\":[3,\"r\"],\"at\":\""), 1);
    assert_int_equal(script_waiting(ann, "{\"type\":\"event\",\"event\":\"say\""), 4);
    script_receive(ann, "{\"type\":\"publish\",\"event\":\"say\",\"room\":\"r\",\"args\":[5],\"except_self\":true}");
    assert_int_equal(script_waiting(ann, "{\"type\":\"event\",\"event\":\"say\""), 4);
    assert_int_equal(script_waiting(bob, "{\"type\":\"event\",\"event\":\"say\""), 5);
    script_receive(ann, "{\"type\":\"leave\",\"rooms\":[\"r\",7]}");
    refused(ann, "{\"type\":\"publish\",\"event\":\"say\",\"room\":\"r\"}", REFUSAL_ROOM_NOT_JOINED, "room");
}

static void a_named_message_counts_once(void **state)
{
    struct script *client = plain(0);
    static const char first[] =
        "{\"type\":\"publish\",\"event\":\"all\",\"args\":[1],\"id\":\"0123456789ab\",\"ref\":1}";
    assert_non_null(strstr(asked(client, first), "\"result\":null"));
    script_receive(client, first); /* it is accepted, and nobody gets it twice */
    assert_int_equal(script_waiting(client, "{\"type\":\"answer\",\"ref\":1,\"result\":null}"), 1);
    assert_int_equal(script_waiting(client, "{\"type\":\"event\""), 0);
    assert_non_null(
        strstr(asked(client, "{\"type\":\"publish\",\"event\":\"all\",\"args\":[2],\"id\":\"0123456789ab\",\"ref\":2}"),
               "{\"type\":\"error\",\"ref\":2,\"reason\":\"id_taken\",\"field\":\"id\""));
    /* The name that the rule takes from an argument is of the same kind. */
    script_receive(client, "{\"type\":\"publish\",\"event\":\"all\",\"args\":[{\"id\":\"0123456789ab\"}],\"ref\":3}");
    assert_int_equal(script_waiting(client, "{\"type\":\"error\",\"ref\":3,\"reason\":\"id_taken\""), 1);
}

static void history_and_presence_are_answered(void **state)
{
    struct script *ann = &clients[0];
    script_begin(ann, &plain_protocol);
    script_receive(ann, "{\"type\":\"connect\",\"auth\":{\"user\":\"ann\"}}");
    script_take(ann);
    script_receive(ann, "{\"type\":\"join\",\"room\":\"r\"}");
    assert_int_equal(script_waiting(ann, "{\"type\":\"event\",\"event\":\"presence\",\"args\":[{\"room\":\"r\""), 1);
    for (int i = 0; i < 3; i++)
        script_receive(ann, "{\"type\":\"publish\",\"event\":\"say\",\"room\":\"r\",\"args\":[1]}");
    const char *answer = asked(ann, "{\"type\":\"history\",\"room\":\"r\",\"limit\":2,\"ref\":5}");
    assert_non_null(strstr(answer, "{\"type\":\"answer\",\"ref\":5,\"result\":{\"entries\":[{\"at\":\""));
    assert_non_null(strstr(answer, "\"args\":[\"say\",1,\"r\"]}],\"more\":true,\"gap\":false}}"));
    char before[200];
    snprintf(before, sizeof before, "{\"type\":\"history\",\"room\":\"r\",\"before\":\"%s\",\"ref\":6}",
             part(answer, "{\"at\":\""));
    answer = asked(ann, before);
    assert_non_null(strstr(answer, "\"more\":false"));
    assert_non_null(strstr(asked(ann, "{\"type\":\"history\",\"ref\":7}"), "{\"entries\":[]"));
    answer = asked(ann, "{\"type\":\"presence\",\"room\":\"r\",\"ref\":8}");
    assert_non_null(strstr(answer, "\"result\":{\"members\":[{\"id\":\""));
    assert_non_null(strstr(answer, "\"data\":\"ann\"}],\"count\":1,\"cursor\":null}}"));
}

static void attachments_go_both_ways(void **state)
{
    struct script *ann = plain(0), *cat = socketio(1);
    script_receive(ann, "{\"type\":\"publish\",\"event\":\"all\",\"args\":[{\"_placeholder\":true,\"num\":1},"
                        "{\"_placeholder\":true,\"num\":0}],\"attachments\":[\"AQI=\",\"\\/\\/8\"]}");
    assert_int_equal(script_waiting(cat, "452-[\"all\",{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,"
                                         "\"num\":0},\""),
                     1);
    assert_non_null(strstr(script_last(cat, "452-"), "\n\001\002\n\377\377"));
    assert_int_equal(script_waiting(ann,
                                    "{\"type\":\"event\",\"event\":\"all\",\"args\":[{\"_placeholder\":true,\"num\":1},"
                                    "{\"_placeholder\":true,\"num\":0}],\"attachments\":[\"AQI=\",\"//8=\"],\"at\":\""),
                     1);
    script_take(ann);
    session_received(cat->transport.session, SPAN_LIT("451-[\"all\",{\"_placeholder\":true,\"num\":0}]"));
    session_received_binary(cat->transport.session, SPAN_LIT("\001"));
    turn(5);
    assert_non_null(strstr(script_last(ann, "{\"type\":\"event\""), "}],\"attachments\":[\"AQ==\"],\"at\":\""));
    const char *answer = asked(ann, "{\"type\":\"history\",\"ref\":1}");
    assert_non_null(strstr(answer, ",\"attachments\":[\"AQI=\",\"//8=\",\"AQ==\"]}"));
}

/* Another program has written into the log. The client is told, and what it gets is JSON all the same. */
static void a_damaged_event_is_told(void **state)
{
    static const struct broker_retention retention = {.entries_max = 100, .bytes_max = 1 << 20, .age_ms_max = 3600000};
    static const struct span bodies[] = {{"[\"all\",", 7}, {"", 0}, {"[]", 2}, {"\1\1\0\0\0\1x[\"all\"", 13}};
    struct script *client = plain(0);
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct broker_publish publish = {.room = SPAN_LIT("/"), .body = bodies[i], .retention = &retention};
        assert_true(broker_publish(broker, &publish, NULL, NULL));
        turn(5);
        const char *told = script_last(client, "{\"type\":\"event\"");
        assert_non_null(strstr(told, "\"event\":\"sennit\",\"args\":[{\"damaged\":true}],\"at\":\""));
        script_take(client);
    }
    assert_true(sessions.refusals.counts[REFUSAL_EVENT_DAMAGED] > 0);
}

/* A client that was cut off, with what it keeps. */
struct kept {
    char id[TOKEN_BYTES], resume[TOKEN_BYTES], at[TOKEN_BYTES];
};

static void keep(struct kept *kept, struct script *client)
{
    const char *connected = script_last(client, "{\"type\":\"connected\"");
    snprintf(kept->id, sizeof kept->id, "%s", part(connected, "\"id\":\""));
    snprintf(kept->resume, sizeof kept->resume, "%s", part(connected, "\"resume\":\""));
    kept->at[0] = '\0';
}

static struct script *come_back(int number, const struct kept *kept, bool recovered)
{
    char id[100], text[100];
    struct script *client = &clients[number];
    struct plain_connect connect = {.nsp = SPAN_LIT("/"), .resume = span_str(kept->resume), .at = span_str(kept->at)};
    plain_connect(script_begin(client, &plain_protocol), &connect);
    turn(20);
    snprintf(id, sizeof id, "\"id\":\"%s\"", kept->id);
    snprintf(text, sizeof text, "\"recovered\":%s,\"at\":%s%s%s", recovered ? "true" : "false",
             recovered && kept->at[0] != '\0' ? "\"" : "null", recovered ? kept->at : "",
             recovered && kept->at[0] != '\0' ? "\"" : "");
    const char *connected = script_last(client, "{\"type\":\"connected\"");
    assert_non_null(strstr(connected, text));
    assert_true(recovered == (strstr(connected, id) != NULL));
    return client;
}

static size_t numbers(const struct script *client)
{
    return script_waiting(client, "{\"type\":\"event\",\"event\":\"all\"");
}

static void a_cut_client_gets_what_it_missed(void **state)
{
    struct kept kept;
    struct script *ann = &clients[0], *bob = plain(1);
    script_begin(ann, &plain_protocol);
    script_receive(ann, "{\"type\":\"connect\"}");
    keep(&kept, ann);
    script_receive(bob, "{\"type\":\"publish\",\"event\":\"all\",\"args\":[1]}");
    script_end(ann);
    script_receive(bob, "{\"type\":\"publish\",\"event\":\"all\",\"args\":[2]}");
    ann = come_back(0, &kept, true); /* without a position: everything since it connected */
    assert_int_equal(numbers(ann), 2);
    snprintf(kept.at, sizeof kept.at, "%s",
             part(script_last(ann, "{\"type\":\"event\",\"event\":\"all\",\"args\":[1]"), "\"at\":\""));
    script_end(ann);
    script_receive(bob, "{\"type\":\"publish\",\"event\":\"all\",\"args\":[3]}");
    ann = come_back(0, &kept, true);
    assert_int_equal(numbers(ann), 2);
    assert_int_equal(script_waiting(ann, "{\"type\":\"event\",\"event\":\"all\",\"args\":[2]"), 1);
    script_end(ann);
    snprintf(kept.at, sizeof kept.at, "%s", "nonsense");
    ann = come_back(0, &kept, false);
    script_end(ann);
    kept.at[0] = '\0';
    /* A secret that is not ours: a new socket, and the client is told. */
    snprintf(kept.resume, sizeof kept.resume, "%s", "AAAAAAAAAAAAAAAAAAAA");
    ann = come_back(0, &kept, false);
    script_end(ann);
    snprintf(kept.resume, sizeof kept.resume, "%s", "secret");
    come_back(0, &kept, false);
}

static void a_client_may_come_before_it_has_gone(void **state)
{
    struct kept kept;
    struct script *old = &clients[0], *bob = plain(1);
    script_begin(old, &plain_protocol);
    script_receive(old, "{\"type\":\"connect\"}");
    keep(&kept, old);
    script_receive(bob, "{\"type\":\"publish\",\"event\":\"all\",\"args\":[1]}");
    snprintf(kept.at, sizeof kept.at, "%s",
             part(script_last(old, "{\"type\":\"event\",\"event\":\"all\""), "\"at\":\""));
    struct script *new = come_back(2, &kept, true);
    assert_true(old->closed);
    assert_int_equal(old->reason, CLOSE_SUPERSEDED);
    assert_int_equal(close_reason_ws_code(old->reason), 4001);
    script_receive(bob, "{\"type\":\"publish\",\"event\":\"all\",\"args\":[2]}");
    assert_int_equal(numbers(old), 1);
    assert_int_equal(numbers(new), 1);
    script_end(old); /* and the new one goes on */
    script_receive(bob, "{\"type\":\"publish\",\"event\":\"all\",\"args\":[3]}");
    assert_int_equal(numbers(new), 2);
    assert_string_equal(asked(new, "{\"type\":\"join\",\"room\":\"r\",\"ref\":1}"),
                        "{\"type\":\"answer\",\"ref\":1,\"result\":null}");
}

static void a_notice_comes_before_a_rotation(void **state)
{
    sessions.limits.rotate_lead_ms = LEAD_MS;
    sessions.request_timeout_ms = TIMEOUT_MS;
    struct script *client = plain(0), *packets = socketio(1);
    uint64_t begin = loop_now_us(loop);
    while (script_waiting(client, "{\"type\":\"closing\",\"in_ms\":") == 0 && loop_now_us(loop) - begin < LOOP_MS(5000))
        turn(5);
    unsigned in_ms = 0;
    sscanf(script_last(client, "{\"type\":\"closing\""),
           "{\"type\":\"closing\",\"in_ms\":%u,\"reconnect\":{\"min_ms\":", &in_ms);
    assert_in_range(in_ms, LEAD_MS / 4 - 20, LEAD_MS * 3 / 4);
    assert_false(client->closed);
    assert_string_equal(asked(client, "{\"type\":\"join\",\"room\":\"r\",\"ref\":1}"),
                        "{\"type\":\"answer\",\"ref\":1,\"result\":null}"); /* it is served until then */
    turn(in_ms + 50);
    assert_true(client->closed);
    assert_int_equal(client->reason, CLOSE_ROTATED);
    assert_int_equal(script_waiting(client, "{\"type\":\"closing\""), 0);
    assert_int_equal(script_waiting(packets, "{"), 0);
    assert_int_equal(sessions.counters.rotated, 2);
}

static void a_notice_comes_before_a_shutdown(void **state)
{
    struct script *client = plain(0), *packets = socketio(1), *silent = &clients[2];
    script_begin(silent, &plain_protocol);
    sessions_close_some(&sessions, 3, CLOSE_DRAINED);
    assert_true(packets->closed);
    assert_false(client->closed);
    assert_int_equal(script_waiting(client, "{\"type\":\"closing\",\"in_ms\":1000,\"reconnect\":{\"min_ms\":"), 1);
    assert_int_equal(sessions_close_some(&sessions, 3, CLOSE_DRAINED), 0);
    assert_int_equal(script_waiting(client, "{\"type\":\"closing\""), 1);
    script_receive(silent, "{\"type\":\"connect\"}"); /* it connects all the same, and ends all the same */
    assert_int_equal(script_waiting(silent, "{\"type\":\"connected\""), 1);
    turn(1100);
    assert_true(client->closed && silent->closed);
    assert_int_equal(client->reason, CLOSE_DRAINED);
}

static void a_client_that_answers_no_ping_is_closed(void **state)
{
    sessions.limits.ping_interval_ms = 20;
    sessions.limits.ping_timeout_ms = 60;
    struct script *client = plain(0);
    turn(30);
    assert_int_equal(client->pings, 1);
    session_transport_ponged(client->transport.session, client->ping_number);
    turn(40);
    assert_int_equal(client->pings, 2);
    session_transport_ponged(client->transport.session, client->ping_number + 1); /* unasked: it proves nothing */
    turn(80);
    assert_int_equal(client->pings, 2);
    assert_true(client->closed);
    assert_int_equal(client->reason, CLOSE_PING_TIMEOUT);
}

/* Events of a client that does not read are dropped behind the first, and come again. */
static void a_slow_reader_gets_everything_once_it_reads(void **state)
{
    struct script *client = plain(0), *writer = plain(1);
    sessions.limits.slow_queue_bytes = 1;
    for (int i = 0; i < 5; i++) {
        char text[100];
        snprintf(text, sizeof text, "{\"type\":\"publish\",\"event\":\"all\",\"args\":[%d]}", i);
        script_receive(writer, text);
        script_take(writer);
    }
    assert_int_equal(numbers(client), 1);
    assert_true(client->awaited);
    sessions.limits.slow_queue_bytes = 1 << 20;
    script_take(client);
    turn(20);
    assert_int_equal(numbers(client), 4);
    assert_int_equal(script_waiting(client, "{\"type\":\"event\",\"event\":\"all\",\"args\":[1],"), 1);
    assert_int_equal(script_waiting(client, "{\"type\":\"event\",\"event\":\"all\",\"args\":[4],"), 1);
}

static void until_closed(const struct script *client)
{
    for (int i = 0; i < 2000 && !client->closed; i++)
        turn(5);
    assert_true(client->closed);
}

/* While nothing is read, no pong is awaited either. So there is another end to it. On a busy machine both may be over
 * by the time that the first is looked at. */
static void a_client_that_waits_in_vain_is_closed(void **state)
{
    struct script *client = &clients[0], *silent = &clients[1];
    sessions.limits.connect_timeout_ms = 300;
    sessions.limits.ping_interval_ms = sessions.limits.ping_timeout_ms = 10;
    hold();
    slow.lease_write = lease_write_held;
    script_begin(client, &plain_protocol);
    script_begin(silent, &plain_protocol);
    session_received(client->transport.session, SPAN_LIT("{\"type\":\"connect\"}"));
    until_closed(silent);
    assert_int_equal(silent->reason, CLOSE_PING_TIMEOUT);
    assert_true(client->paused || client->closed);
    until_closed(client);
    assert_false(client->paused);
    assert_int_equal(client->reason, CLOSE_CONNECT_PACKET_TIMEOUT);
    script_end(client);
    release();
}

static struct script *raw(int number, const char *room)
{
    struct script *client = &clients[number];
    assert_int_equal(raw_check(&sessions, &relay.raw.nsp, span_str(room)), REFUSAL_COUNT);
    raw_enter(script_begin(client, &raw_protocol), &relay.raw.nsp, span_str(room));
    turn(5);
    assert_int_equal(client->count, 0); /* no greeting */
    assert_false(client->paused);
    return client;
}

static void raw_messages_go_to_the_others_as_they_came(void **state)
{
    struct script *ann = raw(0, "r"), *bob = raw(1, "r"), *cat = raw(2, "s");
    script_receive(ann, "{any text");
    script_receive(ann, "");
    session_received_binary(ann->transport.session, SPAN_LIT("\001\377"));
    turn(5);
    assert_int_equal(bob->count, 3);
    assert_int_equal(script_waiting(bob, "{any text"), 1);
    assert_int_equal(bob->sent[1].frame->len, 0);
    assert_string_equal(script_last(bob, "\n"), "\n\001\377"); /* the script's form of a binary message */
    assert_int_equal(ann->count, 0);
    assert_int_equal(cat->count, 0);
    script_end(cat);
    cat = plain(2); /* whatever it is called, no other kind of client is in that room */
    script_receive(cat, "{\"type\":\"join\",\"room\":\"r\"}");
    script_take(cat);
    script_receive(ann, "more");
    assert_int_equal(script_waiting(bob, "more"), 1);
    assert_int_equal(cat->count, 0);
    script_end(ann);
    script_begin(ann, &plain_protocol);
    refused(ann, "{\"type\":\"connect\",\"ns\":\"raw\"}", REFUSAL_NAMESPACE_UNKNOWN, "ns");
}

static void raw_rooms_are_bounded(void **state)
{
    char name[BROKER_ROOM_BYTES_MAX];
    memset(name, 'r', sizeof name);
    assert_int_equal(raw_check(&sessions, &relay.raw.nsp, SPAN_LIT("")), REFUSAL_ROOM_INVALID);
    assert_int_equal(raw_check(&sessions, &relay.raw.nsp, span_of(name, sizeof name)), REFUSAL_ROOM_INVALID);
    assert_int_equal(raw_check(&sessions, &relay.raw.nsp, SPAN_LIT("AAAAAAAAAAAAAAAAAAAA")), REFUSAL_ROOM_IS_SOCKET);
    raw(0, "r");
    sessions.limits.hub_rooms_max = (uint32_t)hub_room_count(hub);
    assert_int_equal(raw_check(&sessions, &relay.raw.nsp, SPAN_LIT("s")), REFUSAL_INSTANCE_ROOMS_FULL);
    raw(1, "r");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_relay, close_relay)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_welcome_says_what_a_client_must_know),
        TEST(a_wrong_message_is_answered_and_the_connection_goes_on),
        TEST(nesting_is_bounded),
        TEST(a_client_connects_once_and_what_follows_waits),
        TEST(both_kinds_hear_each_other),
        TEST(a_named_message_counts_once),
        TEST(history_and_presence_are_answered),
        TEST(attachments_go_both_ways),
        TEST(a_damaged_event_is_told),
        TEST(a_cut_client_gets_what_it_missed),
        TEST(a_client_may_come_before_it_has_gone),
        TEST(a_notice_comes_before_a_rotation),
        TEST(a_notice_comes_before_a_shutdown),
        TEST(a_client_that_answers_no_ping_is_closed),
        TEST(a_slow_reader_gets_everything_once_it_reads),
        TEST(a_client_that_waits_in_vain_is_closed),
        TEST(raw_messages_go_to_the_others_as_they_came),
        TEST(raw_rooms_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_bridge: two instances' bridges on one hub, a real Redis, and a server of Socket.IO that is played: what comes
 * from it reaches each socket once and is logged once, what is of our fleet is left alone, what it asks is answered,
 * and nothing that it sends breaks anything. */
#include "../session/fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "../app/opened.h"
#include "../broker/redis_process.h"
#include "app/relay.h"
#include "base/mem.h"
#include "bridge/adapter_message.h"
#include "bridge/bridge.h"
#include "bridge/redis_pair.h"
#include "session/backend.h"
#include "session/inquiry.h"
#include "wire/msgpack.h"

enum { WAIT_MS = 10000, BRIDGES = 2 };

static const char rules[] = "/:\n"
                            "  auth: none\n"
                            "  events: {join: {join: 0}, say: {to: others}}\n"
                            "/log:\n"
                            "  auth: none\n"
                            "  log: {entries: 100}\n"
                            "  replay: all\n"
                            "  events: {join: {join: 0}, say: {to: everyone, log: true}, quiet: {to: everyone}}\n";

static struct redis_process redis;
static struct relay relay;
static struct net own;
static struct bridge_config config;
static struct bridge *bridges[BRIDGES];
static struct redis_pair peer;
static struct buf heard; /* by the peer: channel, space, payload, newline */
static bool peer_up;

static void peer_subscribe(void *arg)
{
    redis_pair_subscribe(&peer, SPAN_LIT("PSUBSCRIBE"), SPAN_LIT("socket.io*"));
}

static void peer_confirmed(void *arg)
{
    peer_up = true;
}

static void peer_down(void *arg)
{
    peer_up = false;
}

static void peer_received(void *arg, struct span channel, struct span payload)
{
    buf_append(&heard, channel);
    buf_append_char(&heard, ' ');
    buf_append(&heard, payload);
    buf_append_char(&heard, '\n');
}

static const struct redis_pair_events peer_events = {peer_subscribe, peer_confirmed, peer_down, peer_received};

static size_t heard_count(const char *part)
{
    size_t found = 0;
    for (struct span rest = buf_span(&heard); rest.len > 0; rest = span_from(rest, 1))
        found += span_starts_with(rest, span_str(part));
    return found;
}

static void until_heard(const char *part, size_t times)
{
    for (int ms = 0; heard_count(part) < times; ms += 2) {
        if (ms > WAIT_MS)
            fail_msg("%s was not heard", part);
        turn(2);
    }
}

static void until_up(void)
{
    for (int ms = 0; !bridge_is_up(bridges[0]) || !bridge_is_up(bridges[1]) || !peer_up; ms += 2) {
        assert_true(ms < WAIT_MS);
        turn(2);
    }
    turn(30); /* their marks */
}

static int open_all(void **state)
{
    char *url = mem_printf("redis://127.0.0.1:%u", redis.port);
    struct err err;
    relay_open_with(&relay, rules);
    net_init(&own, loop);
    config = (struct bridge_config){.url = url, .key = mem_text(SPAN_LIT("socket.io"))};
    for (int i = 0; i < BRIDGES; i++) {
        bridges[i] = bridge_create(&sessions, &relay, &own, &config, SPAN_LIT("fleet"), &err);
        assert_non_null(bridges[i]);
    }
    peer_up = false;
    assert_true(redis_pair_init(&peer, &own, url, &peer_events, NULL, &err));
    until_up();
    return 0;
}

static int close_all(void **state)
{
    redis_pair_finish(&peer);
    for (int i = 0; i < BRIDGES; i++)
        bridge_destroy(bridges[i]);
    buf_finish(&heard);
    net_finish(&own);
    bridge_config_finish(&config);
    tear_down(state);
    relay_finish(&relay);
    return 0;
}

/* A message of the played server. */
static void tell(enum adapter_kind kind, struct adapter_outgoing outgoing, const char *args)
{
    struct content content = content_of(span_str(args));
    struct buf bytes = {0};
    char channel[64];
    outgoing.uid = outgoing.uid.len > 0 ? outgoing.uid : SPAN_LIT("node01");
    outgoing.content = &content;
    snprintf(channel, sizeof channel, "socket.io%s#" SPAN_FMT "#", kind == ADAPTER_BROADCAST ? "" : "-request",
             SPAN_ARG(outgoing.nsp));
    adapter_message_write(&bytes, kind, &outgoing);
    assert_true(redis_pair_publish(&peer, SPAN_LIT("PUBLISH"), span_str(channel), buf_span(&bytes)));
    buf_finish(&bytes);
}

static void emit(const char *nsp_name, const char *args)
{
    tell(ADAPTER_BROADCAST, (struct adapter_outgoing){.nsp = span_str(nsp_name)}, args);
}

static void request(const char *json)
{
    assert_true(redis_pair_publish(&peer, SPAN_LIT("PUBLISH"), SPAN_LIT("socket.io-request#/#"), span_str(json)));
}

static struct browser *enter_log(int number)
{
    struct browser *browser = dial(number);
    say(browser, "40/log,");
    expect(browser, "40/log,{");
    return browser;
}

static size_t events_of(struct browser *browser, const char *start)
{
    turn(50);
    look(browser);
    return count(browser, start);
}

/* Both bridges deliver to the sockets of one hub here: in a fleet, each has its own. */
static void broadcasts_reach_sockets(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    struct span room = SPAN_LIT("r");
    say(one, "421[\"join\",\"r\"]");
    expect(one, "431[]");
    emit("/", "[\"hello\",{\"a\":1}]");
    tell(ADAPTER_BROADCAST, (struct adapter_outgoing){.nsp = SPAN_LIT("/"), .rooms = &room, .room_count = 1},
         "[\"in\"]");
    tell(ADAPTER_BROADCAST, (struct adapter_outgoing){.nsp = SPAN_LIT("/"), .excepts = &room, .except_count = 1},
         "[\"out\"]");
    expect(two, "42[\"out\"]");
    assert_int_equal(events_of(one, "42[\"hello\",{\"a\":1}]"), BRIDGES);
    assert_int_equal(events_of(one, "42[\"in\"]"), BRIDGES);
    assert_int_equal(events_of(one, "42[\"out\"]"), 0);
    assert_int_equal(events_of(two, "42[\"in\"]"), 0);
}

static void what_is_logged_is_logged_once(void **state)
{
    struct browser *one = enter_log(0);
    for (int i = 0; i < 3; i++)
        emit("/log", "[\"say\",\"same\"]");
    emit("/log", "[\"say\",\"other\"]");
    expect(one, "42/log,[\"say\",\"other\"");
    assert_int_equal(events_of(one, "42/log,[\"say\",\"same\""), 3);
    assert_int_equal(events_of(one, "42/log,[\"say\",\"other\""), 1);
    struct browser *late = enter_log(1);
    assert_int_equal(events_of(late, "42/log,[\"say\""), 4);
}

/* What a bridge hands to the broker is reported to it like anything else that is published. */
static void nothing_goes_back(void **state)
{
    struct span room = SPAN_LIT("r");
    bridge_destroy(bridges[0]);
    bridges[0] = NULL;
    struct browser *one = enter_log(0);
    emit("/log", "[\"say\",\"there\"]");
    tell(ADAPTER_JOIN, (struct adapter_outgoing){.nsp = SPAN_LIT("/log"), .targets = &room, .target_count = 1}, "[]");
    expect(one, "42/log,[\"say\",\"there\"");
    turn(50);
    assert_int_equal(heard_count("there"), 1);
    assert_int_equal(heard_count("\"rooms\":[\"r\"]"), 1);
    assert_int_equal(bridge_counters(bridges[1])->logged, 2);
    assert_int_equal(bridge_counters(bridges[1])->sent, 0);
}

/* The bridges lose their link, and come back, one after the other. */
static void a_broken_link_doubles_nothing(void **state)
{
    struct browser *one = enter_log(0);
    emit("/log", "[\"say\",\"first\"]");
    expect(one, "42/log,[\"say\",\"first\"");
    for (int i = 0; i < 2; i++) {
        redis_ask(&redis, "client", "kill", "type", "pubsub", NULL);
        for (int ms = 0; bridge_is_up(bridges[0]) || bridge_is_up(bridges[1]); ms++) {
            assert_true(ms < WAIT_MS);
            turn(1);
        }
        until_up();
        emit("/log", "[\"say\",\"first\"]");
        turn(100);
        assert_int_equal(events_of(one, "42/log,[\"say\",\"first\""), 2 + i);
    }
}

static void our_fleet_is_left_alone(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    say(one, "42[\"say\",\"mine\"]");
    expect(two, "42[\"say\",\"mine\"]");
    until_heard("mine", 1);
    assert_int_equal(events_of(two, "42[\"say\",\"mine\"]"), 1);
    assert_int_equal(events_of(one, "42"), 0);
    assert_int_equal(heard_count("mine"), 1);
    /* Another fleet, or a server that says it is one of ours in the wrong place, is a stranger. */
    tell(ADAPTER_BROADCAST, (struct adapter_outgoing){.nsp = SPAN_LIT("/"), .uid = SPAN_LIT("sennit-0-0")}, "[\"x\"]");
    expect(two, "42[\"x\"]");
}

static void directives_go_both_ways(void **state)
{
    struct browser *one = enter(0, "40");
    struct span room = SPAN_LIT("red");
    tell(ADAPTER_JOIN, (struct adapter_outgoing){.nsp = SPAN_LIT("/"), .targets = &room, .target_count = 1}, "[]");
    turn(50);
    tell(ADAPTER_BROADCAST, (struct adapter_outgoing){.nsp = SPAN_LIT("/"), .rooms = &room, .room_count = 1},
         "[\"red\"]");
    expect(one, "42[\"red\"]");
    struct directive directive = {.op = DIRECTIVE_LEAVE, .room_count = 1, .rooms = {SPAN_LIT("red")}};
    struct subscriber_emit to = {.rooms = &room, .room_count = 1};
    const struct nsp *root = &relay_nsp_configured(&relay, SPAN_LIT("/"))->nsp;
    assert_true(backend_direct(&sessions, root, &to, &directive, NULL, NULL));
    until_heard("\"opts\":{\"rooms\":[\"red\"],\"except\":[],\"flags\":{}},\"rooms\":[\"red\"]}", 1);
    tell(ADAPTER_DISCONNECT, (struct adapter_outgoing){.nsp = SPAN_LIT("/")}, "[]");
    expect(one, "41");
}

static void requests_are_answered(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    char sid[32], part[80];
    quoted(one, "40", "\"sid\":\"", sid, sizeof sid);
    say(two, "421[\"join\",\"r\"]");
    expect(two, "431[]");
    request("{\"type\":5,\"uid\":\"n\",\"requestId\":\"q5\",\"opts\":{\"rooms\":[],\"except\":[\"r\"]}}");
    snprintf(part, sizeof part, "{\"requestId\":\"q5\",\"sockets\":[{\"id\":\"%s\"", sid);
    until_heard(part, BRIDGES);
    request("{\"type\":0,\"uid\":\"n\",\"requestId\":\"q0\",\"rooms\":[\"nowhere\"]}");
    until_heard("{\"requestId\":\"q0\",\"sockets\":[]}", BRIDGES);
    request("{\"type\":1,\"uid\":\"n\",\"requestId\":\"q1\"}");
    until_heard("{\"requestId\":\"q1\",\"rooms\":[\"r\",\"", BRIDGES);
    request("{\"type\":6,\"uid\":\"n\",\"requestId\":\"q6\",\"data\":[\"ev\"]}");
    until_heard("{\"type\":6,\"requestId\":\"q6\",\"data\":null}", BRIDGES);
    assert_int_equal(sessions.refusals.counts[REFUSAL_BRIDGE_SERVER_EMIT], BRIDGES);
}

/* The last bridge that was made is the one that clients' answers reach. */
static void clients_are_asked(void **state)
{
    struct browser *one = enter(0, "40");
    char id[32], answer[64];
    request("{\"type\":7,\"uid\":\"n\",\"requestId\":\"q7\",\"packet\":{\"type\":2,\"data\":[\"ask\",1],\"nsp\":\"/\"},"
            "\"opts\":{\"rooms\":[],\"except\":[],\"flags\":{\"timeout\":500}}}");
    until_heard("{\"type\":8,\"requestId\":\"q7\",\"clientCount\":1}", BRIDGES);
    expect(one, "42");
    struct span rest = buf_span(&one->messages), line;
    while (span_next(&rest, '\n', &line))
        if (span_starts_with(line, SPAN_LIT("42")))
            break;
    snprintf(id, sizeof id, SPAN_FMT, SPAN_ARG(span_sub(line, 2, 16)));
    assert_int_equal(strspn(id, "0123456789"), 16);
    assert_int_equal(bridge_asks(bridges[1]), 1);
    /* An answer to something else, the answer, and the same once more. */
    say(one, "4312345[\"no\"]");
    snprintf(answer, sizeof answer, "43%s[\"yes\",2]", id);
    say(one, answer);
    say(one, answer);
    until_heard("\xa9requestId\xa2q7\xa6packet\xa3yes", 1);
    turn(50);
    assert_int_equal(heard_count("\xa3yes"), 1);
    assert_int_equal(bridge_asks(bridges[1]), 0);
    /* The other bridge's question has its time. */
    for (int ms = 0; bridge_asks(bridges[0]) > 0; ms += 5) {
        assert_true(ms < WAIT_MS);
        turn(5);
    }
}

static struct {
    bool done;
    uint64_t total, living, answered;
    char text[512];
} found;

static void on_found(void *arg, const struct inquiry_found *of)
{
    found.done = true;
    found.total = of->total;
    found.living = of->living;
    found.answered = of->answered;
    found.text[0] = '\0';
    for (size_t i = 0; i < of->count; i++)
        snprintf(found.text + strlen(found.text), sizeof found.text - strlen(found.text),
                 SPAN_FMT "=%llu " SPAN_FMT "\n", SPAN_ARG(of->items[i].key), (unsigned long long)of->items[i].number,
                 SPAN_ARG(of->items[i].text));
}

/* Asks the fleet, and answers as the played server does, unless `sockets` is NULL. */
static void inquire(struct inquiries *inquiries, enum inquiry_kind kind, const char *sockets)
{
    struct inquiry_question question = {.kind = kind, .nsp = SPAN_LIT("/"), .limit = 10};
    found.done = false;
    buf_clear(&heard);
    assert_true(inquiry_ask(inquiries, &question, on_found, NULL));
    until_heard("{\"type\":5,", 1);
    buf_append_char(&heard, '\0');
    char *request = strstr(strstr(heard.data + heard.off, "{\"type\":5,"), "\"requestId\":\"");
    char *id = mem_text(span_of(request + 13, strcspn(request + 13, "\"")));
    char *answer = mem_printf("{\"requestId\":\"%s\",\"sockets\":%s}", id, sockets != NULL ? sockets : "7");
    redis_pair_publish(&peer, SPAN_LIT("PUBLISH"), SPAN_LIT("socket.io-response#/#"), span_str(answer));
    for (int ms = 0; !found.done; ms += 2) {
        assert_true(ms < WAIT_MS);
        turn(2);
    }
    free(answer);
    free(id);
}

static void the_fleet_asks_the_servers(void **state)
{
    static const char sockets[] = "[{\"id\":\"node-1\",\"handshake\":{\"address\":\"10.0.0.1\",\"issued\":1},"
                                  "\"rooms\":[\"node-1\",\"r\"],\"data\":{\"x\":1}},"
                                  "{\"id\":\"node-2\",\"rooms\":[\"r\",\"q\"]}]";
    struct inquiries *inquiries = inquiries_create(&sessions);
    struct browser *one = enter(0, "40");
    say(one, "421[\"join\",\"r\"]");
    expect(one, "431[]");
    /* The played server is one that Redis counts. */
    redis_pair_subscribe(&peer, SPAN_LIT("SUBSCRIBE"), SPAN_LIT("socket.io-request#/#"));
    while (strcmp(redis_ask(&redis, "pubsub", "numsub", "socket.io-request#/#", NULL), "socket.io-request#/#\n3") != 0)
        turn(2);
    inquire(inquiries, INQUIRY_SOCKETS, sockets);
    assert_int_equal(found.living, 2);
    assert_int_equal(found.answered, 2);
    assert_int_equal(found.total, 3);
    assert_non_null(strstr(found.text, "node-1=0 {\"socket\":\"node-1\",\"instance\":null,\"transport\":null,"
                                       "\"address\":\"10.0.0.1\",\"session_ms\":"));
    assert_non_null(strstr(found.text, ",\"data\":{\"x\":1},\"rooms\":[\"r\"]}"));
    assert_non_null(
        strstr(found.text, "\"session_ms\":null,\"handshake\":null,\"data\":null,\"rooms\":[\"r\",\"q\"]}"));
    inquire(inquiries, INQUIRY_ROOMS, sockets);
    assert_string_equal(found.text, "q=1 \nr=3 \n");
    inquire(inquiries, INQUIRY_COUNT, sockets);
    assert_int_equal(found.total, 3);
    /* An answer that is none, and then none: incomplete, in time. */
    inquire(inquiries, INQUIRY_COUNT, NULL);
    assert_int_equal(found.total, 1);
    assert_int_equal(found.living, 2);
    assert_int_equal(found.answered, 1);
    inquiries_destroy(inquiries);
}

static void nothing_sent_breaks_it(void **state)
{
    static const char *const channels[] = {"socket.io#/#",          "socket.io#/#r#",         "socket.io-request#/#",
                                           "socket.io-response#/#", "socket.io-sennit#marks", "socket.io#/log#"};
    struct browser *one = enter(0, "40");
    struct buf deep = {0};
    for (size_t i = 0; i < sizeof channels / sizeof channels[0]; i++)
        for (int byte = 0; byte < 256; byte++) {
            char bytes[] = {(char)byte, 'x', '\x93', '\xa1'};
            redis_pair_publish(&peer, SPAN_LIT("PUBLISH"), span_str(channels[i]), span_of(bytes, sizeof bytes));
        }
    buf_append(&deep, SPAN_LIT("[\"e\","));
    for (uint32_t i = 0; i < sessions.limits.nesting_max; i++)
        buf_append_char(&deep, '[');
    for (uint32_t i = 0; i < sessions.limits.nesting_max; i++)
        buf_append_char(&deep, ']');
    buf_append(&deep, SPAN_LIT("]\0"));
    emit("/", deep.data);
    buf_finish(&deep);
    /* Its first byte is no brace: it is read as MessagePack, or not at all. */
    char *large = mem_zero(1, ADAPTER_BYTES_MAX + 1);
    redis_pair_publish(&peer, SPAN_LIT("PUBLISH"), SPAN_LIT("socket.io#/#"), span_of(large, ADAPTER_BYTES_MAX + 1));
    free(large);
    emit("/", "[\"still\"]");
    expect(one, "42[\"still\"]");
    assert_true(sessions.refusals.counts[REFUSAL_BRIDGE_INVALID] >= 4 * 256);
    assert_int_equal(events_of(one, "42[\"e\""), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
    const struct CMUnitTest tests[] = {
        TEST(broadcasts_reach_sockets),   TEST(what_is_logged_is_logged_once),
        TEST(nothing_goes_back),          TEST(a_broken_link_doubles_nothing),
        TEST(our_fleet_is_left_alone),    TEST(directives_go_both_ways),
        TEST(requests_are_answered),      TEST(clients_are_asked),
        TEST(the_fleet_asks_the_servers), TEST(nothing_sent_breaks_it),
    };
    if (!redis_process_is_installed()) {
        printf("bridge/bridge: skipped, there is no redis-server here\n");
        return 0;
    }
    redis_process_start(&redis, NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    redis_process_finish(&redis);
    return failed;
}

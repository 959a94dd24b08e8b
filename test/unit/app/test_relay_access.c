/* test_relay_access: tokens and rules through the relay: who is let in, what each may do there, what a client that
 * comes back may do, and how an identity is renewed and ends. */
#include "asking.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/relay_access.h"
#include "base/mem.h"
#include "session/socket.h"
#include "tokens.h"
#include "wire/json.h"

#define SECRET "0123456789abcdef0123456789abcdef"

static const char jwt_config[] = "keys: [{file: secret, alg: HS256}]\nleeway: 0\nnotice: 900ms\n";
static const char config[] = "/:\n"
                             "  log: {entries: 100}\n"
                             "  replay: 10\n"
                             "  presence: {claims: [sub, name, absent]}\n"
                             "  rooms: {\"*\": {replay: all}}\n"
                             "  events:\n"
                             "    join: {join: 0}\n"
                             "    leave: {leave: 0}\n"
                             "    say: {to: everyone, log: true}\n"
                             "    shout: {to: others}\n"
                             "    room: {to: room, room: 0, log: true}\n"
                             "    dm: {to: socket, socket: 0}\n"
                             "    past: {history: 0}\n"
                             "    who: {who: 0}\n"
                             "  access:\n"
                             "    connect: {role: [user, admin]}\n"
                             "    history: {role: admin}\n"
                             "    rooms:\n"
                             "      \"team-{team}\": {join: [own, {role: admin}], send: {role: admin}}\n"
                             "      \"log-*\": {join: anyone, history: {role: admin}}\n"
                             "      \"free\": {join: anyone}\n"
                             "    events: {shout: {role: admin}, dm: {role: admin}}\n"
                             "/open:\n"
                             "  auth: none\n"
                             "  events: {say: {to: everyone}, join: {join: 0}}\n"
                             "  access: {rooms: {closed: {join: nobody}, \"*\": {join: anyone}}}\n"
                             "/board-*:\n"
                             "  presence: {claims: [name]}\n"
                             "  rooms: {\"*\": {presence: true}}\n"
                             "  events: {join: {join: 0}, shout: {to: everyone}}\n"
                             "  access:\n"
                             "    connect: {role: [user, admin]}\n"
                             "    rooms: {\"team-{team}\": {join: own}}\n"
                             "    events: {shout: {role: admin}}\n";

static struct relay relay;
static char directory[] = "/tmp/test_relay_access_XXXXXX", secret[64], place[64];

static bool relay_open(struct loop *own, const char *jwt, const char *text, bool on_platform, struct err *err)
{
    struct yaml_node *keys = jwt != NULL ? yaml_parse(place, span_str(jwt), err) : NULL;
    struct yaml_node *root = yaml_parse(place, span_str(text), err);
    assert_true(root != NULL && (jwt == NULL || keys != NULL));
    bool ok = relay_init(&relay, own, root, err) && relay_access_read(&relay, own, keys, root, on_platform, err);
    yaml_destroy(root);
    yaml_destroy(keys);
    return ok;
}

static int open_all(void **state)
{
    struct err err;
    struct loop *own = loop_create(&err);
    if (!relay_open(own, jwt_config, config, true, &err))
        fail_msg("%s", err.text);
    loop_destroy(own);
    fixture_open(&relay.app);
    relay.loop = relay.jwt.keys.loop = loop;
    return 0;
}

static int close_all(void **state)
{
    tear_down(state);
    relay_finish(&relay);
    return 0;
}

/* A token with these claims, which expires after so long (0: never). */
static const char *token(const char *claims, int64_t ms)
{
    static char text[1024];
    char all[512], exp[40] = "";
    int64_t end_ms = loop_wall_ms(loop) + ms;
    if (ms != 0)
        snprintf(exp, sizeof exp, ",\"exp\":%lld", (long long)(end_ms / 1000));
    snprintf(all, sizeof all, "{%s%s}", claims, exp);
    struct span made = token_make("HS256", NULL, SECRET, all);
    snprintf(text, sizeof text, SPAN_FMT, SPAN_ARG(made));
    return text;
}

static const char *connect_with(const char *claims, const char *more)
{
    static char text[1400];
    snprintf(text, sizeof text, "40{\"token\":\"%s\"%s}", token(claims, 0), more);
    return text;
}

#define ADA "\"sub\":\"ada\",\"role\":\"user\",\"team\":\"red\",\"name\":\"Ada\""
#define BOB "\"sub\":\"bob\",\"role\":\"user\",\"team\":\"blue\""
#define ROOT "\"sub\":\"root\",\"role\":\"admin\""

static struct browser *enter_as(int number, const char *claims)
{
    struct browser *browser = enter(number, connect_with(claims, ""));
    expect(browser, "40{\"sid\"");
    return browser;
}

static bool has_got(const struct browser *browser, const char *text)
{
    struct span got = buf_span(&browser->messages);
    return memmem(got.data, got.len, text, strlen(text)) != NULL;
}

static void not_let_in(int number, const char *connect, enum refusal refusal)
{
    char expected[200];
    uint64_t before = sessions.refusals.counts[refusal];
    struct browser *browser = dial(number);
    say(browser, connect);
    snprintf(expected, sizeof expected,
             "44{\"message\":\"Not authorized\",\"data\":{\"error\":\"%s\",\"reason\":\"%s\"}}", refusal_text(refusal),
             refusal_name(refusal));
    expect(browser, expected);
    assert_int_equal(sessions.refusals.counts[refusal], before + 1);
    assert_false(browser->closed);
    assert_int_equal(count(browser, "40{"), 0);
    cut(browser);
}

static void who_is_let_in(void **state)
{
    not_let_in(0, "40", REFUSAL_TOKEN_MISSING);
    not_let_in(0, "40{}", REFUSAL_TOKEN_MISSING);
    not_let_in(0, "40{\"token\":\"a.b.c\"}", REFUSAL_TOKEN_MALFORMED);
    not_let_in(0, "40{\"token\":7}", REFUSAL_TOKEN_MALFORMED);
    char expired[1200];
    snprintf(expired, sizeof expired, "40{\"token\":\"%s\"}", token(ADA, -2000));
    not_let_in(0, expired, REFUSAL_TOKEN_EXPIRED);
    not_let_in(0, connect_with("\"sub\":\"eve\",\"role\":\"guest\"", ""), REFUSAL_CONNECT_FORBIDDEN);
    not_let_in(0, connect_with("\"sub\":\"eve\"", ""), REFUSAL_CONNECT_FORBIDDEN);
    struct browser *ada = enter_as(0, ADA);
    /* The presence data are claims, whatever the client says itself. */
    expect(ada, "42[\"presence\",{\"room\":null,\"members\":[{\"id\":\"");
    assert_true(has_got(ada, "\"data\":{\"sub\":\"ada\",\"name\":\"Ada\"}}],\"count\":1}"));
    /* A namespace without tokens asks for none. */
    say(ada, "40/open,");
    expect(ada, "40/open,{\"sid\"");
}

/* A client that was refused has joined nothing, so the time to join a namespace runs on. */
static void a_refused_client_is_still_to_connect(void **state)
{
    struct browser *browser = dial(0);
    say(browser, "40");
    expect(browser, "44");
    assert_non_null(sessions_next(&sessions, NULL));
    assert_false(sessions_next(&sessions, NULL)->joined);
}

/* Verifying signatures is work: who tries on and on is read more slowly. */
static void trying_on_and_on_is_slowed(void **state)
{
    struct browser *browser = dial(0);
    for (int i = 0; i < 300 && sessions.counters.stalled == 0; i++) {
        say(browser, "40{\"token\":\"e30.e30.\"}");
        turn(1);
    }
    assert_true(sessions.counters.stalled > 0);
    assert_false(browser->closed);
}

static void rooms_of_ones_own(void **state)
{
    struct browser *ada = enter_as(0, ADA), *bob = enter_as(1, BOB), *root = enter_as(2, ROOT);
    accepted(ada, "\"join\",\"team-red\"");
    refused(ada, "\"join\",\"team-blue\"", REFUSAL_ROOM_FORBIDDEN);
    refused(bob, "\"join\",\"team-red\"", REFUSAL_ROOM_FORBIDDEN);
    accepted(bob, "\"join\",\"team-blue\"");
    accepted(root, "\"join\",[\"team-red\",\"team-blue\"]");
    refused(ada, "\"join\",\"elsewhere\"", REFUSAL_ROOM_FORBIDDEN);
    /* All or none. */
    refused(ada, "\"join\",[\"free\",\"team-blue\"]", REFUSAL_ROOM_FORBIDDEN);
    refused(ada, "\"room\",\"free\",1", REFUSAL_ROOM_NOT_JOINED);
    /* In a room that one may be in, sending has a rule of its own. */
    refused(ada, "\"room\",\"team-red\",1", REFUSAL_SEND_FORBIDDEN);
    accepted(root, "\"room\",\"team-red\",\"hello\"");
    expect(ada, "42[\"room\",\"team-red\",\"hello\"");
    accepted(ada, "\"join\",\"free\"");
    accepted(ada, "\"room\",\"free\",1");
    refused(ada, "\"room\",[\"free\",\"team-red\"],1", REFUSAL_SEND_FORBIDDEN);
    turn(20);
    look(bob);
    assert_int_equal(count(bob, "42[\"room\""), 0);
}

static void events_have_rules(void **state)
{
    struct browser *ada = enter_as(0, ADA), *root = enter_as(1, ROOT);
    char sid[PID_BYTES], text[100];
    quoted(root, "40{", "\"sid\":\"", sid, sizeof sid);
    accepted(ada, "\"say\",1");
    refused(ada, "\"shout\",1", REFUSAL_SEND_FORBIDDEN);
    snprintf(text, sizeof text, "\"dm\",\"%s\",1", sid);
    refused(ada, text, REFUSAL_SEND_FORBIDDEN);
    accepted(root, "\"shout\",1");
    expect(ada, "42[\"shout\",1");
    accepted(root, text);
}

static void history_has_rules(void **state)
{
    struct browser *ada = enter_as(0, ADA), *root = enter_as(1, ROOT);
    accepted(root, "\"join\",[\"log-a\",\"free\",\"team-red\"]");
    accepted(root, "\"room\",\"log-a\",\"kept\"");
    accepted(root, "\"room\",\"free\",\"kept\"");
    accepted(root, "\"say\",\"kept\"");
    /* What joining replays is history, too. */
    accepted(ada, "\"join\",\"log-a\"");
    turn(30);
    look(ada);
    assert_int_equal(count(ada, "42[\"room\",\"log-a\",\"kept\""), 0);
    accepted(ada, "\"join\",\"free\"");
    expect(ada, "42[\"room\",\"free\",\"kept\"");
    expect(enter_as(2, ROOT), "42[\"say\",\"kept\"");
    struct browser *bob = enter_as(3, BOB);
    turn(30);
    look(bob);
    assert_int_equal(count(bob, "42[\"say\""), 0);
    refused(ada, "\"past\",\"log-a\"", REFUSAL_HISTORY_FORBIDDEN);
    refused(ada, "\"past\",null", REFUSAL_HISTORY_FORBIDDEN);
    assert_non_null(strstr(asked(ada, "\"past\",\"free\""), "kept"));
    assert_non_null(strstr(asked(root, "\"past\",\"log-a\""), "kept"));
    assert_non_null(strstr(asked(root, "\"past\",null"), "kept"));
    assert_non_null(strstr(asked(ada, "\"who\",\"free\""), "members"));
}

/* A namespace that a pattern makes has the pattern's rules, and its claims in presence. */
static void rules_of_a_pattern(void **state)
{
    struct browser *browser = dial(0);
    say(browser, "40/board-1,");
    expect(browser, "44/board-1,{\"message\":\"Not authorized\"");
    assert_int_equal(relay.made, 0);
    char text[1400];
    snprintf(text, sizeof text, "40/board-1,{\"token\":\"%s\"}", token(ADA, 0));
    say(browser, text);
    expect(browser, "40/board-1,{\"sid\"");
    assert_int_equal(relay.made, 1);
    say(browser, "42/board-1,1[\"shout\",1]");
    snprintf(text, sizeof text, "43/board-1,1[{\"error\":\"%s", refusal_text(REFUSAL_SEND_FORBIDDEN));
    expect(browser, text);
    say(browser, "42/board-1,2[\"join\",\"team-blue\"]");
    snprintf(text, sizeof text, "43/board-1,2[{\"error\":\"%s", refusal_text(REFUSAL_ROOM_FORBIDDEN));
    expect(browser, text);
    say(browser, "42/board-1,3[\"join\",\"team-red\"]");
    expect(browser, "43/board-1,3[]");
    expect(browser, "42/board-1,[\"presence\",{\"room\":\"team-red\",\"members\":[{");
    assert_true(has_got(browser, "{\"name\":\"Ada\"}"));
    struct browser *root = dial(1);
    snprintf(text, sizeof text, "40/board-1,{\"token\":\"%s\"}", token(ROOT, 0));
    say(root, text);
    expect(root, "40/board-1,{\"sid\"");
    say(root, "42/board-1,1[\"shout\",1]");
    expect(root, "43/board-1,1[]");
    expect(browser, "42/board-1,[\"shout\",1");
}

static void rules_without_tokens(void **state)
{
    struct browser *browser = dial(0);
    say(browser, "40/open,");
    expect(browser, "40/open,{\"sid\"");
    buf_clear(&browser->messages);
    say(browser, "42/open,1[\"join\",\"closed\"]");
    expect(browser, "43/open,1[{\"error\"");
    assert_int_equal(sessions.refusals.counts[REFUSAL_ROOM_FORBIDDEN], 1);
    buf_clear(&browser->messages);
    say(browser, "42/open,1[\"join\",\"x\"]");
    expect(browser, "43/open,1[]");
    /* It has no identity to renew. */
    buf_clear(&browser->messages);
    say(browser, "42/open,1[\"sennit\",{}]");
    expect(browser, "43/open,1[{\"error\"");
    assert_int_equal(sessions.refusals.counts[REFUSAL_EVENT_UNKNOWN], 1);
}

/* Enters, joins a room, is cut off, and comes back with these claims. Whether it has resumed. */
static bool comes_back_as(const char *before, const char *room, const char *after, bool *missed)
{
    char sid[PID_BYTES], pid[PID_BYTES], sid_now[PID_BYTES], text[200];
    struct browser *root = enter_as(3, ROOT), *browser = enter_as(0, before);
    quoted(browser, "40{", "\"sid\":\"", sid, sizeof sid);
    quoted(browser, "40{", "\"pid\":\"", pid, sizeof pid);
    snprintf(text, sizeof text, "\"join\",\"%s\"", room);
    accepted(browser, text);
    accepted(root, text);
    snprintf(text, sizeof text, "\"room\",\"%s\",\"seen\"", room);
    accepted(root, text);
    expect(browser, "42[\"room\"");
    cut(browser);
    turn(20);
    snprintf(text, sizeof text, "\"room\",\"%s\",\"missed\"", room);
    accepted(root, text);
    snprintf(text, sizeof text, ",\"pid\":\"%s\"", pid);
    browser = enter(1, connect_with(after, text));
    expect(browser, "40{\"sid\"");
    quoted(browser, "40{", "\"sid\":\"", sid_now, sizeof sid_now);
    turn(50);
    look(browser);
    *missed = has_got(browser, "missed");
    return strcmp(sid, sid_now) == 0;
}

static void the_same_user_resumes(void **state)
{
    bool missed;
    assert_true(
        comes_back_as(ADA, "team-red", "\"role\":\"user\",\"team\":[\"red\"],\"sub\":\"ada\",\"jti\":\"2\"", &missed));
    assert_true(missed);
}

static void another_user_resumes_nothing(void **state)
{
    bool missed;
    assert_false(comes_back_as(ADA, "team-red", "\"sub\":\"bob\",\"role\":\"user\",\"team\":\"red\"", &missed));
    assert_false(missed);
    assert_int_equal(sessions.refusals.counts[REFUSAL_LEASE_OF_ANOTHER], 1);
}

static void rules_are_checked_again_on_resume(void **state)
{
    bool missed;
    assert_false(comes_back_as(ADA, "team-red", "\"sub\":\"ada\",\"role\":\"user\",\"team\":\"blue\"", &missed));
    assert_false(missed);
    assert_int_equal(sessions.refusals.counts[REFUSAL_ROOM_FORBIDDEN], 1);
}

/* What another user's claim has not taken from the owner. */
static void the_owner_still_resumes(void **state)
{
    char sid[PID_BYTES], pid[PID_BYTES], sid_now[PID_BYTES], text[100];
    struct browser *ada = enter_as(0, ADA);
    quoted(ada, "40{", "\"sid\":\"", sid, sizeof sid);
    quoted(ada, "40{", "\"pid\":\"", pid, sizeof pid);
    accepted(ada, "\"join\",\"team-red\"");
    cut(ada);
    turn(20);
    snprintf(text, sizeof text, ",\"pid\":\"%s\"", pid);
    struct browser *bob = enter(1, connect_with(BOB, text));
    expect(bob, "40{\"sid\"");
    ada = enter(2, connect_with(ADA, text));
    expect(ada, "40{\"sid\"");
    quoted(ada, "40{", "\"sid\":\"", sid_now, sizeof sid_now);
    assert_string_equal(sid, sid_now);
}

/* Until the first millisecond of a second, so that times in whole seconds are what they seem. */
static void await_second(void)
{
    turn((uint64_t)(1000 - loop_wall_ms(loop) % 1000));
}

static void an_identity_ends(void **state)
{
    char pid[PID_BYTES], text[1200], more[100];
    await_second();
    struct browser *ada = dial(0);
    snprintf(text, sizeof text, "40{\"token\":\"%s\"}", token(ADA, 2000));
    say(ada, text);
    expect(ada, "40{\"sid\"");
    quoted(ada, "40{", "\"pid\":\"", pid, sizeof pid);
    accepted(ada, "\"join\",\"team-red\"");
    turn(900);
    look(ada);
    assert_int_equal(count(ada, "42[\"sennit\",{\"expires_in_ms\":"), 0); /* the notice is 900 ms */
    turn(600);
    look(ada);
    assert_int_equal(count(ada, "42[\"sennit\",{\"expires_in_ms\":"), 1);
    accepted(ada, "\"say\",1");
    expect(ada, "42[\"sennit\",{\"disconnected\":true,\"reason\":\"token_expired\",\"error\":\"");
    expect(ada, "41");
    assert_int_equal(sessions.refusals.counts[REFUSAL_TOKEN_EXPIRED], 1);
    assert_int_equal(sessions.socket_count, 0);
    /* What it sent before it knew is dropped. */
    say(ada, "42[\"say\",2]");
    turn(10);
    assert_int_equal(sessions.refusals.counts[REFUSAL_NAMESPACE_LEFT], 1);
    /* The connection goes on, and the client comes back over it with a new token. */
    assert_false(ada->closed);
    buf_clear(&ada->messages);
    snprintf(more, sizeof more, ",\"pid\":\"%s\"", pid);
    say(ada, connect_with(ADA, more));
    expect(ada, "40{\"sid\"");
    assert_int_equal(sessions.counters.resumes, 1);
    refused(ada, "\"room\",\"team-red\",1", REFUSAL_SEND_FORBIDDEN); /* it is in the room */
}

/* Where a session is one subscriber, it ends with it. */
static void a_session_of_one_ends(void **state)
{
    char text[1200];
    struct browser *ada = dial(0);
    struct protocol bare = socket_protocol;
    bare.disconnected = NULL;
    sessions_next(&sessions, NULL)->protocol = &bare;
    await_second();
    snprintf(text, sizeof text, "40{\"token\":\"%s\"}", token(ADA, 1000));
    say(ada, text);
    expect(ada, "42[\"sennit\",{\"disconnected\":true,\"reason\":\"token_expired\"");
    expect(ada, "close 1008 the client may no longer be in its namespace");
    cut(ada);
    turn(20);
    assert_int_equal(sessions.count, 0);
}

static void an_identity_is_renewed(void **state)
{
    char text[1200];
    await_second();
    struct browser *ada = dial(0);
    snprintf(text, sizeof text, "40{\"token\":\"%s\"}", token(ADA, 1000));
    say(ada, text);
    expect(ada, "40{\"sid\"");
    accepted(ada, "\"join\",\"team-red\"");
    expect(ada, "42[\"sennit\",{\"expires_in_ms\":");
    snprintf(text, sizeof text, "\"sennit\",{\"token\":\"%s\"}", token(BOB, 60000));
    refused(ada, text, REFUSAL_TOKEN_OF_ANOTHER);
    snprintf(text, sizeof text, "\"sennit\",{\"token\":\"%s\"}", token("\"sub\":\"ada\",\"role\":\"guest\"", 60000));
    refused(ada, text, REFUSAL_CONNECT_FORBIDDEN);
    refused(ada, "\"sennit\",{}", REFUSAL_TOKEN_MISSING);
    refused(ada, "\"sennit\"", REFUSAL_TOKEN_MISSING);
    refused(ada, "\"sennit\",{\"token\":\"x\"}", REFUSAL_TOKEN_MALFORMED);
    snprintf(text, sizeof text, "\"sennit\",{\"token\":\"%s\"}",
             token("\"sub\":\"ada\",\"role\":\"user\",\"team\":\"blue\"", 60000));
    assert_non_null(strstr(asked(ada, text), "[{\"expires_in_ms\":5"));
    /* A room that the new token does not allow is left. */
    expect(ada, "42[\"sennit\",{\"left\":\"team-red\",\"reason\":\"room_forbidden\"");
    refused(ada, "\"room\",\"team-red\",1", REFUSAL_ROOM_NOT_JOINED);
    accepted(ada, "\"join\",\"team-blue\"");
    turn(1100);
    look(ada);
    assert_int_equal(count(ada, "41"), 0);
    assert_int_equal(sessions.refusals.counts[REFUSAL_TOKEN_EXPIRED], 0);
    accepted(ada, "\"say\",1");
}

/* The token of the request that carries the session counts where the payload has none. */
static void the_token_of_a_request(void **state)
{
    struct browser *browser = dial(0);
    struct session *session = sessions_next(&sessions, NULL);
    session_token_set(session, span_str(token(ADA, 0)));
    assert_int_equal(sessions.token_bytes, strlen(session->extra->token));
    say(browser, "40");
    expect(browser, "40{\"sid\"");
    cut(browser);
    turn(20);
    assert_int_equal(sessions.token_bytes, 0);
    browser = dial(1);
    session = sessions_next(&sessions, NULL);
    session_token_set(session, span_str(token(ADA, 0)));
    say(browser, "40{\"token\":\"x\"}"); /* a wrong one stands alone */
    expect(browser, "44{\"message\":\"Not authorized\"");
    sessions.token_bytes += TOKENS_BYTES_MAX;
    session_token_set(session, span_str(token(BOB, 0)));
    assert_null(session_has(session).token);
    assert_int_equal(sessions.refusals.counts[REFUSAL_TOKENS_FULL], 1);
    sessions.token_bytes -= TOKENS_BYTES_MAX;
}

/* Raw rooms have no name in the configuration that could say who may come. */
static void raw_rooms_are_closed_with_tokens(void **state)
{
    struct admission admission = {.refusal = REFUSAL_COUNT};
    const struct client_proof nothing = {.auth = {NULL, 0}};
    relay.app.admit(&relay.app, &relay.raw.nsp, &nothing, &admission);
    assert_int_equal(admission.refusal, REFUSAL_TOKEN_MISSING);
}

static void wrong_configurations(void **state)
{
    static const struct {
        const char *jwt, *config, *expected;
        bool on_platform;
    } cases[] = {
        {NULL, "/: {events: {}}", NULL, false},
        {NULL, "/: {auth: none, events: {}}", NULL, true},
        {NULL, "/: {events: {}, access: {connect: nobody}}", NULL, true},
        {jwt_config, "/: {events: {}}", NULL, true},
        {NULL, "/: {auth: none, events: {}}\n/b: {events: {}}",
         "nothing says who may connect to \"/b\": add `auth: none`", true},
        {NULL, "/: {auth: jwt, events: {}}", "tokens need keys", false},
        {NULL, "/: {auth: no, events: {}}", "expected none or jwt", false},
        {jwt_config, "/: {events: {a: {to: others}}, access: {events: {b: anyone}}}", "no event of this namespace",
         false},
        {jwt_config, "/: {auth: none, presence: {claims: [sub]}, events: {}}", "claims are those of tokens", false},
        {jwt_config, "/: {presence: {claims: [], data: a}, events: {}}", "claims are those of tokens", false},
        {jwt_config, "/: {presence: {claims: []}, events: {}}", "expected 1 to 16 names", false},
    };
    struct err err;
    struct loop *own = loop_create(&err);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool ok = relay_open(own, cases[i].jwt, cases[i].config, cases[i].on_platform, &err);
        if (ok != (cases[i].expected == NULL))
            fail_msg("%s: %d %s", cases[i].config, ok, ok ? "" : err.text);
        if (!ok && strstr(err.text, cases[i].expected) == NULL)
            fail_msg("%s: %s", cases[i].config, err.text);
        relay_finish(&relay);
    }
    loop_destroy(own);
}

static int make_secret(void **state)
{
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(secret, sizeof secret, "%s/secret", directory);
    snprintf(place, sizeof place, "%s/serve.yaml", directory);
    text_write(secret, SECRET);
    return 0;
}

static int remove_secret(void **state)
{
    unlink(secret);
    rmdir(directory);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_is_let_in),
        TEST(a_refused_client_is_still_to_connect),
        TEST(trying_on_and_on_is_slowed),
        TEST(rooms_of_ones_own),
        TEST(events_have_rules),
        TEST(history_has_rules),
        TEST(rules_of_a_pattern),
        TEST(rules_without_tokens),
        TEST(the_same_user_resumes),
        TEST(another_user_resumes_nothing),
        TEST(rules_are_checked_again_on_resume),
        TEST(the_owner_still_resumes),
        TEST(an_identity_ends),
        TEST(a_session_of_one_ends),
        TEST(an_identity_is_renewed),
        TEST(the_token_of_a_request),
        TEST(raw_rooms_are_closed_with_tokens),
        cmocka_unit_test(wrong_configurations),
    };
    return cmocka_run_group_tests(tests, make_secret, remove_secret);
}

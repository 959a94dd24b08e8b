/* test_api: the HTTP API of one instance with the broker in memory: who may ask, when a message is answered, which
 * requests are refused and how. Sockets on several instances are in test/e2e/api. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "fixture.h"

#define TOKEN "0123456789abcdef01234567"
#define BEARER "Authorization: Bearer " TOKEN "\r\n"

static char token_file[64];

static void token_write(const char *token)
{
    FILE *file = fopen(token_file, "w");
    assert_non_null(file);
    fprintf(file, "%s\n", token);
    fclose(file);
}

static int begin(void **state)
{
    char config[200];
    snprintf(token_file, sizeof token_file, "/tmp/sennit-api-%ld", (long)getpid());
    token_write(TOKEN);
    snprintf(config, sizeof config, "api: {token_file: %s}\nlimits: {api_requests: 2, nesting: 5}", token_file);
    start(config);
    return 0;
}

static int end(void **state)
{
    stop();
    unlink(token_file);
    return 0;
}

static const char *post(const char *path, const char *fields, const char *body)
{
    char target[100];
    snprintf(target, sizeof target, "/api/v1/%s", path);
    return request("POST", target, fields, body);
}

static const char *get(const char *path, const char *fields)
{
    char target[200];
    snprintf(target, sizeof target, "/api/v1/%s", path);
    return request("GET", target, fields, "");
}

/* The answer has this status, and this text. */
static void expect(const char *asked, int status, const char *text)
{
    char head[32];
    struct peer *peer = &peers[0];
    snprintf(head, sizeof head, "HTTP/1.1 %d ", status);
    answers(peer, asked, head);
    if (!has(peer, text))
        fail_msg("no \"%s\" in: " SPAN_FMT, text, SPAN_ARG(buf_span(&peer->got)));
    leave(peer);
}

static void one_needs_the_token(void **state)
{
    expect(get("count", ""), 401, "\"reason\":\"api_forbidden\"");
    expect(get("count", "Authorization: Bearer 0123456789abcdef01234568\r\n"), 401, "WWW-Authenticate: Bearer");
    expect(get("count", "Authorization: Bearer 0123456789abcdef0123456\r\n"), 401, "api_forbidden");
    expect(post("publish", "", "{\"event\":\"x\"}"), 401, "api_forbidden");
    expect(get("count", BEARER), 200, "{\"sockets\":0,\"incomplete\":false");
    assert_int_equal(server->sessions.refusals.counts[REFUSAL_API_FORBIDDEN], 4);
}

/* This machine needs none; but a proxy or a web page on it is not this machine's user. */
static void or_asks_from_this_machine(void **state)
{
    static const char here[] = "GET /api/v1/count HTTP/1.1\r\nHost: localhost:8080\r\n%s\r\n";
    static const char *const not_ours[] = {"X-Forwarded-For: 10.0.0.1\r\n", "Forwarded: for=10.0.0.1\r\n",
                                           "Origin: http://localhost:8080\r\n", "Sec-Fetch-Site: cross-site\r\n"};
    char asked[200];
    snprintf(asked, sizeof asked, here, "");
    expect(asked, 200, "\"sockets\":0");
    for (size_t i = 0; i < sizeof not_ours / sizeof not_ours[0]; i++) {
        snprintf(asked, sizeof asked, here, not_ours[i]);
        expect(asked, 401, "api_forbidden");
    }
    expect(get("count", BEARER "Origin: http://a.com\r\n"), 200, "\"sockets\":0");
}

static void a_changed_token_counts(void **state)
{
    expect(get("count", BEARER), 200, "sockets");
    pass_ms(1100);
    token_write("another-token-of-some-length");
    expect(get("count", BEARER), 401, "api_forbidden");
    expect(get("count", "Authorization: Bearer another-token-of-some-length\r\n"), 200, "sockets");
    pass_ms(1100);
    token_write("short"); /* no token: the former one stays */
    expect(get("count", "Authorization: Bearer another-token-of-some-length\r\n"), 200, "sockets");
}

static broker_done_fn *accept_fn;
static void *accept_arg;

static bool publish_held(struct broker *asked, const struct broker_publish *publish, broker_done_fn *done, void *arg)
{
    accept_fn = done;
    accept_arg = arg;
    return true;
}

/* Not before the broker has said so. */
static void a_message_is_answered_when_it_is_accepted(void **state)
{
    struct broker_ops slow = *server->broker->ops;
    const struct broker_ops *real = server->broker->ops;
    struct peer *peer = &peers[0];
    slow.publish = publish_held;
    server->broker->ops = &slow;
    say(peer, post("publish", BEARER, "{\"event\":\"x\"}"));
    pass_ms(50);
    assert_non_null(accept_fn);
    assert_int_equal(peer->got.len, 0);
    accept_fn(accept_arg, BROKER_OK);
    await(peer, "{\"accepted\":true,\"at\":null}");
    say(peer, post("sockets/join", BEARER, "{\"join\":\"r\"}"));
    pass_ms(50);
    assert_int_equal(peer->got.len, 0);
    accept_fn(accept_arg, BROKER_FULL);
    await(peer, "\"reason\":\"broker_full\"");
    /* One that goes meanwhile is forgotten when the broker answers. */
    say(peer, post("publish", BEARER, "{\"event\":\"x\"}"));
    pass_ms(20);
    leave(peer);
    pass_ms(20);
    assert_int_equal(server->api_requests, 1);
    accept_fn(accept_arg, BROKER_OK);
    assert_int_equal(server->api_requests, 0);
    server->broker->ops = real;
}

static void requests_under_way_are_bounded(void **state)
{
    struct broker_ops slow = *server->broker->ops;
    const struct broker_ops *real = server->broker->ops;
    broker_done_fn *first_fn;
    void *first_arg;
    slow.publish = publish_held;
    server->broker->ops = &slow;
    say(&peers[0], post("publish", BEARER, "{\"event\":\"x\"}"));
    pass_ms(20);
    first_fn = accept_fn;
    first_arg = accept_arg;
    say(&peers[1], post("publish", BEARER, "{\"event\":\"x\"}"));
    pass_ms(20);
    say(&peers[2], post("publish", BEARER, "{\"event\":\"x\"}"));
    await(&peers[2], "HTTP/1.1 503 ");
    assert_true(has(&peers[2], "\"reason\":\"api_busy\"") && has(&peers[2], "Retry-After: 1"));
    first_fn(first_arg, BROKER_OK);
    accept_fn(accept_arg, BROKER_OK);
    server->broker->ops = real;
    leave(&peers[2]);
    say(&peers[2], get("count", BEARER));
    await(&peers[2], "\"sockets\":0");
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *path, *body;
        int status;
        const char *text;
    } cases[] = {
        {"publish", "", 400, "\"reason\":\"api_json\""},
        {"publish", "[]", 400, "\"reason\":\"api_json\""},
        {"publish", "{\"event\":\"x\"} {}", 400, "\"reason\":\"api_json\""},
        {"publish", "{}", 400, "\"field\":\"event\""},
        {"publish", "{\"event\":7}", 400, "\"field\":\"event\""},
        {"publish", "{\"event\":\"disconnect\"}", 400, "\"field\":\"event\""},
        {"publish", "{\"event\":\"x\",\"args\":{}}", 400, "\"field\":\"args\""},
        {"publish", "{\"event\":\"x\",\"args\":[[[[[[1]]]]]]}", 400, "\"reason\":\"too_deep\""},
        {"publish", "{\"event\":\"x\",\"rooms\":[]}", 400, "\"field\":\"rooms\""},
        {"publish", "{\"event\":\"x\",\"rooms\":[1]}", 400, "\"field\":\"rooms\""},
        {"publish", "{\"event\":\"x\",\"id\":[]}", 400, "\"field\":\"id\""},
        {"publish", "{\"event\":\"x\",\"id\":\"a\"}", 400, "\"field\":\"id\""}, /* nothing is logged here */
        {"publish", "{\"event\":\"x\",\"socket\":\"a\"}", 400, "\"field\":\"socket\""},
        {"publish", "{\"event\":\"x\",\"namespace\":\"/no\"}", 404, "\"reason\":\"namespace_unknown\""},
        {"publish", "{\"event\":\"x\",\"romms\":[]}", 400, "\"field\":\"romms\""},
        {"publish", "{\"event\":\"x\",\"volatile\":2}", 400, "\"field\":\"volatile\""},
        {"publish", "{\"event\":\"x\",\"join\":\"r\"}", 400, "\"field\":\"join\""},
        {"sockets/join", "{}", 400, "\"field\":\"join\""},
        {"sockets/join", "{\"join\":\"aaaaaaaaaaaaaaaaaaaa\"}", 400, "\"field\":\"join\""},
        {"sockets/leave", "{\"leave\":\"\"}", 400, "\"field\":\"leave\""},
        {"rooms", "{}", 405, "\"reason\":\"api_method\""},
        {"serverSideEmit", "{\"event\":\"x\"}", 501, "may come later"},
        {"nothing", "{}", 404, "\"reason\":\"api_path\""},
        {"publish", "{\"event\":\"x\",\"args\":[1,\"a\"]}", 200, "\"accepted\":true"},
        {"publish", " {\"event\":\"x\",\"args\":null,\"rooms\":\"r\"} ", 200, "\"accepted\":true"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect(post(cases[i].path, BEARER, cases[i].body), cases[i].status, cases[i].text);
    expect(get("publish", BEARER), 405, "api_method");
    expect(get("rooms?limit=0", BEARER), 400, "\"field\":\"limit\"");
    expect(get("rooms?limit=1001", BEARER), 400, "\"field\":\"limit\"");
    expect(get("rooms?namespace=%2", BEARER), 400, "\"field\":\"namespace\"");
    expect(get("rooms?namespace=%2F&local=1", BEARER), 200, "\"rooms\":[]");
    expect(get("history?before=x", BEARER), 400, "\"field\":\"before\"");
    expect(get("history", BEARER), 200, "\"entries\":[]");
    expect(get("sockets/aaaaaaaaaaaaaaaaaaaa", BEARER), 404, "socket_unknown");
    expect(get("sockets/aaa", BEARER), 404, "api_path");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(one_needs_the_token),
        TEST(or_asks_from_this_machine),
        TEST(a_changed_token_counts),
        TEST(a_message_is_answered_when_it_is_accepted),
        TEST(requests_under_way_are_bounded),
        TEST(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests_name("serve/api", tests, NULL, NULL);
}

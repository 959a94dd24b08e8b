/* test_refusals: every way in which an instance refuses a request, or closes a WebSocket, has all four: the peer is
 * told why and what to change, the log has a line, a counter of its own rises, and the words name the cure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "fixture.h"
#include "serve/client.h"
#include "session/session.h"

static struct buf logged;

static void keep_line(struct span line)
{
    buf_append(&logged, line);
}

static bool log_has(const char *text)
{
    return logged.len > 0 && memmem(buf_span(&logged).data, logged.len, text, strlen(text)) != NULL;
}

static int set_up(void **state)
{
    log_init(LOG_TEXT, LOG_DEBUG, NULL, keep_line);
    return 0;
}

static int tear_down(void **state)
{
    buf_finish(&logged);
    return 0;
}

/* The counter, the line of the log with the cure, and a cure that says what to change. */
static void is_noted(enum refusal refusal)
{
    char reason[64];
    snprintf(reason, sizeof reason, "reason=%s ", refusal_name(refusal));
    if (server->sessions.refusals.counts[refusal] == 0)
        fail_msg("%s is not counted", refusal_name(refusal));
    if (!log_has(reason) || !log_has(refusal_text(refusal)))
        fail_msg("%s is not in the log", refusal_name(refusal));
    assert_true(strpbrk(refusal_text(refusal), ":;") != NULL);
}

/* The answer has this status, the reason, and the cure. */
static void is_told(struct peer *peer, int status, enum refusal refusal)
{
    char line[32], reason[64];
    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    snprintf(reason, sizeof reason, "\r\nX-Sennit-Reason: %s\r\n", refusal_name(refusal));
    await(peer, "\r\n\r\n");
    pass_ms(5);
    if (!span_starts_with(buf_span(&peer->got), span_str(line)) || !has(peer, reason) ||
        !has(peer, refusal_text(refusal)))
        fail_msg("expected %d and %s, got: " SPAN_FMT, status, refusal_name(refusal), SPAN_ARG(buf_span(&peer->got)));
}

struct refused {
    const char *config;
    const char *method, *target, *fields, *body;
    int status;
    enum refusal refusal;
    const char *field; /* that the answer has beside; NULL: none */
};

#define WEBSOCKET "/socket.io/?EIO=4&transport=websocket"

static const struct refused refuseds[] = {
    {"", "GET", "/", "Host: b.com\r\n", "", 400, REFUSAL_HTTP_INVALID, NULL},
    {"", "GET", "/", "Content-Length : 0\r\n", "", 400, REFUSAL_HTTP_INVALID, NULL},
    {"limits: {head_bytes: 1KiB}", "GET", "/", "Cookie: %1100d\r\n", "", 431, REFUSAL_HEAD_TOO_LARGE, NULL},
    {"", "GET", "/%9000d", "", "", 414, REFUSAL_HEAD_TOO_LARGE, NULL},
    {"", "CONNECT", "a.com:80", "", "", 501, REFUSAL_HTTP_UNSUPPORTED, NULL},
    {"", "GET", "/", "Transfer-Encoding: gzip, chunked\r\n", "", 501, REFUSAL_HTTP_UNSUPPORTED, NULL},
    {"", "POST", "/", "", "x", 405, REFUSAL_METHOD, "Allow: GET, HEAD\r\n"},
    {"", "GET", "/nothing", "", "", 404, REFUSAL_NOT_FOUND, NULL},
    {"", "GET", "/socket.io?EIO=4&transport=polling", "", "", 404, REFUSAL_PATH_SLASH, NULL},
    {"", "GET", "/metrics", "", "", 403, REFUSAL_ADMIN, NULL},
    {"", "GET", WEBSOCKET, "Origin: https://evil.com\r\n" UPGRADE, "", 403, REFUSAL_ORIGIN, NULL},
    {"", "GET", WEBSOCKET,
     "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: "
     "dGhlIHNhbXBsZSBub25jZQ==\r\n",
     "", 426, REFUSAL_HANDSHAKE_INVALID, "Sec-WebSocket-Version: 13\r\n"},
    {"compression: {websocket: on}", "GET", WEBSOCKET, UPGRADE "Sec-WebSocket-Extensions: permessage-deflate; =1\r\n",
     "", 400, REFUSAL_EXTENSIONS_INVALID, NULL},
    {"", "GET", "/socket.io/?EIO=4&transport=tobi", "", "", 400, REFUSAL_TRANSPORT_UNKNOWN, NULL},
    {"", "GET", "/socket.io/?EIO=3&transport=polling", "", "", 400, REFUSAL_EIO_OLD, NULL},
    {"", "GET", POLL "&j=0", "", "", 400, REFUSAL_JSONP, NULL},
    {"", "GET", POLL "&sid=AAAAAAAAAAAAAAAAAAAA", "", "", 400, REFUSAL_SESSION_UNKNOWN, NULL},
    {"", "POST", POLL, "", "x", 400, REFUSAL_HANDSHAKE_METHOD, NULL},
    {"", "GET", WEBSOCKET, "", "", 400, REFUSAL_HANDSHAKE_INVALID, NULL},
    {"", "OPTIONS", POLL, "", "", 400, REFUSAL_CORS, NULL},
    {"limits: {connections: 1}", "GET", POLL, "", "", 503, REFUSAL_CONNECTIONS_FULL, "Retry-After: "},
    {"limits: {connections_per_address: 1}", "GET", POLL, "", "", 429, REFUSAL_ADDRESS_FULL, "Retry-After: "},
};

/* `%Nd` in a target or field stands for N digits. */
static char *spelled(const char *text)
{
    return strchr(text, '%') != NULL ? mem_printf(text, 1) : mem_printf("%s", text);
}

static void test_requests(void **state)
{
    for (size_t i = 0; i < sizeof refuseds / sizeof refuseds[0]; i++) {
        const struct refused *one = &refuseds[i];
        char *target = spelled(one->target), *fields = spelled(one->fields);
        char *text = mem_printf("%s %s HTTP/1.1\r\nHost: a.com\r\n%sContent-Length: %zu\r\n\r\n%s", one->method, target,
                                fields, strlen(one->body), one->body);
        if (strstr(fields, "Content-Length") != NULL || strstr(fields, "Transfer-Encoding") != NULL) {
            free(text);
            text = mem_printf("%s %s HTTP/1.1\r\nHost: a.com\r\n%s\r\n", one->method, target, fields);
        }
        start(one->config);
        say(&peers[1], ""); /* another one is there first */
        say(&peers[0], text);
        is_told(&peers[0], one->status, one->refusal);
        if (one->field != NULL)
            assert_true(has(&peers[0], one->field));
        is_noted(one->refusal);
        stop();
        buf_finish(&logged);
        free(text);
        free(fields);
        free(target);
    }
}

static void test_versions(void **state)
{
    start("");
    say(&peers[0], "GET / HTTP/2.0\r\nHost: a.com\r\n\r\n");
    is_told(&peers[0], 505, REFUSAL_HTTP_UNSUPPORTED);
    is_noted(REFUSAL_HTTP_UNSUPPORTED);
    stop();
}

static void test_late_requests(void **state)
{
    start("limits: {head_timeout: 100ms, body_timeout: 100ms}");
    say(&peers[0], "GET / HTTP/1.1\r\nHo");
    is_told(&peers[0], 408, REFUSAL_HEAD_LATE);
    is_noted(REFUSAL_HEAD_LATE);
    begin_session(&peers[1]);
    char *text =
        mem_printf("POST %s HTTP/1.1\r\nHost: a.com\r\nContent-Length: 10\r\n\r\n42", of_session(POLL "&sid=%s"));
    say(&peers[1], text);
    is_told(&peers[1], 408, REFUSAL_BODY_LATE);
    is_noted(REFUSAL_BODY_LATE);
    free(text);
    stop();
}

/* Between two requests the end needs no words. */
static void test_idle_connections(void **state)
{
    start("limits: {head_timeout: 10s, idle_timeout: 100ms}");
    answers(&peers[0], request("GET", "/health", "", ""), "HTTP/1.1 200 OK\r\n");
    await_end(&peers[0]);
    say(&peers[1], ""); /* its first request has more time */
    pass_ms(300);
    assert_false(peers[1].ended);
    stop();
}

static void test_requests_of_a_session(void **state)
{
    start("max_payload: 200");
    begin_session(&peers[0]);
    char *large = mem_printf("%201d", 1);
    say(&peers[0], request("POST", of_session(POLL "&sid=%s"), "", large));
    is_told(&peers[0], 413, REFUSAL_BODY_TOO_LARGE);
    is_noted(REFUSAL_BODY_TOO_LARGE);
    say(&peers[1], request("PUT", of_session(POLL "&sid=%s"), "", ""));
    is_told(&peers[1], 500, REFUSAL_METHOD);
    say(&peers[2], request("GET", of_session(WEBSOCKET "&sid=%s"), "", ""));
    is_told(&peers[2], 400, REFUSAL_TRANSPORT_OTHER);
    lives(&peers[1]);
    say(&peers[1], request("POST", of_session(POLL "&sid=%s"), "Content-Type: application/octet-stream\r\n", "x"));
    is_told(&peers[1], 400, REFUSAL_POST_BINARY);
    is_noted(REFUSAL_POST_BINARY);
    leave(&peers[0]);
    begin_session(&peers[0]);
    say(&peers[0], request("GET", of_session(POLL "&sid=%s"), "", ""));
    pass_ms(10);
    say(&peers[2], request("GET", of_session(POLL "&sid=%s"), "", ""));
    is_told(&peers[2], 400, REFUSAL_POLLS_OVERLAP);
    is_noted(REFUSAL_POLLS_OVERLAP);
    free(large);
    stop();
}

/* An address that begins sessions too fast gets the time after which to come back; what it has goes on. */
static void test_sessions_of_an_address(void **state)
{
    start("limits: {connects_per_second_per_address: 2, connects_at_once_per_address: 3}");
    begin_session(&peers[0]);
    answers(&peers[1], request("GET", WEBSOCKET, UPGRADE, ""), "HTTP/1.1 101 ");
    answers(&peers[2], request("GET", POLL, "", ""), "HTTP/1.1 200 ");
    say(&peers[2], request("GET", POLL, "", ""));
    is_told(&peers[2], 429, REFUSAL_ADDRESS_RATE);
    assert_true(has(&peers[2], "\r\nRetry-After: 1\r\n"));
    leave(&peers[2]);
    say(&peers[2], request("GET", WEBSOCKET, UPGRADE, ""));
    is_told(&peers[2], 429, REFUSAL_ADDRESS_RATE);
    is_noted(REFUSAL_ADDRESS_RATE);
    assert_int_equal(server->sessions.count, 3);
    lives(&peers[0]);
    leave(&peers[2]);
    pass_ms(600); /* a token more; a refused one took none */
    answers(&peers[2], request("GET", POLL, "", ""), "HTTP/1.1 200 ");
    say(&peers[2], request("GET", POLL, "", ""));
    is_told(&peers[2], 429, REFUSAL_ADDRESS_RATE);
    stop();
}

#define EVENT "42[\"a\"]"
#define SEPARATOR "\x1e"

/* A client that sends too fast is read more slowly: its POST is answered later, and all of it counts. */
static void test_messages_of_a_client(void **state)
{
    start("limits: {messages_per_second: 20, messages_at_once: 3}");
    begin_session(&peers[0]);
    answers(&peers[0], request("POST", of_session(POLL "&sid=%s"), "", "40"), "HTTP/1.1 200 OK\r\n");
    say(&peers[0], request("POST", of_session(POLL "&sid=%s"), "",
                           EVENT SEPARATOR EVENT SEPARATOR EVENT SEPARATOR EVENT SEPARATOR EVENT SEPARATOR EVENT
                               SEPARATOR EVENT SEPARATOR EVENT));
    pass_ms(100);
    assert_int_equal(peers[0].got.len, 0);
    assert_true(server->sessions.counters.events_in <= 6);
    is_noted(REFUSAL_MESSAGES_RATE);
    await(&peers[0], "HTTP/1.1 200 OK");
    assert_int_equal(server->sessions.counters.events_in, 8);
    lives(&peers[1]);
    stop();
}

static void test_an_instance_that_drains(void **state)
{
    start("");
    server->draining = true;
    say(&peers[0], request("GET", POLL, "", ""));
    is_told(&peers[0], 503, REFUSAL_DRAINING);
    say(&peers[1], request("GET", WEBSOCKET, UPGRADE, ""));
    is_told(&peers[1], 503, REFUSAL_DRAINING);
    is_noted(REFUSAL_DRAINING);
    server->draining = false;
    stop();
}

/* A Close frame has the code and the sentence; the log and the counter have the reason. */
static void is_closed(struct peer *peer, enum close_reason reason)
{
    const char *sentence = close_reason_text(reason);
    char frame[4 + CLOSE_TEXT_BYTES_MAX + 1], log[64];
    int code = close_reason_ws_code(reason), len = 2 + (int)strlen(sentence);
    snprintf(frame, sizeof frame, "\x88%c%c%c%s", len, code >> 8, code & 255, sentence);
    pass_ms(20);
    for (int i = 0; i < 50 && memmem(buf_span(&peer->got).data, peer->got.len, frame, (size_t)len + 2) == NULL; i++)
        pass_ms(20);
    if (memmem(buf_span(&peer->got).data, peer->got.len, frame, (size_t)len + 2) == NULL)
        fail_msg("no Close frame of %s in: " SPAN_FMT, close_reason_name(reason), SPAN_ARG(buf_span(&peer->got)));
    leave(peer);
    pass_ms(20);
    assert_int_equal(server->net.closed[reason], 1);
    snprintf(log, sizeof log, "connection closed reason=%s ", close_reason_name(reason));
    if (!log_has(log) || !log_has(sentence))
        fail_msg("%s is not in the log", close_reason_name(reason));
}

/* A masked frame whose mask is zero; up to 125 bytes. */
static const char *frame(const char *first, const char *text)
{
    static char bytes[256];
    snprintf(bytes, sizeof bytes, "%s%c\x01\x01\x01\x01%s", first, (char)(0x80 | (int)strlen(text)), text);
    for (size_t i = strlen(first) + 5; bytes[i] != '\0'; i++)
        bytes[i] ^= 1;
    return bytes;
}

static void test_closed_websockets(void **state)
{
    static const struct {
        const char *config, *says;
        const char *text; /* of a text frame, unless `says` is given */
        enum close_reason reason;
    } cases[] = {
        {"", "\xff\xff\x01\x01\x01\x01", NULL, CLOSE_WS_INVALID},
        {"", "\x81\x82\x01\x01\x01\x01\xfe\xfe", NULL, CLOSE_WS_NOT_UTF8},
        {"max_payload: 128", "\x81\xfe\x01\xff\x01\x01\x01\x01", NULL, CLOSE_WS_TOO_BIG},
        {"limits: {frames_per_message: 2}", "\x01\x81\x01\x01\x01\x01\x35\x80\x81\x01\x01\x01\x01\x35", NULL,
         CLOSE_NONE},
        {"", NULL, "nonsense", CLOSE_ENGINE_INVALID},
        {"", NULL, "4nonsense", CLOSE_SOCKETIO_INVALID},
        {"connect_timeout: 100ms", NULL, "3", CLOSE_CONNECT_PACKET_TIMEOUT},
        {"ping_interval: 100ms\nping_timeout: 100ms", NULL, "40", CLOSE_PING_TIMEOUT},
        {"limits: {frames_per_message: 1}", "\x01\x81\x01\x01\x01\x01\x35\x01\x81\x01\x01\x01\x01\x35", NULL,
         CLOSE_WS_INVALID},
        {"limits: {frames_per_message: 1}", "\x01\x81\x01\x01\x01\x01\x35\x80\x81\x01\x01\x01\x01\x35", NULL,
         CLOSE_WS_FRAMES},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start(cases[i].config);
        answers(&peers[0], request("GET", WEBSOCKET, UPGRADE, ""), "HTTP/1.1 101 ");
        say(&peers[0], cases[i].says != NULL ? cases[i].says : frame("\x81", cases[i].text));
        if (cases[i].reason != CLOSE_NONE) {
            is_closed(&peers[0], cases[i].reason);
        } else { /* so many are taken */
            pass_ms(50);
            assert_int_equal(server->sessions.counters.packets_in, 1);
        }
        stop();
        buf_finish(&logged);
    }
}

/* What a client repeats makes one line, and counts each time. */
static void test_lines_are_gathered(void **state)
{
    start("");
    for (int i = 0; i < 50; i++)
        answers(&peers[0], request("GET", "/nothing", "", ""), "HTTP/1.1 404 ");
    assert_int_equal(server->sessions.refusals.counts[REFUSAL_NOT_FOUND], 50);
    size_t lines = 0;
    for (struct span rest = buf_span(&logged), line; span_next(&rest, '\n', &line);)
        lines += memmem(line.data, line.len, "reason=not_found", 16) != NULL;
    assert_int_equal(lines, 1);
    stop();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_requests),
        TEST(test_versions),
        TEST(test_late_requests),
        TEST(test_idle_connections),
        TEST(test_requests_of_a_session),
        TEST(test_sessions_of_an_address),
        TEST(test_messages_of_a_client),
        TEST(test_an_instance_that_drains),
        TEST(test_closed_websockets),
        TEST(test_lines_are_gathered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_engine: the engine's HTTP side, against a whole instance: every check with its code, every answer with its
 * fields in their order, CORS, the cookie, the path, the transports, and what ends a polling session. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../own_ip.h"
#include "base/mem.h"
#include "serve/engine_check.h"
#include "serve/serve.h"

enum { WAIT_MS = 10000, PEERS = 4 };

#define POLL "/socket.io/?EIO=4&transport=polling"
#define UPGRADE \
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " \
    "dGhlIHNhbXBsZSBub25jZQ==\r\n"

/* A client's connection: a bare socket. */
struct peer {
    int fd;
    struct buf got;
    bool ended;
};

static struct loop *loop;
static struct server *server;
static struct peer peers[PEERS];
static struct timer tick, patience;
static const char *awaited;
static struct peer *awaiting;
static char sid[ENGINEIO_SID_BYTES + 1];

static void peer_read(struct peer *peer)
{
    char bytes[4096];
    ssize_t got;
    while (peer->fd >= 0 && (got = recv(peer->fd, bytes, sizeof bytes, 0)) > 0)
        buf_append(&peer->got, span_of(bytes, (size_t)got));
    if (peer->fd >= 0 && (got == 0 || errno != EAGAIN))
        peer->ended = true;
}

static bool has(const struct peer *peer, const char *text)
{
    return peer->got.len > 0 && memmem(buf_span(&peer->got).data, peer->got.len, text, strlen(text)) != NULL;
}

static void on_tick(struct timer *timer)
{
    for (int i = 0; i < PEERS; i++)
        peer_read(&peers[i]);
    if (awaiting != NULL && (awaited != NULL ? has(awaiting, awaited) : awaiting->ended))
        loop_stop(loop);
    else
        timer_start(loop, timer, 500);
}

static void on_patience(struct timer *timer)
{
    loop_stop(loop);
}

static void run(struct peer *peer, const char *text, uint32_t ms)
{
    awaiting = peer;
    awaited = text;
    timer_start(loop, &tick, 0);
    timer_start(loop, &patience, LOOP_MS(ms));
    loop_run(loop);
    timer_stop(loop, &tick);
    timer_stop(loop, &patience);
}

static void await(struct peer *peer, const char *text)
{
    run(peer, text, WAIT_MS);
    if (!has(peer, text))
        fail_msg("no \"%s\" in: " SPAN_FMT, text, SPAN_ARG(buf_span(&peer->got)));
}

static void start(const char *config)
{
    char file[] = "/tmp/sennit-engine-XXXXXX";
    int fd = mkstemp(file);
    struct err err;
    struct serve_options options = {.config_path = file, .port = "0", .broker = "memory"};
    assert_true(dprintf(fd, "%s\nnamespaces: {/: {events: {}}}\n", config) > 0);
    close(fd);
    loop = loop_create(&err);
    server = mem_alloc(sizeof *server);
    timer_init(&tick, on_tick);
    timer_init(&patience, on_patience);
    bool ok = server_open(server, loop, &options, &err);
    unlink(file);
    if (!ok)
        fail_msg("%s", err.text);
    for (int i = 0; i < 100 && !io_is_open(&server->listener.io); i++)
        run(NULL, NULL, 5);
    for (int i = 0; i < PEERS; i++)
        peers[i] = (struct peer){.fd = -1};
}

static void leave(struct peer *peer)
{
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
    buf_finish(&peer->got);
    peer->ended = false;
}

static void stop(void)
{
    for (int i = 0; i < PEERS; i++)
        leave(&peers[i]);
    server_close(server);
    loop_destroy(loop);
    free(server);
}

/* Sends this on a new connection of the peer's, or on the one that it has. */
static void say(struct peer *peer, const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(OWN_IP)};
    if (peer->fd < 0) {
        in.sin_port = htons(listener_port(&server->listener));
        peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(peer->fd, (struct sockaddr *)&in, sizeof in);
        run(NULL, NULL, 5);
    }
    buf_clear(&peer->got);
    assert_int_equal(send(peer->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static const char *request(const char *method, const char *target, const char *fields, const char *body)
{
    static char text[4096];
    char length[64] = "";
    if (body[0] != '\0')
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body));
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: a.com\r\n%s%s\r\n%s", method, target, fields, length, body);
    return text;
}

/* `%s` in a target is the session's id. */
static const char *of_session(const char *target)
{
    static char text[512];
    snprintf(text, sizeof text, target, sid);
    return text;
}

/* Asks, and fails unless the whole answer begins with `expected`. */
static void answers(struct peer *peer, const char *asked, const char *expected)
{
    say(peer, asked);
    run(peer, "\r\n\r\n", WAIT_MS);
    run(NULL, NULL, 3);
    struct span got = buf_span(&peer->got);
    if (!span_starts_with(got, span_str(expected)))
        fail_msg("%s got: " SPAN_FMT, asked, SPAN_ARG(got));
}

static void begin_session(struct peer *peer)
{
    answers(peer, request("GET", POLL, "", ""), "HTTP/1.1 200 OK\r\n");
    const char *at = memmem(buf_span(&peer->got).data, peer->got.len, "\"sid\":\"", 7);
    assert_non_null(at);
    memcpy(sid, at + 7, ENGINEIO_SID_BYTES);
}

static void is_gone(struct peer *peer)
{
    answers(peer, request("GET", of_session(POLL "&sid=%s"), "", ""), "HTTP/1.1 400 Bad Request\r\n");
    assert_true(has(peer, "{\"code\":1,\"message\":\"Session ID unknown\"}"));
}

static void lives(struct peer *peer)
{
    answers(peer, request("POST", of_session(POLL "&sid=%s"), "", "3"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n");
}

static void test_the_errors(void **state)
{
    static const struct {
        const char *method, *target, *fields;
        const char *answer; /* the body */
        const char *reason;
    } cases[] = {
        {"GET", "/socket.io/?EIO=4", "", "{\"code\":0,\"message\":\"Transport unknown\"}", "transport_unknown"},
        {"GET", "/socket.io/?EIO=4&transport=webtransport", "", "{\"code\":0,\"message\":\"Transport unknown\"}",
         "transport_unknown"},
        {"POST", "/socket.io/?EIO=3&transport=tobi&sid=x", "", "{\"code\":0,\"message\":\"Transport unknown\"}",
         "transport_unknown"},
        {"GET", POLL "&sid=x", "", "{\"code\":1,\"message\":\"Session ID unknown\"}", "session_unknown"},
        {"POST", "/socket.io/?EIO=3&transport=websocket&sid=AAAAAAAAAAAAAAAAAAAA", "",
         "{\"code\":1,\"message\":\"Session ID unknown\"}", "session_unknown"},
        {"PUT", POLL "&sid=x", "", "{\"code\":1,\"message\":\"Session ID unknown\"}", "session_unknown"},
        {"POST", POLL, "", "{\"code\":2,\"message\":\"Bad handshake method\"}", "handshake_method"},
        {"PUT", "/socket.io/?transport=websocket", "", "{\"code\":2,\"message\":\"Bad handshake method\"}",
         "handshake_method"},
        {"OPTIONS", POLL, "", "{\"code\":2,\"message\":\"Bad handshake method\"}", "cors"},
        {"GET", "/socket.io/?EIO=4&transport=websocket", "", "{\"code\":3,\"message\":\"Bad request\"}",
         "handshake_invalid"},
        {"GET", "/socket.io/?EIO=3&transport=websocket", "", "{\"code\":3,\"message\":\"Bad request\"}",
         "handshake_invalid"},
        {"GET", "/socket.io/?transport=polling", "", "{\"code\":5,\"message\":\"Unsupported protocol version\"}",
         "eio_old"},
        {"GET", "/socket.io/?EIO=3&transport=polling&b64=1", "",
         "{\"code\":5,\"message\":\"Unsupported protocol version\"}", "eio_old"},
        {"GET", "/socket.io/?EIO=44&transport=polling&sid=", "",
         "{\"code\":5,\"message\":\"Unsupported protocol version\"}", "eio_old"},
        {"GET", POLL "&j=0", "", "{\"code\":3,\"message\":\"JSONP (the query parameter j) is not supported: ", "jsonp"},
    };
    start("");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char expected[64];
        answers(&peers[0], request(cases[i].method, cases[i].target, cases[i].fields, ""),
                "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: ");
        snprintf(expected, sizeof expected, "X-Sennit-Reason: %s\r\nX-Sennit-Cure: ", cases[i].reason);
        if (!has(&peers[0], cases[i].answer) || !has(&peers[0], expected))
            fail_msg("%s %s: " SPAN_FMT, cases[i].method, cases[i].target, SPAN_ARG(buf_span(&peers[0].got)));
    }
    assert_false(peers[0].ended);
    assert_int_equal(server->sessions.count, 0);
    assert_int_equal(server->sessions.refusals.counts[REFUSAL_EIO_OLD], 3);
    stop();
}

/* On an upgrade each error is the bare text, byte for byte, and the end. */
static void test_the_errors_of_upgrades(void **state)
{
    static const struct {
        const char *target, *message;
    } cases[] = {
        {"/socket.io/?EIO=4&transport=tobi", "Transport unknown"},
        {"/socket.io/?EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAAAAAA", "Session ID unknown"},
        {"/socket.io/?EIO=4&transport=polling", "Bad request"},
        {"/socket.io/?EIO=3&transport=websocket", "Unsupported protocol version"},
    };
    start("");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char expected[256];
        snprintf(
            expected, sizeof expected,
            "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-type: text/html\r\nContent-Length: %zu\r\n\r\n%s",
            strlen(cases[i].message), cases[i].message);
        say(&peers[0], request("GET", cases[i].target, UPGRADE, ""));
        run(&peers[0], NULL, WAIT_MS);
        assert_true(peers[0].ended);
        if (!span_equal(buf_span(&peers[0].got), span_str(expected)))
            fail_msg("%s: " SPAN_FMT, cases[i].target, SPAN_ARG(buf_span(&peers[0].got)));
        leave(&peers[0]);
    }
    say(&peers[0], request("GET", "/elsewhere", UPGRADE, ""));
    run(&peers[0], NULL, WAIT_MS);
    assert_true(peers[0].ended && has(&peers[0], "HTTP/1.1 404 Not Found\r\n"));
    stop();
}

/* No parser lets it through; the check stands where a parser might. */
static void test_an_origin_of_invalid_characters(void **state)
{
    const struct engine_config config = {.polling = true, .websocket = true};
    struct http1_head head = {.method = SPAN_LIT("GET"), .field_count = 1};
    struct engine_ask ask;
    head.fields[0] = (struct http1_field){SPAN_LIT("Origin"), SPAN_LIT("http://a\x07.com")};
    engine_check(&ask, &config, NULL, &head, SPAN_LIT("EIO=4&transport=polling"));
    assert_true(ask.use == ENGINE_REFUSED && ask.error == ENGINEIO_BAD_REQUEST);
    engine_check(&ask, &config, NULL, &head, SPAN_LIT("EIO=4&transport=tobi"));
    assert_true(ask.use == ENGINE_REFUSED && ask.error == ENGINEIO_UNKNOWN_TRANSPORT);
    head.fields[0].value = SPAN_LIT("http://a.com");
    engine_check(&ask, &config, NULL, &head, SPAN_LIT("EIO=4&transport=polling"));
    assert_true(ask.use == ENGINE_HANDSHAKE);
}

static void test_the_answers(void **state)
{
    start("ping_interval: 300ms\nping_timeout: 200ms\nmax_payload: 1000");
    answers(
        &peers[0], request("GET", POLL, "User-Agent: Mozilla/4.0 (compatible;MSIE 8.0)\r\n", ""),
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: 111\r\nX-XSS-Protection: 0\r\n"
        "cache-control: no-store\r\n");
    assert_true(
        has(&peers[0], "\"upgrades\":[\"websocket\"],\"pingInterval\":300,\"pingTimeout\":200,\"maxPayload\":1000}"));
    assert_false(has(&peers[0], "Set-Cookie"));
    answers(&peers[0], request("GET", "/socket.io/foo?b64=1&EIO=4&transport=polling&t=x", "", ""),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: 111\r\ncache-control: "
            "no-store\r\n");
    begin_session(&peers[0]);
    say(&peers[1], request("GET", of_session(POLL "&sid=%s"), "", ""));
    answers(&peers[0], request("POST", of_session(POLL "&sid=%s"), "", "40"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\ncache-control: no-store\r\n");
    assert_true(has(&peers[0], "\r\n\r\nok"));
    await(&peers[1], "\r\n\r\n40{\"sid\":\"");
    assert_true(span_starts_with(buf_span(&peers[1].got),
                                 SPAN_LIT("HTTP/1.1 200 OK\r\nContent-Type: text/plain; "
                                          "charset=UTF-8\r\nContent-Length: 32\r\ncache-control: no-store\r\n")));
    stop();
}

static void test_methods_and_versions_of_a_session(void **state)
{
    static const char *const others[] = {"PUT", "DELETE", "HEAD", "OPTIONS"};
    start("");
    begin_session(&peers[0]);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        answers(&peers[0], request(others[i], of_session(POLL "&sid=%s"), "", ""),
                "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n");
    answers(&peers[0], request("GET", of_session("/socket.io/?EIO=4&transport=websocket&sid=%s"), "", ""),
            "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n");
    assert_true(has(&peers[0], "{\"code\":3,\"message\":\"Bad request\"}"));
    answers(&peers[0], request("GET", of_session("/socket.io/?EIO=3&transport=polling&sid=%s"), "", ""),
            "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n");
    assert_true(has(&peers[0], "{\"code\":3,\"message\":\"Bad request\"}"));
    lives(&peers[0]);
    stop();
}

static void test_overlapping_requests(void **state)
{
    start("");
    begin_session(&peers[0]);
    say(&peers[1], request("GET", of_session(POLL "&sid=%s"), "", ""));
    run(NULL, NULL, 10);
    answers(&peers[0], request("GET", of_session(POLL "&sid=%s"), "", ""),
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n");
    await(&peers[1], "\r\n\r\n1");
    is_gone(&peers[0]);
    begin_session(&peers[0]);
    say(&peers[1],
        request("POST", of_session(POLL "&sid=%s"), "Content-Length: 5\r\n", "")); /* the body is on its way */
    run(NULL, NULL, 10);
    answers(&peers[0], request("POST", of_session(POLL "&sid=%s"), "", "3"),
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n");
    leave(&peers[0]); /* the unread body is its last */
    is_gone(&peers[0]);
    assert_int_equal(server->sessions.refusals.counts[REFUSAL_POLLS_OVERLAP], 2);
    stop();
}

static void test_bodies_of_posts(void **state)
{
    char large[1200];
    memset(large, '4', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    start("max_payload: 1000");
    begin_session(&peers[0]);
    answers(&peers[1], request("POST", of_session(POLL "&sid=%s"), "", large),
            "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n");
    leave(&peers[1]);
    say(&peers[1], request("POST", of_session(POLL "&sid=%s"), "Transfer-Encoding: chunked\r\n", ""));
    char chunk[1300];
    snprintf(chunk, sizeof chunk, "%zx\r\n%s\r\n", strlen(large), large);
    answers(&peers[1], chunk, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n");
    lives(&peers[0]);
    answers(&peers[0], request("POST", of_session(POLL "&sid=%s"), "Content-Type: application/octet-stream\r\n", "4x"),
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n");
    run(NULL, NULL, 5);
    say(&peers[0], request("GET", of_session(POLL "&sid=%s"), "", ""));
    await(&peers[0], "\r\n\r\n");
    is_gone(&peers[0]);
    stop();
}

/* Both kinds of reset, a poll and a POST: the session ends before a request on another connection is read. */
static void test_a_client_that_goes(void **state)
{
    start("");
    for (int i = 0; i < 4; i++) {
        const struct linger none = {.l_onoff = 1};
        begin_session(&peers[0]);
        if (i < 2)
            say(&peers[1], request("GET", of_session(POLL "&sid=%s"), "", ""));
        else
            say(&peers[1], request("POST", of_session(POLL "&sid=%s"), "Content-Length: 5\r\n", ""));
        run(NULL, NULL, 10);
        if (i % 2 == 1)
            setsockopt(peers[1].fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        leave(&peers[1]);
        is_gone(&peers[0]);
    }
    run(NULL, NULL, 5);
    assert_int_equal(server->sessions.count, 0);
    stop();
}

/* A handshake costs a session, and no connection: there are as many sessions as there may be connections. */
static void test_too_many_sessions(void **state)
{
    start("limits: {connections: 3}");
    for (int i = 0; i < 3; i++)
        begin_session(&peers[0]);
    answers(&peers[0], request("GET", POLL, "", ""), "HTTP/1.1 503 Service Unavailable\r\n");
    assert_true(has(&peers[0], "Retry-After: 1\r\n") && has(&peers[0], "limits: connections"));
    assert_int_equal(server->sessions.count, 3);
    lives(&peers[1]);
    answers(&peers[1], request("POST", of_session(POLL "&sid=%s"), "", "1"), "HTTP/1.1 200 OK\r\n");
    begin_session(&peers[1]);
    server->draining = true;
    answers(&peers[1], request("GET", POLL, "", ""), "HTTP/1.1 503 Service Unavailable\r\n");
    lives(&peers[2]);
    stop();
}

static void test_a_websocket_takes_over(void **state)
{
    start("");
    begin_session(&peers[0]);
    answers(&peers[1], request("GET", of_session("/socket.io/?EIO=4&transport=websocket&sid=%s"), UPGRADE, ""),
            "HTTP/1.1 101 Switching Protocols\r\n");
    say(&peers[1], "\x81\x86\x01\x01\x01\x01\x33qsncd"); /* 2probe, masked */
    await(&peers[1], "\x81\x06"
                     "3probe");
    say(&peers[1], "\x81\x81\x01\x01\x01\x01\x34"); /* 5 */
    run(NULL, NULL, 10);
    answers(&peers[0], request("GET", of_session(POLL "&sid=%s"), "", ""),
            "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n");
    assert_true(has(&peers[0], "{\"code\":3,\"message\":\"Bad request\"}"));
    assert_int_equal(server->sessions.count, 1);
    leave(&peers[1]);
    run(NULL, NULL, 10);
    is_gone(&peers[0]);
    stop();
}

static void test_path_and_transports(void **state)
{
    start("path: /live/ws/\ntransports: [polling]");
    answers(&peers[0], request("GET", "/live/ws/?EIO=4&transport=polling", "", ""), "HTTP/1.1 200 OK\r\n");
    assert_true(has(&peers[0], "\"upgrades\":[],"));
    answers(&peers[0], request("GET", "/live/ws?EIO=4&transport=polling", "", ""), "HTTP/1.1 404 Not Found\r\n");
    assert_true(has(&peers[0], "add_trailing_slash"));
    answers(&peers[0], request("GET", POLL, "", ""), "HTTP/1.1 404 Not Found\r\n");
    answers(&peers[0], request("GET", "/live/wsx/?EIO=4&transport=polling", "", ""), "HTTP/1.1 404 Not Found\r\n");
    answers(&peers[0], request("GET", "/live/ws/?EIO=4&transport=websocket", UPGRADE, ""),
            "HTTP/1.1 400 Bad Request\r\n");
    assert_true(has(&peers[0], "\r\n\r\nTransport unknown"));
    stop();
    start("add_trailing_slash: false\ntransports: [websocket]");
    answers(&peers[0], request("GET", "/socket.io?EIO=4&transport=websocket", UPGRADE, ""),
            "HTTP/1.1 101 Switching Protocols\r\n");
    answers(&peers[1], request("GET", POLL, "", ""), "HTTP/1.1 400 Bad Request\r\n");
    assert_true(has(&peers[1], "{\"code\":0,\"message\":\"Transport unknown\"}"));
    stop();
}

static void test_cookies(void **state)
{
    start("cookie: true");
    begin_session(&peers[0]);
    char expected[200];
    snprintf(expected, sizeof expected,
             "cache-control: no-store\r\nSet-Cookie: io=%s; Path=/; HttpOnly; SameSite=Lax\r\n", sid);
    assert_true(has(&peers[0], expected));
    lives(&peers[0]);
    assert_false(has(&peers[0], "Set-Cookie"));
    answers(&peers[1], request("GET", "/socket.io/?EIO=4&transport=websocket", UPGRADE, ""), "HTTP/1.1 101 ");
    assert_false(has(&peers[1], "Set-Cookie"));
    stop();
    start("cookie: {name: affinity, path: /live, http_only: false, secure: true, same_site: none, max_age: 1h, domain: "
          "a.com}");
    begin_session(&peers[0]);
    snprintf(expected, sizeof expected,
             "Set-Cookie: affinity=%s; Max-Age=3600; Domain=a.com; Path=/live; Secure; SameSite=None\r\n", sid);
    assert_true(has(&peers[0], expected));
    stop();
}

#define PAGE "Origin: https://b.com\r\n"
#define PREFLIGHT PAGE "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-a, content-type\r\n"

static void test_cors(void **state)
{
    static const struct {
        const char *config, *method, *fields;
        const char *lines; /* all of them, in order */
    } cases[] = {
        {"{}", "GET", PAGE, "Access-Control-Allow-Origin: *\r\nX-Sennit"},
        {"{origin: \"*\", exposed_headers: [a, b]}", "GET", "",
         "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: a,b\r\nX-Sennit"},
        {"{origin: reflect, credentials: true}", "GET", PAGE,
         "Access-Control-Allow-Origin: https://b.com\r\nVary: Origin\r\nAccess-Control-Allow-Credentials: "
         "true\r\nX-Sennit"},
        {"{origin: [\"https://a.com\", \"https://*.b.com\", \"https://b.com\"]}", "GET", PAGE,
         "Access-Control-Allow-Origin: https://b.com\r\nVary: Origin\r\nX-Sennit"},
        {"{origin: [\"https://*.b.com\"]}", "GET", "Origin: https://x.b.com\r\n",
         "Access-Control-Allow-Origin: https://x.b.com\r\nVary: Origin\r\nX-Sennit"},
        {"{origin: [\"https://*.b.com\"]}", "GET", PAGE, "Content-Length: 40\r\nVary: Origin\r\nX-Sennit"},
        {"{origin: https://a.com}", "GET", PAGE,
         "Access-Control-Allow-Origin: https://a.com\r\nVary: Origin\r\nX-Sennit"},
        {"{}", "OPTIONS", PREFLIGHT,
         "HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: *\r\nVary: Access-Control-Request-Headers\r\n"
         "Access-Control-Allow-Methods: GET,HEAD,PUT,PATCH,POST,DELETE\r\n"
         "Access-Control-Allow-Headers: x-a, content-type\r\nContent-Length: 0\r\n"},
        {"{origin: [https://b.com], credentials: true, methods: [GET, POST], allowed_headers: [x-b], max_age: 10m}",
         "OPTIONS", PREFLIGHT,
         "HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: https://b.com\r\nVary: Origin\r\n"
         "Access-Control-Allow-Credentials: true\r\nAccess-Control-Allow-Methods: GET,POST\r\n"
         "Access-Control-Allow-Headers: x-b\r\nAccess-Control-Max-Age: 600\r\nContent-Length: 0\r\n"},
        {"{origin: reflect}", "OPTIONS", PREFLIGHT,
         "Vary: Origin, Access-Control-Request-Headers\r\nAccess-Control-Allow-Methods: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char config[256];
        snprintf(config, sizeof config, "cors: %s", cases[i].config);
        start(config);
        answers(&peers[0], request(cases[i].method, "/socket.io/?transport=tobi", cases[i].fields, ""), "HTTP/1.1 ");
        if (!has(&peers[0], cases[i].lines))
            fail_msg("%s: " SPAN_FMT, cases[i].config, SPAN_ARG(buf_span(&peers[0].got)));
        stop();
    }
}

static void test_cors_everywhere(void **state)
{
    start("cors: {origin: [https://b.com]}\nmax_payload: 1000");
    begin_session(&peers[0]);
    const char *const reads = "Access-Control-Allow-Origin: https://b.com\r\n";
    answers(&peers[0], request("GET", POLL, PAGE, ""), "HTTP/1.1 200 OK\r\n");
    assert_true(has(&peers[0], reads));
    answers(&peers[0], request("POST", of_session(POLL "&sid=%s"), PAGE, "3"), "HTTP/1.1 200 OK\r\n");
    assert_true(has(&peers[0], reads));
    answers(&peers[0], request("GET", POLL "&sid=x", PAGE, ""), "HTTP/1.1 400 ");
    assert_true(has(&peers[0], reads));
    answers(&peers[0], request("PUT", of_session(POLL "&sid=%s"), PAGE, ""), "HTTP/1.1 500 ");
    assert_true(has(&peers[0], reads));
    answers(&peers[1], request("POST", of_session(POLL "&sid=%s"), PAGE "Content-Length: 2000\r\n", ""),
            "HTTP/1.1 413 ");
    assert_true(has(&peers[1], reads));
    /* It may read, so it may also open a WebSocket; another one may not, and the log says what to do. */
    answers(&peers[2], request("GET", "/socket.io/?EIO=4&transport=websocket", UPGRADE PAGE, ""), "HTTP/1.1 101 ");
    answers(&peers[3], request("GET", "/socket.io/?EIO=4&transport=websocket", UPGRADE "Origin: https://c.com\r\n", ""),
            "HTTP/1.1 403 ");
    assert_int_equal(server->sessions.refusals.counts[REFUSAL_CORS], 0);
    answers(&peers[0], request("GET", POLL, "Origin: https://c.com\r\n", ""), "HTTP/1.1 200 OK\r\n");
    assert_int_equal(server->sessions.refusals.counts[REFUSAL_CORS], 1);
    answers(&peers[0], request("GET", POLL, "Origin: https://a.com\r\n", ""), "HTTP/1.1 200 OK\r\n"); /* our own page */
    assert_int_equal(server->sessions.refusals.counts[REFUSAL_CORS], 1);
    stop();
}

static void test_configurations_that_are_wrong(void **state)
{
    static const struct {
        const char *config, *error;
    } cases[] = {
        {"path: socket.io", "path: expected a path like /socket.io/"},
        {"path: /", "path: expected a path like /socket.io/"},
        {"path: \"/a?b\"", "path: expected a path like /socket.io/"},
        {"transports: [websocket, webtransport]",
         "transports[1]: expected polling or websocket, found \"webtransport\""},
        {"transports: []", "transports: needs at least one"},
        {"cors: true", "cors: expected a mapping"},
        {"cors: {origin: [b.com]}", "cors.origin[0]: expected an origin like https://"},
        {"cors: {orgin: \"*\"}", "cors: unknown field \"orgin\""},
        {"cors: {methods: \"a\\nb\"}", "cors.methods: expected names"},
        {"cors: {max_age: soon}", "cors.max_age: expected a duration"},
        {"cookie: {name: \"a=b\"}", "cookie.name: expected a cookie's name"},
        {"cookie: {path: \"/;b\"}", "cookie.path: expected up to"},
        {"cookie: {same_site: lacks}", "cookie.same_site: expected lax, strict or none"},
        {"cookie: yes please", "cookie: expected true or false"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err;
        struct engine_config config = {0};
        struct yaml_node *root = yaml_parse("test.yaml", span_str(cases[i].config), &err);
        assert_non_null(root);
        assert_false(engine_config_read(&config, root, &err));
        if (strstr(err.text, cases[i].error) == NULL)
            fail_msg("%s: %s", cases[i].config, err.text);
        engine_config_finish(&config);
        yaml_destroy(root);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_errors),
        cmocka_unit_test(test_the_errors_of_upgrades),
        cmocka_unit_test(test_an_origin_of_invalid_characters),
        cmocka_unit_test(test_the_answers),
        cmocka_unit_test(test_methods_and_versions_of_a_session),
        cmocka_unit_test(test_overlapping_requests),
        cmocka_unit_test(test_bodies_of_posts),
        cmocka_unit_test(test_a_client_that_goes),
        cmocka_unit_test(test_too_many_sessions),
        cmocka_unit_test(test_a_websocket_takes_over),
        cmocka_unit_test(test_path_and_transports),
        cmocka_unit_test(test_cookies),
        cmocka_unit_test(test_cors),
        cmocka_unit_test(test_cors_everywhere),
        cmocka_unit_test(test_configurations_that_are_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

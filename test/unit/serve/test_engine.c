/* test_engine: the engine's HTTP side, against a whole instance: every check with its code, every answer with its
 * fields in their order, the path, the transports, and what ends a polling session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "fixture.h"
#include "serve/engine_check.h"

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
        await_end(&peers[0]);
        if (!span_equal(buf_span(&peers[0].got), span_str(expected)))
            fail_msg("%s: " SPAN_FMT, cases[i].target, SPAN_ARG(buf_span(&peers[0].got)));
        leave(&peers[0]);
    }
    say(&peers[0], request("GET", "/elsewhere", UPGRADE, ""));
    await_end(&peers[0]);
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
    static const char *const valid[] = {"http://a.com", "http://\xe4.com"}; /* obs-text (RFC 9110, 5.5) is valid */
    for (size_t i = 0; i < 2; i++) {
        head.fields[0].value = span_str(valid[i]);
        engine_check(&ask, &config, NULL, &head, SPAN_LIT("EIO=4&transport=polling"));
        assert_true(ask.use == ENGINE_HANDSHAKE);
    }
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
    pass_ms(10);
    answers(&peers[0], request("GET", of_session(POLL "&sid=%s"), "", ""),
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n");
    await(&peers[1], "\r\n\r\n1");
    is_gone(&peers[0]);
    begin_session(&peers[0]);
    say(&peers[1],
        request("POST", of_session(POLL "&sid=%s"), "Content-Length: 5\r\n", "")); /* the body is on its way */
    pass_ms(10);
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
    pass_ms(5);
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
        pass_ms(10);
        if (i % 2 == 1)
            setsockopt(peers[1].fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        leave(&peers[1]);
        is_gone(&peers[0]);
    }
    pass_ms(5);
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
    pass_ms(10);
    answers(&peers[0], request("GET", of_session(POLL "&sid=%s"), "", ""),
            "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n");
    assert_true(has(&peers[0], "{\"code\":3,\"message\":\"Bad request\"}"));
    assert_int_equal(server->sessions.count, 1);
    leave(&peers[1]);
    pass_ms(10);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

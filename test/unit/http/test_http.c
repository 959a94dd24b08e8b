/* test_http: exchanges that go well: answers of each kind, bodies, keeping the connection, pipelining, upgrades. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fixture.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, fields, body) "POST " path " HTTP/1.1\r\nHost: a\r\n" fields "\r\n" body

static void test_an_answer_at_once(void **state)
{
    client_say(GET("/now"));
    await_got(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\nX-Now: 1\r\nX-All: 1\r\n\r\nit is now\n",
        1);
    assert_int_equal(fixture.net.writes, 1); /* head and body together */
    client_say(GET("/now"));
    await_got("it is now\n", 2);
    assert_int_equal(got_times("Connection: close"), 0);
}

static void test_byte_by_byte(void **state)
{
    struct span all = SPAN_LIT(
        POST("/whole", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n2;x=1\r\nde\r\n0\r\nT: 1\r\n\r\n") GET("/now"));
    for (size_t i = 0; i < all.len; i++) {
        client_send(span_sub(all, i, 1));
        pass_ms(1);
    }
    await_got("abcde", 1);
    await_got("it is now\n", 1);
    assert_int_equal(story_times("body 5 last\n"), 1);
}

static void test_pipelined_requests_wait_for_their_turn(void **state)
{
    client_say(GET("/later") GET("/now") POST("/whole", "Content-Length: 4\r\n", "body") GET("/file") GET("/now"));
    await_story("request GET /later");
    pass_ms(20);
    assert_int_equal(story_times("request"), 1);
    assert_int_equal(fixture.got.len, 0);
    http_respond(fixture.held, 200, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT("later\n"));
    await_got("it is now\n", 2);
    assert_int_equal(story_times("request"), 5);
    assert_int_equal(got_times("HTTP/1.1 200 OK"), 5);
    assert_true(fixture.got.len > SOURCE_BYTES);
    assert_int_equal(fixture.released, 1);
    assert_true(got_times("later\nHTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\nX-Now: 1") == 1);
}

static void test_head_has_the_head_alone(void **state)
{
    client_say("HEAD /now HTTP/1.1\r\nHost: a\r\n\r\nHEAD /file HTTP/1.1\r\nHost: a\r\n\r\n"
               "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    await_story("HEAD /stream");
    http_stream_send(fixture.held, SPAN_LIT("unseen"));
    http_stream_end(fixture.held);
    client_say("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
    await_story("/nowhere");
    http_respond(fixture.held, 404, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT("end"));
    await_got("end", 1);
    assert_int_equal(got_times("\r\n\r\nHTTP/1.1 "), 3);
    assert_int_equal(got_times("Content-Length: 10\r\n"), 1);
    assert_int_equal(got_times("Content-Length: 3145728\r\n"), 1);
    assert_int_equal(got_times("unseen") + got_times("it is now"), 0);
    assert_int_equal(fixture.released, 1);
}

static void test_http_10_gets_one_answer(void **state)
{
    client_say("GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" GET("/now"));
    await_end();
    assert_int_equal(got_times("Connection: close\r\n\r\nit is now\n"), 1);
    assert_int_equal(story_times("request"), 1);
}

static void test_a_stream(void **state)
{
    client_say(GET("/stream"));
    await_got("Transfer-Encoding: chunked\r\n\r\n", 1);
    assert_true(http_stream_send(fixture.held, SPAN_LIT("first")));
    await_got("5\r\nfirst\r\n", 1);
    http_stream_send(fixture.held, SPAN_LIT(""));
    http_stream_send(fixture.held, SPAN_LIT("second one"));
    http_stream_end(fixture.held);
    await_got("a\r\nsecond one\r\n0\r\n\r\n", 1);
    client_say(GET("/now"));
    await_got("it is now", 1);
}

static void test_a_stream_to_http_10_ends_with_the_connection(void **state)
{
    client_say("GET /stream HTTP/1.0\r\n\r\n");
    await_got("Connection: close\r\n\r\n", 1);
    http_stream_send(fixture.held, SPAN_LIT("one"));
    http_stream_send(fixture.held, SPAN_LIT("two"));
    http_stream_end(fixture.held);
    await_got("\r\n\r\nonetwo", 1);
    await_end();
    assert_int_equal(got_times("chunked"), 0);
}

static void test_a_stream_waits_for_its_reader(void **state)
{
    static char bytes[100000];
    fixture.deaf = true;
    client_say(GET("/stream"));
    await_story("/stream");
    int sent = 1;
    while (http_stream_send(fixture.held, span_of(bytes, sizeof bytes))) {
        sent++;
        pass_ms(2);
        assert_true(sent < 1000);
    }
    while (conn_queued(&fixture.held->conn) == 0 || sent < 10) { /* until the kernel has had enough */
        http_stream_send(fixture.held, span_of(bytes, sizeof bytes));
        sent++;
        pass_ms(2);
    }
    pass_ms(20);
    size_t before = fixture.story.len;
    fixture.deaf = false;
    pass_ms(20);
    await_story("drained");
    assert_true(fixture.story.len > before);
    http_stream_end(fixture.held);
    await_got("0\r\n\r\n", 1);
    assert_true(fixture.got.len > (size_t)sent * sizeof bytes);
}

static void test_bodies(void **state)
{
    client_say(POST("/whole", "Content-Length: 0\r\n", ""));
    await_story("body 0 last");
    client_say(GET("/whole"));
    await_got("Content-Length: 0\r\n", 2);
    client_say(POST("/whole", "Content-Length: 11\r\n", "hello "));
    pass_ms(20);
    assert_int_equal(story_times("body 6"), 0);
    client_say("world" GET("/now"));
    await_got("\r\n\r\nhello world", 1);
    await_got("it is now\n", 1);
    assert_int_equal(story_times("body 11 last"), 1);
}

static void test_a_body_streamed_both_ways(void **state)
{
    client_say(POST("/echo", "Content-Length: 10\r\n", "01234"));
    await_got("5\r\n01234\r\n", 1);
    client_say("56789");
    await_got("5\r\n56789\r\n0\r\n\r\n", 1);
    await_end(); /* the head went out before the body was read: nobody knew that it would come */
    assert_int_equal(got_times("Connection: close"), 1);
}

static void test_a_body_that_is_asked_for_later(void **state)
{
    client_say(POST("/body", "Content-Length: 5\r\n", "early") GET("/now"));
    await_story("/body");
    pass_ms(20);
    assert_int_equal(story_times("body 5"), 0);
    assert_false(http_body_is_done(fixture.held));
    assert_true(http_read_body(fixture.held, 100, HTTP_BODY_STREAMED));
    await_got("\r\n\r\nearly", 1);
    await_got("it is now", 1);
}

static void test_a_body_that_is_paused(void **state)
{
    static char bytes[500000];
    client_say(POST("/body", "Content-Length: 500000\r\n", ""));
    await_story("/body");
    http_read_body(fixture.held, SIZE_MAX, HTTP_BODY_STREAMED);
    http_body_pause(fixture.held, true);
    client_send(span_of(bytes, 100000)); /* the kernel takes more than is read */
    pass_ms(500);                        /* nobody is late while it is paused */
    assert_int_equal(story_times("body"), 1);
    assert_true(conn_kept(&fixture.held->conn) <= NET_RECEIVE_BYTES);
    http_body_pause(fixture.held, false);
    client_send(span_of(bytes, 400000));
    await_got("HTTP/1.1 200 OK", 1);
    assert_int_equal(story_times(" last"), 1);
}

static void test_trailers_both_ways(void **state)
{
    client_say("POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
               "2\r\nab\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n");
    await_story("/body");
    http_read_body(fixture.held, WHOLE_BYTES_MAX, HTTP_BODY_RELAYED);
    await_story("body 0 last\ntrailers X-Sum: 1\r\nX-More: 2\r\n");
    client_say(GET("/stream"));
    await_story("/stream");
    http_stream_send(fixture.held, SPAN_LIT("abc"));
    http_stream_end_with(fixture.held, SPAN_LIT("X-Sum: 3\r\n"));
    await_got("3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n", 1);
    client_say("GET /stream HTTP/1.0\r\n\r\n");
    await_story("/stream\nrequest GET /stream");
    http_stream_send(fixture.held, SPAN_LIT("older"));
    http_stream_end_with(fixture.held, SPAN_LIT("X-Sum: 4\r\n"));
    await_got("older", 1);
    await_end();
    assert_int_equal(got_times("X-Sum: 4"), 0);
}

/* The end of the client's half came before the handler wanted the body. */
static void test_a_whole_request_and_no_more(void **state)
{
    static char bytes[100000];
    client_say("POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    client_shutdown();
    await_story("/later");
    pass_ms(20);
    assert_int_equal(story_times("aborted"), 0);
    http_read_body(fixture.held, WHOLE_BYTES_MAX, HTTP_BODY_WHOLE);
    await_got("\r\n\r\nhello", 1);
    await_end();

    client_connect(); /* the same with more than is read before it is wanted */
    client_say("POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    client_send(span_of(bytes, sizeof bytes));
    client_shutdown();
    await_story("/later\nbody 5 last\nclosed");
    pass_ms(20);
    assert_int_equal(story_times("aborted"), 0);
    http_read_body(fixture.held, BODY_BYTES_MAX, HTTP_BODY_RELAYED);
    await_story(" last\n");
}

static void test_half_a_request_and_no_more(void **state)
{
    static char bytes[99999];
    static const char *const requests[] = {
        "Content-Length: 6\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "Content-Length: 100000\r\n\r\n",
    };
    for (int i = 0; i < 3; i++) {
        if (i > 0)
            client_connect();
        client_say("POST /later HTTP/1.1\r\nHost: a\r\n");
        client_say(requests[i]);
        if (i == 2)
            client_send(span_of(bytes, sizeof bytes));
        client_shutdown();
        await_end();
        assert_int_equal(story_times("aborted"), i + 1);
    }
}

static void test_expectations(void **state)
{
    client_say(POST("/whole", "Content-Length: 2\r\nExpect: 100-continue\r\n", ""));
    await_got("HTTP/1.1 100 Continue\r\n\r\n", 1);
    client_say("ok");
    await_got("\r\n\r\nok", 1);
    client_say(POST("/now", "Content-Length: 2\r\nExpect: 100-continue\r\n", "")); /* nobody wants the body */
    await_end();
    assert_int_equal(got_times("100 Continue"), 1);
    assert_int_equal(got_times("Connection: close\r\n\r\nit is now\n"), 1);
}

#define HANDSHAKE \
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static void test_an_upgrade(void **state)
{
    client_say(GET("/now") HANDSHAKE "Sec-WebSocket-Protocol: chat, other\r\n\r\nbytes behind it");
    await_got(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\nbytes behind it",
        1);
    client_say(GET("/now"));
    await_got("bytes behind it" GET("/now"), 1);
    assert_int_equal(story_times("request"), 2);
    client_leave();
    await_story("closed upgraded");
    assert_int_equal(fixture.server.count, 0);
}

static const struct conn_events later_events;
static size_t later_received(struct conn *conn, char *bytes, size_t len)
{
    conn_send(conn, span_of(bytes, len));
    return len;
}
static void later_closed(struct conn *conn, enum close_reason reason)
{
    struct visitor *visitor = container_of(conn, struct visitor, http.conn);
    http_forget(&visitor->http);
    list_remove(&visitor->of_fixture);
    free(visitor);
}
static const struct conn_events later_events = {.received = later_received, .closed = later_closed};

static void test_a_hand_over_later(void **state)
{
    client_say(GET("/later") "what follows waits");
    await_story("/later");
    pass_ms(10);
    http_hand_over(fixture.held, &later_events);
    await_got("what follows waits", 1);
    http_server_cut(&fixture.server, CLOSE_DRAINED); /* it is its owner's to end */
    assert_true(conn_is_open(&fixture.held->conn));
    assert_int_equal(fixture.server.count, 1);
    conn_close(&fixture.held->conn, CLOSE_DONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_at_once),
        TEST(byte_by_byte),
        TEST(pipelined_requests_wait_for_their_turn),
        TEST(head_has_the_head_alone),
        TEST(http_10_gets_one_answer),
        TEST(a_stream),
        TEST(a_stream_to_http_10_ends_with_the_connection),
        TEST(a_stream_waits_for_its_reader),
        TEST(bodies),
        TEST(a_body_streamed_both_ways),
        TEST(a_body_that_is_asked_for_later),
        TEST(a_body_that_is_paused),
        TEST(trailers_both_ways),
        TEST(a_whole_request_and_no_more),
        TEST(half_a_request_and_no_more),
        TEST(expectations),
        TEST(an_upgrade),
        TEST(a_hand_over_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

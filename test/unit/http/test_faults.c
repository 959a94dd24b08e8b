/* test_faults: requests that are malformed, oversize, late or given up, requests that smuggle, and the server's end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "fixture.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define HIDDEN "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"

/* Whatever could be read as two different requests gets one refusal, and the end. */
static void test_smuggling(void **state)
{
    static const char *const heads[] = {
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 0\r\nContent-Length: 35\r\n\r\n",
        "Content-Length: 0, 35\r\n\r\n",
        "Content-Length: +0\r\n\r\n",
        "Content-Length : 0\r\n\r\n",
        "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        "X: a\rContent-Length: 35\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        client_connect();
        client_say("POST /whole HTTP/1.1\r\nHost: a\r\n");
        client_say(heads[i]);
        client_say(HIDDEN);
        await_end();
        assert_int_equal(got_times("HTTP/1.1 400 Bad Request\r\n"), 1);
        assert_int_equal(got_times("\r\nX-All: 1\r\n"), 1);
        assert_int_equal(got_times("fix the client"), 1);
    }
    assert_int_equal(story_times("request"), 0);
}

static void test_bad_chunks(void **state)
{
    static const char *const bodies[] = {
        "x\r\n", "3\nabc", "3\r\nabcd", "-1\r\n", "ffffffffffffffffff\r\n", "0\r\n T: 1\r\n\r\n"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        client_connect();
        client_say("POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client_say(bodies[i]);
        client_say(HIDDEN);
        await_end();
        assert_int_equal(got_times("HTTP/1.1 400 Bad Request\r\n"), 1);
        assert_int_equal(got_times("\r\nX-All: 1\r\n"), 1);
    }
    assert_int_equal(story_times("hidden"), 0);
}

/* Behind the head of an answer, the end is all that can be said. */
static void test_a_bad_chunk_behind_the_answers_head(void **state)
{
    client_say("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nnonsense\r\n");
    await_end();
    assert_int_equal(got_times("\r\nX-All: 1\r\n"), 1);
    assert_int_equal(got_times("0\r\n\r\n"), 0);
    await_story("refused 0\naborted 0\nclosed http_invalid");
}

static void refused(const char *status)
{
    await_got(status, 1);
    await_end();
    await_story("closed refused");
    assert_int_equal(got_times("\r\nX-All: 1\r\n"), 1);
}

static void test_heads_too_large(void **state)
{
    static char long_line[70000];
    memset(long_line, 'x', sizeof long_line);
    client_say("GET /");
    client_send(span_of(long_line, 9000));
    refused("HTTP/1.1 414 ");
    client_connect();
    client_say("GET /now HTTP/1.1\r\nHost: a\r\nX: ");
    client_send(span_of(long_line, sizeof long_line));
    refused("HTTP/1.1 431 ");
}

static void test_bodies_too_large(void **state)
{
    static char bytes[2000];
    memset(bytes, '.', sizeof bytes);
    client_say("POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
    refused("HTTP/1.1 413 ");
    client_connect();
    client_say("POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n");
    client_send(span_of(bytes, sizeof bytes));
    refused("HTTP/1.1 413 ");
    client_connect();
    client_say("POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n"); /* more than the server's own */
    refused("HTTP/1.1 413 ");
    assert_int_equal(story_times("request"), 2);
    assert_int_equal(story_times("body"), 0);
}

static void test_a_body_that_nobody_reads(void **state)
{
    client_say("POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 34\r\n\r\n" HIDDEN);
    await_end();
    assert_int_equal(got_times("Connection: close\r\n\r\nit is now\n"), 1);
    assert_int_equal(story_times("hidden"), 0);
}

static void test_late_heads(void **state)
{
    fixture.head_ms = 100;
    client_connect(); /* says nothing */
    await_got("HTTP/1.1 408 ", 1);
    await_end();
    client_connect();
    client_say("GET /now HTTP/1.1\r\nHo"); /* too little */
    await_got("HTTP/1.1 408 ", 1);
    await_end();
    client_connect();
    client_say(GET("/now")); /* and then nothing: the end needs no words */
    await_end();
    assert_int_equal(got_times("\r\nX-All: 1\r\n"), 1);
    await_story("closed done");
    client_connect();
    client_say(GET("/later")); /* the server takes its time */
    pass_ms(300);
    assert_false(fixture.ended);
}

static void test_late_bodies(void **state)
{
    client_say("POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    await_got("HTTP/1.1 408 ", 1);
    await_end();
    assert_int_equal(story_times("refused 408"), 1);
}

static void test_aborted_requests(void **state)
{
    client_say(GET("/later"));
    await_story("/later");
    client_leave();
    pass_ms(20);
    assert_int_equal(story_times("aborted"), 0); /* it may only have ended its half */
    http_respond(fixture.held, 200, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT("nobody is there"));
    await_story("closed");
    client_connect();
    client_say(GET("/stream"));
    await_got("chunked", 1);
    client_leave();
    pass_ms(20);
    for (int i = 0; i < 3 && fixture.held != NULL; i++) { /* it shows when something is sent */
        http_stream_send(fixture.held, SPAN_LIT("x"));
        pass_ms(20);
    }
    assert_int_equal(story_times("aborted"), 1);
    client_connect();
    client_say(GET("/poll") GET("/now"));
    await_story("/poll");
    client_leave();
    await_story("aborted 0\nclosed peer_closed");
    client_connect();
    client_say("POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    pass_ms(20);
    client_shutdown(); /* half a request, and no more to come */
    await_end();
    assert_int_equal(story_times("aborted"), 3);
    assert_int_equal(story_times("body 3"), 0);
}

/* A request on another connection, in the same turn, finds the aborted one forgotten: a new poll of a client whose old
 * one was cut off, for example. */
static void test_an_abort_comes_first(void **state)
{
    const struct linger none = {.l_onoff = 1};
    for (int reset = 0; reset < 2; reset++) {
        client_say(GET("/poll"));
        await_story("/poll");
        int first = fixture.client;
        fixture.client = -1;
        client_connect();
        buf_clear(&fixture.story);
        if (reset)
            setsockopt(first, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        close(first);
        client_say(GET("/now"));
        await_story(reset ? "closed peer_reset" : "closed peer_closed");
        await_story("aborted 0\nrequest GET /now");
        assert_int_equal(story_times("aborted"), 1);
    }
}

static void test_a_client_that_says_no_more(void **state)
{
    client_say(GET("/later") GET("/now"));
    client_shutdown();
    await_story("/later");
    pass_ms(20);
    http_respond(fixture.held, 200, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT("later\n"));
    await_end();
    assert_int_equal(got_times("later\n"), 1);
    assert_int_equal(got_times("it is now\n"), 1);
    client_connect();
    client_say(GET("/now") "GET /ha");
    client_shutdown();
    await_end();
    assert_int_equal(got_times("it is now\n"), 1);
}

static void test_what_waits_is_bounded(void **state)
{
    static char bytes[40000];
    memset(bytes, 'x', sizeof bytes);
    fixture.kept_max = 30000;
    client_say("GET /now HTTP/1.1\r\nHost: a\r\nX: ");
    client_send(span_of(bytes, sizeof bytes));
    refused("HTTP/1.1 503 ");
    client_connect();
    fixture.kept_max = 10000;
    client_say(GET("/later"));
    for (int i = 0; i < 1000; i++)
        client_say(GET("/now"));
    await_story("refused 0");
    http_respond(fixture.held, 200, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT("later\n"));
    await_got("Connection: close\r\n\r\nlater\n", 1);
    await_end();
    assert_int_equal(got_times("\r\nX-All: 1\r\n"), 1);
}

static void test_a_held_request_reads_little(void **state)
{
    client_say(GET("/later"));
    await_story("/later");
    struct conn *conn = &fixture.held->conn;
    for (int i = 0; i < 3000; i++)
        client_say(GET("/now"));
    pass_ms(50);
    assert_true(conn->read_paused);
    assert_true(conn_unread(conn) <= NET_RECEIVE_BYTES + HTTP_KEPT_BYTES);
    http_respond(fixture.held, 200, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT("later\n"));
    await_got("it is now\n", 3000);
}

static void test_the_server_stops(void **state)
{
    client_say(GET("/now"));
    await_got("it is now", 1);
    http_server_stop(&fixture.server);
    await_story("closed drained");
    fixture.server.stopping = false;
    client_connect();
    client_say(GET("/later") GET("/now"));
    await_story("/later");
    http_server_stop(&fixture.server);
    pass_ms(10);
    assert_false(fixture.ended);
    http_respond(fixture.held, 200, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT("the last\n"));
    await_got("Connection: close\r\n\r\nthe last\n", 1);
    await_end();
    assert_int_equal(story_times("request GET /now"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(smuggling),
        TEST(bad_chunks),
        TEST(a_bad_chunk_behind_the_answers_head),
        TEST(heads_too_large),
        TEST(bodies_too_large),
        TEST(a_body_that_nobody_reads),
        TEST(late_heads),
        TEST(late_bodies),
        TEST(aborted_requests),
        TEST(an_abort_comes_first),
        TEST(a_client_that_says_no_more),
        TEST(what_waits_is_bounded),
        TEST(a_held_request_reads_little),
        TEST(the_server_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

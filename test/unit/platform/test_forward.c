/* test_forward: heads as the instance and the client get them; whatever passes is read in one way alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "platform/affinity.h"
#include "platform/forward.h"

static struct http1_head head, again;

/* The request as the instance gets it; NULL: refused. */
static const char *forwarded(const char *request)
{
    static char text[8192];
    static const struct forward_context context = {
        .client_ip = "10.1.2.3", .trace = "0123456789abcdef0123456789abcdef", .span = "0123456789abcdef"};
    struct buf to = {0};
    int status;
    ptrdiff_t used = http1_request_decode(span_str(request), 0, &head, &status);
    if (used <= 0)
        return NULL;
    forward_request(&to, &head, &context);
    assert_true(to.len < sizeof text);
    snprintf(text, sizeof text, SPAN_FMT, SPAN_ARG(buf_span(&to)));
    buf_finish(&to);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (text == NULL || strstr(text, part) == NULL)
        fail_msg("no %s in\n%s", part, text != NULL ? text : "(refused)");
}

static void assert_lacks(const char *text, const char *part)
{
    if (text == NULL || strcasestr(text, part) != NULL)
        fail_msg("%s in\n%s", part, text != NULL ? text : "(refused)");
}

static void test_the_platforms_own_words(void **state)
{
    static const char *const lies[] = {"X-Forwarded-Host: evil",
                                       "x-forwarded-proto: evil",
                                       "X_Forwarded_For: evil",
                                       "X-Forwarded_Port: evil",
                                       "Forwarded: for=evil",
                                       "X-Real-IP: evil",
                                       "x_real_ip: evil",
                                       "Proxy: evil",
                                       "K-Revision: evil",
                                       "K_Service: evil",
                                       "Knative-Serving-A: evil",
                                       "traceparent: evil",
                                       "X-Cloud-Trace-Context: evil",
                                       "HTTP2-Settings: evil",
                                       "X-Sennit-Reason: evil",
                                       "Keep-Alive: evil",
                                       "TE: evil",
                                       "Proxy-Authorization: evil"};
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        char request[256];
        snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: a\r\nX-Own: kept\r\n%s\r\n\r\n", lies[i]);
        const char *text = forwarded(request);
        assert_lacks(text, "evil");
        assert_has(text, "X-Own: kept\r\n");
        assert_has(
            text, "X-Forwarded-For: 10.1.2.3\r\nX-Forwarded-Proto: http\r\nForwarded: for=\"10.1.2.3\";proto=http\r\n");
    }
    assert_has(forwarded("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7\r\n\r\n"),
               "X-Forwarded-For: 6.6.6.6, 7, 10.1.2.3\r\n");
}

/* Values are opaque: bytes above 127 pass as they came, in both directions. */
static void test_bytes_above_127(void **state)
{
    static const char response[] = "HTTP/1.1 200 OK\r\nX-Name: C\xe9line\r\nContent-Length: 0\r\n\r\n";
    struct buf to = {0};
    const char *text =
        forwarded("GET / HTTP/1.1\r\nHost: a\r\nCookie: city=M\xc3\xbcnchen\r\nX-Name: C\xe9line\r\n\r\n");
    assert_has(text, "Cookie: city=M\xc3\xbcnchen\r\n");
    assert_has(text, "X-Name: C\xe9line\r\n");
    assert_int_equal(http1_response_decode(span_str(response), 0, SPAN_LIT("GET"), &head), sizeof response - 1);
    forward_response(&to, &head, &(struct forward_reply){.keep_alive = true, .instance = "x-1"});
    buf_append_char(&to, '\0');
    assert_has(to.data + to.off, "X-Name: C\xe9line\r\n");
    buf_finish(&to);
}

static void test_what_frames_cannot_be_taken_away(void **state)
{
    const char *text = forwarded(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: content-length, host, X-A\r\nX-A: 1\r\n\r\n");
    assert_has(text, "Host: a\r\n");
    assert_has(text, "Content-Length: 5\r\n");
    assert_lacks(text, "X-A");
    text = forwarded("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n");
    assert_has(text, "Transfer-Encoding: chunked\r\n");
    assert_lacks(text, "Content-Length");
}

static void test_trailers(void **state)
{
    const char *text = forwarded(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers, gzip\r\nTrailer: X-Sum\r\n\r\n");
    assert_has(text, "Connection: close, TE\r\nTE: trailers\r\n");
    assert_has(text, "Trailer: X-Sum\r\n");
    text = forwarded("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTE: gzip\r\nTrailer: X-Sum\r\n\r\n");
    assert_lacks(text, "TE: ");
    assert_lacks(text, "Trailer: ");
    static const char *const dropped[] = {"Transfer-Encoding", "content-length", "Host",      "If-None-Match",
                                          "Set-Cookie",        "set_cookie",     "Vary",      "Content-Encoding",
                                          "K-Service",         "X-Forwarded-By", "Forwarded", "Proxy-Authorization"};
    static const char *const passed[] = {"X-Sum", "Content-Digest", "ETag", "Server-Timing", "grpc-status", "Iffy"};
    for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++) {
        struct buf to = {0}, lines = {0};
        struct span culprit;
        buf_printf(&lines, "X-A: 1\r\n%s: x\r\n%s: y\r\n", dropped[i], passed[i % 6]);
        assert_int_equal(forward_trailers(&to, buf_span(&lines), &culprit), 1);
        assert_true(span_equal(culprit, span_str(dropped[i])));
        buf_append_char(&to, '\0');
        assert_has(to.data + to.off, "X-A: 1\r\n");
        assert_has(to.data + to.off, passed[i % 6]);
        buf_finish(&to);
        buf_finish(&lines);
    }
}

static void test_traces(void **state)
{
    const char *good = "traceparent: 00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01";
    char request[256];
    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", good);
    assert_has(forwarded(request), good);
    assert_has(forwarded("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
               "traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01\r\n"
               "X-Cloud-Trace-Context: 0123456789abcdef0123456789abcdef/81985529216486895;o=1\r\n");
}

/* Google's older field names a trace, too, and both leave with the same span. */
static void test_traces_in_the_older_field(void **state)
{
    static const struct {
        const char *value, *id, *span, *number;
        int sampled;
    } good[] = {
        {"105445aa7843bc8bf206b12000100000/1;o=1", "105445aa7843bc8bf206b12000100000", "0000000000000001", "1", 1},
        {"105445aa7843bc8bf206b12000100000/18446744073709551615;o=0", "105445aa7843bc8bf206b12000100000",
         "ffffffffffffffff", "18446744073709551615", 0},
        {"105445aa7843bc8bf206b12000100000", "105445aa7843bc8bf206b12000100000", "0123456789abcdef",
         "81985529216486895", 1},
    };
    static const char *const bad[] = {"00000000000000000000000000000000/1;o=1",
                                      "105445aa7843bc8bf206b1200010000/1",
                                      "105445AA7843BC8BF206B12000100000/1",
                                      "105445aa7843bc8bf206b12000100000/x",
                                      "105445aa7843bc8bf206b12000100000/1;o=2",
                                      "105445aa7843bc8bf206b12000100000/",
                                      "105445aa7843bc8bf206b12000100000/18446744073709551616"};
    char request[256], wanted[256];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: a\r\nX-Cloud-Trace-Context: %s\r\n\r\n",
                 good[i].value);
        snprintf(wanted, sizeof wanted, "traceparent: 00-%s-%s-0%d\r\nX-Cloud-Trace-Context: %s/%s;o=%d\r\n",
                 good[i].id, good[i].span, good[i].sampled, good[i].id, good[i].number, good[i].sampled);
        assert_has(forwarded(request), wanted);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: a\r\nX-Cloud-Trace-Context: %s\r\n\r\n", bad[i]);
        assert_has(forwarded(request), "traceparent: 00-0123456789abcdef0123456789abcdef-");
    }
    assert_has(forwarded("GET / HTTP/1.1\r\nHost: a\r\n"
                         "traceparent: 00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-00000000000000ff-00\r\n"
                         "X-Cloud-Trace-Context: 105445aa7843bc8bf206b12000100000/1;o=1\r\n\r\n"),
               "X-Cloud-Trace-Context: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/255;o=0\r\n");
    assert_has(forwarded("GET / HTTP/1.1\r\nHost: a\r\n"
                         "traceparent: 00-00000000000000000000000000000000-00000000000000ff-01\r\n\r\n"),
               "traceparent: 00-0123456789abcdef0123456789abcdef-");
}

/* The oracle: what the ingress understood and what a server of the same grammar makes of the head that it wrote. */
static void test_whatever_passes_is_read_as_it_was(void **state)
{
    static const char *const methods[] = {"GET", "POST", "HEAD", "PUT", "DELETE"};
    static const char *const pieces[] = {"Content-Length: 5",
                                         "content-length: 0",
                                         "Content-Length: 5, 5",
                                         "Transfer-Encoding: chunked",
                                         "transfer-encoding:chunked",
                                         "Transfer-Encoding: gzip",
                                         "Transfer-Encoding : chunked",
                                         " Content-Length: 5",
                                         "Connection: close",
                                         "Connection: keep-alive",
                                         "Connection: Transfer-Encoding",
                                         "Connection: upgrade",
                                         "Upgrade: websocket",
                                         "Upgrade: h2c",
                                         "Host: a",
                                         "Host: b",
                                         "X-A: 1",
                                         "X-A:",
                                         "X_Content_Length: 5",
                                         "Expect: 100-continue",
                                         "Trailer: Content-Length",
                                         "X-A: \x01",
                                         "Content-Length: 05",
                                         "Connection: Content-Length"};
    unsigned passed = 0;
    srand(1);
    for (int i = 0; i < 200000; i++) {
        struct buf request = {0};
        buf_printf(&request, "%s /p HTTP/1.%d\r\n%s", methods[rand() % 5], rand() % 8 != 0,
                   rand() % 8 != 0 ? "Host: h\r\n" : "");
        for (int n = rand() % 5; n > 0; n--)
            buf_printf(&request, "%s\r\n", pieces[(size_t)rand() % (sizeof pieces / sizeof pieces[0])]);
        buf_append(&request, SPAN_LIT("\r\n"));
        buf_append_char(&request, '\0');
        const char *text = forwarded(request.data + request.off);
        if (text != NULL) {
            int status;
            passed++;
            if (http1_request_decode(span_str(text), 0, &again, &status) != (ptrdiff_t)strlen(text))
                fail_msg("%s\nbecame, and is refused:\n%s", request.data + request.off, text);
            assert_int_equal(again.body, head.body);
            assert_int_equal(again.content_length, head.content_length);
            assert_int_equal(again.upgrade_websocket, head.upgrade_websocket);
            assert_true(span_equal(again.host, head.host) || head.host.data == NULL);
        }
        buf_finish(&request);
    }
    assert_true(passed > 10000);
}

static const char *answered(const char *response, const char *method, bool chunked, bool keep_alive)
{
    static char text[8192];
    struct buf to = {0};
    assert_true(http1_response_decode(span_str(response), 0, span_str(method), &head) > 0);
    struct forward_reply reply = {.chunked = chunked, .keep_alive = keep_alive, .instance = "one-00001-1"};
    forward_response(&to, &head, &reply);
    snprintf(text, sizeof text, SPAN_FMT, SPAN_ARG(buf_span(&to)));
    buf_finish(&to);
    return text;
}

static void test_responses(void **state)
{
    const char *text = answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close, X-B\r\nX-B: "
                                "1\r\nX-Sennit-Instance: evil\r\n\r\n",
                                "GET", true, true);
    assert_has(text, "Transfer-Encoding: chunked\r\n");
    assert_has(text, "X-Sennit-Instance: one-00001-1\r\n");
    assert_lacks(text, "evil");
    assert_lacks(text, "X-B");
    assert_lacks(text, "Connection");
    assert_has(answered("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", "GET", false, false), "Connection: close\r\n");
}

/* What sets a cookie is for one client alone. A client that has the cookie of its instance gets none. */
static void test_cookies(void **state)
{
    static const char response[] = "HTTP/1.1 200 OK\r\nCache-Control: public\r\nContent-Length: 0\r\n\r\n";
    struct forward_reply reply = {.keep_alive = true, .instance = "one-1", .affinity = "0123456789abcdef"};
    const char *text = answered("HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nCache-Control: public, max-age=9\r\n"
                                "Content-Length: 0\r\n\r\n",
                                "GET", false, true);
    struct buf to = {0};
    assert_has(text, "Cache-Control: private\r\n");
    assert_lacks(text, "public");
    assert_has(answered(response, "GET", false, true), "Cache-Control: public\r\n");
    assert_true(http1_response_decode(span_str(response), 0, SPAN_LIT("GET"), &head) > 0);
    forward_response(&to, &head, &reply);
    buf_append_char(&to, '\0');
    assert_has(to.data + to.off, "Set-Cookie: sennit-affinity=0123456789abcdef; Max-Age=2592000; Path=/; HttpOnly; "
                                 "SameSite=Lax\r\n");
    assert_has(to.data + to.off, "Cache-Control: private\r\n");
    buf_finish(&to);
}

static struct span affinity_of(const char *cookies)
{
    static char text[512];
    int status;
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", cookies);
    assert_true(http1_request_decode(span_str(text), 0, &head, &status) > 0);
    return affinity_find(&head);
}

static void test_the_affinity_of_a_request(void **state)
{
    const struct span token = SPAN_LIT("0123456789abcdef");
    assert_true(span_equal(affinity_of("Cookie: a=b; sennit-affinity=0123456789abcdef; c\r\n"), token));
    assert_true(span_equal(affinity_of("Cookie: a=b\r\nCookie: sennit-affinity=0123456789abcdef\r\n"), token));
    assert_int_equal(affinity_of("Cookie: sennit-affinity=0123456789abcde\r\n").len, 0);
    assert_int_equal(affinity_of("Cookie: sennit-affinity\r\n").len, 0);
    assert_int_equal(affinity_of("Cookie: x-sennit-affinity=0123456789abcdef\r\n").len, 0);
    assert_int_equal(affinity_of("").len, 0);
}

/* As many balancers as are trusted are counted from the right, over all fields; what is no address is not believed. */
static void test_trusted_hops(void **state)
{
    static const struct {
        unsigned hops;
        const char *fields, *client;
    } cases[] = {
        {0, "X-Forwarded-For: 203.0.113.1\r\n", "10.1.2.3"},
        {1, "X-Forwarded-For: 6.6.6.6, 203.0.113.1\r\n", "203.0.113.1"},
        {2, "X-Forwarded-For: 6.6.6.6, 203.0.113.1 ,198.51.100.1\r\n", "203.0.113.1"},
        {2, "X-Forwarded-For: 203.0.113.1\r\nX-Other: 1\r\nX-Forwarded-For: 198.51.100.1\r\n", "203.0.113.1"},
        {2, "X-Forwarded-For: 203.0.113.1\r\n", "10.1.2.3"},
        {1, "", "10.1.2.3"},
        {1, "X-Forwarded-For: 203.0.113.1,\r\n", "10.1.2.3"},
        {1, "X-Forwarded-For: evil\r\n", "10.1.2.3"},
        {1, "X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct forward_context context = {.client_ip = "10.1.2.3", .trusted_hops = cases[i].hops};
        struct buf text = {0};
        int status;
        buf_printf(&text, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", cases[i].fields);
        assert_true(http1_request_decode(buf_span(&text), 0, &head, &status) > 0);
        assert_true(span_equal(forward_client(&head, &context), span_str(cases[i].client)));
        buf_finish(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cookies),
        cmocka_unit_test(test_the_affinity_of_a_request),
        cmocka_unit_test(test_the_platforms_own_words),
        cmocka_unit_test(test_bytes_above_127),
        cmocka_unit_test(test_what_frames_cannot_be_taken_away),
        cmocka_unit_test(test_trailers),
        cmocka_unit_test(test_traces),
        cmocka_unit_test(test_traces_in_the_older_field),
        cmocka_unit_test(test_trusted_hops),
        cmocka_unit_test(test_whatever_passes_is_read_as_it_was),
        cmocka_unit_test(test_responses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

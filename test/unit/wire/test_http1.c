/* http1: what the vectors cannot express: look-ups, limits to the byte, linear drip-feeding, responses out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "wire/http1.h"

static struct http1_head head;

static int request_status(struct span bytes)
{
    int status;
    ptrdiff_t taken = http1_request_decode(bytes, 0, &head, &status);
    return taken > 0 ? 200 : taken == 0 ? 100 : status;
}

static void test_field_lookups(void **state)
{
    assert_int_equal(
        request_status(SPAN_LIT("GET / HTTP/1.1\r\nHost: a\r\nAccept: x\r\naccept: y, Z ,w\r\nE:\r\n\r\n")), 200);
    assert_true(span_equal(http1_field_get(&head, SPAN_LIT("ACCEPT")), SPAN_LIT("x")));
    struct span empty = http1_field_get(&head, SPAN_LIT("e"));
    assert_true(empty.data != NULL && empty.len == 0);
    assert_null(http1_field_get(&head, SPAN_LIT("none")).data);
    assert_true(http1_field_has_token(&head, SPAN_LIT("Accept"), SPAN_LIT("z")));
    assert_true(http1_field_has_token(&head, SPAN_LIT("Accept"), SPAN_LIT("W")));
    assert_false(http1_field_has_token(&head, SPAN_LIT("Accept"), SPAN_LIT("y, z")));
    assert_false(http1_field_has_token(&head, SPAN_LIT("none"), SPAN_LIT("x")));
}

static void test_hop_by_hop(void **state)
{
    assert_int_equal(request_status(SPAN_LIT("GET / HTTP/1.1\r\nHost: a\r\n"
                                             "Connection: close, X-Mine, Host, content-length, X-Forwarded-For\r\n"
                                             "Connection: authorization, K-Revision, sec-websocket-key\r\n\r\n")),
                     200);
    static const char *const hop[] = {"connection",
                                      "Keep-Alive",
                                      "Proxy-Connection",
                                      "proxy-authenticate",
                                      "Proxy-Authorization",
                                      "TE",
                                      "Trailer",
                                      "Upgrade",
                                      "X-Mine",
                                      "x-mine",
                                      "Transfer-Encoding",
                                      "close"};
    static const char *const end[] = {"Host",          "Content-Length", "X-Forwarded-For",   "Accept",
                                      "Authorization", "k-revision",     "Sec-WebSocket-Key", "X"};
    for (size_t i = 0; i < sizeof hop / sizeof hop[0]; i++)
        assert_true(http1_field_is_hop_by_hop(&head, span_str(hop[i])));
    for (size_t i = 0; i < sizeof end / sizeof end[0]; i++)
        assert_false(http1_field_is_hop_by_hop(&head, span_str(end[i])));
}

/* A request whose line (without CRLF) and head have these sizes. */
static int sized_status(size_t line_bytes, size_t head_bytes)
{
    struct buf bytes = {0};
    struct span behind = SPAN_LIT(" HTTP/1.1\r\nHost: a\r\nX: ");
    buf_append(&bytes, SPAN_LIT("GET /"));
    while (bytes.len < line_bytes - 9)
        buf_append_char(&bytes, 'a');
    buf_append(&bytes, behind);
    while (bytes.len < head_bytes - 4)
        buf_append_char(&bytes, 'b');
    buf_append(&bytes, SPAN_LIT("\r\n\r\n"));
    int status = request_status(buf_span(&bytes));
    buf_finish(&bytes);
    return status;
}

static void test_limits(void **state)
{
    assert_int_equal(sized_status(HTTP1_LINE_BYTES_MAX, HTTP1_LINE_BYTES_MAX + 100), 200);
    assert_int_equal(sized_status(HTTP1_LINE_BYTES_MAX + 1, HTTP1_LINE_BYTES_MAX + 100), 414);
    assert_int_equal(sized_status(100, HTTP1_HEAD_BYTES_MAX), 200);
    assert_int_equal(sized_status(100, HTTP1_HEAD_BYTES_MAX + 1), 431);
    assert_int_equal(sized_status(HTTP1_LINE_BYTES_MAX, HTTP1_HEAD_BYTES_MAX), 200);
}

/* Decided when the limit is reached, not behind it: a caller's buffer of that size must not stall. */
static void test_limits_are_decided_when_reached(void **state)
{
    struct buf bytes = {0};
    buf_append(&bytes, SPAN_LIT("GET /"));
    while (bytes.len < HTTP1_LINE_BYTES_MAX + 2)
        buf_append_char(&bytes, 'a');
    assert_int_equal(request_status(buf_span(&bytes)), 414);
    assert_int_equal(request_status(span_sub(buf_span(&bytes), 0, bytes.len - 1)), 100);
    buf_clear(&bytes);
    buf_append(&bytes, SPAN_LIT("GET / HTTP/1.1\r\nX: "));
    while (bytes.len < HTTP1_HEAD_BYTES_MAX)
        buf_append_char(&bytes, 'a');
    assert_int_equal(request_status(buf_span(&bytes)), 431);
    assert_int_equal(request_status(span_sub(buf_span(&bytes), 0, bytes.len - 1)), 100);
    buf_finish(&bytes);
}

/* Bytes that an earlier call saw are not read again: this test changes them, and the result stays the same. */
static void test_drip_feeding_is_linear(void **state)
{
    char bytes[] = "GET / HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyyyyyy";
    struct span part = span_of(bytes, sizeof bytes - 1);
    int status;
    assert_int_equal(http1_request_decode(part, 0, &head, &status), 0);
    memset(bytes + 30, '\n', 15);
    assert_int_equal(http1_request_decode(part, part.len, &head, &status), 0);
    assert_int_equal(http1_request_decode(part, 31, &head, &status), -1);
    assert_int_equal(status, 400);
}

static void test_every_byte_in_a_value(void **state)
{
    char bytes[] = "GET / HTTP/1.1\r\nHost: a\r\nX: a_b\r\n\r\n";
    for (int c = 0; c < 256; c++) {
        *strchr(bytes + 20, 'b') = 'b';
        bytes[sizeof bytes - 7] = (char)c;
        bool good = (c >= 0x20 && c < 0x7f) || c == '\t';
        assert_int_equal(request_status(span_of(bytes, sizeof bytes - 1)), good || c >= 0x80 ? 200 : 400);
        char value[] = {'a', (char)c, 'b'};
        assert_int_equal(http1_value_is_valid(span_of(value, 3)), good);
        bytes[sizeof bytes - 7] = '_';
    }
}

static void test_every_byte_in_a_name(void **state)
{
    for (int c = 0; c < 256; c++) {
        char name[] = {'a', (char)c, 'b'};
        bool good = c > 0x20 && c < 0x7f && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL;
        assert_int_equal(http1_name_is_valid(span_of(name, 3)), good);
    }
    assert_false(http1_name_is_valid(SPAN_LIT("")));
}

static void test_every_byte_in_a_target(void **state)
{
    char bytes[] = "GET /a_b HTTP/1.1\r\nHost: a\r\n\r\n";
    for (int c = 0; c < 256; c++) {
        bytes[6] = (char)c;
        bool good = c > 0x20 && c < 0x7f && c != '#';
        assert_int_equal(request_status(span_of(bytes, sizeof bytes - 1)), good ? 200 : 400);
    }
}

static void test_values(void **state)
{
    assert_true(http1_value_is_valid(SPAN_LIT("")));
    assert_true(http1_value_is_valid((struct span){NULL, 0}));
    assert_true(http1_value_is_valid(SPAN_LIT("a \t b")));
    assert_false(http1_value_is_valid(SPAN_LIT(" a")));
    assert_false(http1_value_is_valid(SPAN_LIT("a\t")));
    assert_false(http1_value_is_valid(SPAN_LIT("a\r\nSet-Cookie: b")));
}

static void check_encoded(struct buf *out, const char *expected)
{
    assert_true(span_equal(buf_span(out), span_str(expected)));
    buf_finish(out);
}

static void test_response_encode(void **state)
{
    struct buf out = {0};
    http1_response_encode(&out, 200, SPAN_LIT("text/plain"), SPAN_LIT("X: y\r\n"), SPAN_LIT("hello"), true);
    ptrdiff_t taken = http1_response_decode(buf_span(&out), 0, SPAN_LIT("GET"), &head);
    assert_int_equal(taken, (ptrdiff_t)out.len - 5);
    assert_true(head.keep_alive && head.content_length == 5 && head.field_count == 3);
    check_encoded(&out, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nX: y\r\n\r\nhello");
    http1_response_encode(&out, 404, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT(""), false);
    check_encoded(&out, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    http1_response_encode(&out, 204, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT(""), true);
    check_encoded(&out, "HTTP/1.1 204 No Content\r\n\r\n");
    http1_response_encode(&out, 299, SPAN_LIT(""), SPAN_LIT(""), SPAN_LIT(""), true);
    check_encoded(&out, "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n");
    assert_string_equal(http1_status_text(429), "Too Many Requests");
    assert_string_equal(http1_status_text(299), "");
}

static void test_body_none_takes_nothing(void **state)
{
    struct http1_body body;
    struct span data;
    assert_int_equal(request_status(SPAN_LIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n")), 200);
    http1_body_start(&body, &head);
    assert_true(body.done);
    assert_int_equal(http1_body_decode(&body, SPAN_LIT("GET"), &data), 0);
    assert_int_equal(data.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_field_lookups),
        cmocka_unit_test(test_hop_by_hop),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_limits_are_decided_when_reached),
        cmocka_unit_test(test_drip_feeding_is_linear),
        cmocka_unit_test(test_every_byte_in_a_value),
        cmocka_unit_test(test_every_byte_in_a_name),
        cmocka_unit_test(test_every_byte_in_a_target),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_response_encode),
        cmocka_unit_test(test_body_none_takes_nothing),
    };
    return cmocka_run_group_tests_name("http1", tests, NULL, NULL);
}

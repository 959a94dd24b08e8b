/* test_conditional: conditions, ranges and dates of requests for files (RFC 9110 sections 5.6.7, 13 and 14). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "serve/conditional.h"

enum { MODIFIED_S = 784111777 }; /* Sun, 06 Nov 1994 08:49:37 GMT */

static struct http1_head head;

static struct conditional_answer ask(const char *method, const char *fields, uint64_t bytes)
{
    static char text[4096];
    int status;
    const struct conditional_version version = {SPAN_LIT("\"abc\""), MODIFIED_S, bytes};
    snprintf(text, sizeof text, "%s /f HTTP/1.1\r\nHost: a\r\n%s\r\n", method, fields);
    assert_true(http1_request_decode(span_str(text), 0, &head, &status) > 0);
    return conditional_answer(&head, &version);
}

static void test_preconditions(void **state)
{
    static const struct {
        int status;
        const char *fields;
    } cases[] = {
        {200, ""},
        {304, "If-None-Match: \"abc\"\r\n"},
        {304, "If-None-Match: W/\"abc\"\r\n"},
        {304, "If-None-Match: \"x\", \"abc\"\r\n"},
        {304, "If-None-Match: \"x\"\r\nIf-None-Match: \"abc\"\r\n"},
        {304, "If-None-Match: *\r\n"},
        {200, "If-None-Match: \"x\"\r\n"},
        {200, "If-None-Match: abc\r\n"},
        {304, "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"},
        {304, "If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT\r\n"},
        {200, "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n"},
        {200, "If-Modified-Since: yesterday\r\n"},
        /* The tag counts where there is one. */
        {200, "If-None-Match: \"x\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT\r\n"},
        {200, "If-Match: \"abc\"\r\n"},
        {200, "If-Match: *\r\n"},
        {412, "If-Match: \"x\"\r\n"},
        {412, "If-Match: W/\"abc\"\r\n"},
        {412, "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n"},
        {200, "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"},
        {304, "If-None-Match: \"abc\"\r\nRange: bytes=0-1\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct conditional_answer got = ask("GET", cases[i].fields, 10);
        if (got.status != cases[i].status)
            print_error("%s: %d\n", cases[i].fields, got.status);
        assert_int_equal(got.status, cases[i].status);
        assert_int_equal(got.end, got.status == 200 ? 10 : 0);
    }
}

static void test_ranges(void **state)
{
    static const struct {
        const char *range;
        uint64_t bytes;
        int status;
        uint64_t from, end;
    } cases[] = {
        {"bytes=0-0", 10, 206, 0, 1},
        {"bytes=2-5", 10, 206, 2, 6},
        {"BYTES=2-5", 10, 206, 2, 6},
        {"bytes=2-", 10, 206, 2, 10},
        {"bytes=2-99", 10, 206, 2, 10},
        {"bytes=2-18446744073709551615", 10, 206, 2, 10},
        {"bytes=-3", 10, 206, 7, 10},
        {"bytes=-99", 10, 206, 0, 10},
        {"bytes=9-9", 10, 206, 9, 10},
        {"bytes=10-", 10, 416, 0, 0},
        {"bytes=10-20", 10, 416, 0, 0},
        {"bytes=-0", 10, 416, 0, 0},
        {"bytes=0-", 0, 416, 0, 0},
        {"bytes=-1", 0, 416, 0, 0},
        {"bytes=18446744073709551615-", 10, 416, 0, 0},
        /* Whatever is not understood is as if it had not been said. */
        {"bytes=18446744073709551616-", 10, 200, 0, 10},
        {"bytes=5-2", 10, 200, 0, 10},
        {"bytes=0-1,4-5", 10, 200, 0, 10},
        {"bytes=", 10, 200, 0, 10},
        {"bytes=-", 10, 200, 0, 10},
        {"bytes=a-b", 10, 200, 0, 10},
        {"bytes=+1-2", 10, 200, 0, 10},
        {"lines=0-1", 10, 200, 0, 10},
        {"bytes", 10, 200, 0, 10},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char fields[128];
        snprintf(fields, sizeof fields, "Range: %s\r\n", cases[i].range);
        struct conditional_answer got = ask("GET", fields, cases[i].bytes);
        if (got.status != cases[i].status || got.from != cases[i].from || got.end != cases[i].end)
            print_error("%s: %d\n", cases[i].range, got.status);
        assert_int_equal(got.status, cases[i].status);
        assert_int_equal(got.from, cases[i].from);
        assert_int_equal(got.end, cases[i].end);
        assert_int_equal(ask("HEAD", fields, cases[i].bytes).status, 200);
    }
    assert_int_equal(ask("GET", "Range: bytes=1-2\r\nIf-Range: \"abc\"\r\n", 10).status, 206);
    assert_int_equal(ask("GET", "Range: bytes=1-2\r\nIf-Range: \"old\"\r\n", 10).status, 200);
    assert_int_equal(ask("GET", "Range: bytes=1-2\r\nIf-Range: W/\"abc\"\r\n", 10).status, 200);
    assert_int_equal(ask("GET", "Range: bytes=1-2\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 10).status, 206);
    assert_int_equal(ask("GET", "Range: bytes=1-2\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT\r\n", 10).status, 200);
}

static void test_dates(void **state)
{
    static const int64_t times[] = {0,          1,          86399,       86400, 951782400 /* a leap day */,
                                    MODIFIED_S, 1709251199, 253402300799};
    char text[CONDITIONAL_DATE_BYTES + 1] = "", expected[64];
    int64_t back;
    for (int64_t at = 0, step = 0; at < 253402300800; at += 86399 * 17 + step++ % 7) {
        time_t seconds = (time_t)at;
        struct tm parts;
        gmtime_r(&seconds, &parts);
        strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        conditional_date_encode(at, text);
        assert_string_equal(text, expected);
        assert_true(conditional_date_decode(span_of(text, CONDITIONAL_DATE_BYTES), &back));
        assert_int_equal(back, at);
    }
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        conditional_date_encode(times[i], text);
        assert_true(conditional_date_decode(span_of(text, CONDITIONAL_DATE_BYTES), &back));
        assert_int_equal(back, times[i]);
    }
    conditional_date_encode(INT64_MIN, text);
    assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    conditional_date_encode(INT64_MAX, text);
    assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
    static const char *const wrong[] = {"",
                                        "Sun, 06 Nov 1994 08:49:37 CET",
                                        "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994",
                                        "Sun, 31 Apr 1994 08:49:37 GMT",
                                        "Sun, 29 Feb 1995 08:49:37 GMT",
                                        "Sun, 06 Nov 1969 08:49:37 GMT",
                                        "Sun, 06 Nov 1994 24:49:37 GMT",
                                        "Sun, 06 Nov 1994 08:60:37 GMT",
                                        "Sun, 06 nov 1994 08:49:37 GMT",
                                        "Sun, +6 Nov 1994 08:49:37 GMT"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(conditional_date_decode(span_str(wrong[i]), &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preconditions),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

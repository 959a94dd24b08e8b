/* test_coding: which coding Accept-Encoding asks for, and answers in it. (RFC 9110 sections 8.4.1 and 12.5.3) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/mem.h"
#include "fixture.h"
#include "http/http_coding.h"

static void test_weights(void **state)
{
    static const struct {
        const char *accept;
        enum http_coding_kind kind;
        bool required;
    } rows[] = {
        {"", HTTP_IDENTITY, false},
        {"gzip", HTTP_GZIP, false},
        {"GZip", HTTP_GZIP, false},
        {"x-gzip", HTTP_GZIP, false},
        {"deflate", HTTP_DEFLATE, false},
        {"gzip, deflate, br", HTTP_GZIP, false},
        {"br", HTTP_IDENTITY, false},
        {"*", HTTP_GZIP, false},
        {"gzip;q=0, *", HTTP_DEFLATE, false},
        {"gzip;q=0.5, deflate;q=0.8", HTTP_DEFLATE, false},
        {"gzip ; Q=0.001 ,br", HTTP_GZIP, false},
        {"gzip;q=0", HTTP_IDENTITY, false},
        {"gzip;q=0.000", HTTP_IDENTITY, false},
        {"gzip;q=0.5, identity", HTTP_IDENTITY, false},
        {"gzip, identity", HTTP_GZIP, false},
        {"gzip, identity;q=0", HTTP_GZIP, true},
        {"deflate, *;q=0", HTTP_DEFLATE, true},
        {"deflate, identity;q=0.1, *;q=0", HTTP_DEFLATE, false},
        {"*;q=0", HTTP_IDENTITY, false},
        {"identity;q=0", HTTP_IDENTITY, false},
        {"gzip;q=2", HTTP_IDENTITY, false},
        {"gzip;q=1.001", HTTP_IDENTITY, false},
        {"gzip;q=0.1234", HTTP_IDENTITY, false},
        {"gzip;q=", HTTP_IDENTITY, false},
        {"gzip;q=x, deflate", HTTP_DEFLATE, false},
        {"gzipped", HTTP_IDENTITY, false},
        {",,gzip,", HTTP_GZIP, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http1_head *head = mem_zero(1, sizeof *head);
        head->fields[head->field_count++] = (struct http1_field){SPAN_LIT("accept-encoding"), span_str(rows[i].accept)};
        struct http_coding coding = http_coding_choose(head);
        if (coding.kind != rows[i].kind || coding.required != rows[i].required)
            fail_msg("%s: got %d, required %d", rows[i].accept, coding.kind, coding.required);
        free(head);
    }
    struct http1_head *none = mem_zero(1, sizeof *none);
    assert_int_equal(http_coding_choose(none).kind, HTTP_IDENTITY);
    free(none);
}

/* Asks for so many bytes and checks the answer. `bits`: zlib's window and format; 0: as they are. */
static void assert_coded(const char *path, const char *accept, size_t bytes, const char *coding, int bits)
{
    char got[4096], request[256];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", path, accept);
    buf_clear(&fixture.got);
    client_say(request);
    await_got("Vary: Accept-Encoding\r\n", 1);
    pass_ms(20);
    assert_int_equal(got_times(coding), 1);
    struct span rest = buf_span(&fixture.got);
    while (!span_starts_with(rest, SPAN_LIT("\r\n\r\n")))
        rest = span_from(rest, 1);
    rest = span_from(rest, 4);
    if (bits == 0) {
        assert_int_equal(rest.len, bytes);
        assert_int_equal(got_times("Content-Encoding"), 0);
        return;
    }
    assert_true(rest.len < bytes || bytes < 20);
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)rest.data,
                       .avail_in = (uInt)rest.len,
                       .next_out = (Bytef *)got,
                       .avail_out = sizeof got};
    assert_int_equal(inflateInit2(&stream, bits), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.total_out, bytes);
    assert_int_equal(stream.avail_in, 0);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(got[i], (char)('a' + i % 7));
    inflateEnd(&stream);
}

static void test_answers_are_coded(void **state)
{
    assert_coded("/coded1024", "Accept-Encoding: gzip\r\n", 1024, "Content-Encoding: gzip\r\n", 31);
    assert_coded("/coded3000", "Accept-Encoding: deflate\r\n", 3000, "Content-Encoding: deflate\r\n", 15);
    assert_coded("/coded1023", "Accept-Encoding: gzip\r\n", 1023, "Content-Length: 1023\r\n", 0);
    assert_coded("/coded3000", "", 3000, "Content-Length: 3000\r\n", 0);
    assert_coded("/coded10", "Accept-Encoding: gzip, identity;q=0\r\n", 10, "Content-Encoding: gzip\r\n", 31);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights),
        cmocka_unit_test_setup_teardown(test_answers_are_coded, fixture_set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_payload: splitting bodies of long-polling, and base64 both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/payload.h"

/* The packets of a payload, each in brackets. */
static void assert_split(struct span payload, const char *expected)
{
    struct buf got = {0};
    struct span packet;
    bool begun = false;
    while (payload_next(&payload, &begun, &packet))
        buf_printf(&got, "[" SPAN_FMT "]", SPAN_ARG(packet));
    assert_true(span_equal(buf_span(&got), span_str(expected)));
    buf_finish(&got);
}

static void payloads_are_split(void **state)
{
    assert_split(SPAN_LIT("4hello\x1e"
                          "2\x1e"
                          "bAQID"),
                 "[4hello][2][bAQID]");
    assert_split(SPAN_LIT("4"), "[4]");
    assert_split(SPAN_LIT(""), "[]");
    assert_split(SPAN_LIT("4\x1e"), "[4][]");
    assert_split(SPAN_LIT("\x1e"), "[][]");
}

static void base64_is_read_with_and_without_padding(void **state)
{
    static const struct {
        const char *packet, *bytes; /* NULL: refused */
    } cases[] = {
        {"b", ""},       {"bAQID", "\1\2\3"}, {"bAQI=", "\1\2"}, {"bAQI", "\1\2"},    {"bAQ==", "\1"},
        {"bAQ", "\1"},   {"bA", NULL},        {"bA===", NULL},   {"bAQID=", NULL},    {"bAQ=", NULL},
        {"bA-_D", NULL}, {"bAQ D", NULL},     {"b=", NULL},      {"bAQI=AQID", NULL}, {"b====", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf bytes = {0};
        bool valid = payload_binary_decode(&bytes, span_str(cases[i].packet));
        if (valid != (cases[i].bytes != NULL) || (valid && !span_equal(buf_span(&bytes), span_str(cases[i].bytes))))
            fail_msg("%s", cases[i].packet);
        buf_finish(&bytes);
    }
}

static void what_is_written_is_read(void **state)
{
    uint8_t bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        struct buf packet = {0}, back = {0};
        payload_binary_encode(&packet, span_of(bytes, len));
        assert_true(payload_is_binary(buf_span(&packet)) && packet.len == 1 + (len + 2) / 3 * 4);
        assert_true(payload_binary_decode(&back, buf_span(&packet)));
        assert_true(span_equal(buf_span(&back), span_of(bytes, len)));
        buf_finish(&packet);
        buf_finish(&back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payloads_are_split),
        cmocka_unit_test(base64_is_read_with_and_without_padding),
        cmocka_unit_test(what_is_written_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

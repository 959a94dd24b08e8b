/* test_bytes: span, buf, frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/frame.h"

static void spans_are_cut_and_compared(void **state)
{
    struct span rest = SPAN_LIT("a,,b"), part;
    assert_true(span_next(&rest, ',', &part) && span_equal(part, SPAN_LIT("a")));
    assert_true(span_next(&rest, ',', &part) && part.len == 0);
    assert_true(span_next(&rest, ',', &part) && span_equal(part, SPAN_LIT("b")));
    assert_false(span_next(&rest, ',', &part));
    assert_true(span_equal_nocase(SPAN_LIT("Upgrade"), SPAN_LIT("uPGRADE")));
    assert_false(span_equal_nocase(SPAN_LIT("a"), SPAN_LIT("ab")));
    assert_true(span_equal(span_trim(SPAN_LIT(" \tx y\t")), SPAN_LIT("x y")));
    assert_int_equal(span_trim(SPAN_LIT("  ")).len, 0);
    assert_int_equal(span_sub(SPAN_LIT("abc"), 5, 9).len, 0);
    assert_true(span_starts_with(SPAN_LIT("abc"), SPAN_LIT("ab")) && span_ends_with(SPAN_LIT("abc"), SPAN_LIT("bc")));
}

static void numbers_are_read_strictly(void **state)
{
    static const char *const bad[] = {
        "", "+1", "-1", " 1", "1 ", "0x1", "18446744073709551616", "99999999999999999999"};
    uint64_t value;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(span_to_u64(span_str(bad[i]), &value));
    assert_true(span_to_u64(SPAN_LIT("18446744073709551615"), &value) && value == UINT64_MAX);
    assert_true(span_to_u64(SPAN_LIT("007"), &value) && value == 7);
}

static void a_buf_grows_and_is_consumed(void **state)
{
    struct buf buf = {0};
    for (int i = 0; i < 1000; i++)
        buf_printf(&buf, "%d,", i);
    size_t len = buf.len;
    buf_consume(&buf, 4);
    assert_true(span_starts_with(buf_span(&buf), SPAN_LIT("2,3,")));
    buf_append(&buf, SPAN_LIT("end"));
    assert_int_equal(buf.len, len - 4 + 3);
    assert_true(span_ends_with(buf_span(&buf), SPAN_LIT("999,end")));
    buf_consume(&buf, SIZE_MAX);
    assert_int_equal(buf.len, 0);
    buf_append_u64(&buf, 0);
    buf_append_u64(&buf, UINT64_MAX);
    assert_true(span_equal(buf_span(&buf), SPAN_LIT("018446744073709551615")));
    buf_finish(&buf);
    buf_finish(NULL);
}

static void json_text_is_escaped(void **state)
{
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"plain", "plain"},
        {"a\"b\\c", "a\\\"b\\\\c"},
        {"\n\x01\x7f", "\\u000a\\u0001\\u007f"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xf0\x9f\x8e\xa8", "\xf0\x9f\x8e\xa8"},
        {"\xff", "\xef\xbf\xbd"},                                 /* not UTF-8 */
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* cut off */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf buf = {0};
        buf_append_json(&buf, span_str(cases[i].text));
        assert_true(span_equal(buf_span(&buf), span_str(cases[i].json)));
        buf_finish(&buf);
    }
}

static void frames_are_counted(void **state)
{
    struct frame *frame = frame_copy(SPAN_LIT("shared"));
    frame_ref(frame);
    frame_unref(frame);
    assert_true(span_equal(span_of(frame->data, frame->len), SPAN_LIT("shared")));
    frame_unref(frame);
    frame_unref(NULL);
}

static void test_thousandths(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {{"0", 0}, {"2", 2000}, {"0.5", 500}, {"0.05", 50}, {"12.345", 12345}, {"1.000", 1000}};
    static const char *const bad[] = {"", ".", "1.", ".5", "1.2345", "-1", "1.2.3", "1.x", "99999999999999999999"};
    uint64_t value;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(span_to_thousandths(span_str(good[i].text), &value) && value == good[i].value);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(span_to_thousandths(span_str(bad[i]), &value));
}

static void test_takes(void **state)
{
    struct span rest = SPAN_LIT("5 hello12\n"), text;
    uint64_t number;
    assert_true(span_take_u64(&rest, ' ', &number) && number == 5);
    assert_true(span_take(&rest, number, &text) && span_equal(text, SPAN_LIT("hello")));
    assert_true(span_take_u64(&rest, '\n', &number) && number == 12);
    assert_true(span_take(&rest, 0, &text) && text.len == 0);
    assert_false(span_take(&rest, 1, &text));
    assert_false(span_take_u64(&rest, '\n', &number));
    rest = SPAN_LIT("7"); /* nothing behind it */
    assert_false(span_take_u64(&rest, ' ', &number));
    rest = SPAN_LIT("x 7 ");
    assert_false(span_take_u64(&rest, ' ', &number));
    rest = (struct span){NULL, 0};
    assert_false(span_take_u64(&rest, ' ', &number));
    assert_false(span_take(&rest, UINT64_MAX, &text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes),
        cmocka_unit_test(test_thousandths),
        cmocka_unit_test(spans_are_cut_and_compared),
        cmocka_unit_test(numbers_are_read_strictly),
        cmocka_unit_test(a_buf_grows_and_is_consumed),
        cmocka_unit_test(json_text_is_escaped),
        cmocka_unit_test(frames_are_counted),
    };
    return cmocka_run_group_tests_name("base/bytes", tests, NULL, NULL);
}

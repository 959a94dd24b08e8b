/* test_shown: every code point, and every way in which text of strangers is written: no harmful character comes out,
 * and nothing passes for something else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/shown.h"

static struct buf last;

static void keep(struct span line)
{
    buf_clear(&last);
    buf_append(&last, line);
}

static struct span encode(uint32_t code, char to[4])
{
    unsigned char *c = (unsigned char *)to;
    if (code < 0x80) {
        c[0] = (unsigned char)code;
        return span_of(to, 1);
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        c[i] = (unsigned char)(0x80 | (code & 0x3f));
    c[0] = (unsigned char)((0xf00u >> len) | code);
    return span_of(to, len);
}

/* By the standard's words, not by the table under test. */
static bool must_be_escaped(uint32_t code)
{
    bool control = code < 0x20 || (code >= 0x7f && code < 0xa0), separator = code == 0x2028 || code == 0x2029;
    bool bidi = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0x200e ||
                code == 0x200f || code == 0x061c;
    bool surrogate = code >= 0xd800 && code <= 0xdfff, tag = code >= 0xe0000 && code < 0xe0080;
    return control || separator || bidi || surrogate || tag || code == 0xfeff;
}

static void assert_harmless(struct span text, uint32_t code)
{
    while (text.len > 0) {
        uint32_t one;
        size_t len = shown_next(text, &one);
        if (one == SHOWN_BROKEN || must_be_escaped(one)) {
            print_error("U+%04x came out as U+%04x\n", code, one);
            fail();
        }
        text = span_from(text, len);
    }
}

static void no_code_point_gets_through_that_could_do_harm(void **state)
{
    static const enum log_format formats[] = {LOG_TEXT, LOG_JSON};
    struct buf out = {0};
    char bytes[4];
    log_init(LOG_TEXT, LOG_INFO, NULL, keep);
    for (uint32_t code = 0; code < 0x110000; code++) {
        struct span text = encode(code, bytes);
        bool escaped = must_be_escaped(code);
        buf_clear(&out);
        shown_append(&out, text, 100);
        assert_harmless(buf_span(&out), code);
        if (code < 0xac00 || code > 0xffff) { /* the rest is much of the same */
            for (size_t i = 0; i < 2; i++) {
                log_init(formats[i], LOG_INFO, NULL, NULL);
                log_event(LOG_INFO, "said", LOG_S("text", text));
                struct span line = buf_span(&last);
                assert_int_equal(line.data[line.len - 1], '\n');
                assert_harmless(span_sub(line, 0, line.len - 1), code);
            }
        }
        if (!escaped && shown_is_harmless(code))
            assert_true(span_equal(buf_span(&out), text));
    }
    buf_finish(&out);
}

/* Cut characters, overlong ones, surrogates, code points beyond Unicode, single C1 bytes. */
static void bytes_that_are_no_characters_are_escaped(void **state)
{
    static const char *const broken[] = {"\x9b", "\xff",     "\xc0\xaf",        "\xe2\x80",         "\xe0\x80\x8a",
                                         "\x80", "\xf0\x9f", "\xed\xa0\x80",    "\xf4\x90\x80\x80", "\xf0\x80\x80\x8a",
                                         "\xc2", "\xc3(",    "\xf8\x88\x80\x80"};
    struct buf out = {0};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        buf_clear(&out);
        shown_append(&out, span_str(broken[i]), 100);
        assert_harmless(buf_span(&out), 0);
        assert_int_equal(buf_span(&out).data[0], '\\');
        buf_clear(&out);
        buf_append_json(&out, span_str(broken[i]));
        assert_harmless(buf_span(&out), 0);
    }
    buf_finish(&out);
}

static void as_text(const char *value, const char *expected)
{
    log_init(LOG_TEXT, LOG_INFO, NULL, keep);
    log_event(LOG_INFO, "said", LOG_C("room", value), LOG_N("n", 1));
    char *line = NULL;
    assert_true(asprintf(&line, "said room=%s n=1\n", expected) > 0);
    buf_append_char(&last, '\0');
    assert_string_equal(buf_span(&last).data, line);
    free(line);
}

static void a_value_never_passes_for_another_field(void **state)
{
    as_text("lobby", "lobby");
    as_text("", "\"\"");
    as_text("lobby n=2", "\"lobby n=2\"");
    as_text("a=b", "\"a=b\"");
    as_text("\" n=2 x=\"", "\"\\\" n=2 x=\\\"\"");
    as_text("\\", "\"\\\\\"");
    as_text("\\\" n=2", "\"\\\\\\\" n=2\"");
    as_text("a\nERROR b", "\"a\\nERROR b\"");
    as_text("a\tb", "\"a\\x09b\"");
    as_text("\x1b[2J", "\"\\x1b[2J\"");
    as_text("a\xc2\xa0n=2", "\"a\xc2\xa0n=2\""); /* a space, but not that of ASCII */
    as_text("\xe2\x80\xae"
            "abc",
            "\"\\u{202e}abc\"");
    as_text("gr\xc3\xb6\xc3\x9f"
            "e",
            "\"gr\xc3\xb6\xc3\x9f"
            "e\"");
    as_text("\xff", "\"\\xff\"");
}

static void as_json(const char *value, const char *expected)
{
    struct buf out = {0};
    buf_append_json(&out, span_str(value));
    buf_append_char(&out, '\0');
    assert_string_equal(buf_span(&out).data, expected);
    buf_finish(&out);
}

static void json_says_the_same_in_harmless_characters(void **state)
{
    as_json("a\"b\\c", "a\\\"b\\\\c");
    as_json("\x1b[31m\x7f", "\\u001b[31m\\u007f");
    as_json("\xc2\x9b", "\\u009b");
    as_json("\xe2\x80\xae\xe2\x81\xa6", "\\u202e\\u2066");
    as_json("\xf3\xa0\x80\x81", "\\udb40\\udc01"); /* U+E0001 */
    as_json("a\xff"
            "b",
            "a\xef\xbf\xbd"
            "b");
}

static void long_values_are_cut_in_whole_characters(void **state)
{
    static const enum log_format formats[] = {LOG_TEXT, LOG_JSON};
    struct buf text = {0};
    buf_append_char(&text, 'x');
    while (text.len < 3 * LOG_VALUE_BYTES_MAX)
        buf_append(&text, SPAN_LIT("\xe2\x82\xac"));
    for (size_t i = 0; i < 2; i++) {
        log_init(formats[i], LOG_INFO, NULL, keep);
        log_event(LOG_INFO, "said", LOG_S("text", buf_span(&text)));
        assert_true(last.len > LOG_VALUE_BYTES_MAX && last.len < LOG_VALUE_BYTES_MAX + 100);
        assert_true(span_ends_with(buf_span(&last), formats[i] == LOG_TEXT ? SPAN_LIT("\xe2\x82\xac...\"\n")
                                                                           : SPAN_LIT("\xe2\x82\xac...\"}\n")));
        assert_harmless(span_sub(buf_span(&last), 0, last.len - 1), 0);
    }
    assert_int_equal(shown_cut(SPAN_LIT("\x80\x80\x80\x80\x80\x80\x80\x80"), 6).len, 3); /* broken: cut somewhere */
    assert_int_equal(shown_cut(SPAN_LIT("abc"), 3).len, 3);
    assert_int_equal(shown_cut(SPAN_LIT("abc"), 0).len, 0);
    buf_finish(&text);
}

static void a_json_text_stays_the_same_value(void **state)
{
    struct buf out = {0};
    shown_append_json_text(&out, SPAN_LIT("{\"a\":\t[1,\r\n2],\"\xe2\x80\xae\":\"\x7f\xc2\x9b\\n\"}"));
    assert_true(span_equal(buf_span(&out), SPAN_LIT("{\"a\": [1,  2],\"\\u202e\":\"\\u007f\\u009b\\n\"}")));
    buf_finish(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_code_point_gets_through_that_could_do_harm),
        cmocka_unit_test(bytes_that_are_no_characters_are_escaped),
        cmocka_unit_test(a_value_never_passes_for_another_field),
        cmocka_unit_test(json_says_the_same_in_harmless_characters),
        cmocka_unit_test(long_values_are_cut_in_whole_characters),
        cmocka_unit_test(a_json_text_stays_the_same_value),
    };
    int failed = cmocka_run_group_tests_name("base/shown", tests, NULL, NULL);
    buf_finish(&last);
    return failed;
}

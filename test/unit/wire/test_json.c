/* json: valid and invalid texts at every alignment; walking; strings. The vectors in test/vectors/json have most cases;
 * those that need code are here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/json.h"

static const struct {
    const char *text;
    bool valid;
} cases[] = {
    {"null", true},
    {"true", true},
    {"false", true},
    {"0", true},
    {"-0", true},
    {"-1", true},
    {"10", true},
    {"0.0", true},
    {"1.25", true},
    {"1e5", true},
    {"1E+5", true},
    {"1e-05", true},
    {"-0.1e1", true},
    {"1e400", true},
    {"\"\"", true},
    {"\"a\"", true},
    {"\"\\u0000\"", true},
    {"\"\\uD800\"", true},
    {"\"\\uDC00\\uD800\"", true},
    {"\"\\/\"", true},
    {"\"/\"", true},
    {"\"\x7f\"", true},
    {"\"\xc2\x80\"", true},
    {"\"\xef\xbf\xbf\"", true},
    {"\"\xf4\x8f\xbf\xbf\"", true},
    {"[]", true},
    {"[[],[[]]]", true},
    {"[1,\"a\",null,{}]", true},
    {"{}", true},
    {"{\"\":0}", true},
    {"{\"a\":1,\"a\":2}", true},
    {"{\"a\":{\"b\":[{}]}}", true},
    {" [ 1 , 2 ] ", true},
    {"\n{\r\n\t\"a\" :\t1\n}\n", true},
    {"", false},
    {" ", false},
    {"nul", false},
    {"nulL", false},
    {"nullnull", false},
    {"Null", false},
    {"undefined", false},
    {"Infinity", false},
    {"-Infinity", false},
    {"NaN", false},
    {"00", false},
    {"01", false},
    {"-", false},
    {"--1", false},
    {"+1", false},
    {"1.", false},
    {".1", false},
    {"-.1", false},
    {"1.e1", false},
    {"1e", false},
    {"1e+", false},
    {"1e1.5", false},
    {"1 1", false},
    {"1_000", false},
    {"0b1", false},
    {"0x1", false},
    {"\"", false},
    {"\"a", false},
    {"\"\\\"", false},
    {"\"\\a\"", false},
    {"\"\\'\"", false},
    {"\"\\0\"", false},
    {"\"\\U0041\"", false},
    {"\"\\u004\"", false},
    {"\"\\u 041\"", false},
    {"\"\t\"", false},
    {"\"\n\"", false},
    {"\"\x1f\"", false},
    {"\"\x80\"", false},
    {"\"\xc1\x81\"", false},
    {"\"\xe0\x80\x80\"", false},
    {"\"\xed\xbf\xbf\"", false},
    {"\"\xf0\x80\x80\x80\"", false},
    {"\"\xf5\x80\x80\x80\"", false},
    {"\xc3\xa9", false},
    {"'a'", false},
    {"a", false},
    {"[", false},
    {"]", false},
    {"[}", false},
    {"[1", false},
    {"[1,", false},
    {"[1,]", false},
    {"[,]", false},
    {"[1 2]", false},
    {"[1:2]", false},
    {"[1]]", false},
    {"{", false},
    {"}", false},
    {"{]", false},
    {"{\"a\"", false},
    {"{\"a\":", false},
    {"{\"a\":1", false},
    {"{\"a\":1,", false},
    {"{\"a\":1,}", false},
    {"{,}", false},
    {"{\"a\"}", false},
    {"{\"a\" 1}", false},
    {"{\"a\":1:2}", false},
    {"{a:1}", false},
    {"{1:1}", false},
    {"{null:1}", false},
    {"{[]:1}", false},
    {"\xef\xbb\xbf{}", false},
    {"//\n1", false},
    {"1\v", false},
};

static void test_table(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (json_is_valid(span_str(cases[i].text)) != cases[i].valid)
            fail_msg("<%s> should %sbe valid", cases[i].text, cases[i].valid ? "" : "not ");
}

/* The word-wise skipping must stop at the right byte wherever that lies. */
static void test_string_stops_anywhere(void **state)
{
    static const struct {
        const char *bytes;
        bool valid;
    } stops[] = {{"\\n", true},   {"\xc3\xa9", true}, {"\xf0\x9d\x84\x9e", true},
                 {" ", true},     {"!", true},        {"#", true},
                 {"[", true},     {"]", true},        {"\x7f", true},
                 {"~", true},     {"\x1f", false},    {"\x01", false},
                 {"\n", false},   {"\xc3", false},    {"\x80", false},
                 {"\xff", false}, {"\\x", false},     {"\"", false}};
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        for (size_t before = 0; before < 24; before++) {
            struct buf text = {0};
            buf_printf(&text, "\"%.*s%s%s\"", (int)before, "abcdefghijklmnopqrstuvwxyz", stops[i].bytes, "0123456789");
            assert_int_equal(json_is_valid(buf_span(&text)), stops[i].valid);
            assert_int_equal(json_string_len(buf_span(&text)) == text.len, stops[i].valid);
            buf_finish(&text);
        }
    }
}

static void test_value_len(void **state)
{
    assert_int_equal(json_value_len(SPAN_LIT("1,2")), 1);
    assert_int_equal(json_value_len(SPAN_LIT(" [1] x")), 4);
    assert_int_equal(json_value_len(SPAN_LIT("\"a\"b")), 3);
    assert_int_equal(json_value_len(SPAN_LIT("nullx")), 4);
    assert_int_equal(json_value_len(SPAN_LIT("[1")), 0);
    assert_int_equal(json_value_len(span_of(NULL, 0)), 0);
    assert_false(json_is_valid(span_of(NULL, 0)));
}

/* Every cut of a valid container is invalid. */
static void test_cuts(void **state)
{
    struct span text = SPAN_LIT("{\"a\":[1,-2.5e+3,\"\\u00e9\xc3\xa9\",true,null,{\"b\":{}}]}");
    assert_true(json_is_valid(text));
    for (size_t len = 0; len < text.len; len++)
        assert_int_equal(json_value_len(span_sub(text, 0, len)), 0);
}

static void test_depth(void **state)
{
    for (int depth = 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
        struct buf text = {0};
        for (int i = 0; i < depth; i++)
            buf_append(&text, i % 2 != 0 ? SPAN_LIT("{\"k\":") : SPAN_LIT("[1,"));
        buf_append_char(&text, '0');
        for (int i = depth - 1; i >= 0; i--)
            buf_append_char(&text, i % 2 != 0 ? '}' : ']');
        uint32_t deepest;
        assert_int_equal(json_is_valid(buf_span(&text)), depth <= JSON_DEPTH_MAX);
        assert_int_equal(json_is_valid_to(buf_span(&text), &deepest), depth <= JSON_DEPTH_MAX);
        assert_int_equal(deepest, depth);
        if (depth <= JSON_DEPTH_MAX) { /* a wrong bracket at the innermost level, and at the outermost */
            size_t inner = text.len - (size_t)depth;
            text.data[text.off + inner] ^= ']' ^ '}';
            assert_false(json_is_valid(buf_span(&text)));
            text.data[text.off + inner] ^= ']' ^ '}';
            text.data[text.off + text.len - 1] ^= ']' ^ '}';
            assert_false(json_is_valid(buf_span(&text)));
        }
        buf_finish(&text);
    }
}

static void test_array_walk(void **state)
{
    struct span rest = SPAN_LIT(" [ 1 , [2, 3] ,\"x,]\\\"\" , {\"a\":[]} ] "), element;
    static const char *const elements[] = {"1", "[2, 3]", "\"x,]\\\"\"", "{\"a\":[]}"};
    struct span array = rest;
    for (size_t i = 0; i < 4; i++) {
        assert_true(json_array_next(&rest, &element));
        assert_true(span_equal(element, span_str(elements[i])));
        assert_true(span_equal(json_array_at(array, i), span_str(elements[i])));
    }
    assert_false(json_array_next(&rest, &element));
    assert_false(json_array_next(&rest, &element));
    assert_null(json_array_at(array, 4).data);
    assert_null(json_array_at(SPAN_LIT("[]"), 0).data);
    assert_null(json_array_at(SPAN_LIT("{\"a\":1}"), 0).data);
    assert_null(json_array_at(SPAN_LIT("1"), 0).data);
    assert_null(json_array_at(span_of(NULL, 0), 0).data);
}

static void test_object_get(void **state)
{
    struct span object = SPAN_LIT(" { \"a\" : 1 , \"\\u0062\":[{\"a\":5}],\"a\":{\"a\":3}, \"\" :null } ");
    assert_true(span_equal(json_object_get(object, SPAN_LIT("a")), SPAN_LIT("{\"a\":3}")));
    assert_true(span_equal(json_object_get(object, SPAN_LIT("b")), SPAN_LIT("[{\"a\":5}]")));
    assert_true(span_equal(json_object_get(object, SPAN_LIT("")), SPAN_LIT("null")));
    assert_null(json_object_get(object, SPAN_LIT("c")).data);
    assert_null(json_object_get(SPAN_LIT("[\"a\",1]"), SPAN_LIT("a")).data);
    assert_null(json_object_get(SPAN_LIT("{}"), SPAN_LIT("a")).data);
    assert_null(json_object_get(span_of(NULL, 0), SPAN_LIT("a")).data);
}

static void test_strings(void **state)
{
    assert_true(json_string_equal(SPAN_LIT("\"abc\""), SPAN_LIT("abc")));
    assert_true(json_string_equal(SPAN_LIT("\"a\\u0062c\""), SPAN_LIT("abc")));
    assert_true(json_string_equal(SPAN_LIT("\"\\ud834\\udd1e\""), SPAN_LIT("\xf0\x9d\x84\x9e")));
    assert_true(json_string_equal(SPAN_LIT("\"\\u0000\""), span_of("", 1)));
    assert_true(json_string_equal(SPAN_LIT("\"\\ud834\""), SPAN_LIT("\xef\xbf\xbd")));
    assert_true(json_string_equal(SPAN_LIT("\"\""), SPAN_LIT("")));
    assert_false(json_string_equal(SPAN_LIT("\"abc\""), SPAN_LIT("ab")));
    assert_false(json_string_equal(SPAN_LIT("\"\\u0061bc\""), SPAN_LIT("ab")));
    assert_false(json_string_equal(SPAN_LIT("\"\\n\""), SPAN_LIT("\\n")));
    assert_false(json_string_equal(SPAN_LIT("1"), SPAN_LIT("1")));
    assert_false(json_string_equal(span_of(NULL, 0), SPAN_LIT("")));
    struct buf to = {0};
    buf_append(&to, SPAN_LIT("x"));
    assert_true(json_string_decode(SPAN_LIT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u20ac\""), &to));
    assert_true(span_equal(buf_span(&to), SPAN_LIT("x\"\\/\b\f\n\r\t\xe2\x82\xac")));
    assert_false(json_string_decode(SPAN_LIT("[]"), &to));
    buf_finish(&to);
}

static void test_types(void **state)
{
    assert_int_equal(json_type(SPAN_LIT("-1")), JSON_NUMBER);
    assert_int_equal(json_type(SPAN_LIT("9")), JSON_NUMBER);
    assert_int_equal(json_type(SPAN_LIT("\"")), JSON_STRING);
    assert_int_equal(json_type(SPAN_LIT("x")), JSON_INVALID);
    assert_int_equal(json_type(span_of(NULL, 0)), JSON_INVALID);
    assert_true(span_equal(json_trim(SPAN_LIT(" \t1\r\n")), SPAN_LIT("1")));
    assert_int_equal(json_trim(SPAN_LIT(" \n")).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),      cmocka_unit_test(test_string_stops_anywhere),
        cmocka_unit_test(test_value_len),  cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_depth),      cmocka_unit_test(test_array_walk),
        cmocka_unit_test(test_object_get), cmocka_unit_test(test_strings),
        cmocka_unit_test(test_types),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}

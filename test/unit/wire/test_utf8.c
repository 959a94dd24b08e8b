/* utf8 against a dumb decoder that turns bytes into code points, over every short sequence that can matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "wire/utf8.h"

/* One character by the definition of RFC 3629 section 3: decode, then ask whether it is in range and shortest. */
static size_t naive_char(const uint8_t *at, size_t len)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (at[0] < 0x80)
        return 1;
    size_t need = at[0] >> 5 == 6 ? 2 : at[0] >> 4 == 14 ? 3 : at[0] >> 3 == 30 ? 4 : 0;
    if (need == 0 || len < need)
        return 0;
    uint32_t code = at[0] & (0xffu >> (need + 1));
    for (size_t i = 1; i < need; i++) {
        if (at[i] >> 6 != 2)
            return 0;
        code = code << 6 | (at[i] & 0x3fu);
    }
    bool good = code >= lowest[need] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    return good ? need : 0;
}

static bool naive_is_valid(const uint8_t *bytes, size_t len)
{
    for (size_t at = 0, step; at < len; at += step)
        if ((step = naive_char(bytes + at, len - at)) == 0)
            return false;
    return true;
}

static bool fed_bytewise(const uint8_t *bytes, size_t len)
{
    struct utf8 state = {0};
    for (size_t i = 0; i < len; i++)
        if (!utf8_feed(&state, span_of(bytes + i, 1)))
            return false;
    return utf8_complete(&state);
}

static void check(const uint8_t *bytes, size_t len)
{
    bool expected = naive_is_valid(bytes, len);
    if (utf8_is_valid(span_of(bytes, len)) != expected || fed_bytewise(bytes, len) != expected)
        fail_msg("%02x %02x %02x %02x (%zu bytes): expected %d", bytes[0], bytes[1], bytes[2], bytes[3], len, expected);
}

static void test_all_short_sequences(void **state)
{
    /* Third and fourth bytes only from the borders of their ranges. */
    static const uint8_t borders[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xff};
    uint8_t bytes[4] = {0};
    for (unsigned pair = 0; pair < 65536; pair++) {
        bytes[0] = (uint8_t)(pair >> 8);
        bytes[1] = (uint8_t)pair;
        check(bytes, 1);
        check(bytes, 2);
        for (size_t i = 0; i < sizeof borders; i++) {
            bytes[2] = borders[i];
            check(bytes, 3);
            for (size_t j = 0; j < sizeof borders; j++) {
                bytes[3] = borders[j];
                check(bytes, 4);
            }
        }
    }
}

/* A fault at each place of a run of ASCII, at each alignment: the eight-byte path must not jump over it. */
static void test_fault_anywhere(void **state)
{
    char text[64];
    for (size_t from = 0; from < 8; from++)
        for (size_t at = from; at < sizeof text; at++) {
            memset(text, 'a', sizeof text);
            assert_true(utf8_is_valid(span_of(text + from, sizeof text - from)));
            text[at] = (char)0x80;
            assert_false(utf8_is_valid(span_of(text + from, sizeof text - from)));
        }
}

static void test_fails_early(void **state)
{
    struct utf8 utf8 = {0};
    assert_true(utf8_feed(&utf8, SPAN_LIT("abc\xed")));
    assert_false(utf8_complete(&utf8));
    assert_false(utf8_feed(&utf8, SPAN_LIT("\xa0")));
    utf8 = (struct utf8){0};
    assert_false(utf8_feed(&utf8, SPAN_LIT("\xf5")));
}

static void test_pieces(void **state)
{
    struct utf8 utf8 = {0};
    assert_true(utf8_feed(&utf8, SPAN_LIT("\xf0\x9d")));
    assert_true(utf8_feed(&utf8, SPAN_LIT("")));
    assert_true(utf8_feed(&utf8, (struct span){NULL, 0}));
    assert_true(utf8_feed(&utf8, SPAN_LIT("\x84\x9e and so on")));
    assert_true(utf8_complete(&utf8));
    assert_true(utf8_is_valid((struct span){NULL, 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_short_sequences),
        cmocka_unit_test(test_fault_anywhere),
        cmocka_unit_test(test_fails_early),
        cmocka_unit_test(test_pieces),
    };
    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}

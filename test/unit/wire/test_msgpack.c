/* test_msgpack: MessagePack to JSON and back: each form, what only one of the two has, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/json.h"
#include "wire/msgpack.h"

enum { BINS = 2 };

static struct span bins[BINS];

static bool decode(struct span bytes, struct buf *json, uint32_t *count)
{
    struct msgpack_bins found = {bins, 0, BINS};
    bool ok = msgpack_to_json(bytes, json, &found);
    *count = found.count;
    return ok;
}

static void is_json(struct span bytes, const char *expected)
{
    struct buf json = {0};
    uint32_t count;
    assert_true(decode(bytes, &json, &count));
    buf_append_char(&json, '\0');
    assert_string_equal(buf_span(&json).data, expected);
    buf_finish(&json);
}

#define IS_JSON(bytes, expected) is_json(span_of(bytes, sizeof(bytes) - 1), expected)

static void test_scalars(void **state)
{
    IS_JSON("\xc0", "null");
    IS_JSON("\xc2", "false");
    IS_JSON("\xc3", "true");
    IS_JSON("\x7f", "127");
    IS_JSON("\xff", "-1");
    IS_JSON("\xe0", "-32");
    IS_JSON("\xcc\xff", "255");
    IS_JSON("\xcd\xff\xff", "65535");
    IS_JSON("\xce\xff\xff\xff\xff", "4294967295");
    IS_JSON("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615");
    IS_JSON("\xd0\x80", "-128");
    IS_JSON("\xd1\x80\x00", "-32768");
    IS_JSON("\xd2\x80\x00\x00\x00", "-2147483648");
    IS_JSON("\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808");
    IS_JSON("\xca\x3f\xc0\x00\x00", "1.5");
    IS_JSON("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a", "0.1");
    IS_JSON("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "null"); /* NaN */
    IS_JSON("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", "null"); /* infinity */
    IS_JSON("\xa3"
            "a\"b",
            "\"a\\\"b\"");
    IS_JSON("\xd9\x01"
            "a",
            "\"a\"");
    IS_JSON("\xda\x00\x01"
            "a",
            "\"a\"");
    IS_JSON("\xdb\x00\x00\x00\x01"
            "a",
            "\"a\"");
}

static void test_containers(void **state)
{
    IS_JSON("\x93\x01\x90\x80", "[1,[],{}]");
    IS_JSON("\xdc\x00\x02\x01\x02", "[1,2]");
    IS_JSON("\xdd\x00\x00\x00\x01\x01", "[1]");
    IS_JSON("\x82\xa1"
            "a\x91\xc0\x05\xc3",
            "{\"a\":[null],\"5\":true}");
    IS_JSON("\xde\x00\x01\xa1"
            "a\x01",
            "{\"a\":1}");
    IS_JSON("\xdf\x00\x00\x00\x00", "{}");
}

static void test_what_json_lacks(void **state)
{
    IS_JSON("\xd4\x00\x00", "null");
    IS_JSON("\x92\x01\xd4\x00\x00", "[1,null]");
    IS_JSON("\x83\xa1"
            "a\xd4\x00\x00\xa1"
            "b\x01\xa1"
            "c\xd4\x00\x00",
            "{\"b\":1}");
    IS_JSON("\xd7\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\"1970-01-01T00:00:00.000Z\"");
    IS_JSON("\xd7\x00\x00\x00\x01\x8d\xf4\xdc\x54\x7f", "\"2024-02-29T12:34:56.767Z\"");
    IS_JSON("\xd7\x00\xff\xff\xff\xff\xff\xff\xff\xff", "\"1969-12-31T23:59:59.999Z\"");
    IS_JSON("\xd7\x00\x00\x00\xe6\x77\xd2\x1f\xdb\xff", "\"9999-12-31T23:59:59.999Z\"");
    IS_JSON("\xd7\x00\xff\xff\xc7\x75\x90\xfb\xa0\x00", "\"0000-01-01T00:00:00.000Z\"");
    IS_JSON("\xd7\x00\x7f\xff\xff\xff\xff\xff\xff\xff", "null");
}

/* As notepack 3 writes dates. */
static void test_timestamps(void **state)
{
    IS_JSON("\xd6\xff\x00\x00\x00\x00", "\"1970-01-01T00:00:00.000Z\"");
    IS_JSON("\xd7\xff\xb6\xdd\xf7\x00\x65\xe0\x79\xf0", "\"2024-02-29T12:34:56.767Z\"");
    IS_JSON("\xc7\x0c\xff\x3b\x8b\x87\xc0\xff\xff\xff\xff\xff\xff\xff\xff", "\"1969-12-31T23:59:59.999Z\"");
    IS_JSON("\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff", "null");
    IS_JSON("\xc7\x0c\xff\xff\xff\xff\xff\x80\x00\x00\x00\x00\x00\x00\x00", "null");
}

static void test_bytes_stand_beside(void **state)
{
    struct buf json = {0};
    uint32_t count;
    struct span bytes = SPAN_LIT("\x93\xc4\x02\x01\x02\xc7\x01\x00x\xc5\x00\x00");
    assert_true(decode(bytes, &json, &count));
    assert_int_equal(count, 3); /* of which two are listed */
    assert_true(span_equal(buf_span(&json), SPAN_LIT("[{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,"
                                                     "\"num\":1},{\"_placeholder\":true,\"num\":2}]")));
    assert_true(span_equal(bins[0], SPAN_LIT("\1\2")));
    assert_true(span_equal(bins[1], SPAN_LIT("x")));
    buf_finish(&json);
}

static bool decodes(struct span bytes)
{
    struct buf json = {0};
    uint32_t count;
    bool ok = decode(bytes, &json, &count);
    buf_finish(&json);
    return ok;
}

static void test_refused(void **state)
{
    assert_false(decodes(SPAN_LIT("")));
    assert_false(decodes(SPAN_LIT("\xc1")));
    assert_false(decodes(SPAN_LIT("\x01\x01")));
    assert_false(decodes(SPAN_LIT("\xdd\xff\xff\xff\xff")));
    assert_false(decodes(SPAN_LIT("\xc6\xff\xff\xff\xff")));
    assert_false(decodes(SPAN_LIT("\x81\xc0\x01")));
    assert_false(decodes(SPAN_LIT("\x81\x90\x01")));
    assert_false(decodes(SPAN_LIT("\xd4\x01\x00")));
    struct span bytes = SPAN_LIT("\x82\xa1"
                                 "a\xcb\0\0\0\0\0\0\0\0\xa1"
                                 "b\xda\0\1x");
    for (size_t len = 0; len < bytes.len; len++)
        assert_false(decodes(span_sub(bytes, 0, len)));
    assert_true(decodes(bytes));
}

/* Clients of the other parser put JSON of any depth into the log, and all of it is to be sent to clients of this one.
 */
static void test_json_of_every_depth(void **state)
{
    struct buf json = {0}, bytes = {0}, back = {0};
    uint32_t count;
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        buf_append_char(&json, '[');
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        buf_append_char(&json, ']');
    assert_true(json_is_valid(buf_span(&json)));
    msgpack_from_json(&bytes, buf_span(&json), NULL, 0);
    assert_true(decode(buf_span(&bytes), &back, &count));
    assert_true(span_equal(buf_span(&json), buf_span(&back)));
    /* The same in an answer of history. */
    buf_clear(&bytes);
    buf_clear(&back);
    buf_printf(&back, "{\"type\":3,\"data\":[{\"entries\":[{\"args\":" SPAN_FMT "}]}]}", SPAN_ARG(buf_span(&json)));
    msgpack_from_json(&bytes, buf_span(&back), NULL, 0);
    buf_clear(&json);
    assert_true(decode(buf_span(&bytes), &json, &count));
    assert_true(span_equal(buf_span(&json), buf_span(&back)));
    buf_finish(&json);
    buf_finish(&bytes);
    buf_finish(&back);
}

static void test_depth(void **state)
{
    for (int depth = MSGPACK_DEPTH_MAX; depth <= MSGPACK_DEPTH_MAX + 1; depth++) {
        struct buf bytes = {0};
        for (int i = 0; i < depth; i++)
            buf_append_char(&bytes, (char)0x91);
        buf_append_char(&bytes, 1);
        assert_int_equal(decodes(buf_span(&bytes)), depth == MSGPACK_DEPTH_MAX);
        buf_finish(&bytes);
    }
}

/* JSON to MessagePack and back is the same JSON. */
static void same(const char *text)
{
    struct buf bytes = {0}, json = {0};
    uint32_t count;
    assert_true(json_is_valid(span_str(text)));
    msgpack_from_json(&bytes, span_str(text), NULL, 0);
    assert_true(decode(buf_span(&bytes), &json, &count));
    buf_append_char(&json, '\0');
    assert_string_equal(buf_span(&json).data, text);
    buf_finish(&bytes);
    buf_finish(&json);
}

static void test_round_trip(void **state)
{
    same("[0,127,128,255,256,65535,65536,4294967295,4294967296,18446744073709551615]");
    same("[-1,-32,-33,-129,-32769,-2147483649,-9223372036854775807]");
    same("[0.1,1.5,-0.25,1e+300]");
    same("[null,true,false,\"\",\"text\",\"\xc3\xa4\",[],{},[[{}]],{\"a\":{\"b\":[1,{\"c\":null}]}}]");
    same("[\"\\\"\\\\ a text of more than thirty-one bytes\",{\"a key of more than thirty-one bytes, too\":1}]");
    same("[{\"_placeholder\":true,\"num\":0}]"); /* without bytes it is an object like any other */
}

static void test_placeholders_become_bytes(void **state)
{
    const struct span given[] = {SPAN_LIT("ab"), SPAN_LIT("")};
    struct buf bytes = {0};
    msgpack_from_json(&bytes,
                      SPAN_LIT("[ {\"num\":1,\"_placeholder\":true} , {\"x\":{\"_placeholder\":true,\"num\":0}},"
                               "{\"_placeholder\":1,\"num\":0}]"),
                      given, 2);
    assert_true(span_equal(buf_span(&bytes), SPAN_LIT("\xdd\0\0\0\3\xc4\0\xdf\0\0\0\1\xa1x\xc4\2"
                                                      "ab\xdf\0\0\0\2\xac_placeholder\1\xa3num\0")));
    buf_finish(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_containers),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_what_json_lacks),
        cmocka_unit_test(test_timestamps),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_json_of_every_depth),
        cmocka_unit_test(test_bytes_stand_beside),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_placeholders_become_bytes),
    };
    return cmocka_run_group_tests_name("msgpack", tests, NULL, NULL);
}

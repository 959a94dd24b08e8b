/* test_deflate: messages compressed and decompressed: the examples of RFC 7692, windows, contexts and bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <zlib.h>

#include "wire/deflate.h"

enum { BYTES_MAX = 1 << 20 };

static void assert_inflates(struct inflater *inflater, struct span payload, bool keeps, struct span expected)
{
    struct buf got = {0};
    assert_int_equal(inflater_message(inflater, payload, keeps, BYTES_MAX, &got), INFLATE_DONE);
    assert_true(span_equal(buf_span(&got), expected));
    buf_finish(&got);
}

static void assert_not_inflated(struct inflater *inflater, struct span payload, uint32_t bytes_max,
                                enum inflate_outcome outcome)
{
    struct buf got = {0};
    buf_append(&got, SPAN_LIT("before"));
    assert_int_equal(inflater_message(inflater, payload, true, bytes_max, &got), outcome);
    assert_true(span_equal(buf_span(&got), SPAN_LIT("before")));
    buf_finish(&got);
}

/* Text with repetitions near and far. */
static void text_make(struct buf *to, size_t bytes, unsigned seed)
{
    while (to->len < bytes) {
        seed = seed * 1103515245 + 12345;
        buf_printf(to, "{\"x\":%u,\"y\":%u,\"color\":\"black\"}", seed >> 20, seed >> 10 & 63);
    }
}

/* RFC 7692 sections 7.2.3.1 to 7.2.3.6. */
static void examples_of_the_rfc(void **state)
{
    struct inflater *inflater = inflater_create(15);
    assert_inflates(inflater, SPAN_LIT("\xf2\x48\xcd\xc9\xc9\x07\x00"), true, SPAN_LIT("Hello"));
    assert_inflates(inflater, SPAN_LIT("\xf2\x00\x11\x00\x00"), true, SPAN_LIT("Hello"));
    assert_inflates(inflater,
                    SPAN_LIT("\x00\x05\x00\xfa\xff"
                             "Hello\x00"),
                    true, SPAN_LIT("Hello"));
    assert_inflates(inflater, SPAN_LIT("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), true, SPAN_LIT("Hello")); /* BFINAL */
    assert_inflates(inflater, SPAN_LIT("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), true,
                    SPAN_LIT("Hello"));
    assert_inflates(inflater, SPAN_LIT("\x00"), true, SPAN_LIT(""));
    assert_inflates(inflater, SPAN_LIT(""), true, SPAN_LIT(""));
    inflater_destroy(inflater);
    (void)state;
}

/* The window outlives a last block: the message behind it refers across it. */
static void a_last_block_keeps_the_window(void **state)
{
    struct inflater *inflater = inflater_create(15);
    assert_inflates(inflater, SPAN_LIT("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), true, SPAN_LIT("Hello"));
    assert_inflates(inflater, SPAN_LIT("\xf2\x00\x11\x00\x00"), true, SPAN_LIT("Hello"));
    inflater_destroy(inflater);
    (void)state;
}

static void context_is_kept_or_not(void **state)
{
    struct deflater *deflater = deflater_create(15);
    struct inflater *inflater = inflater_create(15);
    struct buf text = {0}, alone = {0}, first = {0}, second = {0};
    text_make(&text, 2000, 1);
    assert_true(deflater_message(deflater, buf_span(&text), false, &alone));
    assert_true(deflater_message(deflater, buf_span(&text), false, &first));
    assert_true(span_equal(buf_span(&alone), buf_span(&first)));
    assert_false(deflater_message(deflater, SPAN_LIT(""), true, &second)); /* and nothing is forgotten */
    assert_true(deflater_message(deflater, buf_span(&text), true, &second));
    assert_true(second.len < first.len / 4);
    assert_inflates(inflater, buf_span(&first), false, buf_span(&text));
    assert_inflates(inflater, buf_span(&second), true, buf_span(&text));
    /* One that keeps nothing cannot read what refers back. */
    assert_inflates(inflater, buf_span(&first), false, buf_span(&text));
    struct buf got = {0};
    assert_int_equal(inflater_message(inflater, buf_span(&second), false, BYTES_MAX, &got), INFLATE_INVALID);
    /* After it was told to forget, a compressor refers to nothing. */
    deflater_forget(deflater);
    buf_clear(&second);
    assert_true(deflater_message(deflater, buf_span(&text), true, &second));
    assert_inflates(inflater, buf_span(&second), false, buf_span(&text));
    buf_finish(&got);
    buf_finish(&text);
    buf_finish(&alone);
    buf_finish(&first);
    buf_finish(&second);
    deflater_destroy(deflater);
    inflater_destroy(inflater);
    (void)state;
}

/* Byte by byte, zlib has nothing but its window to copy from, and refuses what lies farther back. */
static void assert_within_window(struct span payload, int bits, struct span expected)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)payload.data, .avail_in = (uInt)payload.len};
    assert_int_equal(inflateInit2(&stream, -bits), Z_OK);
    for (size_t i = 0; i < expected.len; i++) {
        char byte;
        stream.next_out = (Bytef *)&byte;
        stream.avail_out = 1;
        int outcome = inflate(&stream, Z_SYNC_FLUSH);
        assert_true(outcome == Z_OK && stream.avail_out == 0 && byte == expected.data[i]);
    }
    inflateEnd(&stream);
}

static void every_window_is_kept_to(void **state)
{
    for (uint8_t bits = 8; bits <= 15; bits++) {
        struct deflater *deflater = deflater_create(bits);
        struct buf text = {0}, payload = {0};
        text_make(&text, 100000, bits);
        assert_true(deflater_message(deflater, buf_span(&text), true, &payload));
        assert_within_window(buf_span(&payload), bits, buf_span(&text));
        buf_finish(&text);
        buf_finish(&payload);
        deflater_destroy(deflater);
    }
    (void)state;
}

static void what_does_not_shrink_is_left(void **state)
{
    struct deflater *deflater = deflater_create(15);
    struct buf random = {0}, to = {0};
    unsigned seed = 7;
    for (size_t i = 0; i < 5000; i++) {
        seed = seed * 1103515245 + 12345;
        buf_append_char(&random, (char)(seed >> 16));
    }
    buf_append(&to, SPAN_LIT("before"));
    assert_false(deflater_message(deflater, buf_span(&random), false, &to));
    assert_false(deflater_message(deflater, SPAN_LIT(""), false, &to));
    assert_false(deflater_message(deflater, SPAN_LIT("a"), true, &to));
    assert_true(span_equal(buf_span(&to), SPAN_LIT("before")));
    buf_finish(&random);
    buf_finish(&to);
    deflater_destroy(deflater);
    (void)state;
}

/* The bound holds to the byte, and memory follows what was made, not what could be. */
static void a_bomb_takes_no_memory(void **state)
{
    struct deflater *deflater = deflater_create(15);
    struct inflater *inflater = inflater_create(15);
    struct buf zeros = {0}, payload = {0}, got = {0};
    memset(buf_reserve(&zeros, 8 << 20), 0, 8 << 20);
    buf_added(&zeros, 8 << 20);
    assert_true(deflater_message(deflater, buf_span(&zeros), false, &payload));
    assert_true(payload.len < 16 << 10);
    assert_not_inflated(inflater, buf_span(&payload), (8 << 20) - 1, INFLATE_TOO_BIG);
    assert_int_equal(inflater_message(inflater, buf_span(&payload), false, 8 << 20, &got), INFLATE_DONE);
    assert_int_equal(got.len, 8 << 20);
    buf_finish(&got);
    assert_int_equal(inflater_message(inflater, buf_span(&payload), false, 1000, &got), INFLATE_TOO_BIG);
    assert_true(got.len == 0 && got.cap <= 4096);
    buf_finish(&got);
    buf_finish(&zeros);
    buf_finish(&payload);
    deflater_destroy(deflater);
    inflater_destroy(inflater);
    (void)state;
}

static void broken_payloads_are_refused(void **state)
{
    struct inflater *inflater = inflater_create(15);
    static const struct span broken[] = {
        SPAN_LIT("\x07"),                             /* a kind of block that does not exist */
        SPAN_LIT("\xf2\x48\xcd\xc9"),                 /* cut off */
        SPAN_LIT("\xf2\x00\x11\x00\x00"),             /* refers to what was never sent */
        SPAN_LIT("\x00\x05\x00\xfa\xfe\x48\x65"),     /* a length that is not its complement */
        SPAN_LIT("\xf3\x48\xcd\xc9\xc9\x07\x00"),     /* a last block, without the byte that is to follow */
        SPAN_LIT("\xf2\x48\xcd\xc9\xc9\x07\x00\xff"), /* more behind the end */
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        assert_not_inflated(inflater, broken[i], BYTES_MAX, INFLATE_INVALID);
    assert_inflates(inflater, SPAN_LIT("\xf2\x48\xcd\xc9\xc9\x07\x00"), true, SPAN_LIT("Hello")); /* it goes on */
    inflater_destroy(inflater);
    (void)state;
}

static void codings_of_http(void **state)
{
    struct buf text = {0}, coded = {0};
    text_make(&text, 3000, 3);
    for (int gzip = 0; gzip < 2; gzip++) {
        char got[4096];
        buf_clear(&coded);
        (gzip ? deflate_gzip : deflate_zlib)(&coded, buf_span(&text));
        z_stream stream = {.next_in = (Bytef *)coded.data,
                           .avail_in = (uInt)coded.len,
                           .next_out = (Bytef *)got,
                           .avail_out = sizeof got};
        assert_int_equal(inflateInit2(&stream, gzip ? 31 : 15), Z_OK);
        assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
        assert_int_equal(stream.total_out, text.len);
        assert_memory_equal(got, text.data, text.len);
        inflateEnd(&stream);
    }
    buf_finish(&text);
    buf_finish(&coded);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_rfc),          cmocka_unit_test(a_last_block_keeps_the_window),
        cmocka_unit_test(context_is_kept_or_not),       cmocka_unit_test(every_window_is_kept_to),
        cmocka_unit_test(what_does_not_shrink_is_left), cmocka_unit_test(a_bomb_takes_no_memory),
        cmocka_unit_test(broken_payloads_are_refused),  cmocka_unit_test(codings_of_http),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

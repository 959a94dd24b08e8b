/* ws: what the vectors cannot express: masking at every offset, outgoing frames, zero copy, memory, the handshake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "wire/ws.h"

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

/* Against one byte at a time, for every length and offset that changes the path, and unaligned. */
static void test_mask(void **state)
{
    char fast[80], slow[80];
    for (size_t start = 0; start < 8; start++)
        for (size_t len = 0; len < 64; len++)
            for (uint64_t offset = 0; offset < 9; offset++) {
                for (size_t i = 0; i < sizeof fast; i++)
                    fast[i] = slow[i] = (char)(i * 7);
                ws_mask(fast + start, len, mask, offset);
                for (size_t i = 0; i < len; i++)
                    slow[start + i] = (char)((uint8_t)slow[start + i] ^ mask[(offset + i) % 4]);
                assert_memory_equal(fast, slow, sizeof fast);
            }
}

static void test_mask_in_pieces(void **state)
{
    char whole[100] = {0}, pieces[100] = {0};
    ws_mask(whole, 100, mask, 0);
    ws_mask(pieces, 13, mask, 0);
    ws_mask(pieces + 13, 1, mask, 13);
    ws_mask(pieces + 14, 86, mask, 14);
    assert_memory_equal(whole, pieces, 100);
}

static void test_headers(void **state)
{
    static const struct {
        uint64_t len;
        const char *bytes;
        size_t count;
    } cases[] = {
        {0, "\x81\x00", 2},
        {125, "\x81\x7d", 2},
        {126, "\x81\x7e\x00\x7e", 4},
        {65535, "\x81\x7e\xff\xff", 4},
        {65536, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10},
        {0x0102030405060708, "\x81\x7f\x01\x02\x03\x04\x05\x06\x07\x08", 10},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char header[WS_HEADER_BYTES_MAX];
        assert_int_equal(ws_header_encode(header, WS_TEXT, cases[i].len), cases[i].count);
        assert_memory_equal(header, cases[i].bytes, cases[i].count);
    }
}

static void test_masked_encode(void **state)
{
    struct buf out = {0};
    ws_masked_encode(&out, WS_TEXT, SPAN_LIT("Hello"), mask);
    assert_true(span_equal(buf_span(&out), SPAN_LIT("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")));
    ws_masked_encode(&out, WS_PING, SPAN_LIT(""), mask);
    assert_int_equal(out.len, 11 + 6);
    buf_finish(&out);
}

static void check_frame(struct frame *frame, struct span expected)
{
    assert_true(span_equal(span_of(frame->data, frame->len), expected));
    frame_unref(frame);
}

static void test_frames(void **state)
{
    check_frame(ws_frame_create(WS_TEXT, SPAN_LIT("Hello")), SPAN_LIT("\x81\x05Hello"));
    check_frame(ws_frame_create(WS_BINARY, (struct span){NULL, 0}), SPAN_LIT("\x82\x00"));
    const struct span parts[] = {SPAN_LIT("Hello"), SPAN_LIT(""), SPAN_LIT("\1")};
    check_frame(ws_frames_create(parts, 3), SPAN_LIT("\x81\x05Hello\x82\x00\x82\x01\x01"));
    check_frame(ws_close_create(1000, SPAN_LIT("bye")), SPAN_LIT("\x88\x05\x03\xe8"
                                                                 "bye"));
    check_frame(ws_close_create(1001, (struct span){NULL, 0}), SPAN_LIT("\x88\x02\x03\xe9"));
    check_frame(ws_close_create(1005, SPAN_LIT("bye")), SPAN_LIT("\x88\x00"));
    check_frame(ws_close_create(0, SPAN_LIT("")), SPAN_LIT("\x88\x00"));
}

static void test_close_reason_is_cut_between_characters(void **state)
{
    struct buf reason = {0};
    for (int i = 0; i < 50; i++)
        buf_append(&reason, SPAN_LIT("\xe2\x82\xac"));
    struct frame *frame = ws_close_create(1000, buf_span(&reason));
    assert_int_equal(frame->len, 2 + 2 + 123);
    frame_unref(frame);
    struct buf shifted = {0};
    buf_append_char(&shifted, 'x');
    buf_append(&shifted, buf_span(&reason));
    frame = ws_close_create(1000, buf_span(&shifted));
    /* 1 + 40 * 3 = 121; the next character would end at 124. */
    assert_int_equal(frame->len, 2 + 2 + 121);
    assert_true(utf8_is_valid(span_from(span_of(frame->data, frame->len), 4)));
    frame_unref(frame);
    buf_finish(&shifted);
    buf_finish(&reason);
}

static void test_whole_message_is_not_copied(void **state)
{
    struct ws_decoder decoder;
    struct ws_event event;
    bool got;
    char bytes[] = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x89\x80\x00\x00\x00\x00";
    ws_decoder_init(&decoder, true, 1024);
    assert_int_equal(ws_decode(&decoder, bytes, 17, &event, &got), 11);
    assert_true(got && event.opcode == WS_TEXT && event.payload.data == bytes + 6);
    assert_memory_equal(bytes + 6, "Hello", 5);
    assert_null(decoder.message.data);
    assert_int_equal(ws_decode(&decoder, bytes + 11, 6, &event, &got), 6);
    assert_true(got && event.opcode == WS_PING && event.payload.len == 0);
    assert_int_equal(ws_decode(&decoder, bytes + 17, 0, &event, &got), 0);
    assert_false(got);
    ws_decoder_finish(&decoder);
}

static void test_idle_holds_nothing(void **state)
{
    struct ws_decoder decoder;
    struct ws_event event;
    bool got;
    char bytes[] = "\x82\x85\x00\x00\x00\x00hello";
    ws_decoder_init(&decoder, true, 1024);
    assert_int_equal(ws_decode(&decoder, bytes, 8, &event, &got), 8);
    assert_false(got);
    assert_non_null(decoder.message.data);
    assert_int_equal(ws_decode(&decoder, bytes + 8, 3, &event, &got), 3);
    assert_true(got && span_equal(event.payload, SPAN_LIT("hello")));
    assert_int_equal(ws_decode(&decoder, bytes, 0, &event, &got), 0);
    assert_false(got);
    assert_null(decoder.message.data);
    ws_decoder_finish(&decoder);
    ws_decoder_finish(NULL);
}

/* An announced gigabyte takes only the memory of the bytes that have come. */
/* Two fragments with a ping between them, then a message of its own, a byte at a time: it is idle at the start and
 * behind each message, and a fresh one goes on from there. */
static void test_idle_is_as_good_as_fresh(void **state)
{
    struct buf in = {0};
    struct ws_decoder decoder;
    char got[16] = "";
    size_t first_end;
    ws_masked_encode(&in, WS_TEXT, SPAN_LIT("He"), mask);
    in.data[0] = WS_TEXT; /* more fragments follow */
    ws_masked_encode(&in, WS_PING, SPAN_LIT("?"), mask);
    ws_masked_encode(&in, WS_CONTINUATION, SPAN_LIT("llo"), mask);
    first_end = in.len;
    ws_masked_encode(&in, WS_TEXT, SPAN_LIT("!"), mask);
    ws_decoder_init(&decoder, true, 1024);
    for (size_t at = 0; at < in.len; at++) {
        struct ws_event event;
        bool event_came;
        assert_int_equal(ws_decode(&decoder, in.data + at, 1, &event, &event_came), 1);
        if (event_came)
            strncat(got, event.payload.data, event.payload.len);
        assert_int_equal(ws_decode(&decoder, NULL, 0, &event, &event_came), 0);
        assert_int_equal(ws_decoder_is_idle(&decoder), at + 1 == first_end || at + 1 == in.len);
        if (ws_decoder_is_idle(&decoder)) {
            ws_decoder_finish(&decoder);
            ws_decoder_init(&decoder, true, 1024);
        }
    }
    assert_string_equal(got, "?Hello!");
    ws_decoder_finish(&decoder);
    buf_finish(&in);
}

static void test_announcing_allocates_nothing(void **state)
{
    struct ws_decoder decoder;
    struct ws_event event;
    bool got;
    char bytes[] = "\x82\xff\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00 hello";
    ws_decoder_init(&decoder, true, 1 << 30);
    assert_int_equal(ws_decode(&decoder, bytes, sizeof bytes - 1, &event, &got), sizeof bytes - 1);
    assert_false(got);
    assert_true(decoder.message.cap <= 64);
    ws_decoder_finish(&decoder);
}

static void test_stays_broken(void **state)
{
    struct ws_decoder decoder;
    struct ws_event event;
    bool got;
    char bytes[] = "\x81\x05Hello";
    ws_decoder_init(&decoder, true, 1024);
    assert_int_equal(ws_decode(&decoder, bytes, 7, &event, &got), -1);
    assert_int_equal(decoder.bad_code, 1002);
    assert_int_equal(ws_decode(&decoder, bytes, 0, &event, &got), -1);
    ws_decoder_finish(&decoder);
    /* Every connection in the middle of a message has one of these. */
    assert_true(sizeof decoder <= 80);
}

/* A message of `frames` frames without a payload, the last one final. */
static bool takes_frames(struct ws_decoder *decoder, int frames)
{
    struct ws_event event;
    bool got = false;
    for (int i = 0; i < frames; i++) {
        char bytes[] = "\x00\x80\x01\x02\x03\x04", ping[] = "\x89\x80\x01\x02\x03\x04";
        bytes[0] = (char)((i == 0 ? WS_BINARY : WS_CONTINUATION) | (i == frames - 1 ? 0x80 : 0));
        if (ws_decode(decoder, bytes, 6, &event, &got) < 0)
            return false;
        assert_int_equal(got, i == frames - 1);
        if (!got)
            assert_int_equal(ws_decode(decoder, ping, 6, &event, &got), 6); /* counts for no message */
    }
    return ws_decode(decoder, NULL, 0, &event, &got) == 0;
}

static void test_frames_of_a_message(void **state)
{
    struct ws_decoder decoder;
    ws_decoder_init(&decoder, true, 1024);
    assert_true(takes_frames(&decoder, 1000)); /* no bound unless the owner sets one */
    decoder.frames_max = 8;
    for (int i = 0; i < 3; i++)
        assert_true(takes_frames(&decoder, 8));
    assert_false(takes_frames(&decoder, 9));
    assert_int_equal(decoder.bad_code, 1008);
    ws_decoder_finish(&decoder);
}

static void test_keys(void **state)
{
    assert_true(ws_key_is_valid(SPAN_LIT("dGhlIHNhbXBsZSBub25jZQ==")));
    assert_true(ws_key_is_valid(SPAN_LIT("++++////0000000000000A==")));
    assert_false(ws_key_is_valid(SPAN_LIT("dGhlIHNhbXBsZSBub25jZQ=")));
    assert_false(ws_key_is_valid(SPAN_LIT("dGhlIHNhbXBsZSBub25jZQ===")));
    assert_false(ws_key_is_valid(SPAN_LIT("dGhlIHNhbXBsZSBub25jZSE=")));
    assert_false(ws_key_is_valid(SPAN_LIT("dGhlIHNhbXBsZSBub25j-Q==")));
    assert_false(ws_key_is_valid(SPAN_LIT("dGhlIHNhbXBsZSBub25jZQ= ")));
    assert_false(ws_key_is_valid((struct span){NULL, 0}));
}

static void test_accept(void **state)
{
    char accept[WS_ACCEPT_BYTES];
    ws_accept_compute(SPAN_LIT("dGhlIHNhbXBsZSBub25jZQ=="), accept); /* RFC 6455 section 1.3 */
    assert_memory_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", WS_ACCEPT_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mask),
        cmocka_unit_test(test_mask_in_pieces),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_masked_encode),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_close_reason_is_cut_between_characters),
        cmocka_unit_test(test_whole_message_is_not_copied),
        cmocka_unit_test(test_idle_holds_nothing),
        cmocka_unit_test(test_idle_is_as_good_as_fresh),
        cmocka_unit_test(test_announcing_allocates_nothing),
        cmocka_unit_test(test_stays_broken),
        cmocka_unit_test(test_frames_of_a_message),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_accept),
    };
    return cmocka_run_group_tests_name("ws", tests, NULL, NULL);
}

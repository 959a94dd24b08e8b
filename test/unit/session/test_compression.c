/* test_compression: what is agreed on within the bound of contexts, frames shared by windows, and contexts that outlive
 * frames dropped from the queue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/mem.h"
#include "session/compression.h"
#include "wire/ws.h"

enum { BYTES_MAX = 1 << 16 };

static struct compression compression;

static int set_up(void **state)
{
    compression_init(&compression);
    compression.settings.socketio = true;
    return 0;
}

static int tear_down(void **state)
{
    compression_finish(&compression);
    return 0;
}

static enum deflate_offer agree(enum protocol_kind protocol, const char *offer, struct deflate_terms *terms)
{
    struct http1_head *head = mem_zero(1, sizeof *head);
    struct buf line = {0};
    head->fields[head->field_count++] = (struct http1_field){SPAN_LIT("sec-websocket-extensions"), span_str(offer)};
    enum deflate_offer outcome = compression_agree(&compression, protocol, head, terms, &line);
    assert_int_equal(line.len > 0, outcome == DEFLATE_OFFER_AGREED);
    buf_finish(&line);
    free(head);
    return outcome;
}

static void socketio_needs_to_be_told(void **state)
{
    struct deflate_terms terms;
    compression.settings = compression_settings_default;
    assert_int_equal(agree(PROTOCOL_SOCKETIO, "permessage-deflate", &terms), DEFLATE_OFFER_NONE);
    compression.settings.socketio = true;
    assert_int_equal(agree(PROTOCOL_SOCKETIO, "permessage-deflate", &terms), DEFLATE_OFFER_AGREED);
    assert_false(terms.server_keeps || terms.client_keeps);
    assert_null(compression_context_create(&compression, &terms));
}

static void contexts_have_a_bound(void **state)
{
    struct deflate_terms terms;
    struct compression_context *contexts[2];
    compression.settings.context_takeover = true;
    compression.settings.contexts_max = 2;
    for (int i = 0; i < 2; i++) {
        agree(PROTOCOL_SOCKETIO, "permessage-deflate", &terms);
        contexts[i] = compression_context_create(&compression, &terms);
        assert_non_null(contexts[i]);
    }
    agree(PROTOCOL_SOCKETIO, "permessage-deflate", &terms);
    assert_null(compression_context_create(&compression, &terms));
    assert_int_equal(compression.counters.contexts_declined, 1);
    compression_context_destroy(&compression, contexts[0]);
    agree(PROTOCOL_SOCKETIO, "permessage-deflate", &terms);
    assert_true(terms.server_keeps && terms.client_keeps);
    compression_context_destroy(&compression, contexts[1]);
}

/* A text that shrinks a little by itself, and nearly to nothing behind itself. */
static struct span text_make(char to[2000], unsigned seed)
{
    for (size_t i = 0; i < 2000; i++) {
        seed = seed * 1103515245 + 12345;
        to[i] = (char)('a' + (seed >> 16) % 20);
    }
    return span_of(to, 2000);
}

/* The frame's payload, which must be compressed. */
static struct span payload_of(const struct frame *frame)
{
    struct span rest = span_of(frame->data, frame->len), whole, payload;
    ws_frame_next(&rest, &whole, &payload);
    assert_int_equal(rest.len, 0);
    assert_int_equal((uint8_t)whole.data[0], 0xc1);
    return payload;
}

static void assert_alone(const struct frame *frame, struct span expected, bool readable)
{
    struct inflater *inflater = inflater_create(15);
    struct buf got = {0};
    enum inflate_outcome outcome = inflater_message(inflater, payload_of(frame), false, BYTES_MAX, &got);
    assert_int_equal(outcome == INFLATE_DONE && span_equal(buf_span(&got), expected), readable);
    buf_finish(&got);
    inflater_destroy(inflater);
}

static void frames_follow_the_format(void **state)
{
    char bytes[2000];
    struct span text = text_make(bytes, 1);
    for (int format = 0; format < TRANSPORT_FORMATS; format++) {
        struct frame *frame = compression_frame_create(&compression, (enum transport_format)format, true, text);
        struct frame *small = compression_frame_create(&compression, (enum transport_format)format, true,
                                                       span_sub(text, 0, compression.settings.threshold - 1));
        assert_int_equal((uint8_t)small->data[0], 0x81);
        if (compression_is_format((enum transport_format)format))
            assert_alone(frame, text, true);
        else
            assert_int_equal((uint8_t)frame->data[0], 0x81);
        frame_unref(frame);
        frame_unref(small);
    }
}

/* Tags of two subscribers: a frame of one can be dropped while one of the other, behind it, stays. */
static void no_context_over_what_may_be_dropped(void **state)
{
    char bytes[2000];
    struct span text = text_make(bytes, 2);
    struct deflate_terms terms = {.server_keeps = true, .server_bits = 15};
    struct compression_context *context = compression_context_create(&compression, &terms);
    struct frame *plain = ws_frame_create(WS_TEXT, text);
    const struct {
        uint32_t whose;
        bool forget, readable;
    } rows[] = {
        {1, false, true},  {1, false, false}, {2, false, true}, {2, false, false},
        {0, false, true},  {0, false, false}, {1, false, true}, {1, true, true}, /* frames were dropped in between */
        {1, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].forget)
            compression_context_forget(context);
        struct frame *frame = compression_reframe(&compression, context, plain, rows[i].whose);
        assert_alone(frame, text, rows[i].readable);
        frame_unref(frame);
    }
    frame_unref(plain);
    compression_context_destroy(&compression, context);
}

/* A frame may hold several: a text and its attachments. Those that are short stay as they are. */
static void frames_in_a_frame(void **state)
{
    char bytes[2000];
    struct span text = text_make(bytes, 3), whole, payload;
    struct deflate_terms terms = {.server_keeps = true, .client_keeps = true, .server_bits = 12, .client_bits = 12};
    struct compression_context *context = compression_context_create(&compression, &terms);
    struct buf all = {0}, got = {0};
    const struct span parts[] = {SPAN_LIT("short"), text, SPAN_LIT("")};
    for (size_t i = 0; i < 3; i++) {
        struct frame *one = ws_frame_create(i == 0 ? WS_TEXT : WS_BINARY, parts[i]);
        buf_append(&all, span_of(one->data, one->len));
        frame_unref(one);
    }
    struct frame *plain = frame_copy(buf_span(&all));
    struct frame *frame = compression_reframe(&compression, context, plain, 1);
    struct span rest = span_of(frame->data, frame->len);
    assert_int_equal(ws_frame_next(&rest, &whole, &payload), WS_TEXT);
    assert_true((uint8_t)whole.data[0] == 0x81 && span_equal(payload, SPAN_LIT("short")));
    assert_int_equal(ws_frame_next(&rest, &whole, &payload), WS_BINARY);
    assert_int_equal((uint8_t)whole.data[0], 0xc2);
    assert_int_equal(compression_inflate(&compression, context, payload, false, BYTES_MAX, &got), CLOSE_NONE);
    assert_true(span_equal(buf_span(&got), text));
    assert_int_equal(ws_frame_next(&rest, &whole, &payload), WS_BINARY);
    assert_true((uint8_t)whole.data[0] == 0x82 && payload.len == 0 && rest.len == 0);
    frame_unref(plain);
    frame_unref(frame);
    buf_finish(&all);
    buf_finish(&got);
    compression_context_destroy(&compression, context);
}

static void growth_beyond_the_usual_counts(void **state)
{
    assert_int_equal(compression_changes(1000, 16000), 0);
    assert_int_equal(compression_changes(0, 0), 0);
    assert_int_equal(compression_changes(1000, 16000 + 16383), 0);
    assert_int_equal(compression_changes(1000, 1000000), 60);
}

static void faults_have_their_reasons(void **state)
{
    struct buf got = {0};
    assert_int_equal(compression_inflate(&compression, NULL, SPAN_LIT("\x07"), true, 100, &got),
                     CLOSE_WS_DEFLATE_INVALID);
    assert_int_equal(compression_inflate(&compression, NULL, SPAN_LIT("\xf2\x48\xcd\xc9\xc9\x07\x00"), true, 4, &got),
                     CLOSE_WS_TOO_BIG);
    assert_int_equal(compression.counters.refused, 2);
    assert_int_equal(got.len, 0);
    /* 0xff, in a stored block */
    assert_int_equal(compression_inflate(&compression, NULL, SPAN_LIT("\x00\x01\x00\xfe\xff\xff\x00"), true, 4, &got),
                     CLOSE_WS_NOT_UTF8);
    buf_clear(&got);
    assert_int_equal(compression_inflate(&compression, NULL, SPAN_LIT("\x00\x01\x00\xfe\xff\xff\x00"), false, 4, &got),
                     CLOSE_NONE);
    buf_finish(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(socketio_needs_to_be_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(contexts_have_a_bound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(frames_follow_the_format, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_context_over_what_may_be_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(frames_in_a_frame, set_up, tear_down),
        cmocka_unit_test_setup_teardown(faults_have_their_reasons, set_up, tear_down),
        cmocka_unit_test(growth_beyond_the_usual_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

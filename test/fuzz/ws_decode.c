/* ws_decode: a peer's bytes. The first byte seeds the cuts, chooses the role and whether the rest is
 *
 *     raw     a stream as it might come, or
 *     built   a script of messages, which are written by the encoders and must come back as they were.
 */
#include "fuzz/cuts.h"
#include "vectors/codecs.h"
#include "wire/ws.h"

enum { CLIENT = 1, BUILT = 2, COMPRESSED = 4 /* raw: permessage-deflate is agreed on */ };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The line that ws_codec would print for it. */
static void expect(struct buf *events, enum ws_opcode opcode, struct span payload)
{
    static const char *const names[] = {
        [WS_TEXT] = "text", [WS_BINARY] = "binary", [WS_PING] = "ping", [WS_PONG] = "pong"};
    buf_printf(events, "%s ", names[opcode]);
    vector_quote(events, payload);
    buf_append_char(events, '\n');
}

static void message_encode(struct buf *stream, bool masked, enum ws_opcode opcode, struct span payload, uint8_t seed)
{
    const uint8_t mask[4] = {seed, (uint8_t)(seed * 3), (uint8_t)(seed * 5), (uint8_t)(seed * 7)};
    if (masked) {
        ws_masked_encode(stream, opcode, payload, mask);
        return;
    }
    struct frame *frame = ws_frame_create(opcode, payload);
    buf_append(stream, span_of(frame->data, frame->len));
    frame_unref(frame);
}

/* Takes (opcode, length, payload)* from the script: the bytes of the messages, and the events they should give. */
static void script_encode(struct span script, bool masked, struct buf *stream, struct buf *events)
{
    static const enum ws_opcode opcodes[] = {WS_TEXT, WS_BINARY, WS_PING, WS_PONG};
    while (script.len >= 2) {
        uint8_t seed = (uint8_t)script.data[0];
        enum ws_opcode opcode = opcodes[seed & 3];
        struct span payload = span_sub(script, 2, (uint8_t)script.data[1]);
        script = span_from(script, 2 + payload.len);
        if (opcode >= WS_CLOSE)
            payload = span_sub(payload, 0, 125);
        if (opcode == WS_TEXT && !utf8_is_valid(payload))
            opcode = WS_BINARY;
        message_encode(stream, masked, opcode, payload, seed);
        expect(events, opcode, payload);
    }
}

static void built_check(struct span script, bool client, uint64_t seed)
{
    struct vector vector = {0};
    struct buf events = {0};
    script_encode(script, !client, &vector.in, &events);
    if (client) {
        struct frame *frame = ws_close_create(1000, SPAN_LIT("bye"));
        buf_append(&vector.in, span_of(frame->data, frame->len));
        frame_unref(frame);
        buf_append(&events, SPAN_LIT("close 1000 \"bye\"\n"));
        cuts_option(&vector, SPAN_LIT("role"), SPAN_LIT("client"));
    }
    struct buf got = {0};
    vector_run(&vector_ws, &vector, VECTOR_RANDOM, seed, &got);
    assert(span_equal(buf_span(&got), buf_span(&events)));
    cuts_check(&vector_ws, &vector, seed);
    buf_finish(&got);
    buf_finish(&events);
    buf_finish(&vector.in);
}

static void raw_check(struct span bytes, bool client, bool compressed, uint64_t seed)
{
    struct vector vector = {0};
    if (client)
        cuts_option(&vector, SPAN_LIT("role"), SPAN_LIT("client"));
    if (compressed)
        cuts_option(&vector, SPAN_LIT("deflate"), SPAN_LIT("1"));
    buf_append(&vector.in, bytes);
    cuts_check(&vector_ws, &vector, seed);
    buf_finish(&vector.in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    struct span rest = span_of(data + 1, len - 1);
    bool client = (data[0] & CLIENT) != 0;
    if ((data[0] & BUILT) != 0)
        built_check(rest, client, data[0]);
    else
        raw_check(rest, client, (data[0] & COMPRESSED) != 0, data[0]);
    return 0;
}

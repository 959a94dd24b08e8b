/* ws: the decoder. (RFC 6455 section 5)
 *
 *     header (2 to 14 bytes) -> payload -> header ...
 *
 * A frame that lies whole in the input never touches `message`, unless it is one of several fragments. `message` holds
 * only bytes that have come: an announced length is checked against the bound, but allocates nothing. */
#include "wire/ws.h"

#include <assert.h>

enum { CONTROL_BYTES_MAX = 125, MESSAGE_BYTES_MAX = 1 << 30, RSV1 = 0x40 };

void ws_decoder_init(struct ws_decoder *decoder, bool expect_masked, uint32_t message_bytes_max)
{
    assert(message_bytes_max >= 1 && message_bytes_max <= MESSAGE_BYTES_MAX);
    *decoder = (struct ws_decoder){.expect_masked = expect_masked, .message_bytes_max = message_bytes_max};
}

void ws_decoder_finish(struct ws_decoder *decoder)
{
    if (decoder == NULL)
        return;
    buf_finish(&decoder->message);
    decoder->handed = 0;
}

void ws_mask(char *bytes, size_t len, const uint8_t mask[4], uint64_t offset)
{
    uint8_t turned[8];
    for (size_t i = 0; i < 8; i++)
        turned[i] = mask[(offset + i) & 3];
    uint64_t key, word;
    memcpy(&key, turned, 8);
    size_t at = 0;
    for (; len - at >= 8; at += 8) {
        memcpy(&word, bytes + at, 8);
        word ^= key;
        memcpy(bytes + at, &word, 8);
    }
    for (size_t i = 0; at < len; at++, i++)
        bytes[at] = (char)((uint8_t)bytes[at] ^ turned[i]);
}

bool ws_close_code_is_valid(uint16_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/* The peer broke the protocol: nothing more will come, so nothing is kept. */
static bool fail(struct ws_decoder *decoder, uint16_t code)
{
    decoder->bad_code = code;
    decoder->handed = 0;
    buf_finish(&decoder->message);
    return false;
}

static bool is_control(uint8_t opcode)
{
    return (opcode & 8) != 0;
}

/* Length of the header that starts with these two bytes. */
static size_t header_bytes(const uint8_t *header)
{
    uint8_t len = header[1] & 0x7f;
    return 2 + (len == 126 ? 2u : len == 127 ? 8u : 0u) + ((header[1] & 0x80) != 0 ? 4u : 0u);
}

/* The first two bytes show most errors of a frame. (sections 5.2, 5.4, 5.5) */
static bool header_check(struct ws_decoder *decoder, const uint8_t *header)
{
    uint8_t opcode = header[0] & 0x0f, len = header[1] & 0x7f;
    bool fin = (header[0] & 0x80) != 0, masked = (header[1] & 0x80) != 0;
    if ((header[0] & 0x30) != 0 || masked != decoder->expect_masked)
        return fail(decoder, 1002);
    /* RSV1 says of a whole message that it is compressed, so only its first frame has it. (RFC 7692 section 6) */
    if ((header[0] & RSV1) != 0 && (!decoder->takes_compressed || is_control(opcode) || opcode == WS_CONTINUATION))
        return fail(decoder, 1002);
    if (is_control(opcode)) {
        if (opcode > WS_PONG || !fin || len > CONTROL_BYTES_MAX)
            return fail(decoder, 1002);
    } else if (opcode > WS_BINARY || (opcode == WS_CONTINUATION) != (decoder->message_opcode != 0)) {
        return fail(decoder, 1002);
    }
    return true;
}

/* The payload's length, in its shortest form, and within the bound of the whole message. */
static bool length_check(struct ws_decoder *decoder, const uint8_t *header, uint8_t opcode)
{
    uint64_t len = header[1] & 0x7f, shortest = 0;
    size_t more = len == 126 ? 2 : len == 127 ? 8 : 0;
    if (more != 0) {
        shortest = len == 126 ? 126 : 65536;
        len = 0;
        for (size_t i = 0; i < more; i++)
            len = len << 8 | header[2 + i];
        if (len < shortest || len > INT64_MAX)
            return fail(decoder, 1002);
    }
    if (!is_control(opcode) && len > decoder->message_bytes_max - decoder->message.len)
        return fail(decoder, 1009);
    decoder->payload_len = (uint32_t)len;
    return true;
}

/* A whole header: the frame is under way. */
static bool header_take(struct ws_decoder *decoder, const uint8_t *header)
{
    uint8_t opcode = header[0] & 0x0f;
    if (!length_check(decoder, header, opcode))
        return false;
    if (!is_control(opcode) && decoder->frames_max != 0 && ++decoder->frames > decoder->frames_max)
        return fail(decoder, 1008);
    if (opcode == WS_TEXT || opcode == WS_BINARY) {
        decoder->message_opcode = opcode;
        decoder->compressed = (header[0] & RSV1) != 0;
        decoder->utf8 = (struct utf8){0};
    }
    decoder->opcode = opcode;
    decoder->fin = (header[0] & 0x80) != 0;
    if (decoder->expect_masked)
        memmove(decoder->mask, header + header_bytes(header) - 4, 4); /* it may overwrite the header */
    decoder->payload_at = 0;
    decoder->header_len = 0;
    decoder->in_payload = true;
    return true;
}

/* Reads a header from `bytes`, through decoder->header when it comes in pieces; `*at` moves on. False when the peer
 * broke the protocol; in_payload is set when the header is complete. */
static bool header_feed(struct ws_decoder *decoder, const char *bytes, size_t len, size_t *at)
{
    const uint8_t *in = (const uint8_t *)bytes + *at;
    size_t left = len - *at;
    if (decoder->header_len == 0 && left >= 2 && left >= header_bytes(in)) {
        *at += header_bytes(in);
        return header_check(decoder, in) && header_take(decoder, in);
    }
    while (*at < len) {
        decoder->header[decoder->header_len++] = (uint8_t)bytes[(*at)++];
        if (decoder->header_len == 2 && !header_check(decoder, decoder->header))
            return false;
        if (decoder->header_len >= 2 && decoder->header_len == header_bytes(decoder->header))
            return header_take(decoder, decoder->header);
    }
    return true;
}

static bool close_take(struct ws_decoder *decoder, struct span payload, struct ws_event *event)
{
    event->close_code = 1005;
    if (payload.len != 0) {
        const uint8_t *code = (const uint8_t *)payload.data;
        if (payload.len == 1)
            return fail(decoder, 1002);
        event->close_code = (uint16_t)(code[0] << 8 | code[1]);
        if (!ws_close_code_is_valid(event->close_code))
            return fail(decoder, 1002);
        if (!utf8_is_valid(span_from(payload, 2)))
            return fail(decoder, 1007);
    }
    event->payload = span_from(payload, 2);
    decoder->closed = true;
    return true;
}

/* The frame is complete. `part` is its payload where it lies whole in the input, else NULL data: then it is the end of
 * `message`. False when the peer broke the protocol. */
static bool frame_take(struct ws_decoder *decoder, struct span part, struct ws_event *event, bool *got)
{
    decoder->in_payload = false;
    if (is_control(decoder->opcode)) {
        struct span held = buf_span(&decoder->message);
        if (part.data == NULL) {
            part = span_from(held, held.len - decoder->payload_len);
            decoder->handed = decoder->payload_len;
        }
        *event = (struct ws_event){.opcode = decoder->opcode, .payload = part};
        *got = true;
        return decoder->opcode != WS_CLOSE || close_take(decoder, part, event);
    }
    if (!decoder->fin)
        return true;
    if (decoder->message_opcode == WS_TEXT && !utf8_complete(&decoder->utf8))
        return fail(decoder, 1007);
    if (part.data == NULL) {
        part = buf_span(&decoder->message);
        decoder->handed = (uint32_t)part.len;
    }
    *event = (struct ws_event){.opcode = decoder->message_opcode, .payload = part, .compressed = decoder->compressed};
    *got = true;
    decoder->message_opcode = 0;
    decoder->frames = 0;
    return true;
}

/* Takes the part of the payload under way that is in `bytes`; `*at` moves on. False when the peer broke the
 * protocol. */
static bool payload_feed(struct ws_decoder *decoder, char *bytes, size_t len, size_t *at, struct ws_event *event,
                         bool *got)
{
    uint32_t left = decoder->payload_len - decoder->payload_at;
    struct span part = {bytes + *at, len - *at < left ? len - *at : left};
    bool control = is_control(decoder->opcode);
    if (decoder->expect_masked)
        ws_mask(bytes + *at, part.len, decoder->mask, decoder->payload_at);
    if (!control && decoder->message_opcode == WS_TEXT && !decoder->compressed && !utf8_feed(&decoder->utf8, part))
        return fail(decoder, 1007);
    *at += part.len;
    /* Whole here, and nothing before or behind it belongs to it: no copy. */
    bool alone = part.len == decoder->payload_len && (control || (decoder->fin && decoder->message.len == 0));
    if (!alone)
        buf_append(&decoder->message, part);
    decoder->payload_at += (uint32_t)part.len;
    if (decoder->payload_at < decoder->payload_len)
        return true;
    return frame_take(decoder, alone ? part : (struct span){NULL, 0}, event, got);
}

/* Drops the bytes of the last event. Frees the buffer when it is empty, and behind a Close in any case. */
static void message_release(struct ws_decoder *decoder)
{
    if (decoder->handed != 0) {
        decoder->message.len -= decoder->handed;
        decoder->handed = 0;
    }
    if (decoder->message.len == 0 || decoder->closed)
        buf_finish(&decoder->message);
}

ptrdiff_t ws_decode(struct ws_decoder *decoder, char *bytes, size_t len, struct ws_event *event, bool *got)
{
    size_t at = 0;
    *got = false;
    if (decoder->bad_code != 0)
        return -1;
    message_release(decoder);
    if (decoder->closed)
        return (ptrdiff_t)len;
    while (at < len && !*got) {
        if (!decoder->in_payload && !header_feed(decoder, bytes, len, &at))
            return -1;
        if (decoder->in_payload && (at < len || decoder->payload_len == 0) &&
            !payload_feed(decoder, bytes, len, &at, event, got)) {
            *got = false;
            return -1;
        }
    }
    return (ptrdiff_t)at;
}

/* ws_encode: frames out. (RFC 6455 section 5.2) */
#include "wire/ws.h"

#include <assert.h>

enum { CLOSE_REASON_BYTES_MAX = 123, RSV1 = 0x40 };

size_t ws_header_encode(char *to, enum ws_opcode opcode, uint64_t payload_len)
{
    size_t more = payload_len < 126 ? 0 : payload_len <= UINT16_MAX ? 2 : 8;
    to[0] = (char)(0x80 | opcode);
    to[1] = (char)(more == 0 ? payload_len : more == 2 ? 126 : 127);
    for (size_t i = 0; i < more; i++)
        to[2 + i] = (char)(payload_len >> (more - 1 - i) * 8);
    return 2 + more;
}

static struct frame *frame_make(enum ws_opcode opcode, uint8_t flags, struct span payload)
{
    char header[WS_HEADER_BYTES_MAX];
    size_t header_len = ws_header_encode(header, opcode, payload.len);
    header[0] = (char)((uint8_t)header[0] | flags);
    struct frame *frame = frame_create(header_len + payload.len);
    memcpy(frame->data, header, header_len);
    if (payload.len != 0)
        memcpy(frame->data + header_len, payload.data, payload.len);
    return frame;
}

struct frame *ws_frames_create(const struct span *parts, size_t count)
{
    char header[WS_HEADER_BYTES_MAX];
    size_t len = 0, at = 0, first = parts[0].data == NULL ? 1 : 0;
    for (size_t i = first; i < count; i++)
        len += ws_header_encode(header, WS_BINARY, parts[i].len) + parts[i].len;
    struct frame *frame = frame_create(len);
    for (size_t i = first; i < count; i++) {
        at += ws_header_encode(frame->data + at, i == 0 ? WS_TEXT : WS_BINARY, parts[i].len);
        if (parts[i].len != 0)
            memcpy(frame->data + at, parts[i].data, parts[i].len);
        at += parts[i].len;
    }
    return frame;
}

struct frame *ws_frame_create(enum ws_opcode opcode, struct span payload)
{
    return frame_make(opcode, 0, payload);
}

struct frame *ws_compressed_frame_create(enum ws_opcode opcode, struct span payload)
{
    return frame_make(opcode, RSV1, payload);
}

enum ws_opcode ws_frame_next(struct span *rest, struct span *whole, struct span *payload)
{
    assert(rest->len >= 2);
    const uint8_t *header = (const uint8_t *)rest->data;
    uint64_t len = header[1];
    size_t more = len == 126 ? 2 : len == 127 ? 8 : 0;
    assert(len <= 127 && rest->len >= 2 + more);
    if (more != 0)
        len = 0;
    for (size_t i = 0; i < more; i++)
        len = len << 8 | header[2 + i];
    assert(len <= rest->len - 2 - more);
    *whole = span_sub(*rest, 0, 2 + more + len);
    *payload = span_from(*whole, 2 + more);
    *rest = span_from(*rest, whole->len);
    return header[0] & 0x0f;
}

void ws_masked_encode(struct buf *to, enum ws_opcode opcode, struct span payload, const uint8_t mask[4])
{
    char *at = buf_reserve(to, WS_HEADER_BYTES_MAX + payload.len);
    size_t header_len = ws_header_encode(at, opcode, payload.len);
    at[1] = (char)((uint8_t)at[1] | 0x80);
    memcpy(at + header_len, mask, 4);
    header_len += 4;
    if (payload.len != 0)
        memcpy(at + header_len, payload.data, payload.len);
    ws_mask(at + header_len, payload.len, mask, 0);
    buf_added(to, header_len + payload.len);
}

void ws_masked_compressed_encode(struct buf *to, enum ws_opcode opcode, struct span payload, const uint8_t mask[4])
{
    size_t before = to->len;
    ws_masked_encode(to, opcode, payload, mask);
    char *first = to->data + to->off + before;
    *first = (char)((uint8_t)*first | RSV1);
}

/* The longest start of `reason` that fits and cuts no character. */
static struct span reason_cut(struct span reason)
{
    size_t len = reason.len;
    if (len > CLOSE_REASON_BYTES_MAX)
        for (len = CLOSE_REASON_BYTES_MAX; len > 0 && ((unsigned char)reason.data[len] & 0xc0) == 0x80;)
            len--;
    return span_sub(reason, 0, len);
}

struct frame *ws_close_create(uint16_t code, struct span reason)
{
    if (code == 0 || code == 1005)
        return ws_frame_create(WS_CLOSE, SPAN_LIT(""));
    char payload[2 + CLOSE_REASON_BYTES_MAX];
    reason = reason_cut(reason);
    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    if (reason.len != 0)
        memcpy(payload + 2, reason.data, reason.len);
    return ws_frame_create(WS_CLOSE, span_of(payload, 2 + reason.len));
}

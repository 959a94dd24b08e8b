/* content: encodes and decodes bodies. */
#include "session/content.h"

#include <assert.h>

#include "wire/json.h"
#include "wire/utf8.h"

enum { LENGTH_BYTES = 4, HEAD_BYTES = 2 };

size_t content_bytes(const struct content *content)
{
    size_t bytes = content->args.len;
    for (uint32_t i = 0; i < content->count; i++)
        bytes += content->attachments[i].len;
    return bytes;
}

void content_encode(struct buf *to, const struct content *content)
{
    assert(content->count <= CONTENT_ATTACHMENTS_MAX);
    if (content->count > 0) {
        buf_append_char(to, CONTENT_MARK);
        buf_append_char(to, (char)content->count);
    }
    for (uint32_t i = 0; i < content->count; i++) {
        for (int shift = 8 * (LENGTH_BYTES - 1); shift >= 0; shift -= 8)
            buf_append_char(to, (char)(content->attachments[i].len >> shift));
    }
    for (uint32_t i = 0; i < content->count; i++)
        buf_append(to, content->attachments[i]);
    buf_append(to, content->args);
}

static uint32_t length_at(struct span lengths, uint32_t i)
{
    uint32_t length = 0;
    for (size_t at = (size_t)i * LENGTH_BYTES; at < ((size_t)i + 1) * LENGTH_BYTES; at++)
        length = length << 8 | (unsigned char)lengths.data[at];
    return length;
}

static bool args_are_good(const struct content *content)
{
    struct span args = content->args;
    return args.len >= 2 && args.data[0] == '[' && args.data[args.len - 1] == ']' && json_is_valid(args) &&
           socketio_placeholders_valid(args, content->count);
}

bool content_decode(struct span body, struct content *content)
{
    if (content_is_volatile(body))
        body = span_from(body, 1);
    *content = (struct content){.args = body};
    if (body.len == 0 || body.data[0] != CONTENT_MARK)
        return true;
    uint32_t count = body.len > 1 ? (unsigned char)body.data[1] : 0;
    if (count == 0 || count > CONTENT_ATTACHMENTS_MAX || body.len < HEAD_BYTES + (size_t)count * LENGTH_BYTES)
        return false;
    struct span lengths = span_sub(body, HEAD_BYTES, (size_t)count * LENGTH_BYTES);
    struct span rest = span_from(body, HEAD_BYTES + lengths.len);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t length = length_at(lengths, i);
        if (length > rest.len)
            return false;
        content->attachments[i] = span_sub(rest, 0, length);
        rest = span_from(rest, length);
    }
    content->count = count;
    content->args = rest;
    return args_are_good(content);
}

bool content_decode_text(struct span body, struct content *content)
{
    return content_decode(body, content) && utf8_is_valid(content->args);
}

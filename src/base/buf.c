/* buf: see buf.h. */
#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum { BUF_CAP_MIN = 64 };

void buf_finish(struct buf *buf)
{
    if (buf == NULL)
        return;
    free(buf->data);
    *buf = (struct buf){0};
}

char *buf_reserve(struct buf *buf, size_t more)
{
    assert(more < SIZE_MAX / 4);
    if (buf->off != 0 && (buf->len == 0 || buf->off + buf->len + more > buf->cap)) {
        if (buf->len != 0)
            memmove(buf->data, buf->data + buf->off, buf->len);
        buf->off = 0;
    }
    if (buf->len + more > buf->cap) {
        size_t cap = buf->cap < BUF_CAP_MIN ? BUF_CAP_MIN : buf->cap;
        while (cap < buf->len + more)
            cap *= 2;
        buf->data = mem_resize(buf->data, cap);
        buf->cap = cap;
    }
    return buf->data + buf->off + buf->len;
}

void buf_append(struct buf *buf, struct span bytes)
{
    if (bytes.len == 0)
        return;
    memcpy(buf_reserve(buf, bytes.len), bytes.data, bytes.len);
    buf->len += bytes.len;
}

void buf_append_char(struct buf *buf, char c)
{
    *buf_reserve(buf, 1) = c;
    buf->len++;
}

void buf_append_u64(struct buf *buf, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    buf_append(buf, span_of(digits + at, sizeof digits - at));
}

void buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    assert(len >= 0);
    /* One byte more for vsnprintf's NUL, which is not part of the live bytes. */
    char *at = buf_reserve(buf, (size_t)len + 1);
    vsnprintf(at, (size_t)len + 1, format, again);
    va_end(again);
    buf->len += (size_t)len;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(buf, format, args);
    va_end(args);
}

/* Length of the UTF-8 character at the start of `s` (RFC 3629), or 0 if it is none. */
static size_t utf8_char_len(struct span s)
{
    const unsigned char *c = (const unsigned char *)s.data;
    if (c[0] < 0x80)
        return 1;
    size_t len = c[0] >= 0xc2 && c[0] <= 0xdf ? 2 : (c[0] & 0xf0) == 0xe0 ? 3 : c[0] >= 0xf0 && c[0] <= 0xf4 ? 4 : 0;
    if (len == 0 || s.len < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) || (c[0] == 0xf0 && c[1] < 0x90) ||
        (c[0] == 0xf4 && c[1] > 0x8f))
        return 0;
    return len;
}

void buf_append_json(struct buf *buf, struct span text)
{
    while (text.len > 0) {
        unsigned char c = (unsigned char)text.data[0];
        size_t len = utf8_char_len(text);
        if (len == 0) {
            buf_append(buf, SPAN_LIT("\xef\xbf\xbd"));
            len = 1;
        } else if (c == '"' || c == '\\') {
            buf_append_char(buf, '\\');
            buf_append_char(buf, (char)c);
        } else if (c < 0x20 || c == 0x7f) {
            buf_printf(buf, "\\u%04x", c);
        } else {
            buf_append(buf, span_sub(text, 0, len));
        }
        text = span_from(text, len);
    }
}

void buf_consume(struct buf *buf, size_t count)
{
    if (count >= buf->len) {
        buf->off = buf->len = 0;
        return;
    }
    buf->off += count;
    buf->len -= count;
}

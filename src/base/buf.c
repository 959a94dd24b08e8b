/* buf: growing, appending in several formats, consuming. */
#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/shown.h"

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

/* `\u202e`; beyond the first plane as two surrogates. */
static void json_escape_append(struct buf *to, uint32_t code)
{
    if (code == SHOWN_BROKEN)
        buf_append(to, SPAN_LIT("\xef\xbf\xbd"));
    else if (code < 0x10000)
        buf_printf(to, "\\u%04x", code);
    else
        buf_printf(to, "\\u%04x\\u%04x", 0xd7c0 + (code >> 10), 0xdc00 + (code & 0x3ff));
}

void buf_append_json(struct buf *buf, struct span text)
{
    while (text.len > 0) {
        uint32_t code;
        size_t len = shown_plain_run(text);
        if (len != 0) {
            buf_append(buf, span_sub(text, 0, len));
            text = span_from(text, len);
            continue;
        }
        len = shown_next(text, &code);
        if (code == '"' || code == '\\')
            buf_append_char(buf, '\\');
        if (shown_is_harmless(code))
            buf_append(buf, span_sub(text, 0, len));
        else
            json_escape_append(buf, code);
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

/* buf: a growable run of bytes with one owner, filled at the end and consumed from the front.
 *
 *     data: [ consumed | live bytes | room ]
 *                      ^ off        ^ off + len
 *
 * A zeroed buf is a valid empty one and holds no memory. Consuming everything keeps the memory; buf_finish returns it.
 */
#ifndef SENNIT_BASE_BUF_H
#define SENNIT_BASE_BUF_H

#include <stdarg.h>

#include "base/span.h"

struct buf {
    char *data;
    size_t off, len, cap;
};

/* Frees the memory; the buf is empty and usable again. Accepts NULL and zeroed. */
void buf_finish(struct buf *buf);

/* The live bytes; valid until the buf is touched. */
static inline struct span buf_span(const struct buf *buf)
{
    return (struct span){buf->len != 0 ? buf->data + buf->off : "", buf->len};
}

/* Makes room for `more` bytes behind the live ones and returns where they go; buf_added says how many were written. */
char *buf_reserve(struct buf *buf, size_t more);

static inline void buf_added(struct buf *buf, size_t added)
{
    buf->len += added;
}

void buf_append(struct buf *buf, struct span bytes);
void buf_append_char(struct buf *buf, char c);
void buf_append_u64(struct buf *buf, uint64_t value);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *format, va_list args);

/* Appends `text` as the inside of a JSON string, without the quotes (RFC 8259 section 7): quotes, backslashes and
 * whatever is not harmless to look at (base/shown.h) escaped, bytes that are not UTF-8 replaced by U+FFFD. */
void buf_append_json(struct buf *buf, struct span text);

/* Drops `count` live bytes from the front, all of them at most. */
void buf_consume(struct buf *buf, size_t count);

static inline void buf_clear(struct buf *buf)
{
    buf->off = buf->len = 0;
}

#endif

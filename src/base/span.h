/* span: a borrowed run of bytes.
 *
 * A span never owns what it points at and is never kept beyond the call that received it. It is passed by value. An
 * empty span may have a NULL pointer. */
#ifndef SENNIT_BASE_SPAN_H
#define SENNIT_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const char *data;
    size_t len;
};

/* For printf: `printf("%.*s", SPAN_ARG(s))`. */
#define SPAN_FMT "%.*s"
#define SPAN_ARG(s) (int)(s).len, (s).data

/* A span over a string literal, its length known at compile time. */
#define SPAN_LIT(literal) ((struct span){("" literal), sizeof(literal) - 1})

static inline struct span span_of(const void *data, size_t len)
{
    return (struct span){data, len};
}

/* A span over a NUL-terminated string; NULL gives the empty span. */
static inline struct span span_str(const char *text)
{
    return (struct span){text, text != NULL ? strlen(text) : 0};
}

/* The part of `s` from `from` on, `len` bytes at most; out of range is clipped. */
static inline struct span span_sub(struct span s, size_t from, size_t len)
{
    if (from > s.len)
        from = s.len;
    if (len > s.len - from)
        len = s.len - from;
    return (struct span){s.len != 0 ? s.data + from : s.data, len};
}

static inline struct span span_from(struct span s, size_t from)
{
    return span_sub(s, from, SIZE_MAX);
}

/* The value of a hexadecimal digit in either case; -1: it is none. */
static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Less than, equal to, or greater than 0, as `a` stands before `b`, is the same, or stands behind it, byte by byte. */
int span_compare(struct span a, struct span b);

/* Equal but for the case of ASCII letters, as HTTP field names compare (RFC 9110 section 5.1). */
bool span_equal_nocase(struct span a, struct span b);

bool span_starts_with(struct span s, struct span prefix);
bool span_ends_with(struct span s, struct span suffix);

/* Index of the first `c` in `s`, or -1. */
ptrdiff_t span_find(struct span s, char c);

/* `s` without leading and trailing spaces and tabs (RFC 9110 OWS). */
struct span span_trim(struct span s);

/* Cuts `*rest` at the first `separator`: the part before it is returned and `*rest` becomes the part behind it (empty
 * when there is none). Returns false when `*rest` was exhausted, told by a NULL data pointer. */
bool span_next(struct span *rest, char separator, struct span *part);

/* Decoding: cuts so many bytes, or an unsigned decimal and the character `end` behind it, off the front of `*rest`.
 * False: it does not begin so; `*rest` is of no use then. */
bool span_take(struct span *rest, uint64_t len, struct span *bytes);
bool span_take_u64(struct span *rest, char end, uint64_t *value);

/* Parses `s` whole as an unsigned decimal: digits only, no sign, no space, no overflow. */
bool span_to_u64(struct span s, uint64_t *value);
/* The same for a port that a peer listens on: 1 to 65535. */
bool span_to_port(struct span s, uint16_t *port);
/* The same with up to three decimals: "0.5" is 500 thousandths. */
bool span_to_thousandths(struct span s, uint64_t *value);

#endif

/* utf8: a streaming check (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef SENNIT_WIRE_UTF8_H
#define SENNIT_WIRE_UTF8_H

#include "base/span.h"

/* State between pieces; zeroed is the start. */
struct utf8 {
    uint8_t need;      /* continuation bytes still to come */
    uint8_t low, high; /* bounds of the next one */
};

/* Takes a piece; false as soon as the text cannot be valid any more. */
bool utf8_feed(struct utf8 *state, struct span piece);
/* True when no character is cut at the end. */
static inline bool utf8_complete(const struct utf8 *state)
{
    return state->need == 0;
}
/* The whole of `s` is valid. */
bool utf8_is_valid(struct span s);

#endif

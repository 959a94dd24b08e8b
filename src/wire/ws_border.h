/* ws_border: follows the borders of WebSocket frames in a stream that is passed on unread (RFC 6455 section 5.2), so
 * that a frame of another may stand between two of them. Pure; looks at heads alone, and refuses nothing. */
#ifndef SENNIT_WIRE_WS_BORDER_H
#define SENNIT_WIRE_WS_BORDER_H

#include "base/span.h"

enum { WS_HEAD_BYTES_MAX = 14 };

/* Zeroed memory: the stream begins. */
struct ws_border {
    uint64_t left; /* bytes of the payload that are still to come */
    uint8_t head[WS_HEAD_BYTES_MAX];
    uint8_t have; /* bytes of a head that is not complete */
    bool closed;  /* a Close frame has begun: nothing may follow it */
};

void ws_border_feed(struct ws_border *border, struct span bytes);
/* Whether a control frame may stand here: between two frames, be they of one message, and before a Close. */
bool ws_border_is_between(const struct ws_border *border);

#endif

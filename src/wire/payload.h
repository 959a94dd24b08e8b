/* payload: bodies of Engine.IO v4 long-polling: packets joined by the byte 0x1e. A text packet stands as it is, a
 * binary one as `b` and its bytes in base64 (RFC 4648 section 4).
 * https://socket.io/docs/v4/engine-io-protocol/#http-long-polling */
#ifndef SENNIT_WIRE_PAYLOAD_H
#define SENNIT_WIRE_PAYLOAD_H

#include "base/buf.h"
#include "base/span.h"

enum { PAYLOAD_SEPARATOR = 0x1e };

/* Takes the first packet from `rest`. False at the end. Of an empty payload, and behind a separator at the end, it is
 * an empty packet, which is invalid; start with `begun` false. */
bool payload_next(struct span *rest, bool *begun, struct span *packet);

/* Whether this packet is binary. */
static inline bool payload_is_binary(struct span packet)
{
    return packet.len > 0 && packet.data[0] == 'b';
}

/* Appends the bytes of a binary packet. False, with nothing appended, if they are not base64; padding may be missing.
 */
bool payload_binary_decode(struct buf *to, struct span packet);
/* Appends a packet with these bytes. */
void payload_binary_encode(struct buf *to, struct span bytes);
/* The same without the `b`. */
bool payload_base64_decode(struct buf *to, struct span text);
void payload_base64_encode(struct buf *to, struct span bytes);

#endif

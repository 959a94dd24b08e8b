/* stock_client_bytes: attachments in the simulator. Every fourth message carries bytes that follow from its number, and
 * every client that is shown it, live, after a resume or in a page of history, compares them. */
#ifndef SENNIT_SIM_STOCK_CLIENT_BYTES_H
#define SENNIT_SIM_STOCK_CLIENT_BYTES_H

#include "base/buf.h"
#include "base/span.h"
#include "wire/socketio.h"

/* A packet whose attachments have not all come. */
struct attached {
    struct buf text; /* the packet; empty: none is awaited */
    struct buf bytes[SOCKETIO_ATTACHMENTS_MAX];
    uint32_t count, wanted;
};

void attached_clear(struct attached *attached);

bool message_has_bytes(uint64_t number);
/* Appends the bytes of a message. */
void message_bytes(struct buf *to, uint64_t number);
/* Whether `body`, the object of an event, points at the bytes of this message; or at none, if it has none. */
bool message_bytes_match(const struct attached *attached, struct span body, uint64_t number);

#endif

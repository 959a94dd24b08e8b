/* lease: how a socket's rooms are written in its lease: `<start> <joined at> <length> <room>` one behind the
 * other. See struct membership for what the numbers are. */
#ifndef SENNIT_SESSION_LEASE_H
#define SENNIT_SESSION_LEASE_H

#include "base/buf.h"

void lease_room_encode(struct buf *to, struct span room, uint64_t start, uint64_t joined_at);
/* Takes the next room off `*rest`: 1, 0 at the end, -1 when it is malformed. */
int lease_room_decode(struct span *rest, struct span *room, uint64_t *start, uint64_t *joined_at);

#endif

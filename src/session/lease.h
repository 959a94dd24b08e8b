/* lease: how a socket's rooms are written in its lease: the floor, then for each stretch of a room
 * `<start> <since> <end> <joined at> <known> <length> <room>`, one behind the other; end `-` for a room it is in. See
 * struct stretch and member.past_floor for what the numbers are. */
#ifndef SENNIT_SESSION_LEASE_H
#define SENNIT_SESSION_LEASE_H

#include "base/buf.h"
#include "hub/hub.h"

/* Appends the rooms of a member: those that were noted, and those left of which the client may lack something. */
void lease_rooms_encode(struct buf *to, const struct member *member);
/* Takes the floor off the front; false when it is malformed. */
bool lease_floor_decode(struct span *rest, uint64_t *floor);
/* Takes the next stretch off `*rest`: 1, 0 at the end, -1 when it is malformed. */
int lease_room_decode(struct span *rest, struct span *room, struct stretch *stretch);

#endif

/* lease: the encoding of a subscriber's rooms in its lease: the floor; if it has obeyed a directive, `>` and the seq up
 * to which it has obeyed all; then for each stretch of a room `<start> <since> <end> <joined at> <known> <length>
 * <room>`. The end is `-` for a room it is in. struct stretch and struct member explain the numbers. */
#ifndef SENNIT_SESSION_LEASE_H
#define SENNIT_SESSION_LEASE_H

#include "base/buf.h"
#include "hub/member.h"

/* Appends the rooms of a member: those that were noted, and those left of which the client may lack entries. */
void lease_rooms_encode(struct buf *to, const struct member *member);
/* What else a lease keeps: the token that the client has from before it, the name of the subject that it belongs to
 * (identity.h), and the application's bytes. Each may be empty. An old lease has no subject, and no bytes. */
void lease_data_encode(struct buf *to, struct span stale, struct span subject, struct span bytes);
void lease_data_decode(struct span data, struct span *stale, struct span *subject, struct span *bytes);
/* Takes the floor off the front; false if it is malformed. */
bool lease_floor_decode(struct span *rest, uint64_t *floor);
/* Takes the seq of the last directive off the front; 0: there is none. False if it is malformed. */
bool lease_directed_decode(struct span *rest, uint64_t *seq);
/* Takes the next stretch off `*rest`: 1, 0 at the end, -1 when it is malformed. */
int lease_room_decode(struct span *rest, struct span *room, struct stretch *stretch);

#endif

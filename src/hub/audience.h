/* audience: who of a room an entry is for: bytes that travel with it. Empty: everybody.
 *
 * Items one behind the other: a sign, the length, a space, the text.
 *
 *     +<len> <room>     for those who are in one of these rooms (any number; none: for all)
 *     -<len> <room>     not for those who are in it
 *     !<len> <sid>      not for this one
 *
 * Rooms are meant as they stood when the entry was accepted: whoever joined later, or left before, does not count. */
#ifndef SENNIT_HUB_AUDIENCE_H
#define SENNIT_HUB_AUDIENCE_H

#include "base/buf.h"

struct member;

enum audience_sign { AUDIENCE_TO = '+', AUDIENCE_EXCEPT = '-', AUDIENCE_EXCEPT_SID = '!' };

void audience_add(struct buf *to, enum audience_sign sign, struct span text);
/* Takes the next item off `*rest`; false at the end, and where it is malformed. */
bool audience_next(struct span *rest, enum audience_sign *sign, struct span *text);
/* Whether an entry with this audience and this seq is for the member. */
bool audience_admits(struct span audience, const struct member *member, uint64_t seq);

#endif

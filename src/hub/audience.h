/* audience: who of a room an entry is for: bytes that travel with it. Empty: everybody.
 *
 * Items one behind the other: a sign, the length, a space, the text.
 *
 *     +<len> <room>     for those who are in one of these rooms (any number; none: for all)
 *     -<len> <room>     not for those who are in it
 *     !<len> <sid>      not for this one, who sent it
 *     #<len> <sid>      not for this one, from whom it is kept
 *
 * Rooms are meant as they stood when the entry was accepted: members who joined later, or left before, do not count.
 * An audience that cannot be read admits nobody: it restricts, so it fails closed. */
#ifndef SENNIT_HUB_AUDIENCE_H
#define SENNIT_HUB_AUDIENCE_H

#include "base/buf.h"

struct member;

enum audience_sign {
    AUDIENCE_TO = '+',
    AUDIENCE_EXCEPT = '-',
    AUDIENCE_SENDER = '!',
    AUDIENCE_EXCEPT_SID = '#',
};

void audience_add(struct buf *to, enum audience_sign sign, struct span text);
/* Takes the next item off `*rest`: 1, 0 at the end, -1 when it is malformed. */
int audience_next(struct span *rest, enum audience_sign *sign, struct span *text);
/* Whether an entry with this audience and this seq is for the member. */
bool audience_admits(struct span audience, const struct member *member, uint64_t seq);
/* The same for the history: the sender's own entries belong into what it reads later. */
bool audience_shows(struct span audience, const struct member *member, uint64_t seq);

#endif

/* audience: the members of a room that an entry is for, as bytes that travel with the entry. Empty: all members.
 *
 * A list of items. Each is a sign, the text's length, a space, and the text:
 *
 *     +<len> <room>     for members of at least one of these rooms (no such item, and no `=`: for all)
 *     -<len> <room>     not for members of this room
 *     =<len> <sid>      for this socket, too
 *     !<len> <sid>      not for this socket, the sender
 *     #<len> <sid>      not for this socket, an exception
 *     *0                the entry is a directive: for the members themselves, and never shown to a client
 *
 * Membership counts as it was when the entry was accepted: a member that joined later, or left before, does not count.
 * An audience restricts, so it fails closed: if it is malformed, it admits nobody. */
#ifndef SENNIT_HUB_AUDIENCE_H
#define SENNIT_HUB_AUDIENCE_H

#include "base/buf.h"

struct member;

enum audience_sign {
    AUDIENCE_TO = '+',
    AUDIENCE_EXCEPT = '-',
    AUDIENCE_SENDER = '!',
    AUDIENCE_EXCEPT_SID = '#',
    AUDIENCE_TO_SID = '=',
    AUDIENCE_DIRECTIVE = '*',
};

void audience_add(struct buf *to, enum audience_sign sign, struct span text);
/* Takes the next item off `*rest`: 1, 0 at the end, -1 when it is malformed. */
int audience_next(struct span *rest, enum audience_sign *sign, struct span *text);
/* Whether an entry with this audience and this seq is for the member. */
bool audience_admits(struct span audience, const struct member *member, uint64_t seq);
/* The same for the history, which shows a sender its own entries, and nobody a directive. */
bool audience_shows(struct span audience, const struct member *member, uint64_t seq);
/* Begins the audience of a directive. Its rooms are to be named by `+`, or its sockets by `=`: a member that is sent
 * the entries from before it joined must not obey those. */
void audience_directive(struct buf *to);
bool audience_is_directive(struct span audience);

#endif

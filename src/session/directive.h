/* directive: tells sockets to join rooms, to leave rooms, or to end, wherever in the fleet they are. It is an entry of
 * a log, like an event, for the members themselves (hub/audience.h). Each member obeys it in its place among the
 * events: when it is pushed, or, if the socket is parked on the broker or its client is cut off, when the log is
 * replayed. The lease says which directives were obeyed, so none is obeyed twice.
 *
 * backend.h publishes directives. A subscriber's member gets them (member_events), and obeys at the end of the turn. */
#ifndef SENNIT_SESSION_DIRECTIVE_H
#define SENNIT_SESSION_DIRECTIVE_H

#include "base/buf.h"

struct entry;
struct member;
struct sessions;

enum { DIRECTIVE_ROOMS_MAX = 32 };

enum directive_op {
    DIRECTIVE_JOIN = 'j',
    DIRECTIVE_LEAVE = 'l',
    DIRECTIVE_DISCONNECT = 'd', /* from the namespace */
    DIRECTIVE_CLOSE = 'c',      /* the whole session, with all its namespaces */
};

struct directive {
    enum directive_op op;
    size_t room_count; /* 1 to DIRECTIVE_ROOMS_MAX for JOIN and LEAVE, else 0 */
    struct span rooms[DIRECTIVE_ROOMS_MAX];
};

/* Appends the body of the entry: the letter, then for each room its length, a space and its name. */
void directive_encode(struct buf *to, const struct directive *directive);
/* Reads a body; spans point into it. False if it is none of ours. */
bool directive_decode(struct span body, struct directive *directive);

/* Directives that were given and are not obeyed yet; struct sessions has them. */
void directives_init(struct sessions *sessions);
void directives_finish(struct sessions *sessions);
/* member_events.directed of subscribers. */
void subscriber_directed(struct member *member, struct entry *entry);

#endif

/* emit: a message to publish, of a client or of a backend: the log it goes into, its audience, its body. subscriber and
 * backend fill a struct emit with it, for the broker. */
#ifndef SENNIT_SESSION_EMIT_H
#define SENNIT_SESSION_EMIT_H

#include "base/buf.h"

struct directive;
struct nsp;
struct subscriber_emit;

/* What the broker is given. `body` may point into the content of the event. */
struct emit {
    struct buf room, audience, encoded;
    struct span body;
};

/* An event from `sender`, a sid (empty: a backend). A message for one room goes into that room's log. One for several
 * rooms, or for a socket without a room of its own, goes into the namespace's log, so that no member gets it twice. */
void emit_event(struct emit *emit, const struct nsp *nsp, struct span sender, const struct subscriber_emit *from);
/* A directive to the members that an event like `from` would go to. */
void emit_directive(struct emit *emit, const struct nsp *nsp, const struct subscriber_emit *from,
                    const struct directive *directive);
void emit_finish(struct emit *emit);

#endif

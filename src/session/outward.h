/* outward: what other servers are to learn of, that share the rooms of a namespace with this fleet and read no broker
 * of ours. A bridge (the layer `bridge`) attaches itself to the sessions; without one nobody is told. */
#ifndef SENNIT_SESSION_OUTWARD_H
#define SENNIT_SESSION_OUTWARD_H

#include "base/span.h"

struct content;
struct directive;
struct inquiries;
struct inquiry_question;
struct nsp;
struct subscriber;
struct subscriber_emit;

struct outward {
    void *arg;
    /* A message of this instance was handed to the broker, or a directive. `sender` is a sid, or empty: a backend.
     * Called within the call that hands it over; everything is borrowed. Messages for this instance alone are not
     * reported. */
    void (*emitted)(void *arg, const struct nsp *nsp, struct span sender, const struct subscriber_emit *emit);
    void (*directed)(void *arg, const struct nsp *nsp, const struct subscriber_emit *to,
                     const struct directive *directive);
    /* A room of a namespace (as the broker names it) has its first member here, or its last one has left. */
    void (*room_filled)(void *arg, struct span room, bool filled);
    /* The fleet is asked about its sockets. True: so are the other servers, and their answers will be given to
     * inquiry_told under this number, or come too late. */
    bool (*inquired)(void *arg, struct inquiries *inquiries, const struct inquiry_question *question, uint64_t number);
    /* The client answers what was asked under this id (struct protocol, `ask`). False: the bridge has not asked it. */
    bool (*answered)(void *arg, struct subscriber *subscriber, struct span id, const struct content *content);
};

#endif

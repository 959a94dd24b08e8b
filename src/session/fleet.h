/* fleet: what a backend does with sockets, on whichever instance they are. `serve` calls it for the HTTP API.
 *
 * A message without a sender is published as a client's would be. A directive (directive.h) goes the same way, so it
 * takes its place among the events: also for sockets that wait on the broker for their next poll, or whose client is
 * cut off and will resume. Where a namespace logs nothing, nothing is kept for those: they miss both. */
#ifndef SENNIT_SESSION_FLEET_H
#define SENNIT_SESSION_FLEET_H

#include "session/directive.h"
#include "session/subscriber.h"

/* Publishes; `done` is called as by broker_publish, and false means the same: the backlog is full. Of `emit`, `ack_id`
 * and `except_self` do not count. */
bool fleet_publish(struct sessions *sessions, const struct nsp *nsp, const struct subscriber_emit *emit,
                   broker_done_fn *done, void *arg);
/* Tells the sockets that `to` selects to obey. Of `to`, rooms, excepts, to_sid, id and retention count; without a
 * retention, sockets that are not live now miss it. */
bool fleet_direct(struct sessions *sessions, const struct nsp *nsp, const struct subscriber_emit *to,
                  const struct directive *directive, broker_done_fn *done, void *arg);
/* The same two for the live sockets of this instance alone, at once. */
void fleet_publish_here(struct sessions *sessions, const struct nsp *nsp, const struct subscriber_emit *emit);
void fleet_direct_here(struct sessions *sessions, const struct nsp *nsp, const struct subscriber_emit *to,
                       const struct directive *directive);

/* Questions about sockets: each instance answers for its own (fleet_find.c), and the answers are put together
 * (fleet_ask.c). A socket whose session waits on the broker for its next poll is on no instance, so it is in no answer.
 */

enum fleet_kind {
    FLEET_SOCKETS = 's', /* items: sid, JSON */
    FLEET_ROOMS = 'r',   /* items: room, number of its sockets */
    FLEET_COUNT = 'n',   /* the number of sockets alone */
};

enum {
    FLEET_QUESTIONS_MAX = 16,       /* under way, of one instance */
    FLEET_LIMIT_MAX = 1000,         /* items of an answer */
    FLEET_ROOMS_MAX = 32,           /* that a question may name, and as many exceptions */
    FLEET_INSTANCES_MAX = 1000,     /* whose answers are kept */
    FLEET_TIMEOUT_MS = 2000,        /* then what has come must do */
    FLEET_ANSWER_BYTES = 512 << 10, /* of one instance; beyond it, the rest is for another question */
};

struct fleet_question {
    enum fleet_kind kind;
    struct span nsp;
    const struct span *rooms; /* in one of them; none: all. Not for FLEET_ROOMS */
    size_t room_count;
    const struct span *excepts; /* and in none of these */
    size_t except_count;
    struct span sid;   /* this socket alone; empty: all */
    struct span after; /* items behind this key; empty: from the first on */
    uint32_t limit;    /* 1 to FLEET_LIMIT_MAX */
    bool here;         /* of this instance alone */
};

struct fleet_item {
    struct span key, text;
    uint64_t number;
};

struct fleet_found {
    const struct fleet_item *items; /* by key, rising */
    size_t count;
    bool more;                 /* there are items behind the last one */
    uint64_t total;            /* for FLEET_COUNT */
    uint64_t living, answered; /* instances; fewer answers than living ones: the answer is incomplete */
};
/* What `found` points to is borrowed until it returns. */
typedef void fleet_found_fn(void *arg, const struct fleet_found *found);

struct fleet;
/* Answers the questions of other instances from now on. `sessions` is borrowed. */
struct fleet *fleet_create(struct sessions *sessions);
/* Answers what is under way with what has come, after the broker was destroyed. Accepts NULL. */
void fleet_destroy(struct fleet *fleet);
/* Asks; `done` is called from the loop, once. False, without `done`: FLEET_QUESTIONS_MAX are under way. */
bool fleet_ask(struct fleet *fleet, const struct fleet_question *question, fleet_found_fn *done, void *arg);

/* fleet_find.c, for fleet_ask.c: appends what this instance knows, as fleet_items reads it. */
void fleet_find(const struct sessions *sessions, const struct fleet_question *question, struct buf *to);

#endif

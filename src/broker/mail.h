/* mail: messages of instances to each other: to one, or to all that live, the sender included. They come as they are
 * sent, at most once, in the order of one sender. A message to an instance that is away is lost, and nobody is told; so
 * a question needs a timeout, and the number of instances that the broker counts as living.
 *
 * The session layer sends and receives. Spans given to a call are copied; those of an event are borrowed until it
 * returns. broker.h includes this file. */
#ifndef SENNIT_BROKER_MAIL_H
#define SENNIT_BROKER_MAIL_H

#include <stdbool.h>

#include "base/span.h"

struct broker;

enum { MAIL_BYTES_MAX = 1 << 20 };

struct mail_receivers {
    uint64_t living;  /* instances with a recent heartbeat that it was for */
    uint64_t reached; /* of these, those that were connected */
};

/* `receivers`: NULL when the link broke before the answer; the message may have been sent all the same. */
typedef void mail_sent_fn(void *arg, const struct mail_receivers *receivers);

/* An instance that lives, and a lease that it owns. */
struct mail_owner {
    struct span instance;
    struct span pid; /* empty: it may own more than are told */
};
enum {
    MAIL_OWNERS_MAX = 1000
}; /* leases that are looked at; of an instance behind them nothing but its name is told */

/* `owners`: NULL when the broker did not say. */
typedef void mail_owners_fn(void *arg, const struct mail_owner *owners, size_t count);

struct mail_ops {
    void (*send)(struct broker *broker, struct span to, struct span message, mail_sent_fn *done, void *arg);
    /* NULL: the broker has one instance. */
    void (*owners)(struct broker *broker, const struct span *heard, size_t count, mail_owners_fn *done, void *arg);
};

/* Called from the loop, never within a call. */
struct mail_events {
    /* `from` names the instance to answer. */
    void (*received)(void *arg, struct span from, struct span message);
};

/* `events` and `arg` are borrowed for the broker's life. */
void mail_attach(struct broker *broker, const struct mail_events *events, void *arg);
/* Sends a message of MAIL_BYTES_MAX bytes at most to the instance of this name (empty: to all). `done` may be NULL. */
void mail_send(struct broker *broker, struct span to, struct span message, mail_sent_fn *done, void *arg);
/* Which instances live and own leases, but for the `count` ones that were heard. An instance that stands still answers
 * no mail; one that owns no lease has no sockets to answer for. `done` is not called within the call, unless the broker
 * has one instance. */
void mail_owners(struct broker *broker, const struct span *heard, size_t count, mail_owners_fn *done, void *arg);
/* Whether anybody may ask that: false with one instance. */
bool mail_has_owners(const struct broker *broker);
/* For implementers: a message has come. */
void mail_received(struct broker *broker, struct span from, struct span message);

#endif

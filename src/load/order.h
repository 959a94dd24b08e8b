/* order: the one order of a room's messages that all its subscribers must agree on, worked out from the messages they
 * receive.
 *
 * Each subscriber sees some of the messages, never quite the same ones: its own do not come back, and a gap may lie
 * between two of its lives. So no subscriber's sequence is the order. "I saw a and then b" is an edge from a to b, and
 * the subscribers agree as long as the edges have no cycle. `placed` is an order that all edges so far agree with; an
 * edge that runs against it moves the messages in between (Marchetti-Spaccamela, Nanni, Rohnert: Maintaining a
 * topological order under edge insertions, 1996), or closes a cycle: then two subscribers disagree. In a sound run the
 * edge of almost every receipt exists already. */
#ifndef SENNIT_LOAD_ORDER_H
#define SENNIT_LOAD_ORDER_H

#include "load/messages.h"

struct order_edge {
    uint32_t to;   /* message */
    uint32_t next; /* edge out of the same message */
    uint32_t who;  /* subscriber that saw it first */
};

/* Zeroed: empty. */
struct order {
    uint32_t *placed; /* messages by place */
    uint32_t count, cap;
    struct order_edge *edges;
    uint32_t edge_count, edge_cap;
};

void order_finish(struct order *order); /* accepts zeroed */

/* Subscriber `who` saw `message` and, before it, `last` (MESSAGE_NONE: nothing). Returns MESSAGE_NONE when that agrees
 * with all earlier edges. Otherwise returns a subscriber that saw the opposite, and adds no edge. */
uint32_t order_follow(struct order *order, const struct messages *messages, uint32_t last, uint32_t message,
                      uint32_t who);
/* A subscriber saw `a` and then `b`, directly or by the edges of other subscribers. */
bool order_precedes(struct order *order, const struct messages *messages, uint32_t a, uint32_t b);

#endif

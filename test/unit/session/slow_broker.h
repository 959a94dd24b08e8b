/* slow_broker: the fixture's broker, whose answers come when the test says so.
 *
 * hold() puts `slow` in the place of the broker's functions. It is a copy of them, in which the test then replaces
 * those that it wants to hold or to count; `real` are the functions themselves. */
#ifndef SENNIT_TEST_SESSION_SLOW_BROKER_H
#define SENNIT_TEST_SESSION_SLOW_BROKER_H

#include "broker/broker.h"

extern const struct broker_ops *real;
extern struct broker_ops slow;
extern size_t held_count; /* calls held since hold(), the answered ones included */

void hold(void);
/* Answers the calls that are still held with BROKER_LOST, and restores the broker's own functions. */
void release(void);

/* Functions of a broker that hold the call. */
bool publish_held(struct broker *asked, const struct broker_publish *publish, broker_done_fn *done, void *arg);
void lease_write_held(struct broker *asked, const struct broker_lease *lease, broker_done_fn *done, void *arg);
void read_held(struct broker *asked, struct span room, const struct broker_range *range, broker_read_fn *done,
               void *arg);

/* Answers the oldest call that is held. A read gets an empty page. */
void answer_one(enum broker_result result);
/* Answers every call that is held now, or that is made by an answer. */
void answer(enum broker_result result);
/* The same with BROKER_OK, while the loop runs, so that messages which clients sent meanwhile are answered too. */
void answer_all(void);

/* tear_down, and release() before it, for a test that failed in the middle. */
int let_go(void **state);

#endif

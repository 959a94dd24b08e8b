/* backend: publishes for a backend, which has no socket, on whichever instances the receivers are. `serve` calls it for
 * the HTTP API.
 *
 * A message without a sender is published as a client's would be. A directive (directive.h) goes the same way, so it
 * takes its place among the events: also for sockets that wait on the broker for their next poll, or whose client is
 * cut off and will resume. Where a namespace logs nothing, nothing is kept for those: they miss both. */
#ifndef SENNIT_SESSION_BACKEND_H
#define SENNIT_SESSION_BACKEND_H

#include "session/directive.h"
#include "session/subscriber.h"

/* Publishes; `done` is called as by broker_publish, and false means the same: the backlog is full. Of `emit`, `ack_id`
 * and `except_self` do not count. */
bool backend_publish(struct sessions *sessions, const struct nsp *nsp, const struct subscriber_emit *emit,
                     broker_done_fn *done, void *arg);
/* Tells the sockets that `to` selects to obey. Of `to`, rooms, excepts, to_sid, id and retention count; without a
 * retention, sockets that are not live now miss it. */
bool backend_direct(struct sessions *sessions, const struct nsp *nsp, const struct subscriber_emit *to,
                    const struct directive *directive, broker_done_fn *done, void *arg);
/* The same two for the live sockets of this instance alone, at once. */
void backend_publish_here(struct sessions *sessions, const struct nsp *nsp, const struct subscriber_emit *emit);
void backend_direct_here(struct sessions *sessions, const struct nsp *nsp, const struct subscriber_emit *to,
                         const struct directive *directive);

#endif

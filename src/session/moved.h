/* moved: the ids of polling sessions that have gone on over a WebSocket of this instance. A request that still names
 * one is refused as one for another transport, as long as that WebSocket lives. That is all that is kept of the
 * polling: most sessions of stock clients begin so, and memory for each idle client counts.
 *
 * Where sessions move between instances the broker knows this (RECORD_MOVED), and nothing is kept here. */
#ifndef SENNIT_SESSION_MOVED_H
#define SENNIT_SESSION_MOVED_H

#include <stdbool.h>

#include "base/span.h"

struct moved;
struct sessions;

/* A session of this id (ENGINEIO_SID_BYTES) is on a WebSocket from now on. The caller keeps what is returned, until
 * moved_end. */
struct moved *moved_begin(struct sessions *sessions, struct span sid);
/* The WebSocket is gone; frees. Accepts NULL. */
void moved_end(struct sessions *sessions, struct moved *moved);
/* Whether this id, as a client sent it, is that of such a session. */
bool moved_is(const struct sessions *sessions, struct span sid);

#endif

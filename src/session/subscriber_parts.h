/* subscriber_parts: events, acknowledgements and refusals of a connected subscriber, in both directions. For the
 * session layer's own files. */
#ifndef SENNIT_SESSION_SUBSCRIBER_PARTS_H
#define SENNIT_SESSION_SUBSCRIBER_PARTS_H

#include "session/subscriber.h"

enum { SUBSCRIBER_RETRY_MS = 200 }; /* until it asks the broker again, after a call that failed */

/* Sends the CONNECT reply and the announcement, then begins to deliver. `recovered`: it resumes. */
void subscriber_connected(struct subscriber *subscriber, bool recovered);
void subscriber_rooms_begin(struct subscriber *subscriber);
/* The lease records the rooms joined since: they begin, and waiting calls are acknowledged. */
void subscriber_joins_done(struct subscriber *subscriber);
/* subscribers.c: puts it at the end of its session's list; takes it out. */
void subscriber_link(struct subscriber *subscriber);
void subscriber_unlink(struct subscriber *subscriber);
/* subscriber_calls.c: it is being connected, and counts as a call of its session; it is connected, or will not be. */
void subscriber_connecting_begin(struct subscriber *subscriber);
void subscriber_connecting_end(struct subscriber *subscriber);
/* A call waits: the one by which it connects, or one for the lease. */
bool subscriber_is_awaited(const struct subscriber *subscriber);
/* A call that waits for the lease, to be answered under this id. */
struct call *subscriber_call_await(struct subscriber *subscriber, struct span ack_id);
/* For calls that wait for the lease: the write that begins now records them, except for a room whose start is not known
 * yet; the write is done, so those it records are acknowledged; all are ended without an answer. */
void subscriber_calls_note(struct subscriber *subscriber);
void subscriber_calls_answer(struct subscriber *subscriber);
void subscriber_calls_drop(struct subscriber *subscriber);
/* subscriber.c: the only function that changes its state. */
void subscriber_set_state(struct subscriber *subscriber, enum subscriber_state state);
/* It counts no more: the session is closing, or has closed. */
bool subscriber_has_ended(const struct subscriber *subscriber);
/* Its lease or its history is lost: ends its session. It stops being present now: while its connection lingers, the new
 * owner may enter under the same sid, and a late leave from here must not remove it. */
void subscriber_give_up(struct subscriber *subscriber, bool may_return, enum close_reason reason);

/* subscriber_data.c: frees the extra part; keeps what others are shown of a subscriber that begins; keeps these bytes
 * without writing the lease; tells the application that one has gone; that the lease of a client that comes back is
 * given up. */
void subscriber_extra_free(struct subscriber *subscriber);
void subscriber_shown_keep(struct subscriber *subscriber, struct span presence_data,
                           const struct subscriber_start *start);
void subscriber_data_keep(struct subscriber *subscriber, struct span data);
void subscriber_departed(struct sessions *sessions, const struct leaver *leaver, enum departure departure,
                         enum close_reason reason);
void subscriber_lease_ended(struct subscriber *subscriber, const struct broker_lease *lease);

/* subscriber_lease.c. Gives it an empty lease, for one that is leased (subscriber_is_leased); frees what there is. */
void subscriber_lease_create(struct subscriber *subscriber, timer_fn *retry);
void subscriber_lease_free(struct subscriber *subscriber);
/* The lease records a token that the client keeps from an earlier session (empty: none), because we cannot make the
 * client forget it. */
void subscriber_stale_set(struct subscriber *subscriber, struct span text);
/* The name of its lease, from the client's pid; to be set before anything else of its lease. */
void subscriber_lease_name_set(struct subscriber *subscriber, struct span pid);
/* The names of its lease and of its own room, for a call to the broker; the caller finishes `own`. */
struct broker_lease subscriber_lease_of(const struct subscriber *subscriber, struct buf *own);
/* The subscriber in one of the sessions' two maps, or NULL. */
struct subscriber *subscriber_by_lease(const struct map *map, struct span name);
/* Lists it by its lease. The same client may still seem alive on another connection to this instance; that one ends. */
void subscriber_list(struct subscriber *subscriber);
void subscriber_unlist(struct subscriber *subscriber);
/* Gives the lease back, for good (it is deleted) or for the recovery window. */
void subscriber_lease_release(struct subscriber *subscriber, bool for_good);
/* It is watched (struct nsp), and its client does not know of it yet. */
bool subscriber_lease_is_unheard(const struct subscriber *subscriber);
/* Before a connected subscriber's lease is left: writes it again if a room got its first entry since, if the
 * application's bytes have changed since, or if the last write failed. Whoever claims it must know which rooms have a
 * log, and has the bytes. */
void subscriber_lease_write_last(struct subscriber *subscriber);
/* The transport of this peer is gone. The lease stays for whoever claims it, unless too much stays of others already:
 * then this returns false. */
bool subscriber_lease_leave(struct subscriber *subscriber, const struct broker_lease *lease, const struct addr_ip *from,
                            enum close_reason reason);

/* As a directive of this seq (0: it is not logged) demands: joins these rooms, or leaves them. A room that cannot be
 * joined is refused, with a line in the log, and none is. */
void subscriber_join_directed(struct subscriber *subscriber, const struct span *rooms, size_t count, uint64_t seq);
void subscriber_leave_directed(struct subscriber *subscriber, const struct span *rooms, size_t count, uint64_t seq);

/* member_events. */
void subscriber_deliver(struct member *member, struct entry *entry, const struct token *token, bool shared);
bool subscriber_has_room(struct member *member);

/* slow.c: too much is queued for the subscriber's session: does what its namespace says (enum slow_policy). True if
 * the next event, logged or not, is not to be queued. */
bool subscriber_slow(struct subscriber *subscriber, bool is_logged);

#endif

/* socket_traffic: events, acknowledgements and refusals of a connected socket, in both directions. For the session
 * layer's own files. */
#ifndef SENNIT_SESSION_SOCKET_TRAFFIC_H
#define SENNIT_SESSION_SOCKET_TRAFFIC_H

#include "session/socket.h"

/* Sends the CONNECT reply and the announcement, then begins to deliver. `recovered`: it resumes. */
void socket_connected(struct socket *socket, bool recovered);
void socket_begin(struct socket *socket);
/* The lease records the rooms joined since: they begin, and waiting calls are acknowledged. */
void socket_joins_done(struct socket *socket);
/* For calls that wait for the lease: the write that begins now records them; the write is done, so those it records are
 * acknowledged; all are ended without an answer. */
void socket_calls_note(struct socket *socket);
void socket_calls_answer(struct socket *socket);
void socket_calls_drop(struct socket *socket);
/* socket.c: the only function that changes its state. */
void socket_set_state(struct socket *socket, enum socket_state state);
/* It counts no more: the session is closing, or has closed. */
bool socket_has_ended(const struct socket *socket);
/* Its lease or its history is lost: ends its session. It stops being present now: while its connection lingers, the new
 * owner may enter under the same sid, and a late leave from here must not remove it. */
void socket_give_up(struct socket *socket, bool may_return, enum close_reason reason);

/* socket_lease.c. The name of its lease, from the client's pid; to be set before anything else of its lease. */
void socket_lease_name_set(struct socket *socket, struct span pid);
/* The names of its lease and of its own room, for a call to the broker; the caller finishes `own`. */
struct broker_lease socket_lease_of(const struct socket *socket, struct buf *own);
/* The socket in one of the sessions' two maps, or NULL. */
struct socket *socket_by_lease(const struct map *map, struct span name);
/* Lists it by its lease. The same client may still seem alive on another connection to this instance; that one ends. */
void socket_list(struct socket *socket);
void socket_unlist(struct socket *socket);
/* Gives the lease back, for good (it is deleted) or for the recovery window. */
void socket_lease_release(struct socket *socket, bool for_good);
/* The transport of this peer is gone. The lease stays for whoever claims it, unless too much stays of others already.
 */
void socket_lease_leave(struct socket *socket, const struct broker_lease *lease, const struct addr_ip *from,
                        enum close_reason reason);

/* member_events. */
void socket_deliver(struct member *member, struct entry *entry, const struct token *token, bool shared);
bool socket_has_room(struct member *member);

/* slow.c: too much is queued: drops events that the log has, and lets their sockets catch up. True if `socket` is one
 * of them. */
bool session_slow(struct session *session, struct socket *socket);

#endif

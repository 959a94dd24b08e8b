/* socket_traffic: events, acknowledgements and refusals of a connected socket, in both directions. For the session
 * layer's own files. */
#ifndef SENNIT_SESSION_SOCKET_TRAFFIC_H
#define SENNIT_SESSION_SOCKET_TRAFFIC_H

#include "session/socket.h"

/* Sends the CONNECT reply and the announcement, then begins to deliver. */
void socket_connected(struct socket *socket);
void socket_begin(struct socket *socket);
/* The lease records the rooms joined since: they begin, and waiting calls are acknowledged. */
void socket_joins_done(struct socket *socket);
/* For calls that wait for the lease: the write that begins now records them; the write is done, so those it records are
 * acknowledged; all are ended without an answer. */
void socket_calls_note(struct socket *socket);
void socket_calls_answer(struct socket *socket);
void socket_calls_drop(struct socket *socket);
/* See socket.c. */
void socket_list(struct socket *socket);

/* member_events. */
void socket_deliver(struct member *member, struct entry *entry, const struct token *token, bool shared);
bool socket_has_room(struct member *member);

/* slow.c: too much is queued: drops events that the log has, and lets their sockets catch up. True if `socket` is one
 * of them. */
bool session_slow(struct session *session, struct socket *socket);

#endif

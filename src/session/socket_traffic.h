/* socket_traffic: what a connected socket sends and is sent. For the session layer's own files. */
#ifndef SENNIT_SESSION_SOCKET_TRAFFIC_H
#define SENNIT_SESSION_SOCKET_TRAFFIC_H

#include "session/socket.h"

/* The CONNECT reply, the announcement, and then the log. */
void socket_connected(struct socket *socket);
void socket_begin(struct socket *socket);
/* The lease knows the rooms joined since: they begin, and what waited for it is acknowledged. */
void socket_joins_done(struct socket *socket);
/* Calls that wait for the lease: the write that begins now knows of these; it has been written; nobody waits. */
void socket_calls_note(struct socket *socket);
void socket_calls_answer(struct socket *socket);
void socket_calls_drop(struct socket *socket);
/* See socket.c. */
void socket_list(struct socket *socket);

/* member_events. */
void socket_deliver(struct member *member, struct entry *entry, const struct token *token, bool shared);
bool socket_has_room(struct member *member);

/* slow.c: too much is queued: what can be read again later is dropped, and the sockets catch up. True when `socket` is
 * one of them. */
bool session_slow(struct session *session, struct socket *socket);

#endif

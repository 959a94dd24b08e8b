/* raw: WebSockets for pages that know no protocol at all. Each connection is in one room from the start. Each message
 * goes to all others in the room, as it came, text or binary. Nothing is logged, so nothing is resumed, and the server
 * sends nothing of its own. `serve` opens these sessions on a path of their own.
 *
 * All of it is in one namespace, which no other client can reach. The body of an entry there is the kind of the message
 * (`t` or `b`) and behind it the message. */
#ifndef SENNIT_SESSION_RAW_H
#define SENNIT_SESSION_RAW_H

#include "session/session.h"

extern const struct protocol raw_protocol;

/* Whether a new client may enter this room, whose name is text: REFUSAL_COUNT if so. */
enum refusal raw_check(const struct sessions *sessions, const struct nsp *nsp, struct span room);
/* Enters a room that raw_check has allowed, with a session that has just begun. `nsp`: the namespace of all raw clients
 * (relay.h). */
void raw_enter(struct session *session, const struct nsp *nsp, struct span room);

#endif

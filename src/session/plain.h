/* plain: the protocol `sennit.v1`, for clients without any library: each text message is one JSON object, see
 * docs/plain.md. A connection is in one namespace, so a session has one subscriber at most. `serve` opens its sessions
 * on a path of their own. */
#ifndef SENNIT_SESSION_PLAIN_H
#define SENNIT_SESSION_PLAIN_H

#include "session/session.h"

#define PLAIN_SUBPROTOCOL "sennit.v1"

extern const struct protocol plain_protocol;

/* What a client brings when it connects, from its URL or in a message. Each may be empty. */
struct plain_connect {
    struct span nsp;    /* the namespace's name, like "/" */
    struct span resume; /* the secret by which it resumes */
    struct span at;     /* the position of the last event that it has */
    struct span auth;   /* JSON */
};
/* Connects a session that is in no namespace yet. What the client sends meanwhile is read once it is connected. If the
 * namespace does not exist, or `auth` is no JSON object, the client is told, and may try again. */
void plain_connect(struct session *session, const struct plain_connect *connect);

#endif

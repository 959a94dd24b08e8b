/* socket: a Socket.IO socket: one client in one namespace of a session. It is a member of rooms, and its lease lets it
 * resume. The session creates and detaches it; `app` calls it for events (publish, join, leave, refuse, ack). It is
 * counted: every answer that it awaits holds a reference.
 *
 *     CLAIMING --> JOINING --> LEASING --> CONNECTED --> GONE
 *                    |                       ^          (from any)
 *                    +-- lease claimed, or --+
 *                        none needed
 *
 * CLAIMING: asks the broker for the lease of the client's pid. JOINING: its rooms are being confirmed; it begins anew
 * here if recovery failed. LEASING: its first lease is being written.
 *
 * The CONNECT reply goes out first, then missed events, then live ones. The stock client never clears the events that
 * it buffered before CONNECT, so another order would double events after a second cut. */
#ifndef SENNIT_SESSION_SOCKET_H
#define SENNIT_SESSION_SOCKET_H

#include "hub/member.h"
#include "session/call.h"
#include "session/session.h"
#include "wire/socketio.h"

enum socket_state { SOCKET_CLAIMING, SOCKET_JOINING, SOCKET_LEASING, SOCKET_CONNECTED, SOCKET_GONE };

struct socket {
    struct session *session; /* NULL once gone */
    struct sessions *sessions;
    const struct namespace *nsp;
    struct list of_session;
    struct map_node by_lease; /* see `listed` and `claiming` */
    struct member member;
    struct timer retry;    /* asks the broker again after a lost link */
    uint64_t generation;   /* of its lease; while it claims one, the highest that other instances have claimed since */
    uint64_t lease_due_us; /* time of the next rewrite; 0: no lease */
    char sid[ENGINEIO_SID_BYTES];
    uint32_t lease_writes;   /* of this lease, begun so far */
    char *lease_name;        /* its pid and, except for "/", the namespace; NULL: no lease */
    struct call *connecting; /* until it is connected */
    struct list acks;        /* calls that wait for the lease */
    char *stale;             /* the token that the client keeps from an earlier session, NULL: none */
    char *offset;            /* the client's offset, NULL: none */
    char *presence_data;     /* JSON; NULL: none */
    uint32_t refs;           /* the session's, and one for each awaited answer */
    uint32_t number;         /* in its session, from 1: the tag of its events */
    uint32_t lease_bytes;    /* of the rooms in what was written last */
    uint8_t state;           /* enum socket_state */
    bool recovered, lease_busy, lease_again;
    bool listed;   /* by_lease is in sessions.sockets */
    bool claiming; /* by_lease is in sessions.claims */
    bool given_up; /* another instance has its lease, or the lease is gone: its connection is closing */
};

/* A CONNECT packet for a namespace the session is not in yet. */
void socket_connect(struct session *session, const struct namespace *nsp, const struct socketio_packet *packet);
/* The socket of this namespace, or NULL. */
struct socket *socket_find(struct session *session, struct span nsp);
/* The client leaves (41): the lease is deleted. */
void socket_disconnect(struct socket *socket);
/* The transport is gone, for this reason. The lease stays, for a later claim. */
void socket_detach(struct socket *socket, enum close_reason reason);
void socket_unref(struct socket *socket);

/* The broker's name of a room of a namespace ("/,lobby"), or of the namespace itself ("/") for an empty room; and back.
 */
void socket_room_name(struct buf *to, const struct namespace *nsp, struct span room);
struct span socket_room_of(const struct namespace *nsp, struct span name);
/* The room of one socket alone ("@/,<sid>"). */
void socket_own_room_name(struct buf *to, const struct namespace *nsp, struct span sid);
/* Whether the broker's name of a room is one of this namespace, for the socket with this sid. */
bool socket_room_is_of(const struct namespace *nsp, struct span name, struct span sid);
/* The broker's name of its lease. It includes the namespace, so that a pid of one namespace claims nothing in another.
 */
struct span socket_lease_name(const struct socket *socket);
/* Whether it is in this room of its namespace. */
bool socket_is_in(struct socket *socket, struct span room);

/* A message to publish, and its receivers. */
struct socket_emit {
    const struct span *rooms; /* to members of at least one of these; none: to the whole namespace */
    size_t room_count;
    const struct span *excepts; /* not to members of one of these (a sid counts as a room) */
    size_t except_count;
    struct span to_sid;                       /* to this socket alone, on any instance; empty: to rooms */
    bool except_self;                         /* not to the sender */
    struct span args;                         /* a JSON array */
    struct span id;                           /* the client's name for the message; may be empty */
    struct span ack_id;                       /* of the acknowledgement, sent on acceptance; may be empty */
    const struct broker_retention *retention; /* NULL: not logged */
};
void socket_publish(struct socket *socket, const struct socket_emit *emit);
/* Joins a room; acknowledged once the lease records it. socket_leave likewise. */
void socket_join(struct socket *socket, struct span room, struct span ack_id);
/* Refuses one request: counts and logs the refusal, and sends it to the client if it asked for an acknowledgement.
 * `what` is the room or event concerned, for the log. */
void socket_refuse(struct socket *socket, enum refusal refusal, struct span what, struct span ack_id);
void socket_leave(struct socket *socket, struct span room, struct span ack_id);
/* `43<id>[]`, or with these arguments, a JSON array. */
void socket_ack(struct socket *socket, struct span ack_id);
void socket_ack_with(struct socket *socket, struct span ack_id, struct span args);

/* It is connected, or has claimed the lease that it resumes. */
static inline bool socket_has_lease(const struct socket *socket)
{
    return socket->state == SOCKET_CONNECTED || (socket->state == SOCKET_JOINING && socket->recovered);
}
/* Called by the sessions: rewrites the lease if it is due; ends a socket whose lease another instance claimed. */
void socket_lease_refresh(struct socket *socket);
void socket_superseded(struct sessions *sessions, struct span lease, uint64_t generation);

#endif

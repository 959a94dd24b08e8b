/* socket: a Socket.IO socket: one client in one namespace of a session. A member of rooms, with a lease that lets it
 * resume.
 *
 *     CLAIMING --> JOINING --> LEASING --> CONNECTED --> GONE
 *        |            ^                        (from any)
 *        +-- none ----+
 *
 * The CONNECT reply goes out first, then what was missed, then what is live: the stock client never clears what it
 * buffered before CONNECT, so the other order would double after a second cut. */
#ifndef SENNIT_SESSION_SOCKET_H
#define SENNIT_SESSION_SOCKET_H

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
    uint64_t generation;   /* of its lease; while it claims one, the highest that others have claimed since */
    uint64_t lease_due_us; /* when it is to be rewritten; 0: no lease */
    char sid[ENGINEIO_SID_BYTES];
    uint32_t lease_writes;   /* begun, of this lease */
    char *lease_name;        /* its pid and, but for "/", the namespace; NULL: it has none */
    struct call *connecting; /* until it is connected */
    struct list acks;        /* calls that wait for the lease */
    char *stale;             /* the token it kept from an earlier session, NULL: none */
    char *offset;            /* what the client sent as its offset, NULL: nothing */
    char *tells;             /* what it tells those present of itself, JSON; NULL: nothing */
    uint32_t refs;           /* the session's, and one for each answer awaited */
    uint32_t lease_bytes;    /* of the rooms in what was written last */
    uint8_t state;           /* enum socket_state */
    bool recovered, lease_busy, lease_again;
    bool listed;   /* by its lease, among the sockets */
    bool claiming; /* likewise, among those that claim a lease */
    bool given_up; /* its lease is somebody else's, or gone: its connection is closing */
};

/* A CONNECT packet for a namespace the session is not in yet. */
void socket_connect(struct session *session, const struct namespace *nsp, const struct socketio_packet *packet);
/* The socket of this namespace, or NULL. */
struct socket *socket_find(struct session *session, struct span nsp);
/* The client leaves (41): the lease is deleted. */
void socket_disconnect(struct socket *socket);
/* The connection is gone: the lease stays for whoever claims it. */
void socket_detach(struct socket *socket);
void socket_unref(struct socket *socket);

/* The broker's name of a room of a namespace ("/,lobby"), or of the namespace itself ("/") for an empty room; and back.
 */
void socket_room_name(struct buf *to, const struct namespace *nsp, struct span room);
struct span socket_room_of(const struct namespace *nsp, struct span name);
/* The room of one socket alone ("@/,<sid>"). */
void socket_own_room_name(struct buf *to, const struct namespace *nsp, struct span sid);
/* The broker's name of a room is one of this namespace, for the socket with this sid. */
bool socket_room_is_of(const struct namespace *nsp, struct span name, struct span sid);
/* What the broker knows its lease by. A pid of one namespace is nothing in another. */
struct span socket_lease_name(const struct socket *socket);
/* It is in this room of its namespace. */
bool socket_is_in(struct socket *socket, struct span room);

/* What is to be published, to whom. */
struct socket_emit {
    const struct span *rooms; /* who is in one of them; none: the whole namespace */
    size_t room_count;
    const struct span *excepts; /* but not who is in one of these (a sid is one as well) */
    size_t except_count;
    struct span to_sid;                       /* to this socket alone, of whatever instance; empty: to rooms */
    bool except_self;                         /* not to the sender */
    struct span args;                         /* a JSON array */
    struct span id;                           /* the client's name for the message; may be empty */
    struct span ack_id;                       /* acknowledged with it once it is accepted; may be empty */
    const struct broker_retention *retention; /* NULL: not logged */
};
void socket_publish(struct socket *socket, const struct socket_emit *emit);
/* Joins and leaves a room; acknowledged once the lease knows. */
void socket_join(struct socket *socket, struct span room, struct span ack_id);
/* One thing is refused: counted, logged, and said to the client if it asked for an acknowledgement. `what` is the room
 * or event it is about, for the log. */
void socket_refuse(struct socket *socket, enum refusal refusal, struct span what, struct span ack_id);
void socket_leave(struct socket *socket, struct span room, struct span ack_id);
/* `43<id>[]`, or with these arguments, a JSON array. */
void socket_ack(struct socket *socket, struct span ack_id);
void socket_ack_with(struct socket *socket, struct span ack_id, struct span args);

/* It is connected, or has claimed what it is to resume. */
static inline bool socket_has_lease(const struct socket *socket)
{
    return socket->state == SOCKET_CONNECTED || (socket->state == SOCKET_JOINING && socket->recovered);
}
/* Called by the sessions: rewrites leases that are due, and ends a socket whose lease was claimed elsewhere. */
void socket_lease_refresh(struct socket *socket);
void socket_superseded(struct sessions *sessions, struct span lease, uint64_t generation);

#endif

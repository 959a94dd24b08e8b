/* socket: a Socket.IO socket: one client in one namespace of a session. It is a member of rooms, and its lease lets it
 * resume. The session creates and detaches it; `app` calls it for events (publish, join, leave, refuse, ack). It is
 * counted: every answer that it awaits holds a reference.
 *
 * SOCKET_MOVES:
 *
 *     NEW --the client names a pid--> CLAIMING --the lease is ours--> RESUMING --rooms confirmed--> CONNECTED
 *     NEW, CLAIMING --there is nothing to resume--> JOINING
 *     RESUMING --an entry it needs is gone--> RESTARTING --in the next turn--> JOINING
 *     JOINING --rooms confirmed--> LEASING --first lease written--> CONNECTED
 *     JOINING --rooms confirmed, no lease needed--> CONNECTED
 *     CONNECTED --lease or history lost--> ENDING
 *     RESUMING, RESTARTING, JOINING, LEASING --lease or history lost--> FAILED
 *     CLAIMING, RESUMING, RESTARTING, JOINING --transport gone--> GONE
 *     LEASING, CONNECTED, ENDING, FAILED --transport gone, or the client left--> GONE
 *
 * In ENDING and FAILED the session is closing. In ENDING the client's last packets still count.
 *
 * The CONNECT reply goes out first, then missed events, then live ones. The stock client never clears the events that
 * it buffered before CONNECT, so another order would double events after a second cut. */
#ifndef SENNIT_SESSION_SOCKET_H
#define SENNIT_SESSION_SOCKET_H

#include "hub/member.h"
#include "session/call.h"
#include "session/session.h"
#include "wire/socketio.h"

enum socket_state {
    SOCKET_NEW,
    SOCKET_CLAIMING,
    SOCKET_RESUMING,
    SOCKET_RESTARTING,
    SOCKET_JOINING,
    SOCKET_LEASING,
    SOCKET_CONNECTED,
    SOCKET_ENDING,
    SOCKET_FAILED,
    SOCKET_GONE,
    SOCKET_STATES,
};
/* Its lease is written by one call at a time.
 *
 * LEASE_MOVES:
 *
 *     IDLE --due--> WRITING --written--> IDLE
 *     WRITING --due again--> WRITING_AGAIN --written--> WRITING
 *     WRITING, WRITING_AGAIN --the call failed--> RETRYING --after a while--> WRITING
 *     WRITING_AGAIN --the socket has ended meanwhile--> IDLE
 */
enum lease_state { LEASE_IDLE, LEASE_WRITING, LEASE_WRITING_AGAIN, LEASE_RETRYING, LEASE_STATES };
/* The map that a socket is in, by its lease. */
enum socket_listing { LISTED_NOWHERE, LISTED_AS_CLAIM, LISTED_AS_OWNER };

struct socket {
    struct session *session; /* NULL once gone */
    struct sessions *sessions;
    const struct nsp *nsp;
    struct list of_session;
    struct map_node by_lease; /* in sessions.sockets or sessions.claims, as `listing` says */
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
    uint8_t lease_state;     /* enum lease_state */
    uint8_t listing;         /* enum socket_listing */
};

/* A CONNECT packet for a namespace the session is not in yet. */
void socket_connect(struct session *session, const struct nsp *nsp, const struct socketio_packet *packet);
/* The socket of this namespace, or NULL. */
struct socket *socket_find(struct session *session, struct span nsp);
/* The client leaves (41): the lease is deleted. */
void socket_disconnect(struct socket *socket);
/* The transport is gone, for this reason. The lease stays, for a later claim. */
void socket_detach(struct socket *socket, enum close_reason reason);
void socket_unref(struct socket *socket);

/* The broker's name of a room of a namespace ("/,lobby"), or of the namespace itself ("/") for an empty room; and back.
 */
void socket_room_name(struct buf *to, const struct nsp *nsp, struct span room);
struct span socket_room_of(const struct nsp *nsp, struct span name);
/* The room of one socket alone ("@/,<sid>"). */
void socket_own_room_name(struct buf *to, const struct nsp *nsp, struct span sid);
/* Whether the broker's name of a room is one of this namespace, for the socket with this sid. */
bool socket_room_is_of(const struct nsp *nsp, struct span name, struct span sid);
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

static inline struct span socket_sid(const struct socket *socket)
{
    return span_of(socket->sid, ENGINEIO_SID_BYTES);
}
/* The client has the CONNECT reply, and its packets count. */
static inline bool socket_is_connected(const struct socket *socket)
{
    return socket->state == SOCKET_CONNECTED || socket->state == SOCKET_ENDING;
}
/* Its lease is its own: it is connected, or has claimed the lease that it resumes. */
static inline bool socket_has_lease(const struct socket *socket)
{
    return socket->state == SOCKET_CONNECTED || socket->state == SOCKET_RESUMING;
}
/* Called by the sessions: rewrites the lease if it is due; ends a socket whose lease another instance claimed. */
void socket_lease_refresh(struct socket *socket);
void socket_superseded(struct sessions *sessions, struct span lease, uint64_t generation);

#endif

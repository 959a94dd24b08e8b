/* session: sessions of any protocol over any transport: heartbeats, rotation, closing. Messages go to the protocol.
 *
 * The transport begins and ends the session, and calls session_received, session_drained and session_ending. `serve`
 * sets up what all sessions share. The session owns its subscribers. */
#ifndef SENNIT_SESSION_SESSION_H
#define SENNIT_SESSION_SESSION_H

#include "base/list.h"
#include "base/map.h"
#include "base/pool.h"
#include "hub/hub.h"
#include "net/rate.h"
#include "net/refusals.h"
#include "session/compression.h"
#include "session/namespace.h"
#include "session/outward.h"
#include "session/protocol.h"
#include "session/times.h"
#include "session/unfinished.h"
#include "session/unleased.h"
#include "session/websocket.h"
#include "wire/engineio.h"

enum {
    TOKENS_BYTES_MAX = 64 << 20, /* of the tokens that sessions keep */
    HANDSHAKE_BYTES_MAX = 8192   /* of what one session keeps of its first request */
};

struct session_limits {
    uint32_t ping_interval_ms;   /* 25000 */
    uint32_t ping_timeout_ms;    /* 20000 */
    uint32_t connect_timeout_ms; /* 45000: by then the client must have joined a namespace */
    uint32_t payload_bytes_max;  /* 1000000: of one message; maxPayload of the handshake */
    uint32_t attachments_max;    /* 10: of one event */
    uint32_t nesting_max;        /* 512: levels of arrays and objects of one event; JSON_DEPTH_MAX at most */
    uint32_t sockets_max;        /* 16: namespaces joined by one session */
    uint32_t rooms_max;          /* 64: rooms one subscriber is in */
    uint32_t hub_rooms_max;      /* 200000: rooms on this instance; beyond that no client enters a new one */
    /* Unanswered calls, see call.h. */
    uint32_t calls_max;              /* 4096: of one session */
    uint32_t call_bytes_max;         /* 2 MiB: of one session; its last call may exceed it */
    uint32_t call_bytes_total_max;   /* 24 MiB: of the instance; less than a broker's backlog */
    uint32_t unfinished_bytes_max;   /* 64 MiB: incomplete messages, of the instance */
    uint32_t answer_bytes_total_max; /* 32 MiB: answers that clients have not read yet, of the instance */
    uint32_t lease_bytes_max;        /* 64 MiB: leases of clients that were cut off, see departed.h */
    uint32_t asks_max;               /* 1000: answers that one socket awaits from others, and others from it */
    uint32_t asks_total_max;         /* 100000: both, of the instance */
    uint32_t changes_burst;          /* 1000: new rooms, presence, connects of one session, at once */
    uint32_t changes_per_second;     /* 100: the same, sustained */
    uint32_t replay_queue_bytes;     /* 256 KiB: replay waits while more than this is queued */
    uint32_t slow_queue_bytes;       /* 1 MiB: with more queued, events that the log has are dropped */
    uint32_t queue_bytes_max;        /* 4 MiB: with more queued beside two messages, the session is closed */
    uint32_t frames_max;             /* 100000: WebSocket frames of one message */
    struct rate messages;            /* of one session; beyond it, it is not read for a while; default: no bound */
    struct rate address_messages;    /* the same for all sessions of one address */
    struct rate address_connects;    /* sessions that one address begins; `serve` refuses those beyond it */
    uint32_t close_linger_ms;        /* 2000: time for the peer's Close frame */
    uint32_t upgrade_timeout_ms;     /* 10000: for a WebSocket that is to take over a polling session */
    uint32_t polls_max;              /* GETs of polling sessions that wait; 0: any number */
    bool upgrades;                   /* polling sessions are told that they may go on over a WebSocket */
    /* Sessions are closed before the platform's request timeout, each in a quiet moment, spread over this time; 0: the
     * platform cuts them. */
    uint32_t rotate_lead_ms;
};
extern const struct session_limits session_limits_default;

/* Calls and answers of all sessions of one instance, see call.h. */
struct loads {
    struct list askers, holders, stalled;
    size_t cost;         /* of all calls, also those of sessions that are gone */
    size_t answer_bytes; /* that wait in queues */
    uint32_t asking;     /* questions that the broker is working on */
    struct task review;  /* checks whether stalled sessions may be read again */
    struct timer later;  /* the same after a while, for sessions that wait for time to pass */
};

/* Leases that clients left when they were cut off: see departed.h. */
struct departures {
    struct map by_lease, origins;
    struct list in_order;
    size_t bytes;
};

/* What the sessions of one instance share. */
struct sessions {
    struct loop *loop;
    struct hub *hub;
    struct session_app *app;
    struct session_limits limits;
    const struct outward *outward; /* a bridge to other servers (outward.h), borrowed; NULL: there is none */
    bool keeps_auth;               /* with each subscriber, for lists of sockets and the application */
    const char *instance;          /* this instance's id, as sent to clients */
    uint64_t request_timeout_ms;   /* of the platform; 0: unknown */
    struct times times;            /* also the list of all sessions: sessions_each */
    struct pool pool, subscribers; /* sessions, and subscribers */
    struct {
        struct session **slots; /* sessions whose queues have room again: their replays go on; NULL: it has closed */
        size_t count, cap;
    } catching;
    struct task catch_up;
    char *denial;      /* struct admission, of the CONNECT that is being refused; NULL: none */
    struct list given; /* directive.c */
    struct task obey;
    struct map sockets;  /* recoverable subscribers, by lease */
    struct map claims;   /* subscribers that claim a lease, by its name */
    struct map rosters;  /* presence.c */
    struct map pollings; /* polling sessions, by sid */
    struct map moved;    /* moved.h */
    struct list all_pollings;
    struct list polls_held;                    /* polling_held.c: in the order in which they began to wait */
    size_t polls_held_count, polls_over_count; /* the latter are to end soon, and have not yet */
    uint64_t polling_tickets;
    uint64_t polling_begun, polling_begun_us; /* a leaking bucket, see polling_admit */
    const struct protocol *polling_protocol;  /* of all Socket.IO sessions */
    struct loads loads;                       /* call.c */
    struct rates rates;                       /* of addresses */
    struct unfinished_all unfinished;
    struct compression compression;
    struct departures departed;
    struct unleased unleased;
    struct {
        size_t count;     /* of answers that are awaited, by all sockets and from all */
        struct list kept; /* asking_entry.c */
        size_t kept_count, kept_bytes;
    } asking;
    struct surveys *surveys; /* survey.c; NULL: nobody asks many at once */
    struct timer lease_sweep;
    size_t count, socket_count;
    size_t of_protocol[PROTOCOLS]; /* sessions */
    size_t token_bytes;            /* of the tokens that sessions keep */
    struct refusals refusals;
    struct {
        uint64_t opened, packets_in, events_in, connects, resumes, resumes_refused, moves, kept, kept_lost,
            leases_superseded, rotated, slowed, stalled, directed, asked, answered, volatile_dropped;
    } counters;
};

/* What few sessions have. */
struct session_extra {
    char *token;               /* that the client's requests carry, see session_token_set; NULL: none */
    char *handshake;           /* see session_handshake_set; NULL: none is kept */
    struct assembly *assembly; /* assembly.h; NULL: no attachments are awaited */
    struct bucket messages;    /* from the client, where they have a rate */
    struct session *session;
    uint32_t beat; /* its place in sessions.times.apart; 0: none */
};

struct session {
    struct sessions *sessions;
    struct transport *transport;
    const struct protocol *protocol;
    struct session_extra *extra; /* NULL: none of it */
    struct load *load;           /* call.c; NULL: no calls */
    struct list of_all;          /* in one of sessions.times.lists */
    struct subscriber *sockets;  /* linked by `next`, in the order in which they began */
    uint64_t opened_us;          /* when its transport's request began: the platform counts from there */
    uint64_t pinged_us;          /* time of the last ping while its pong is awaited, else of the last pong */
    uint32_t deadline;           /* for joining a namespace; after that, for rotating the session: its place in
                                  * sessions.times.deadlines; 0: none */
    uint32_t changes;            /* that affect others: the level of the token bucket */
    uint32_t changes_ms;         /* time of that level */
    uint32_t sockets_made;       /* numbers them */
    uint32_t catching;           /* its place in sessions.catching, from 1; 0: none */
    uint16_t socket_count;
    bool awaiting_pong : 1, closing : 1, joined : 1;
    bool moved : 1;     /* messages came or went since the last check for a quiet moment */
    bool expelled : 1;  /* a subscriber was ended by us: packets for it may be under way */
    bool paused : 1;    /* not read: too many calls or changes */
    bool held : 1;      /* not read: the protocol is not ready for the next message */
    bool warned : 1;    /* the client was told that the session ends soon, for this reason: */
    uint8_t end_reason; /* enum close_reason */
};

/* Its extra part, made if there is none. */
struct session_extra *session_extra(struct session *session);
/* Frees it, with what it holds, if there is one. */
void session_extra_free(struct session *session);
/* The extra part, to be read: all zero if there is none. */
static inline struct session_extra session_has(const struct session *session)
{
    return session->extra != NULL ? *session->extra : (struct session_extra){.token = NULL};
}

/* All sessions of the instance, in no particular order: begins with NULL, and ends with it. */
struct session *sessions_next(const struct sessions *sessions, const struct session *after);
/* Walks them; the current one may end in the body, and no other. */
#define sessions_each(name, sessions) \
    for (struct session *name = sessions_next(sessions, NULL), *name##_next = NULL; \
         name != NULL && (name##_next = sessions_next(sessions, name), true); name = name##_next)

void sessions_init(struct sessions *sessions, struct hub *hub, struct session_app *app,
                   const struct session_limits *limits);
void sessions_finish(struct sessions *sessions);
/* Closes up to `count` sessions with this reason; returns how many are left open. A client that can be asked to move
 * first (struct protocol) is told, and has a second for it. */
size_t sessions_close_some(struct sessions *sessions, size_t count, enum close_reason reason);

/* Begins a session on a transport, and lets the protocol greet the client. The session's id is written to `sid` (NULL:
 * nobody asks for it). session_closed frees it. */
struct session *session_create(struct sessions *sessions, struct transport *transport, const struct protocol *protocol,
                               char sid[ENGINEIO_SID_BYTES]);
/* A new id. */
void session_sid_create(struct sessions *sessions, char sid[ENGINEIO_SID_BYTES]);

/* Where a session stands that moves to another instance. */
struct session_clock {
    bool joined, awaiting_pong;
    uint64_t heartbeat_ms; /* until the next ping, or the deadline of its pong */
    uint64_t join_ms;      /* until the client must have joined a namespace; not filled by session_clock */
};
struct session_clock session_clock(const struct session *session);
/* Goes on with a session that another instance had: without an open packet, and without subscribers yet. The
 * transport's request began at `since_us`. */
struct session *session_restore(struct sessions *sessions, struct transport *transport, const struct protocol *protocol,
                                const struct session_clock *clock, uint64_t since_us);
/* Nothing is under way: no call, no lease to be written, and every subscriber is connected and settled. So what a
 * client did has been accepted, and a position says what it has been sent. */
bool session_is_calm(const struct session *session);
/* It was opened from a parcel, and not all of its subscribers have resumed: packets for them cannot be taken yet. */
bool session_is_moving(const struct session *session);
/* Something that a session may wait for has happened: it may be calm now. */
void session_stirred(struct session *session);
/* One message of the client, in text. */
void session_received(struct session *session, struct span text);
/* One binary message. */
void session_received_binary(struct session *session, struct span bytes);
/* The client has answered the last ping. Harmless if none is awaited. */
void session_ponged(struct session *session);
/* For protocols that let the transport ask: sends a ping; and the transport has an answer with this number. */
void session_transport_ping(struct session *session);
void session_transport_ponged(struct session *session, uint32_t number);
/* For protocols: while it is held, the client's messages are not read. */
void session_hold(struct session *session, bool held);
static inline bool session_is_unread(const struct session *session)
{
    return session->paused || session->held;
}
/* Keeps the token that a request of the client carried in a header or a cookie, for the namespaces that it connects to
 * (struct client_proof). Empty: the one that is there stays. Beyond TOKENS_BYTES_MAX of the instance none is kept. */
void session_token_set(struct session *session, struct span token);
/* Keeps what its first request said, for lists of sockets and the application: a JSON object of HANDSHAKE_BYTES_MAX at
 * most, with the members of Socket.IO's `handshake` but for `auth`. It goes with a session that moves. Empty: nothing
 * is kept. */
void session_handshake_set(struct session *session, struct span json);
/* The client joined a namespace: ends the connect timeout. */
void session_joined(struct session *session);
/* The session goes on over another transport, with the same encoding of packets, whose request began at `since_us`. */
void session_move(struct session *session, struct transport *transport, uint64_t since_us);
/* Nothing waits in the transport any more. */
void session_drained(struct session *session);
/* The peer ends the transport in its own way: nothing more is sent to it. */
void session_ending(struct session *session);
/* Whether either side has begun to end it. */
static inline bool session_is_ending(const struct session *session)
{
    return session->closing;
}
/* The transport is gone, for this reason; frees the session. */
void session_closed(struct session *session, enum close_reason reason);

/* Ends the session and its transport, with what the reason asks for. Closing twice is harmless. */
void session_close(struct session *session, enum close_reason reason);

#endif

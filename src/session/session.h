/* session: Engine.IO v4 sessions over WebSocket: packets, heartbeats, closing; Socket.IO packets go to sockets.
 *
 * A session lives on a connection that somebody else owns and feeds: session_received, session_closed. */
#ifndef SENNIT_SESSION_SESSION_H
#define SENNIT_SESSION_SESSION_H

#include "base/list.h"
#include "base/map.h"
#include "hub/hub.h"
#include "net/conn.h"
#include "net/refusals.h"
#include "session/namespace.h"
#include "wire/engineio.h"
#include "wire/ws.h"

struct session_limits {
    uint32_t ping_interval_ms;   /* 25000 */
    uint32_t ping_timeout_ms;    /* 20000 */
    uint32_t connect_timeout_ms; /* 45000: a namespace must be joined by then */
    uint32_t payload_bytes_max;  /* 1000000: of one message; maxPayload of the handshake */
    uint32_t sockets_max;        /* 16: namespaces joined by one session */
    uint32_t rooms_max;          /* 64: rooms one socket is in */
    uint32_t hub_rooms_max;      /* 200000: rooms this instance knows; beyond, nobody enters a new one */
    /* What is under way and not answered yet, see call.h. */
    uint32_t calls_max;              /* 256: of one session */
    uint32_t call_bytes_max;         /* 512 KiB: of one session; reached by its last call */
    uint32_t call_bytes_total_max;   /* 24 MiB: of the instance; less than a broker's backlog */
    uint32_t unfinished_bytes_max;   /* 64 MiB: messages of which some is still to come, of the instance */
    uint32_t answer_bytes_total_max; /* 32 MiB: answers that wait for clients to read them, of the instance */
    uint32_t lease_bytes_max;        /* 64 MiB: leases of clients that were cut off, see departed.h */
    uint32_t changes_burst;          /* 1000: rooms made, presence, connects of one session, at once */
    uint32_t changes_per_second;     /* 100: and for long */
    uint32_t replay_queue_bytes;     /* 256 KiB: replay waits while more than this is queued */
    uint32_t slow_queue_bytes;       /* 1 MiB: with more queued, what can be read again later is dropped */
    uint32_t close_linger_ms;        /* 2000: how long the peer's Close is waited for */
    /* Before the request timeout of the platform, sessions are closed in a quiet moment of each, spread over this time;
     * 0: they are left to be cut. */
    uint32_t rotate_lead_ms;
};
extern const struct session_limits session_limits_default;

/* What the sessions of one instance have under way: see call.h. */
struct loads {
    struct list askers, holders, stalled;
    struct list unfinished;  /* messages of which some is still to come, the one begun first in front */
    size_t unfinished_bytes; /* theirs */
    size_t cost;             /* of all calls, those of sessions that are gone too */
    size_t answer_bytes;     /* that wait in queues */
    uint32_t asking;
    struct task review; /* looks whether those that stalled may be read again */
    struct timer later; /* the same from time to time, for those that wait for time to pass */
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
    const char *instance;        /* this instance's id, as told to clients */
    uint64_t request_timeout_ms; /* of the platform; 0: unknown */
    /* The layer above is told that the broker is up, and that it never will be (see broker_events). May be NULL. */
    void (*up)(struct sessions *sessions);
    void (*unusable)(struct sessions *sessions, const char *why);
    struct list all;
    struct list catching; /* what waited for room in their queues goes on */
    struct task catch_up;
    struct map sockets; /* recoverable ones, by lease */
    struct map claims;  /* those that claim a lease, by its name */
    struct map rosters; /* presence.c */
    struct loads loads; /* call.c */
    struct departures departed;
    struct timer lease_sweep;
    size_t count, socket_count;
    struct refusals refusals;
    struct {
        uint64_t opened, packets_in, events_in, connects, resumes, resumes_refused, leases_superseded, rotated, slowed,
            stalled;
    } counters;
};

struct session {
    struct sessions *sessions;
    struct conn *conn;
    struct load *load; /* call.c; NULL: nothing is under way */
    struct list of_all;
    struct list sockets;
    struct list catching;          /* in the sessions' list of those whose queue has room again */
    struct unfinished *unfinished; /* NULL between messages */
    struct timer heartbeat;        /* the next ping, or the end of waiting for its pong */
    struct timer deadline;         /* until a namespace is joined; then, until it is rotated */
    uint64_t opened_us;
    uint64_t pinged_us;
    uint32_t moves, moves_seen; /* messages in and out; at the last look for a quiet moment */
    uint32_t changes;           /* to rooms, as many as the bucket has not forgotten since */
    uint32_t changes_ms;        /* when it was looked at */
    uint16_t socket_count;
    bool awaiting_pong : 1, closing : 1, joined : 1;
    bool paused : 1; /* not read: too much is under way */
};

void sessions_init(struct sessions *sessions, struct hub *hub, struct session_app *app,
                   const struct session_limits *limits);
void sessions_finish(struct sessions *sessions);
/* Closes up to `count` sessions with this reason; returns how many are left open. */
size_t sessions_close_some(struct sessions *sessions, size_t count, enum close_reason reason);

/* Begins a session on an upgraded connection, which outlives it, and sends the open packet. */
struct session *session_create(struct sessions *sessions, struct conn *conn);
/* Bytes from the connection, changed in place. Returns how many were consumed: not all when too much is under way; the
 * rest is to be kept, and given again when the connection is read again. */
size_t session_received(struct session *session, char *bytes, size_t len);
/* A namespace was joined: the session has come to stay. */
void session_joined(struct session *session);
/* The output queue is empty again. */
void session_drained(struct session *session);
/* The connection is gone; frees the session. */
void session_closed(struct session *session);

/* Sends a Close frame if the reason has one and ends the connection. Closing twice is harmless. */
void session_close(struct session *session, enum close_reason reason);

#endif

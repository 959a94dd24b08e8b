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
    uint32_t ping_interval_ms;      /* 25000 */
    uint32_t ping_timeout_ms;       /* 20000 */
    uint32_t connect_timeout_ms;    /* 45000: a namespace must be joined by then */
    uint32_t payload_bytes_max;     /* 1000000: of one message; maxPayload of the handshake */
    uint32_t sockets_max;           /* 16: namespaces joined by one session */
    uint32_t rooms_max;             /* 64: rooms one socket is in */
    uint32_t publishes_waiting_max; /* 4096: of one session, not accepted yet */
    uint32_t replay_queue_bytes;    /* 256 KiB: replay waits while more than this is queued */
    uint32_t slow_queue_bytes;      /* 1 MiB: with more queued, what can be read again later is dropped */
    uint32_t close_linger_ms;       /* 2000: how long the peer's Close is waited for */
    /* Before the request timeout of the platform, sessions are closed in a quiet moment of each, spread over this time;
     * 0: they are left to be cut. */
    uint32_t rotate_lead_ms;
};
extern const struct session_limits session_limits_default;

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
    struct map sockets; /* recoverable ones, by pid */
    struct map claims;  /* those that claim a lease, by pid */
    struct map rosters; /* presence.c */
    struct timer lease_sweep;
    size_t count, socket_count;
    struct refusals refusals;
    struct {
        uint64_t opened, packets_in, events_in, connects, resumes, resumes_refused, leases_superseded, rotated, slowed;
    } counters;
};

struct session {
    struct sessions *sessions;
    struct conn *conn;
    struct list of_all;
    struct list sockets;
    struct list catching;       /* in the sessions' list of those whose queue has room again */
    struct ws_decoder *decoder; /* NULL between messages */
    struct timer heartbeat;     /* the next ping, or the end of waiting for its pong */
    struct timer deadline;      /* until a namespace is joined; then, until it is rotated */
    uint64_t opened_us;
    uint64_t pinged_us;
    uint32_t moves, moves_seen; /* messages in and out; at the last look for a quiet moment */
    uint32_t publishes_waiting;
    uint16_t socket_count;
    bool awaiting_pong : 1, closing : 1, paused : 1, joined : 1;
};

void sessions_init(struct sessions *sessions, struct hub *hub, struct session_app *app,
                   const struct session_limits *limits);
void sessions_finish(struct sessions *sessions);
/* Closes up to `count` sessions with this reason; returns how many are left open. */
size_t sessions_close_some(struct sessions *sessions, size_t count, enum close_reason reason);

/* Begins a session on an upgraded connection, which outlives it, and sends the open packet. */
struct session *session_create(struct sessions *sessions, struct conn *conn);
/* Bytes from the connection, changed in place; all are consumed. */
void session_received(struct session *session, char *bytes, size_t len);
/* A namespace was joined: the session has come to stay. */
void session_joined(struct session *session);
/* The output queue is empty again. */
void session_drained(struct session *session);
/* The connection is gone; frees the session. */
void session_closed(struct session *session);

/* Counts what waits to be accepted: beyond the limit the connection is not read until half of it is done. */
void session_publish_begun(struct session *session);
void session_publish_done(struct session *session);

/* Sends a Close frame if the reason has one and ends the connection. Closing twice is harmless. */
void session_close(struct session *session, enum close_reason reason);

#endif

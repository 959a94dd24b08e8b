/* session: Engine.IO v4 sessions over WebSocket: packets, heartbeats, closing; Socket.IO packets go to sockets.
 *
 * A session lives on a connection that somebody else owns and feeds: session_received, session_closed. */
#ifndef SENNIT_SESSION_SESSION_H
#define SENNIT_SESSION_SESSION_H

#include "base/list.h"
#include "base/map.h"
#include "hub/hub.h"
#include "net/conn.h"
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
    uint32_t close_linger_ms;       /* 2000: how long the peer's Close is waited for */
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
    struct list all;
    struct map sockets; /* recoverable ones, by pid */
    struct timer lease_sweep;
    size_t count, socket_count;
    struct {
        uint64_t opened, packets_in, events_in, connects, resumes, resumes_refused, leases_superseded;
    } counters;
};

struct session {
    struct sessions *sessions;
    struct conn *conn;
    struct list of_all;
    struct list sockets;
    struct ws_decoder decoder;
    struct task flushed;    /* runs behind the flush, for a replay that waits for it */
    struct timer heartbeat; /* the next ping, or the end of waiting for its pong */
    struct timer connect_deadline;
    uint64_t opened_us;
    uint32_t publishes_waiting;
    uint16_t socket_count;
    char sid[ENGINEIO_SID_BYTES];
    bool awaiting_pong, closing, paused;
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

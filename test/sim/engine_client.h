/* engine_client: a client's Engine.IO session in the simulator, on every way that stock clients take:
 *
 *     WEBSOCKET        opens a WebSocket, and stays on it
 *     DEFAULT          as engine.io-client: polls, and tries a WebSocket at the same time. One GET and one POST are
 *                      under way; `5` follows when both have been answered. Any answer but a whole 200 ends the
 * session, and then it POSTs `1`, even beside a POST that is not answered POLLING          the same, without WebSocket
 *     PYTHON           as python-engineio: tries the WebSocket before it polls, so no GET is held meanwhile; POSTs
 * without `t`; gives up a POST after 5 s; says no goodbye PYTHON_POLLING   the same, without WebSocket
 *
 *     PYTHON and PYTHON_POLLING, `strict`: what the source of python-engineio does, see engine_client_python.c
 *
 *     PLAIN            no Engine.IO: a WebSocket of `sennit.v1`, whose text messages are handed on as they are
 *
 * Each request goes to a random instance. A WebSocket that fails before its `3probe` is forgotten. One that fails
 * behind it leaves the client mute: it neither polls nor posts again, until its patience ends. */
#ifndef SENNIT_SIM_ENGINE_CLIENT_H
#define SENNIT_SIM_ENGINE_CLIENT_H

#include "poll_line.h"
#include "wire/engineio.h"
#include "ws_stream.h"

enum engine_kind {
    ENGINE_WEBSOCKET,
    ENGINE_DEFAULT,
    ENGINE_POLLING,
    ENGINE_PYTHON,
    ENGINE_PYTHON_POLLING,
    ENGINE_PLAIN,
    ENGINE_KINDS
};

enum engine_state {
    ENGINE_CLOSED,
    ENGINE_OPENING, /* the handshake is under way */
    ENGINE_TRYING,  /* Python's: the WebSocket is tried, and nothing else is done */
    ENGINE_POLLS,
    ENGINE_PAUSING, /* `3probe` has come, requests are under way */
    ENGINE_MUTE,
    ENGINE_MOVED, /* the session is on a WebSocket */
};

struct engine_events {
    /* An Engine.IO packet that is not noop or close: `4hello`; the handshake is one. And the bytes of a binary one. */
    void (*packet)(void *owner, struct span text);
    /* A ping of the WebSocket protocol, which is answered already. */
    void (*pinged)(void *owner);
    void (*bytes)(void *owner, struct span bytes);
    /* A WebSocket is tried; the session is on it. */
    void (*probing)(void *owner);
    void (*moved)(void *owner);
    /* The session is over, by no wish of the owner; `code`: of a WebSocket's Close, or 0. */
    void (*closed)(void *owner, uint16_t code);
    /* A server never does this. */
    void (*broken)(void *owner, const char *what);
    /* For the analysis of a failed seed. */
    void (*noted)(void *owner, const char *what);
    /* The port of a random instance; 0: none lives. */
    uint16_t (*pick)(void *owner);
};

/* Of a client that is `strict`: its two loops, which end apart from each other. */
struct engine_python {
    bool strict;
    bool deaf;            /* its GET has failed: it asks for nothing any more */
    bool writes_over;     /* its POST has failed: it sends nothing any more */
    bool none;            /* `None` waits in the queue: the writing loop ends there, if it finds it alone, */
    size_t none_at;       /* behind so many bytes of `out` */
    uint64_t patience_us; /* of its GETs, and of its queue */
    struct timer get_late, queue_late, probe_late;
};

struct engine_client {
    struct sim *sim;
    const struct engine_events *events;
    void *owner;
    uint8_t kind, state;
    uint64_t life; /* of the session, counted */
    char sid[ENGINEIO_SID_BYTES + 1];
    uint32_t payload_bytes_max;
    uint64_t get, post; /* tags of what is under way; 0: nothing */
    uint16_t get_port, post_port, ws_port;
    uint64_t proved_us; /* its WebSocket has answered the probe */
    struct buf out;     /* packets that wait, as a payload */
    struct poll_line line;
    struct sim_end *ws;
    struct sim_end *old; /* one that was stepped over and is not closed yet */
    struct ws_stream stream;
    struct timer post_late;
    struct engine_python python;
    uint64_t losses;  /* of a thousand answers so many get lost */
    uint64_t repeats; /* of a thousand requests that get no answer, so many are repeated by a proxy, elsewhere */
    uint64_t dice[2]; /* for that: these draws shift no other */
    struct buf get_bytes, post_bytes; /* what is under way, where proxies repeat it */
    struct {
        uint64_t polls, moved, failed, repeated, lost; /* failed: WebSockets that were tried, and were of no use */
    } counts;
};

void engine_client_init(struct engine_client *engine, struct sim *sim, const struct engine_events *events, void *owner);
/* From now on proxies repeat its requests, so many of a thousand that get no answer; `seed`: of their draws. */
void engine_client_repeat(struct engine_client *engine, uint64_t per_mille, uint64_t seed);
/* From now on it does what python-engineio's source says. */
void engine_client_strict(struct engine_client *engine);
/* Whatever is under way ends. */
void engine_client_finish(struct engine_client *engine);

/* Begins a session; none is open. `port`: where its first request, or its WebSocket, goes. */
void engine_client_open(struct engine_client *engine, uint16_t port);
/* Sends a text packet with its type, or a binary message. */
void engine_client_send(struct engine_client *engine, bool binary, struct span bytes);
/* Ends the session: as a client does that has given up waiting; or, `gone`, as one whose process or network is gone.
 * `closed` is not called. */
void engine_client_close(struct engine_client *engine, bool gone);
/* Reads nothing while it is held. */
void engine_client_hold(struct engine_client *engine, bool held);

/* Ends the session, as engine_client_close does, but leaves its WebSocket to the server, and reads it no longer. */
void engine_client_step_over(struct engine_client *engine);

static inline bool engine_kind_polls(int kind)
{
    return kind != ENGINE_WEBSOCKET && kind != ENGINE_PLAIN;
}

/* It is on a WebSocket, or is meant to be nowhere else. */
static inline bool engine_client_is_moved(const struct engine_client *engine)
{
    return !engine_kind_polls(engine->kind) || engine->state == ENGINE_MOVED;
}
/* The instance that has its WebSocket, or its GET; 0: none has. */
uint16_t engine_client_port(const struct engine_client *engine);

#endif

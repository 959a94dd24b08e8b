/* polling_parts: a polling session in this instance's memory. For the session layer's own files. */
#ifndef SENNIT_SESSION_POLLING_PARTS_H
#define SENNIT_SESSION_POLLING_PARTS_H

#include "session/polling.h"
#include "session/session.h"

enum polling_state { POLLING_LIVE, POLLING_ENDING, POLLING_MOVED, POLLING_GONE, POLLING_STATES };

struct polling_slot {
    struct frame *frame; /* packets, joined as in a payload */
    struct frame_tag tag;
};

/* Found by its sid until it is GONE; then a task of this turn frees it. */
struct polling {
    struct transport transport; /* its session is NULL once it has moved or closed */
    struct sessions *sessions;
    struct list of_all; /* until it is freed */
    struct map_node by_sid;
    char sid[ENGINEIO_SID_BYTES];
    struct polling_exchange *get, *post; /* under way; NULL: none */
    struct polling_slot *queue;
    size_t queue_count, queue_cap, queue_bytes;
    struct buf rest; /* of the POST's body that is not read while the session is paused */
    bool rest_begun; /* a packet of the body has been taken */
    bool paused, drain_awaited;
    uint8_t state; /* enum polling_state */
    enum close_reason reason;
    struct addr_ip peer;
    struct task flush;           /* answers the GET, behind everything that this turn sends */
    struct task reap;            /* tells the session that it has closed, and frees */
    struct timer timer;          /* while a GET is held: answers it before the platform's deadline; ENDING: forgets */
    struct websocket *websocket; /* that probes, or that it has moved to; NULL: none */
    struct timer probe_timer;    /* answers a GET soon once the WebSocket is probed; ends a probe that takes too long */
    uint64_t probe_until_us;
    bool probed; /* 3probe was sent */
};

/* The session of this sid in this instance, or NULL. */
struct polling *polling_find(const struct sessions *sessions, struct span sid);
/* The only function that changes its state. */
void polling_set_state(struct polling *polling, enum polling_state state);
/* Ends it: it is not found any more, exchanges under way are answered, and its session closes in this turn. */
void polling_end(struct polling *polling, enum close_reason reason);
/* Answers the GET with what waits, as much as one answer takes. */
void polling_flush(struct polling *polling);
void polling_answer(struct polling_exchange **exchange, enum polling_outcome outcome, struct span payload);

/* polling_queue.c: the transport's side towards the session. */
extern const struct transport_type polling_transport_type;
void polling_queue_drop(struct polling *polling);
/* Takes frames from the front into a payload: all, or as many as an answer takes. */
void polling_queue_take(struct polling *polling, struct buf *to);

/* probe.c */
enum { PROBE_NOOP_MS = 100 }; /* a GET is held so long at most once a WebSocket has been probed */
void polling_probe_init(struct polling *polling);
/* The WebSocket is gone, before or after the session moved to it. */
void polling_websocket_closed(struct polling *polling);
/* A text message of a WebSocket that probes. */
void polling_probe_received(struct polling *polling, struct span text);
/* A GET is held, or the WebSocket is probed: both together make the GET end soon. */
void polling_probe_polled(struct polling *polling);
/* The session ends: so does a WebSocket that probes. */
void polling_probe_end(struct polling *polling);

#endif

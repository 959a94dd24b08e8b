/* polling_parts: a polling session in this instance's memory. For the session layer's own files. */
#ifndef SENNIT_SESSION_POLLING_PARTS_H
#define SENNIT_SESSION_POLLING_PARTS_H

#include "session/polling.h"
#include "session/session.h"

enum polling_state { POLLING_ASKING, POLLING_LIVE, POLLING_PASSING, POLLING_ENDING, POLLING_GONE, POLLING_STATES };

struct polling_slot {
    struct frame *frame; /* packets, joined as in a payload */
    struct frame_tag tag;
};

/* The leases of a session that is being passed on; their spans point into `bytes`. */
struct parking {
    struct record_lease *leases;
    size_t count;
    struct buf bytes;
    uint64_t kept; /* number of the last kept event that its sockets have been sent */
};

/* Found by its sid until it is GONE; then a task of this turn frees it. */
struct polling {
    struct transport transport; /* its session is NULL once it has moved or closed */
    struct sessions *sessions;
    struct list of_all;  /* until it is freed */
    bool is_over;        /* its GET is to end soon, because too many are held */
    struct list of_held; /* while its GET counts as held, */
    uint64_t held_us;    /* since then */
    struct map_node by_sid;
    char sid[ENGINEIO_SID_BYTES];
    char *token;                         /* for the session, which is not here yet; NULL: none */
    struct polling_exchange *get, *post; /* under way; NULL: none */
    struct polling_exchange *coming;     /* a POST whose body is not all here */
    struct polling_slot *queue;
    size_t queue_count, queue_cap, queue_bytes;
    struct buf rest; /* of the POST's body that is not read while the session is paused */
    bool rest_begun; /* a packet of the body has been taken */
    bool paused, drain_awaited;
    bool farewell_waits; /* ENDING: until the queue is empty */
    uint8_t state;       /* enum polling_state */
    enum close_reason reason;
    struct addr_ip peer;
    struct task flush;           /* answers the GET, behind everything that this turn sends */
    struct task reap;            /* tells the session that it has closed, and frees */
    struct timer timer;          /* while a GET is held: answers it before the platform's deadline; ENDING: forgets */
    struct websocket *websocket; /* that probes; NULL: none */
    struct timer probe_timer;    /* answers a GET soon once the WebSocket is probed; ends a probe that takes too long */
    uint64_t probe_until_us;
    /* Between instances: polling_moves.c. */
    uint64_t ticket;
    uint64_t again_ticket;  /* PASSING: of the request that goes on waiting for it; 0: none */
    char want;              /* enum record_want */
    bool held;              /* it has been given, at least once: its GET has waited */
    bool is_pong;           /* ASKING: the POST is a pong, and the session is not needed for it */
    uint64_t join_until_us; /* the client must have joined a namespace by then */
    int64_t begun_ms;       /* since 1970: its handshake, on whichever instance */
    struct buf parcel;      /* that is being passed, */
    struct parking parking; /* and its leases */
    struct session_clock parked;
    uint64_t parked_us; /* when the parcel was made */
    struct buf payload; /* for the GET, once it has been passed; empty: it goes on waiting */
    struct timer again; /* asks, or passes, once more */
    uint64_t given_us;  /* it was opened here then, */
    uint64_t away_ms;   /* after nobody had it for so long */
    uint64_t asked_us;  /* the broker is asked for it since then; 0: it has answered, */
    uint64_t asking_us; /* and took so long */
    uint64_t gather_us; /* its GET is answered then, unless something else comes before; 0: nothing waits */
    uint32_t calls;     /* of the broker, unanswered, */
    uint32_t passes;    /* and of these, to pass it on: only the answer to the last counts */
    bool pass_lost;     /* the answer to a call that passes it on is not known */
    bool prepares;      /* it was given, and is asked for once more when its rooms are subscribed here */
    bool wanted;        /* by another instance */
    bool let_go;        /* its GET is answered in any case: the deadline is near, or a WebSocket takes over */
    /* Of the last POST that was done, and the last GET that was answered: their marks, and that answer, until a GET
     * with another mark confirms it. They move with the session. */
    uint64_t done_post, done_get;
    struct buf done_answer;
    bool read_all; /* of the POST: it is answered once everything is accepted */
    bool probed;   /* 3probe was sent */
    bool looked;   /* the broker was asked whether the session of a silent WebSocket polls */
};

/* The session of this sid, as a client sent it, in this instance, or NULL. */
struct polling *polling_find(const struct sessions *sessions, struct span sid);
/* The only function that changes its state. */
void polling_set_state(struct polling *polling, enum polling_state state);
/* Ends it: it is not found any more, exchanges under way are answered, and its session closes in this turn. */
void polling_end(struct polling *polling, enum close_reason reason);
/* A session in memory, without a sid; ASKING. And its sid, by which it is found. */
struct polling *polling_create(struct sessions *sessions, const struct addr_ip *peer);
void polling_name(struct polling *polling, struct span sid);
/* Reads what came with the POST, until the session is paused. */
void polling_read_on(struct polling *polling);
/* Answers the GET, if there is one, with 6 if nothing waits. */
void polling_let_go(struct polling *polling);
/* Answers the GET with what waits, as much as one answer takes. */
void polling_flush(struct polling *polling);
void polling_answer(struct polling_exchange **exchange, enum polling_outcome outcome, struct span payload);
/* It is GONE, and is freed once the broker has answered all its calls. */
void polling_leave(struct polling *polling);
/* The session has ended here: nobody is to get it any more. */
void polling_record_end(struct polling *polling);

/* A request of the session carries this token; empty: none. */
void polling_token_set(struct polling *polling, struct span token);

/* polling_held.c: its GET begins to wait, so another one may have to end; it waits no more, or is to end soon. Ending
 * twice is harmless. */
void polling_held_begin(struct polling *polling);
void polling_held_end(struct polling *polling);

/* polling_repeated.c: whether this request (NULL: none) is the one that was done last, by its mark. */
bool polling_is_repeated(const struct polling_exchange *exchange, uint64_t done);
/* Its GET gets this answer, which is kept for the same GET again; or none is kept. */
void polling_answer_keep(struct polling *polling, struct span payload);
void polling_answer_forget(struct polling *polling);
/* Its GET was repeated, and the answer is not there any more. */
void polling_end_repeated(struct polling *polling);

/* polling_queue.c: the transport's side towards the session. */
extern const struct transport_type polling_transport_type;
void polling_queue_drop(struct polling *polling);
/* The session was closed when no GET waited, and all of its queue has gone out: the next GET is told. False: it has
 * been told. */
bool polling_farewell_late(struct polling *polling);
/* Takes frames from the front into a payload: all, or as many as an answer takes, of `packets_max` packets at most (0:
 * any number). */
void polling_queue_take(struct polling *polling, struct buf *to, uint32_t packets_max);

/* polling_parcel.c. The parcel of a session that begins. */
void polling_parcel_begin(struct polling *polling, const struct protocol *protocol, struct span handshake);
/* Makes the parcel of a calm session, and lists its leases. */
void polling_parcel_make(struct polling *polling);
void polling_parcel_finish(struct polling *polling);
/* How long a call of the broker takes now, there and back. */
uint64_t polling_call_us(const struct polling *polling);
/* The parcel has waited for the broker: its clock goes on. */
void polling_parcel_age(struct polling *polling);
/* Whether all rooms of this lease are subscribed here; if not, they will be. */
bool polling_claim_is_prepared(struct polling *polling, const struct record_claim *claim);
/* Opens a parcel on this transport. False if it is none of ours. */
bool polling_parcel_open(struct polling *polling, struct transport *transport, const struct record_grant *grant);

/* polling_moves.c */
static inline bool polling_is_roaming(const struct sessions *sessions)
{
    return broker_has_records(hub_broker(sessions->hub));
}
/* Whether the broker is to be asked for this session. Only a valid sid becomes part of a key. */
static inline bool polling_may_be_elsewhere(const struct sessions *sessions, struct span sid)
{
    return polling_is_roaming(sessions) && engineio_sid_is_valid(sid);
}
/* The session's queue empties when it is passed on, and that waits until it is calm: nothing of it may wait for the
 * queue. The queue has a bound of its own. */
static inline bool polling_carries(const struct session *session)
{
    return session->transport->format == TRANSPORT_POLLING && polling_is_roaming(session->sessions);
}
void polling_moves_init(struct polling *polling);
void polling_moves_finish(struct polling *polling);
/* Asks the broker for it, for the request that has just come. */
void polling_ask(struct polling *polling, enum record_want want);
/* Its POST is a pong alone, and it is not here: the broker notes it. */
void polling_pong(struct polling *polling);
/* Whatever is due of a session that may move: it is passed on once it is calm. */
void polling_moves_step(struct polling *polling);
/* Writes the record of a session that begins; then the exchange is answered. */
void polling_begin(struct sessions *sessions, const struct protocol *protocol, struct polling_exchange *exchange);
extern const struct record_events polling_record_events;

/* probe.c */
enum { PROBE_NOOP_MS = 100 }; /* a GET is held so long at most once a WebSocket has been probed */
void polling_probe_init(struct polling *polling);
/* The WebSocket that probes is gone. */
void polling_websocket_closed(struct polling *polling);
/* A text message of a WebSocket that probes. */
void polling_probe_received(struct polling *polling, struct span text);
/* A GET is held, or the WebSocket is probed: both together make the GET end soon. */
void polling_probe_polled(struct polling *polling);
/* Another instance's WebSocket begins to take it over, or has failed to. */
void polling_probed(struct polling *polling, bool probing);
/* When the request of the WebSocket that takes it over began. */
uint64_t polling_probe_since_us(const struct polling *polling);
/* Its session goes on over its WebSocket: nothing is left here but the id. */
void polling_moved(struct polling *polling);
/* Sends what waits over a WebSocket. */
void polling_slot_send(struct transport *to, const struct polling_slot *slot);
/* The session ends: so does a WebSocket that probes. */
void polling_probe_end(struct polling *polling);

#endif

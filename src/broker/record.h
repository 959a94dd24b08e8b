/* record: polling sessions between their requests. With random balancing each request of a session lands on another
 * instance, and an instance without a request may have no CPU. So a session lives where a request of it is under way,
 * and otherwise as a *record* on the broker.
 *
 * At most one instance *holds* a session: it has the record's contents, and acts. An instance with a request for it
 * asks. If nobody holds it, the record is given at once; else the holder is told that it is wanted, and passes the
 * record on when it has finished what is under way. Those who wait get it in the order in which they asked. With the
 * record the instance gets the leases of its sockets, claimed for it, and learns where the pushes stand: that saves a
 * call for each. When nobody has the session any more, those of its leases that are watched lapse when their life is over
 * (broker_lease_lapsed), also while the instance lives that had them last.
 *
 *     nobody --ask--> held --pass, somebody waits--> held by the first who waits
 *                     held --pass, nobody waits--> nobody
 *                     held --end--> gone
 *                     held --its instance has no life, and somebody has waited for RECORD_LOST_MS--> gone
 *
 * Unlogged events of the rooms that such a session is in, and news of who is present there, are *kept* for a minute,
 * numbered in one order for all rooms, because nobody is there for them between two requests. With the record come
 * those behind the last that its sockets have been sent. A room begins to be kept with the lease that has it
 * (broker_lease.keep).
 *
 * A request is known by its instance and its ticket, a number that this instance has not used before. Every call may be
 * repeated: asking again with the ticket of the holder gives the record again, passing again does nothing. So a link
 * that breaks and comes back changes nothing: the instance holds what it held, and asks again for what it waits for.
 *
 * A record begins with a number and a space: so many bytes behind them are its *head*, that record_list tells.
 *
 * The session layer calls these functions. A broker of a single instance has no records (broker_has_records): there,
 * sessions stay where they are. Spans are borrowed as in broker.h, which includes this file. */
#ifndef SENNIT_BROKER_RECORD_H
#define SENNIT_BROKER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct broker;
struct broker_lease;

enum {
    RECORD_BYTES_MAX = 8 << 20,
    RECORD_SID_BYTES = 20,
    RECORD_HEAD_BYTES_MAX = 16 << 10, /* of a head are told */
    RECORD_LIST_MAX = 100,            /* sessions of one page */
    RECORD_LOST_MS = 5000             /* a request waits so long for a holder whose instance has no life */
};

/* What the asking request is. */
enum record_want {
    RECORD_FOR_GET = 'g',
    RECORD_FOR_POST = 'p',
    RECORD_FOR_WEBSOCKET = 'w', /* the session is to move for good */
};

enum record_result {
    RECORD_OK,      /* passed, opened, done */
    RECORD_WAITING, /* `granted` or `gone` will follow */
    RECORD_NONE,    /* there is no such session, or somebody else holds it by now */
    RECORD_MOVED,   /* it is on a WebSocket */
    RECORD_OVERLAP, /* another GET, or another POST, of it is under way: it has been ended */
    RECORD_LOST,    /* the link broke before the answer: call again when it is up */
};

/* The lease of a socket of the session, when it is passed on. */
struct record_lease {
    struct span pid;     /* names the lease */
    uint64_t generation; /* that the passing instance has; of any other it is not claimed: somebody else has it */
    struct span epoch;   /* of the client's position; empty: none */
    uint64_t seq;
};

/* A session that is passed on. */
struct record_passing {
    struct span record; /* RECORD_BYTES_MAX at most */
    const struct record_lease *leases;
    size_t lease_count;
    uint64_t kept; /* number of the last kept event that its sockets have been sent */
    bool awaits_pong;
    uint64_t hold_ms;      /* it is forgotten after this time in which somebody holds it, and does not pass it on */
    uint64_t life_ms;      /* it is forgotten after this time in which nobody asks for it */
    uint64_t again;        /* a ticket of this instance, by which a request goes on waiting for it; 0: none does */
    enum record_want want; /* of that request */
};

/* A lease that was claimed with the record. */
struct record_claim {
    struct span pid;
    const struct broker_lease *lease; /* NULL: there is none, or it is spoiled */
    bool superseded;                  /* somebody else has claimed it since the session was passed on */
    bool position_ok;                 /* the log has reached the position given */
};

/* An unlogged event that came meanwhile to a room of its sockets, or news of who entered or left that room. */
struct record_kept {
    struct span room, audience, body;
    uint64_t after;        /* the counter when it came: it follows the logged entries up to that seq */
    char change;           /* '+': a socket entered; '-': one left. 0: an event */
    struct span sid, data; /* of that socket; an event has none, and a change has neither audience nor body */
    uint64_t count;        /* sockets present in the room then */
};

/* A session's contents, for whoever holds it now. */
struct record_grant {
    struct span record;                /* as it was passed or opened */
    const struct record_claim *claims; /* of its leases, in their order */
    size_t claim_count;
    const struct record_kept *kept; /* in their order */
    size_t kept_count;
    uint64_t kept_lost;   /* that were too many */
    uint64_t kept_number; /* of the last event that any room kept; 0: none ever did */
    uint64_t away_ms;     /* since it was passed */
    bool probing;         /* a WebSocket has proved itself and will take it over */
    bool ponged;          /* a pong came meanwhile, */
    uint64_t pong_ms;     /* so long ago */
};

typedef void record_done_fn(void *arg, enum record_result result);

/* A socket of a session, as its lease on the broker describes it. Its session polls: whether an instance holds it at
 * the moment or not makes no difference. */
struct record_socket {
    struct span head;     /* of the session's record, RECORD_HEAD_BYTES_MAX at most */
    struct span instance; /* that holds the session; empty: nobody does */
    struct span pid, sid, rooms;
};
struct record_page {
    const struct record_socket *sockets;
    size_t count;
    struct span next; /* the cursor of the next page; empty: this was the last */
};
/* `page`: NULL when the link broke before the answer, or the answer was no good. */
typedef void record_list_fn(void *arg, const struct record_page *page);

/* Told through the hub to the session layer, in the order of the pushes. */
struct record_events {
    /* The holder is to pass the session on, to a request of this kind. */
    void (*wanted)(void *arg, struct span sid, uint64_t ticket, enum record_want want);
    /* A request that asked has it now. Every entry of subscribed rooms up to the counter at that moment was pushed
     * before, and for rooms that the claimed leases own, `subscribed` follows behind this call if one was asked for in
     * it. */
    void (*granted)(void *arg, struct span sid, uint64_t ticket, const struct record_grant *grant);
    /* The session has ended, although this request waits for it or holds it. */
    void (*gone)(void *arg, struct span sid, uint64_t ticket);
    /* To the holder: a WebSocket has begun to take it over, or has failed to. */
    void (*probed)(void *arg, struct span sid, uint64_t ticket, bool probing);
    /* To the holder: a pong has come to another instance. */
    void (*ponged)(void *arg, struct span sid, uint64_t ticket);
};

struct record_ops {
    void (*ask)(struct broker *broker, struct span sid, uint64_t ticket, enum record_want want, uint64_t hold_ms,
                record_done_fn *done, void *arg);
    void (*pass)(struct broker *broker, struct span sid, uint64_t ticket, const struct record_passing *passing,
                 record_done_fn *done, void *arg);
    void (*end)(struct broker *broker, struct span sid, uint64_t ticket);
    void (*disown)(struct broker *broker, struct span sid, uint64_t ticket);
    void (*probe)(struct broker *broker, struct span sid, uint64_t ticket, uint64_t until_ms, record_done_fn *done,
                  void *arg);
    void (*pong)(struct broker *broker, struct span sid, uint64_t life_ms, record_done_fn *done, void *arg);
    void (*list)(struct broker *broker, struct span cursor, record_list_fn *done, void *arg);
};

/* record_events are called from the loop, never within a call. `events` and `arg` are borrowed for the broker's life.
 */
void record_attach(struct broker *broker, const struct record_events *events, void *arg);
/* Whether sessions can move between instances. */
bool broker_has_records(const struct broker *broker);

/* Begins a session that nobody holds. */
void record_open(struct broker *broker, struct span sid, const struct record_passing *passing, record_done_fn *done,
                 void *arg);
/* Asks for a session, for the request with this ticket (> 0). What is given is forgotten after `hold_ms` in which it is
 * neither passed nor asked for again; but one for a WebSocket is on it for good. */
void record_ask(struct broker *broker, struct span sid, uint64_t ticket, enum record_want want, uint64_t hold_ms,
                record_done_fn *done, void *arg);
/* Passes on what the request with this ticket holds. */
void record_pass(struct broker *broker, struct span sid, uint64_t ticket, const struct record_passing *passing,
                 record_done_fn *done, void *arg);
/* Ends a session, whoever holds it; one that is on a WebSocket only if that one has this ticket. */
void record_end(struct broker *broker, struct span sid, uint64_t ticket);
/* The request with this ticket is taken for the holder, and has not got the session: the broker has lost what became of
 * it, so the session ends. No effect if another request holds it. */
void record_disown(struct broker *broker, struct span sid, uint64_t ticket);
/* A WebSocket tries to take the session over, within `until_ms`; 0: it has failed, and the holder is told. RECORD_NONE:
 * there is no such session, or another one tries. */
void record_probe(struct broker *broker, struct span sid, uint64_t ticket, uint64_t until_ms, record_done_fn *done,
                  void *arg);
/* A pong has come. The holder is told, or the next one finds it; if nobody holds the session, it lives for `life_ms`
 * from now. It counts as a POST: beside another one, it ends the session. */
void record_pong(struct broker *broker, struct span sid, uint64_t life_ms, record_done_fn *done, void *arg);

/* For implementers: news of who is present are kept as an event whose audience is `@<+ or -><count>`, and whose body is
 * `<bytes of sid>\n<sid><data>`. Reads these if it is one. False: it is damaged. */
bool record_kept_read(struct record_kept *kept);

/* Lists the sockets of all sessions that poll, a page of RECORD_LIST_MAX sessions from `cursor` (empty: the beginning)
 * on. A socket whose session polls all the while is listed at least once, perhaps on two pages. One that is on a
 * WebSocket is not listed, nor one whose holder's instance has ended. */
void record_list(struct broker *broker, struct span cursor, record_list_fn *done, void *arg);

#endif

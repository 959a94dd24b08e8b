/* record: polling sessions between their requests. With random balancing each request of a session lands on another
 * instance, and an instance without a request may have no CPU. So a session lives where a request of it is under way,
 * and otherwise as a *record* on the broker.
 *
 * At most one instance *holds* a session: it has the record's contents, and acts. An instance with a request for it
 * asks. If nobody holds it, the record is given at once; else the holder is told that it is wanted, and passes the
 * record on when it has finished what is under way. Those who wait get it in the order in which they asked.
 *
 *     nobody --ask--> held --pass, somebody waits--> held by the first who waits
 *                     held --pass, nobody waits--> nobody
 *                     held --end, or the holder's life has ended--> gone
 *
 * A request is known by its ticket, a number that this instance has not used before. Every call may be repeated: asking
 * again with the ticket of the holder gives the record again, passing again does nothing.
 *
 * The session layer calls these functions. A broker of a single instance has no records (broker_has_records): there,
 * sessions stay where they are. Spans are borrowed as in broker.h, which includes this file. */
#ifndef SENNIT_BROKER_RECORD_H
#define SENNIT_BROKER_RECORD_H

#include "base/span.h"

struct broker;

enum { RECORD_BYTES_MAX = 8 << 20, RECORD_SID_BYTES = 20 };

/* What the asking request is. */
enum record_want {
    RECORD_FOR_GET = 'g',
    RECORD_FOR_POST = 'p',
    RECORD_FOR_WEBSOCKET = 'w', /* the session is to move for good */
};

enum record_result {
    RECORD_OK,      /* given, passed, opened, done */
    RECORD_WAITING, /* somebody else holds it: `granted` or `gone` will follow */
    RECORD_NONE,    /* there is no such session, or somebody else holds it by now */
    RECORD_MOVED,   /* it is on a WebSocket */
    RECORD_OVERLAP, /* another GET, or another POST, of it is under way: it has been ended */
    RECORD_LOST,    /* the link broke before the answer: call again when it is up */
};

/* A session's contents, for whoever holds it now. */
struct record_grant {
    struct span record; /* as it was passed or opened */
    uint64_t away_ms;   /* since then */
    bool probing;       /* a WebSocket has proved itself and will take it over */
};

typedef void record_done_fn(void *arg, enum record_result result);
typedef void record_asked_fn(void *arg, enum record_result result, const struct record_grant *grant);

/* Told through the hub to the session layer. */
struct record_events {
    /* The holder is to pass the session on, to a request of this kind. */
    void (*wanted)(void *arg, struct span sid, uint64_t ticket, enum record_want want);
    /* A request that waited has it now. */
    void (*granted)(void *arg, struct span sid, uint64_t ticket, const struct record_grant *grant);
    /* The session has ended, although this request waits for it or holds it. */
    void (*gone)(void *arg, struct span sid, uint64_t ticket);
    /* To the holder: a WebSocket has begun to take it over, or has failed to. */
    void (*probed)(void *arg, struct span sid, uint64_t ticket, bool probing);
};

struct record_ops {
    void (*open)(struct broker *broker, struct span sid, struct span record, uint64_t life_ms, record_done_fn *done,
                 void *arg);
    void (*ask)(struct broker *broker, struct span sid, uint64_t ticket, enum record_want want, uint64_t hold_ms,
                record_asked_fn *done, void *arg);
    void (*pass)(struct broker *broker, struct span sid, uint64_t ticket, struct span record, uint64_t life_ms,
                 record_done_fn *done, void *arg);
    void (*end)(struct broker *broker, struct span sid, uint64_t ticket, uint64_t moved_ms);
    void (*probe)(struct broker *broker, struct span sid, uint64_t ticket, uint64_t until_ms, record_done_fn *done,
                  void *arg);
};

/* record_events are called from the loop, never within a call. `events` and `arg` are borrowed for the broker's life.
 */
void record_attach(struct broker *broker, const struct record_events *events, void *arg);
/* Whether sessions can move between instances. */
bool broker_has_records(const struct broker *broker);

/* Begins a session that nobody holds. It is forgotten after `life_ms` in which nobody asks for it. */
void record_open(struct broker *broker, struct span sid, struct span record, uint64_t life_ms, record_done_fn *done,
                 void *arg);
/* Asks for a session, for the request with this ticket (> 0). If it is given, it is forgotten after `hold_ms` in which
 * it is neither passed nor asked for again. */
void record_ask(struct broker *broker, struct span sid, uint64_t ticket, enum record_want want, uint64_t hold_ms,
                record_asked_fn *done, void *arg);
/* Passes on what the request with this ticket holds. `record`: RECORD_BYTES_MAX at most. */
void record_pass(struct broker *broker, struct span sid, uint64_t ticket, struct span record, uint64_t life_ms,
                 record_done_fn *done, void *arg);
/* Ends a session, whoever holds it. `moved_ms` > 0: it is on a WebSocket from now on, and known as such for so long. */
void record_end(struct broker *broker, struct span sid, uint64_t ticket, uint64_t moved_ms);
/* A WebSocket tries to take the session over, within `until_ms`; 0: it has failed. RECORD_NONE: there is no such
 * session, or another one tries. */
void record_probe(struct broker *broker, struct span sid, uint64_t ticket, uint64_t until_ms, record_done_fn *done,
                  void *arg);

#endif

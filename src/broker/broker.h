/* broker: what the hub may ask of the thing that braids instances together.
 *
 * A broker keeps, per room, a bounded log and pushes new entries to the instances that subscribed. Order has one unit,
 * the partition: one counter, one epoch. An entry's `seq` is the counter's value, so all entries are totally ordered,
 * and pushes arrive in that order. An instance's own publishes come back to it as pushes, like everybody else's.
 *
 * Calls are asynchronous: an answer comes from the loop, never before the call returns, and exactly once, also when the
 * broker is destroyed or the link breaks (then with BROKER_LOST, except publishes, which are kept and repeated until
 * they are answered). Spans given to a call are copied; spans in an answer or an event are borrowed until it returns.
 */
#ifndef SENNIT_BROKER_BROKER_H
#define SENNIT_BROKER_BROKER_H

#include "base/err.h"
#include "base/span.h"

enum broker_result {
    BROKER_OK,
    BROKER_LOST,       /* the link broke before the answer: ask again when it is up */
    BROKER_NONE,       /* there is no such lease */
    BROKER_SUPERSEDED, /* a higher generation owns this lease */
    BROKER_REFUSED,    /* the broker will not take it: too big, backlog full */
};

enum {
    BROKER_EPOCH_BYTES_MAX = 16, /* an epoch is a short run of [A-Za-z0-9] */
    BROKER_ROOM_BYTES_MAX = 1024,
    BROKER_READ_LIMIT_MAX = 1000,
    BROKER_BACKLOG_BYTES_MAX = 32 << 20, /* publishes that wait for the broker */
};

struct broker_entry {
    struct span room;
    uint64_t seq;       /* 0: not logged */
    uint64_t prev;      /* seq of the room's entry before, 0: none */
    int64_t time_ms;    /* the broker's clock, since 1970; 0 when not logged */
    struct span except; /* sids that do not get it, separated by one space; may be empty */
    struct span body;   /* opaque here */
};

/* How long a room's log keeps entries: whatever limit is hit first. */
struct broker_retention {
    uint64_t entries_max; /* >= 1; may be overshot by a tenth plus 100 */
    uint64_t age_ms_max;  /* >= 1000 */
};

struct broker_publish {
    struct span room, except, body;
    struct span id; /* the client's name for the message; a repeated one in this room within the retention age is
                     * accepted and not logged again; empty: none */
    const struct broker_retention *retention; /* NULL: pushed, not logged */
};

/* A socket's record, which any instance may claim. */
struct broker_lease {
    struct span pid, sid; /* pid: private, names the lease */
    struct span rooms;    /* opaque here: rooms with their start positions */
    struct span data;     /* opaque user data */
    uint64_t generation;  /* from 1 */
};

struct broker_page {
    const struct broker_entry *entries; /* rising seq; all of the asked room */
    size_t count;
    bool complete; /* nothing in the room lies behind the last of them (or behind `after`) */
    bool gap;      /* what followed `after` is no longer all there */
    uint64_t last; /* seq of the room's newest entry ever, 0: none */
};

typedef void broker_done_fn(void *arg, enum broker_result result);
typedef void broker_read_fn(void *arg, enum broker_result result, const struct broker_page *page);
/* `position_ok`: the position given with the claim is one this log has reached. */
typedef void broker_claim_fn(void *arg, enum broker_result result, const struct broker_lease *lease, bool position_ok);

/* What the hub is told. */
struct broker_events {
    /* The link is up (again). `epoch` is the current one. When `previous` is not empty, it is the epoch this instance
     * saw before, and `previous_end` the last seq of it that survived. Nothing is subscribed. */
    void (*up)(void *hub, struct span epoch, struct span previous, uint64_t previous_end);
    /* The link broke: pushes may have been missed, all subscriptions are gone. */
    void (*down)(void *hub);
    /* A subscription is confirmed and fenced: `last` is the seq of the room's newest entry (0: none), and this event
     * stands in the order of the pushes: every entry of this and the other subscribed rooms with a seq up to `position`
     * (the partition's counter, >= last) has been pushed before it, every later one will be pushed after it. (On Redis:
     * when SUBSCRIBE is confirmed, one script reads room and counter and publishes them to this instance's own inbox,
     * where they arrive in the feed's order. A plain read on the command link could overtake pushes that are still on
     * their way on the subscriber link.) */
    void (*subscribed)(void *hub, struct span room, uint64_t last, uint64_t position);
    void (*pushed)(void *hub, const struct broker_entry *entry);
    /* Another instance claimed a lease that this one wrote last. */
    void (*superseded)(void *hub, struct span pid, uint64_t generation);
};

struct broker;

/* Implementers fill this and embed `struct broker` first. */
struct broker_ops {
    bool (*publish)(struct broker *broker, const struct broker_publish *publish, broker_done_fn *done, void *arg);
    void (*subscribe)(struct broker *broker, struct span room);
    void (*unsubscribe)(struct broker *broker, struct span room);
    void (*read)(struct broker *broker, struct span room, uint64_t after, uint32_t limit, broker_read_fn *done,
                 void *arg);
    void (*read_newest)(struct broker *broker, struct span room, uint32_t limit, broker_read_fn *done, void *arg);
    void (*lease_write)(struct broker *broker, const struct broker_lease *lease, uint64_t life_ms, broker_done_fn *done,
                        void *arg);
    void (*lease_claim)(struct broker *broker, struct span pid, struct span epoch, uint64_t seq, uint64_t life_ms,
                        broker_claim_fn *done, void *arg);
    void (*lease_delete)(struct broker *broker, struct span pid, uint64_t generation);
    void (*probe)(struct broker *broker, broker_done_fn *done, void *arg);
    void (*destroy)(struct broker *broker);
};

struct broker {
    const struct broker_ops *ops;
    const struct broker_events *events;
    void *hub;
    bool is_up;
};

/* Says to whom events go; before the loop runs. The first `up` comes from the loop. */
static inline void broker_attach(struct broker *broker, const struct broker_events *events, void *hub)
{
    broker->events = events;
    broker->hub = hub;
}

static inline bool broker_is_up(const struct broker *broker)
{
    return broker->is_up;
}

/* Publishes; `done` (may be NULL) comes when the entry is accepted, also after outages in between. False, and no
 * `done`, when the backlog is full or the entry is larger than it may be. Logged or not, entries of one instance keep
 * their order. */
static inline bool broker_publish(struct broker *broker, const struct broker_publish *publish, broker_done_fn *done,
                                  void *arg)
{
    return broker->ops->publish(broker, publish, done, arg);
}

/* Subscribing to what is subscribed confirms again. Ignored while the link is down. */
static inline void broker_subscribe(struct broker *broker, struct span room)
{
    broker->ops->subscribe(broker, room);
}

static inline void broker_unsubscribe(struct broker *broker, struct span room)
{
    broker->ops->unsubscribe(broker, room);
}

/* Up to `limit` (1 to BROKER_READ_LIMIT_MAX) entries of the room with a seq above `after`. */
static inline void broker_read(struct broker *broker, struct span room, uint64_t after, uint32_t limit,
                               broker_read_fn *done, void *arg)
{
    broker->ops->read(broker, room, after, limit, done, arg);
}

/* The newest `limit` entries, rising. Their first one's `prev` is the position before them. */
static inline void broker_read_newest(struct broker *broker, struct span room, uint32_t limit, broker_read_fn *done,
                                      void *arg)
{
    broker->ops->read_newest(broker, room, limit, done, arg);
}

/* Writes a lease, refused with BROKER_SUPERSEDED when a higher generation is there; lives for `life_ms` from now. */
static inline void broker_lease_write(struct broker *broker, const struct broker_lease *lease, uint64_t life_ms,
                                      broker_done_fn *done, void *arg)
{
    broker->ops->lease_write(broker, lease, life_ms, done, arg);
}

/* Makes this instance the owner under a generation one higher, and tells the owner before. Repeating it is harmless.
 * `epoch` (empty: none) and `seq` are the client's position. */
static inline void broker_lease_claim(struct broker *broker, struct span pid, struct span epoch, uint64_t seq,
                                      uint64_t life_ms, broker_claim_fn *done, void *arg)
{
    broker->ops->lease_claim(broker, pid, epoch, seq, life_ms, done, arg);
}

/* Deletes it unless a higher generation is there. */
static inline void broker_lease_delete(struct broker *broker, struct span pid, uint64_t generation)
{
    broker->ops->lease_delete(broker, pid, generation);
}

/* A true round trip through the broker's push path. */
static inline void broker_probe(struct broker *broker, broker_done_fn *done, void *arg)
{
    broker->ops->probe(broker, done, arg);
}

static inline void broker_destroy(struct broker *broker)
{
    if (broker != NULL)
        broker->ops->destroy(broker);
}

#endif

/* broker: what the hub may ask of the thing that braids instances together.
 *
 * A broker keeps, per room, a bounded log and pushes new entries to the instances that subscribed. Order has one unit,
 * the partition: one counter, one epoch. An entry's `seq` is the counter's value, so all entries are totally ordered,
 * and pushes arrive in that order. An instance's own publishes come back to it as pushes, like everybody else's.
 *
 * A room whose name begins with BROKER_OWNED is owned by one instance, which holds the lease that names it: it has no
 * channel, its entries go to the inbox of its owner. That is a socket's own room.
 *
 * Calls are asynchronous: an answer comes from the loop, never before the call returns, and exactly once, also when the
 * broker is destroyed or the link breaks (then with BROKER_LOST, except publishes, which are kept and repeated until
 * they are answered). Spans given to a call are copied; spans in an answer or an event are borrowed until it returns.
 */
#ifndef SENNIT_BROKER_BROKER_H
#define SENNIT_BROKER_BROKER_H

#include "base/err.h"
#include "base/map.h"
#include "base/span.h"

enum broker_result {
    BROKER_OK,
    BROKER_LOST,       /* the link broke before the answer: ask again when it is up */
    BROKER_NONE,       /* there is no such lease */
    BROKER_SUPERSEDED, /* a higher generation owns this lease */
    /* A publish was refused, for good, and the others go on; broker_refusal_text says why: */
    BROKER_FULL,       /* its room holds its share of the bytes that all logs may hold */
    BROKER_FULL_ROOMS, /* its room would be one more than there may be */
    BROKER_TAKEN,      /* another message of its room has its name */
    BROKER_SPOILED,    /* something that is not ours lies under a key that it needs; also for leases */
};

enum {
    BROKER_OWNED = '@',
    BROKER_EPOCH_BYTES_MAX = 16, /* an epoch is a short run of [A-Za-z0-9] */
    BROKER_ROOM_BYTES_MAX = 1024,
    BROKER_READ_LIMIT_MAX = 1000,
    BROKER_PAGE_BYTES = 256 << 10,
    BROKER_PAGE_BYTES_MAX = 4 << 20,
    BROKER_ROOMS_MAX = 100000, /* rooms with a log, unless configured */
    BROKER_NAMES_MIN = 1000,   /* names of messages that a room keeps, if its log keeps fewer entries */
    BROKER_ENTRY_BYTES = 64,   /* that an entry counts beside its body and audience, in what is stored as a whole, */
    BROKER_NAME_BYTES = 128,   /* and a name */
    BROKER_SHARE_BYTES_MIN = 65536, /* what any room's log may hold, however many there are */
    BROKER_PRESENT_LIMIT_MAX = 1000,
    BROKER_TELLS_BYTES_MAX = 1024,       /* what a present member tells of itself */
    BROKER_BACKLOG_BYTES_MAX = 32 << 20, /* publishes that wait for the broker */
};

struct broker_entry {
    struct span room;
    uint64_t seq;         /* 0: not logged */
    uint64_t prev;        /* seq of the room's entry before, 0: none */
    int64_t time_ms;      /* the broker's clock, since 1970; 0 when not logged */
    struct span audience; /* opaque here: who of the room it is for; empty: everybody */
    struct span body;     /* opaque here */
};

/* How long a room's log keeps entries: whatever limit is hit first. Each may be overshot by a sixteenth. */
struct broker_retention {
    uint64_t entries_max; /* >= 1; overshot by 16 more */
    uint64_t bytes_max;   /* of bodies and audiences, >= 1024 */
    uint64_t age_ms_max;  /* >= 1000 */
};

struct broker_publish {
    struct span room, audience, body;
    /* The client's name for the message; empty: none. The same body under it in this room within the retention age is
     * accepted and not logged again, as long as its room keeps that many names; another body is BROKER_TAKEN, so that
     * who guesses a name cannot make a message vanish. */
    struct span id;
    const struct broker_retention *retention; /* NULL: pushed, not logged */
};

/* A socket's record, which any instance may claim. */
struct broker_lease {
    struct span pid, sid; /* pid: private, names the lease; each 1 to 64 printable ASCII, no quote or backslash */
    struct span own;      /* the room that the lease's owner owns; empty: none */
    struct span rooms;    /* opaque here: rooms with their positions */
    struct span data;     /* opaque here */
    uint64_t generation;  /* from 1 */
    uint64_t window_ms;   /* how long it must outlive its owner; it lives twice as long from each write and claim, and a
                           * peer shortens the lease of an instance that is gone to this */
};

/* Which entries of a room are to be read. */
struct broker_range {
    struct span epoch; /* of `seq`; empty: the current one */
    uint64_t seq;
    bool back;      /* those below `seq` (UINT64_MAX: all), the newest of them; else those above, the oldest of them */
    uint32_t limit; /* 1 to BROKER_READ_LIMIT_MAX; fewer come, but one at least, when they are large */
    uint32_t bytes_max; /* of bodies and audiences; 0: BROKER_PAGE_BYTES; at most BROKER_PAGE_BYTES_MAX */
};

struct broker_page {
    const struct broker_entry *entries; /* rising seq; all of the asked room */
    size_t count;
    uint64_t last; /* seq of the room's newest entry ever, 0: none, or the broker has forgotten the room */
    /* The partition's counter when the page was read. An entry of this room with a seq up to there that neither this
     * page brings nor, where there are more, the next ones do, is in no log any more: whether it was trimmed, its room
     * was forgotten, or a key vanished. An entry above it may have come since. */
    uint64_t position;
    bool more;    /* beyond these, in the asked direction, there are others that may be read */
    bool clipped; /* the asked position was not reached by what is left of its epoch: read from where that ends */
};

/* Somebody who is in a room, on whatever instance. */
struct broker_present {
    struct span sid;
    struct span tells;   /* what it tells of itself, JSON */
    uint64_t generation; /* of its lease, when it enters: another instance may have claimed that since */
};

struct broker_presence {
    uint64_t count; /* who are there */
    const struct broker_present *members;
    size_t member_count;
    uint64_t cursor; /* where to go on; 0: that was all */
};

/* Bounds of a service; the same for all of its instances. */
struct broker_bounds {
    uint64_t rooms_max;       /* rooms with a log; 0: BROKER_ROOMS_MAX */
    uint64_t store_bytes_max; /* of entries and names in all logs; 0: three quarters of Redis' maxmemory, or 1 GiB */
};

/* What the broker says of itself. */
struct broker_stats {
    uint64_t memory_bytes, memory_bytes_max; /* max 0: none set, or unknown */
    uint64_t instances;                      /* that sent a heartbeat lately */
};

typedef void broker_done_fn(void *arg, enum broker_result result);
typedef void broker_read_fn(void *arg, enum broker_result result, const struct broker_page *page);
/* `position_ok`: the position given with the claim is one this log has reached. */
typedef void broker_claim_fn(void *arg, enum broker_result result, const struct broker_lease *lease, bool position_ok);
typedef void broker_presence_fn(void *arg, enum broker_result result, const struct broker_presence *presence);
typedef void broker_stats_fn(void *arg, enum broker_result result, const struct broker_stats *stats);

/* What the hub is told. */
struct broker_events {
    /* The link is up (again). `epoch` is the current one. When `previous` is not empty, it is the epoch this instance
     * saw before, and `previous_end` the last seq of it that survived (0: nothing did, or the broker came back from
     * before it began). Nothing is subscribed, nobody of this instance is present any more. */
    void (*up)(void *hub, struct span epoch, struct span previous, uint64_t previous_end);
    /* The link broke: pushes may have been missed, all subscriptions are gone. */
    void (*down)(void *hub);
    /* The broker cannot be used as it is, and trying again will not help; told once, before the first `up`. `why` says
     * what to do. */
    void (*unusable)(void *hub, const char *why);
    /* A subscription is confirmed and fenced: `last` is the seq of the room's newest entry (0: none), and this event
     * stands in the order of the pushes: every entry of this and the other subscribed rooms with a seq up to `position`
     * (the partition's counter, >= last) has been pushed before it, every later one will be pushed after it. (On Redis:
     * when SUBSCRIBE is confirmed, one script reads room and counter and publishes them to this instance's own inbox,
     * where they arrive in the feed's order. A plain read on the command link could overtake pushes that are still on
     * their way on the subscriber link.) */
    void (*subscribed)(void *hub, struct span room, uint64_t last, uint64_t position);
    void (*pushed)(void *hub, const struct broker_entry *entry);
    /* The digest: `last` is the seq of the newest entry of a subscribed room. In the order of the pushes, so if that
     * entry has not been pushed before, it was lost. */
    void (*top)(void *hub, struct span room, uint64_t last);
    /* Everything up to `position` has been pushed; the other half of `subscribed`, about once a second. */
    void (*reached)(void *hub, uint64_t position);
    /* Somebody came into a subscribed room, or is gone from it; `count` are there now. In the order of the pushes. */
    void (*presence)(void *hub, struct span room, const struct broker_present *who, bool entered, uint64_t count);
    /* Another instance claimed a lease that this one wrote last. */
    void (*superseded)(void *hub, struct span pid, uint64_t generation);
};

struct broker;

/* Implementers fill this and embed `struct broker` first. */
struct broker_ops {
    bool (*publish)(struct broker *broker, const struct broker_publish *publish, broker_done_fn *done, void *arg);
    void (*subscribe)(struct broker *broker, struct span room);
    void (*unsubscribe)(struct broker *broker, struct span room);
    void (*read)(struct broker *broker, struct span room, const struct broker_range *range, broker_read_fn *done,
                 void *arg);
    void (*lease_write)(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg);
    void (*lease_claim)(struct broker *broker, struct span pid, struct span epoch, uint64_t seq, broker_claim_fn *done,
                        void *arg);
    void (*lease_release)(struct broker *broker, const struct broker_lease *lease, bool for_good);
    void (*present_enter)(struct broker *broker, struct span room, const struct broker_present *who);
    void (*present_leave)(struct broker *broker, struct span room, struct span sid, bool may_return);
    void (*present_list)(struct broker *broker, struct span room, uint64_t cursor, uint32_t limit,
                         broker_presence_fn *done, void *arg);
    void (*stats)(struct broker *broker, broker_stats_fn *done, void *arg);
    void (*probe)(struct broker *broker, broker_done_fn *done, void *arg);
    void (*destroy)(struct broker *broker);
};

struct broker {
    const struct broker_ops *ops;
    const struct broker_events *events;
    void *hub;
    bool is_up;
    const char *trouble; /* why an instance on this broker must not count as ready, with the cure; NULL: nothing. It
                          * may be up all the same. */
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

/* Why the broker must not be relied on, up or not, and what to do; NULL: nothing is wrong with it. */
static inline const char *broker_trouble(const struct broker *broker)
{
    return broker->trouble;
}

/* What tells whether a message under a name is the one that had it before. Every instance of every version must come to
 * the same. */
static inline uint64_t broker_digest(struct span body)
{
    static const uint64_t key[2] = {0x73656e6e69740001, 0x6e616d65206f6600};
    return map_hash(key, body);
}

/* What a publisher is told, for the results that refuse a publish for good; NULL for the others. */
static inline const char *broker_refusal_text(enum broker_result result)
{
    switch (result) {
    case BROKER_FULL:
        return "this room's log is full: it has its share of what the service stores";
    case BROKER_TAKEN:
        return "another message of this room has this name";
    case BROKER_FULL_ROOMS:
        return "the service has as many rooms as it may have";
    case BROKER_SPOILED:
        return "this room's log is damaged";
    default:
        return NULL;
    }
}

static inline size_t broker_range_bytes(const struct broker_range *range)
{
    return range->bytes_max == 0                      ? BROKER_PAGE_BYTES
           : range->bytes_max < BROKER_PAGE_BYTES_MAX ? range->bytes_max
                                                      : BROKER_PAGE_BYTES_MAX;
}

static inline bool broker_room_is_owned(struct span room)
{
    return room.len > 0 && room.data[0] == BROKER_OWNED;
}

/* Publishes; `done` (may be NULL) comes when the entry is accepted, also after outages in between, or refused for good
 * (broker_refusal_text). False, and no `done`, when the backlog is full or the entry is larger than it may be. Logged
 * or not, entries of one instance keep their order. What is for an owned room that nobody owns any more is accepted and
 * goes nowhere. */
static inline bool broker_publish(struct broker *broker, const struct broker_publish *publish, broker_done_fn *done,
                                  void *arg)
{
    return broker->ops->publish(broker, publish, done, arg);
}

/* Subscribing to what is subscribed confirms again; an owned room, whose entries come to its owner anyway, is only
 * confirmed. Ignored while the link is down. */
static inline void broker_subscribe(struct broker *broker, struct span room)
{
    broker->ops->subscribe(broker, room);
}

static inline void broker_unsubscribe(struct broker *broker, struct span room)
{
    broker->ops->unsubscribe(broker, room);
}

static inline void broker_read(struct broker *broker, struct span room, const struct broker_range *range,
                               broker_read_fn *done, void *arg)
{
    broker->ops->read(broker, room, range, done, arg);
}

/* Writes a lease, refused with BROKER_SUPERSEDED when a higher generation is there. */
static inline void broker_lease_write(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done,
                                      void *arg)
{
    broker->ops->lease_write(broker, lease, done, arg);
}

/* Makes this instance the owner under a generation one higher, and tells the owner before. Repeating it is harmless.
 * `epoch` (empty: none) and `seq` are the client's position. */
static inline void broker_lease_claim(struct broker *broker, struct span pid, struct span epoch, uint64_t seq,
                                      broker_claim_fn *done, void *arg)
{
    broker->ops->lease_claim(broker, pid, epoch, seq, done, arg);
}

/* The socket is gone from here: the lease lasts for its window from now, or, `for_good`, ends at once; unless a higher
 * generation is there. Of `lease`, pid, own and generation count. */
static inline void broker_lease_release(struct broker *broker, const struct broker_lease *lease, bool for_good)
{
    broker->ops->lease_release(broker, lease, for_good);
}

/* Somebody of this instance is in a room from now on; the others in it are told unless it was there already. Ignored
 * when it is there under a higher generation. Forgotten while the link is down, and when it comes up: whoever is still
 * there enters again. */
static inline void broker_present_enter(struct broker *broker, struct span room, const struct broker_present *who)
{
    broker->ops->present_enter(broker, room, who);
}

/* It left, or, with `may_return`, its connection was cut: then the others are told only if it does not enter again soon
 * (on whatever instance). An instance that is gone did this for all of its own: it is noticed within 5 s. */
static inline void broker_present_leave(struct broker *broker, struct span room, struct span sid, bool may_return)
{
    broker->ops->present_leave(broker, room, sid, may_return);
}

/* Who is in a room: up to about `limit` (1 to BROKER_PRESENT_LIMIT_MAX) of them from `cursor` (0: the beginning) on.
 * The answer stands in the order of the pushes. Whoever is there all the while is listed once at least. */
static inline void broker_present_list(struct broker *broker, struct span room, uint64_t cursor, uint32_t limit,
                                       broker_presence_fn *done, void *arg)
{
    broker->ops->present_list(broker, room, cursor, limit, done, arg);
}

static inline void broker_stats(struct broker *broker, broker_stats_fn *done, void *arg)
{
    broker->ops->stats(broker, done, arg);
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

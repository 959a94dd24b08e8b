/* broker: the interface of the service that connects instances. `serve` creates and destroys a broker, and gets the
 * events of its link (`broker_watcher`). `hub` gets all other events (`broker_events`); `hub` and `session` call it.
 *
 * A broker keeps a bounded log per room, and pushes new entries to the instances that subscribed to the room. The unit
 * of order is the partition: one counter, one epoch. An entry's `seq` is the counter's value, so all entries have one
 * order, and pushes arrive in it. An instance gets its own publishes back as pushes, too.
 *
 * A room whose name begins with BROKER_OWNED is owned by one instance: the one that holds the lease naming the room. It
 * has no channel; its entries go to the inbox of its owner. Such a room is a socket's own room.
 *
 * Calls are asynchronous. An answer comes from the loop, never before the call returns, and exactly once, also if the
 * broker is destroyed or the link breaks. Then the result is BROKER_LOST, except for publishes, which are kept and
 * repeated until they are answered. Spans given to a call are copied. Spans in an answer or an event are borrowed until
 * it returns. */
#ifndef SENNIT_BROKER_BROKER_H
#define SENNIT_BROKER_BROKER_H

#include "base/err.h"
#include "base/map.h"
#include "base/span.h"
#include "broker/mail.h"
#include "broker/record.h"

enum broker_result {
    BROKER_OK,
    BROKER_LOST,       /* the link broke before the answer: call again when it is up */
    BROKER_NONE,       /* there is no such lease */
    BROKER_SUPERSEDED, /* a higher generation owns this lease */
    /* A publish was refused for good, and other publishes go on; broker_refusal_text says why: */
    BROKER_FULL,       /* its room has reached its share of the bytes of all logs */
    BROKER_FULL_ROOMS, /* its room would exceed the number of rooms with a log */
    BROKER_TAKEN,      /* another message of its room has its name */
    BROKER_SPOILED,    /* a key that it needs holds foreign data; also for leases */
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
    BROKER_DATA_BYTES_MAX = 1024,        /* presence data of a member */
    BROKER_BACKLOG_BYTES_MAX = 32 << 20, /* publishes that wait for the broker */
    BROKER_LAPSED_MS = 3600000,          /* so long a watched lease waits for broker_lease_lapsed */
};

struct broker_entry {
    struct span room;
    uint64_t seq;    /* 0: not logged */
    uint64_t prev;   /* seq of the room's previous entry, 0: none. Not logged: its number if it is kept, see record.h */
    int64_t time_ms; /* the broker's clock, since 1970; 0 when not logged */
    struct span audience; /* opaque here: the members of the room it is for; empty: all */
    struct span body;     /* opaque here */
};

/* Retention of a room's log: the first limit reached applies. A log may exceed each limit by a sixteenth. */
struct broker_retention {
    uint64_t entries_max; /* >= 1; may be exceeded by 16 more */
    uint64_t bytes_max;   /* of bodies and audiences, >= 1024 */
    uint64_t age_ms_max;  /* >= 1000 */
};

struct broker_publish {
    struct span room, audience, body;
    /* The client's name for the message; empty: none. The same body under the same name in this room, within the
     * retention age and the room's number of names, is accepted and not logged again. Another body gets BROKER_TAKEN,
     * so that a client that guesses a name cannot make another's message vanish. */
    struct span id;
    const struct broker_retention *retention; /* NULL: pushed, not logged */
};

/* A socket's record on the broker. Any instance may claim it. */
struct broker_lease {
    struct span pid, sid; /* pid: private, names the lease; each 1 to 64 printable ASCII, no quote or backslash */
    struct span own;      /* the room that the lease's owner owns; empty: none */
    struct span rooms;    /* opaque here: rooms with their positions */
    struct span data;     /* opaque here */
    struct span keep; /* rooms whose unlogged events are to be kept, each `<bytes> <room>`; empty: none, see record.h */
    uint64_t keep_ms; /* how long, from each write and each move of the session */
    uint64_t generation; /* from 1 */
    uint64_t window_ms;  /* how long it must outlive its owner. Each write and claim sets its life to twice this; when
                          * its instance is gone, another instance shortens its life to this */
    /* The name under which its end is asked for (broker_lease_lapsed), 1 to 256 bytes; empty: nobody asks, and it is
     * forgotten when its life is over. A lease that is watched stays watched. */
    struct span watch;
};

/* The entries of a room to read. */
struct broker_range {
    struct span epoch; /* of `seq`; empty: the current one */
    uint64_t seq;
    bool back;          /* the newest ones below `seq` (UINT64_MAX: of all); else the oldest ones above it */
    uint32_t limit;     /* 1 to BROKER_READ_LIMIT_MAX; large entries make a page shorter, but it has one at least */
    uint32_t bytes_max; /* of bodies and audiences; 0: BROKER_PAGE_BYTES; at most BROKER_PAGE_BYTES_MAX */
};

struct broker_page {
    const struct broker_entry *entries; /* rising seq; all of the requested room */
    size_t count;
    uint64_t last; /* seq of the room's newest entry ever; 0: none, or the broker has forgotten the room */
    /* The partition's counter when the page was read. An entry of this room up to this seq is gone if neither this page
     * nor, with `more`, a next one has it: it was trimmed, its room was forgotten, or a key vanished. An entry above it
     * may have arrived since. */
    uint64_t position;
    bool more;    /* there are further entries in this direction */
    bool clipped; /* the surviving part of the epoch ends below the requested position; the page begins at that end */
};

/* A socket that is present in a room, on any instance. */
struct broker_present {
    struct span sid;
    struct span data;    /* its presence data, JSON */
    uint64_t generation; /* of its lease when it enters; another instance may have claimed the lease since */
};

struct broker_presence {
    uint64_t count; /* of all present sockets */
    const struct broker_present *members;
    size_t member_count;
    uint64_t cursor; /* for the next page; 0: this was the last */
};

/* Bounds of a service; the same for all of its instances. */
struct broker_bounds {
    uint64_t rooms_max;       /* rooms with a log; 0: BROKER_ROOMS_MAX */
    uint64_t store_bytes_max; /* of entries and names in all logs; 0: three quarters of Redis' maxmemory, or 1 GiB */
};

/* Figures of the broker. */
struct broker_stats {
    uint64_t memory_bytes, memory_bytes_max; /* max 0: none set, or unknown */
    uint64_t instances;                      /* with a recent heartbeat */
    uint64_t commits, commits_refused;       /* of this instance to a disk of its own, if it has one */
};

typedef void broker_done_fn(void *arg, enum broker_result result);
typedef void broker_read_fn(void *arg, enum broker_result result, const struct broker_page *page);
/* `position_ok`: the log has reached the position given with the claim. */
typedef void broker_claim_fn(void *arg, enum broker_result result, const struct broker_lease *lease, bool position_ok);
typedef void broker_presence_fn(void *arg, enum broker_result result, const struct broker_presence *presence);
typedef void broker_stats_fn(void *arg, enum broker_result result, const struct broker_stats *stats);

/* The callbacks of whoever created the broker. Each may be NULL. */
struct broker_watcher {
    /* The link is up (again). The hub has been told before. */
    void (*up)(void *arg);
    /* The broker cannot be used as it is, and retrying does not help. Called once, before the first `up`. `why` has the
     * cure. */
    void (*unusable)(void *arg, const char *why);
};

/* The hub's callbacks. */
struct broker_events {
    /* The link is up (again). `epoch` is the current one. If `previous` is not empty, it is the epoch that this
     * instance saw before, and `previous_end` is its last seq that survived (0: none did, or the broker was restored to
     * a state before that epoch). All subscriptions and presence of this instance are gone. */
    void (*up)(void *hub, struct span epoch, struct span previous, uint64_t previous_end);
    /* The link broke: pushes may have been missed, all subscriptions are gone. */
    void (*down)(void *hub);
    /* A subscription is confirmed and fenced. `last` is the seq of the room's newest entry (0: none). This event has
     * its place in the order of the pushes: every entry of all subscribed rooms with a seq up to `position` (the
     * partition's counter, >= last) was pushed before it, and every later one will be pushed after it. (On Redis: when
     * SUBSCRIBE is confirmed, one script reads room and counter and publishes them to this instance's own inbox, so
     * they arrive in the feed's order. A plain read on the command link could overtake pushes on the subscriber link.)
     */
    void (*subscribed)(void *hub, struct span room, uint64_t last, uint64_t position);
    /* The room's keys are gone from the broker, and any entry up to `floor` may be gone with them; from now on it
     * counts as the room's newest entry. In the order of the pushes: to an instance that was subscribed already, every
     * entry up to it was pushed before. To any other it comes before `subscribed`, whose `last` is then the floor. */
    void (*forgotten)(void *hub, struct span room, uint64_t floor);
    /* Every kept event of all subscribed rooms up to this number has been pushed. */
    void (*kept)(void *hub, uint64_t number);
    void (*pushed)(void *hub, const struct broker_entry *entry);
    /* The digest: `last` is the seq of the newest entry of a subscribed room. It arrives in the order of the pushes: if
     * that entry has not been pushed before, the push was lost. */
    void (*top)(void *hub, struct span room, uint64_t last);
    /* Every entry up to `position` has been pushed. Called about once a second. */
    void (*reached)(void *hub, uint64_t position);
    /* A socket entered a subscribed room, or left it; `count` sockets are present now. In the order of the pushes. */
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
    void (*lease_take)(struct broker *broker, struct span pid, uint64_t generation, broker_claim_fn *done, void *arg);
    void (*lease_lapsed)(struct broker *broker, struct span watch, broker_claim_fn *done, void *arg);
    void (*lease_end)(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg);
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
    const struct broker_watcher *watcher; /* NULL: nobody watches the link */
    void *watcher_arg;
    const struct record_ops *records; /* NULL: a broker of one instance */
    const struct record_events *record_events;
    void *record_arg;
    const struct mail_ops *mail;
    const struct mail_events *mail_events;
    void *mail_arg;
    bool is_up;
    const char *trouble; /* why the instance must not count as ready, with the cure; NULL: no reason. The link may be up
                          * all the same. */
};

/* Sets the receiver of events, before the loop runs. The first `up` comes from the loop. */
static inline void broker_attach(struct broker *broker, const struct broker_events *events, void *hub)
{
    broker->events = events;
    broker->hub = hub;
}

/* Sets the receiver of the link's events, before the loop runs. */
static inline void broker_watch(struct broker *broker, const struct broker_watcher *watcher, void *arg)
{
    broker->watcher = watcher;
    broker->watcher_arg = arg;
}

/* For implementers: the link is up. Tells the hub (broker_events.up), then the watcher. */
static inline void broker_went_up(struct broker *broker, struct span epoch, struct span previous, uint64_t previous_end)
{
    broker->is_up = true;
    broker->events->up(broker->hub, epoch, previous, previous_end);
    if (broker->watcher != NULL && broker->watcher->up != NULL)
        broker->watcher->up(broker->watcher_arg);
}

/* For implementers: only the operator can help. Tells the watcher. */
static inline void broker_went_unusable(struct broker *broker, const char *why)
{
    if (broker->watcher != NULL && broker->watcher->unusable != NULL)
        broker->watcher->unusable(broker->watcher_arg, why);
}

static inline bool broker_is_up(const struct broker *broker)
{
    return broker->is_up;
}

/* For implementers: sets the trouble (NULL: none), and logs a change. `*text` keeps a copy, which the implementer frees
 * at the end. */
void broker_trouble_set(struct broker *broker, char **text, const char *why);

/* Why the broker must not be relied on, up or not, with the cure; NULL: it is fine. */
static inline const char *broker_trouble(const struct broker *broker)
{
    return broker->trouble;
}

/* The digest of a named message's body. It tells a repeated message from another one under the same name. Every
 * instance of every version must compute the same. */
static inline uint64_t broker_digest(struct span body)
{
    static const uint64_t key[2] = {0x73656e6e69740001, 0x6e616d65206f6600};
    return map_hash(key, body);
}

/* The text of a result that refuses a publish for good; NULL for other results. */
static inline const char *broker_refusal_text(enum broker_result result)
{
    switch (result) {
    case BROKER_FULL:
        return "this room's log is full: it has reached its share of the service's storage";
    case BROKER_TAKEN:
        return "another message of this room has this name";
    case BROKER_FULL_ROOMS:
        return "the service has the most rooms with a log allowed";
    case BROKER_SPOILED:
        return "a key of this room holds foreign data";
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

/* Publishes. `done` (may be NULL) is called when the entry is accepted, even after outages, or refused for good
 * (broker_refusal_text). Returns false, without `done`, if the backlog is full or the entry too large. Entries of one
 * instance keep their order, logged or not. An entry for an owned room without an owner is accepted and dropped. */
static inline bool broker_publish(struct broker *broker, const struct broker_publish *publish, broker_done_fn *done,
                                  void *arg)
{
    return broker->ops->publish(broker, publish, done, arg);
}

/* Subscribes; for a subscribed room, confirms again. An owned room is only confirmed, because its entries come to its
 * owner anyway. Ignored while the link is down. */
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

/* Writes a lease. Refused with BROKER_SUPERSEDED if it has a higher generation on the broker. */
static inline void broker_lease_write(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done,
                                      void *arg)
{
    broker->ops->lease_write(broker, lease, done, arg);
}

/* Makes this instance the owner, with a generation one higher, and notifies the previous owner (`superseded`).
 * Repeating it is harmless. `epoch` (empty: none) and `seq` are the client's position. BROKER_NONE, too, once somebody
 * has it to end it (broker_lease_take, broker_lease_lapsed). */
static inline void broker_lease_claim(struct broker *broker, struct span pid, struct span epoch, uint64_t seq,
                                      broker_claim_fn *done, void *arg)
{
    broker->ops->lease_claim(broker, pid, epoch, seq, done, arg);
}

/* The socket has left this instance: the lease lives for its window from now, or with `for_good` ends at once. No
 * effect if the lease has a higher generation. Of `lease`, only pid, own and generation are used. */
static inline void broker_lease_release(struct broker *broker, const struct broker_lease *lease, bool for_good)
{
    broker->ops->lease_release(broker, lease, for_good);
}

/* Claims a lease to end it, as broker_lease_claim does, unless somebody else has claimed it since it had this
 * generation: then the result is BROKER_SUPERSEDED, and nothing changes. BROKER_NONE: the broker has lost it. */
static inline void broker_lease_take(struct broker *broker, struct span pid, uint64_t generation, broker_claim_fn *done,
                                     void *arg)
{
    broker->ops->lease_take(broker, pid, generation, done, arg);
}

/* Claims a watched lease whose life is over and whose owner has left it or is gone; BROKER_NONE: there is none at the
 * moment. Of all instances that ask, one gets it. If that one is gone before broker_lease_end, it lapses once more. */
static inline void broker_lease_lapsed(struct broker *broker, struct span watch, broker_claim_fn *done, void *arg)
{
    broker->ops->lease_lapsed(broker, watch, done, arg);
}

/* Ends a lease for good, and says when that is done (BROKER_OK or BROKER_SUPERSEDED). A broker that connects instances
 * remembers the end of a watched lease for two windows: a former owner who was cut off meanwhile, and takes it or
 * writes it, gets BROKER_SUPERSEDED. Of `lease`, pid, own and generation are used. */
static inline void broker_lease_end(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done,
                                    void *arg)
{
    broker->ops->lease_end(broker, lease, done, arg);
}

/* A socket of this instance is present in a room from now on. The others are told, unless it was present already.
 * Ignored if it is present under a higher generation. Presence is forgotten when the link goes down; the caller enters
 * its sockets again when the link is up. */
static inline void broker_present_enter(struct broker *broker, struct span room, const struct broker_present *who)
{
    broker->ops->present_enter(broker, room, who);
}

/* The socket left. With `may_return` its connection was cut: the others are told only if it does not enter again soon,
 * on any instance. If an instance dies, the broker does this for all of its sockets, within 5 s. */
static inline void broker_present_leave(struct broker *broker, struct span room, struct span sid, bool may_return)
{
    broker->ops->present_leave(broker, room, sid, may_return);
}

/* Lists the sockets present in a room: about `limit` (1 to BROKER_PRESENT_LIMIT_MAX) of them from `cursor` (0: the
 * beginning) on. The answer has its place in the order of the pushes. A socket that is present all the while is listed
 * at least once. */
static inline void broker_present_list(struct broker *broker, struct span room, uint64_t cursor, uint32_t limit,
                                       broker_presence_fn *done, void *arg)
{
    broker->ops->present_list(broker, room, cursor, limit, done, arg);
}

static inline void broker_stats(struct broker *broker, broker_stats_fn *done, void *arg)
{
    broker->ops->stats(broker, done, arg);
}

/* Makes a round trip through the broker's push path. */
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

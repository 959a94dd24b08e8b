/* memory_parts: the state and functions that the files of the in-process broker share. For src/broker/ only.
 *
 * A call takes effect at once. Its answer and its events wait in one queue, in order, until the end of the turn, so
 * that no callback runs inside a call.
 *
 * With a journal (broker/file.h), each change is noted in it as well, before the notices that follow from the change;
 * and a notice waits until all that was noted before it is kept. So nobody is told what the process could forget. */
#ifndef SENNIT_BROKER_MEMORY_PARTS_H
#define SENNIT_BROKER_MEMORY_PARTS_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "broker/journal.h"
#include "broker/memory.h"

enum { MEMORY_EPOCH_BYTES = 10, MEMORY_AWAY_MS = 4000, MEMORY_ENDED_MAX = 100 };

/* What makes it a replica (broker/firestore.h): each instance carries out the calls of all instances, in one order. So
 * what it keeps may depend on nothing but these calls: the clock is theirs, and no timer runs. */
struct memory_shared {
    uint64_t now_us;      /* when the call that is carried out was made, since 1970 */
    uint64_t actor, self; /* numbers of instances (> 0): whose call it is, and this one's */
};

/* An epoch of an earlier process. */
struct memory_ended {
    char name[BROKER_EPOCH_BYTES_MAX];
    size_t len;
    uint64_t end; /* its last seq */
};

struct memory {
    struct broker broker;
    struct loop *loop;
    struct map channels, leases, owned; /* rooms; leases by pid; leases by the room they own */
    struct list queue;                  /* notices */
    struct list away;                   /* present sockets that may return, the first to leave in front */
    struct list left;                   /* watched leases without an owner, the first to leave in front */
    struct task tell;
    struct timer sweep;  /* of leases, and the position */
    struct timer leaves; /* the first of `away` */
    uint64_t seq;
    uint64_t log_bytes, store_bytes_max;
    uint64_t logs;             /* number of logs that are not empty */
    uint64_t rooms, rooms_max; /* number of rooms whose newest entry is known */
    uint64_t sweeps;
    uint64_t waiting_bytes; /* of publishes that wait in the queue */
    char epoch[MEMORY_EPOCH_BYTES];
    struct journal *journal;                     /* NULL: nothing is kept; see there */
    struct memory_ended ended[MEMORY_ENDED_MAX]; /* the oldest one in front */
    size_t ended_count;
    struct memory_shared *shared; /* NULL: one instance alone */
    /* The journal's numbers: of the epoch, and the last ones given to a room and to a message's name. */
    uint64_t epoch_number, room_number, name_number;
};

struct stored {
    struct list of_log;
    struct broker_entry entry; /* its spans point into `bytes` */
    char bytes[];              /* audience, body */
};

/* A client's name for a message, remembered for the log's age, even if the entry is trimmed. */
struct named {
    struct map_node by_id;
    struct list of_room;
    int64_t until_ms;
    uint64_t digest; /* of the message's body */
    uint64_t number; /* in the journal */
    char id[];
};

struct channel {
    struct map_node by_room;
    char *name;
    struct list log;
    struct map ids;
    struct list names;   /* of messages, in order of arrival */
    size_t count, bytes; /* in the log */
    uint64_t last;
    int64_t newest_ms;   /* time of that entry */
    int64_t touched_ms;  /* an instance said that it is subscribed */
    uint64_t age_ms_max; /* of its retention */
    bool wanted;         /* the last call was to subscribe */
    bool subscribed;     /* the subscription was confirmed */
    struct list present; /* in order of entering */
    struct map present_by_sid;
    uint64_t present_number; /* of the last that entered */
    size_t noticed;          /* notices about it that wait */
    uint64_t number;         /* in the journal; 0: it is not there */
};

/* An answer or event in the queue. */
struct notice;
typedef void notice_fn(struct memory *memory, struct notice *notice);
struct notice {
    struct list queued;
    uint64_t mark; /* of the journal: what must be kept before */
    notice_fn *tell;
    union {
        broker_done_fn *done;
        broker_read_fn *read;
        broker_claim_fn *claim;
        broker_presence_fn *presence;
        broker_stats_fn *stats;
        mail_sent_fn *mailed;
        mail_owners_fn *owners;
    } call; /* to answer, also when the broker is destroyed; all NULL: an event */
    void *arg;
    enum broker_result result;
    struct channel *channel;
    bool flag;       /* position_ok, entered, or for its owner */
    uint64_t number; /* generation, position, or count */
    uint64_t cursor;
    struct broker_page page;
    struct stored *copy; /* of the pushed entry */
    struct stored **copies;
    struct kept *lease;
    struct buf text; /* of the present sockets: their texts, concatenated; or mail */
    size_t *lens;    /* of these texts: sid, data, sid, ...; or instance, pid, instance, ... */
    size_t len_count;
};

static inline struct memory *memory_of(struct broker *broker)
{
    return container_of(broker, struct memory, broker);
}

/* The time at which the call under way takes effect. */
static inline int64_t memory_now_ms(const struct memory *memory)
{
    return memory->shared != NULL ? (int64_t)(memory->shared->now_us / 1000) : loop_wall_ms(memory->loop);
}
/* The same, to measure times with. */
static inline uint64_t memory_now_us(const struct memory *memory)
{
    return memory->shared != NULL ? memory->shared->now_us : loop_now_us(memory->loop);
}
static inline uint64_t memory_actor(const struct memory *memory)
{
    return memory->shared != NULL ? memory->shared->actor : 1;
}
static inline bool memory_is_self(const struct memory *memory, uint64_t life)
{
    return memory->shared == NULL || life == memory->shared->self;
}

/* In a replica reading changes nothing; so what is too old to be read may still be there. */
static inline bool memory_is_stale(const struct memory *memory, const struct channel *channel,
                                   const struct list *of_log)
{
    return memory->shared != NULL && of_log != &channel->log &&
           loop_wall_ms(memory->loop) - container_of(of_log, struct stored, of_log)->entry.time_ms >
               (int64_t)channel->age_ms_max;
}

/* memory.c */
struct memory *memory_create(struct loop *loop, const struct broker_bounds *bounds);
/* The parts of it for an owner that embeds it. `shared` (NULL: none) is borrowed. memory_finish answers what waits. */
void memory_init(struct memory *memory, struct loop *loop, const struct broker_bounds *bounds,
                 struct memory_shared *shared);
void memory_finish(struct memory *memory);
/* Tells now all that waits in the queue. */
void memory_tell_all(struct memory *memory);
/* Forgets everything but the bounds; the queue has been told. */
void memory_clear(struct memory *memory);
/* Of a replica: what becomes due by the clock alone: leases, old entries and rooms, sockets that were away. */
void memory_pass(struct memory *memory);
/* What firestore.c, whose table of functions is another, uses as it is. */
bool memory_publish(struct broker *broker, const struct broker_publish *publish, broker_done_fn *done, void *arg);
void memory_subscribe(struct broker *broker, struct span room);
void memory_unsubscribe(struct broker *broker, struct span room);
void memory_read(struct broker *broker, struct span room, const struct broker_range *range, broker_read_fn *done,
                 void *arg);
/* The link is up from the end of the turn on. */
void memory_start(struct memory *memory);
struct notice *memory_notice(struct memory *memory, notice_fn *tell);
/* The same about a room, which lives at least as long. */
struct notice *memory_notice_of(struct memory *memory, notice_fn *tell, struct channel *channel);
void memory_done_later(struct memory *memory, broker_done_fn *done, void *arg, enum broker_result result);
struct channel *memory_channel(struct memory *memory, struct span room);
/* The room's number in the journal, which gets to know it. */
uint64_t memory_channel_number(struct memory *memory, struct channel *channel);
struct stored *memory_stored_create(const struct broker_entry *entry);
/* Appends to the room's log what is in the journal already, or about to be. */
void memory_log_append(struct memory *memory, struct channel *channel, struct stored *stored);
/* The last seq of an epoch (empty: the current one); 0, and false, if it is not known. */
bool memory_epoch_end(const struct memory *memory, struct span epoch, uint64_t *end);

/* memory_name.c */
/* Adds the name. False if the room knows it already, for the same message or (BROKER_TAKEN) another one. */
bool memory_name_is_new(struct memory *memory, struct channel *channel, const struct broker_publish *publish,
                        enum broker_result *result);
/* Keeps a name of the room, as its newest. */
void memory_name_add(struct memory *memory, struct channel *channel, const struct named *named, struct span id);
void memory_names_expire(struct memory *memory, struct channel *channel, int64_t now);
void memory_names_finish(struct memory *memory, struct channel *channel);

/* memory_lease.c */
void memory_lease_write(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg);
void memory_lease_claim(struct broker *broker, struct span pid, struct span epoch, uint64_t seq, broker_claim_fn *done,
                        void *arg);
void memory_lease_release(struct broker *broker, const struct broker_lease *lease, bool for_good);
void memory_lease_take(struct broker *broker, struct span pid, uint64_t generation, broker_claim_fn *done, void *arg);
void memory_lease_lapsed(struct broker *broker, struct span watch, broker_claim_fn *done, void *arg);
void memory_lease_end(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg);
/* Whether a lease owns this room; `*is_self` (may be NULL): whether this instance has that lease. */
bool memory_room_has_owner(struct memory *memory, struct span room, bool *is_self);
void memory_leases_sweep(struct memory *memory);
/* Of a replica: the life of the instance with this number has ended; its leases have nobody. */
void memory_leases_leave(struct memory *memory, uint64_t life);
void memory_leases_finish(struct memory *memory);
void memory_kept_destroy(struct kept *kept); /* accepts NULL */
/* A lease of an earlier process, whose owner has gone. */
void memory_lease_restore(struct memory *memory, const struct broker_lease *lease, int64_t until_ms);

/* Of a replica: all leases, those without an owner in the order in which they were left; and one that was told so. */
struct memory_lease {
    struct broker_lease lease;
    int64_t until_ms;
    uint64_t owner;
    bool ended;
    bool taken; /* to be ended */
    bool left;  /* it is watched, and its owner has left it or is gone */
};
typedef void memory_lease_fn(void *arg, const struct memory_lease *lease);
void memory_leases_each(struct memory *memory, memory_lease_fn *each, void *arg);
void memory_lease_put(struct memory *memory, const struct memory_lease *lease);

/* memory_mail.c */
extern const struct mail_ops memory_mail_ops;

/* memory_present.c */
void memory_present_enter(struct broker *broker, struct span room, const struct broker_present *who);
void memory_present_leave(struct broker *broker, struct span room, struct span sid, bool may_return);
void memory_present_list(struct broker *broker, struct span room, uint64_t cursor, uint32_t limit,
                         broker_presence_fn *done, void *arg);
void memory_leaves(struct timer *timer);
void memory_presents_pass(struct memory *memory);
/* Of a replica: the same; its sockets will have left. */
void memory_presents_leave(struct memory *memory, uint64_t life);
void memory_present_finish(struct channel *channel);
/* A socket of an earlier process: it is away, and may return. */
void memory_present_restore(struct memory *memory, struct channel *channel, const struct broker_present *who);
/* Those that were restored have from now on the usual time to return. */
void memory_presents_await(struct memory *memory);

/* Of a replica: all who are present, in the order of coming; and one that was told so. */
struct memory_present {
    struct broker_present who;
    uint64_t owner;
    uint64_t leave_us; /* 0: it is not away */
};
typedef void memory_present_fn(void *arg, struct span room, const struct memory_present *present);
void memory_presents_each(struct memory *memory, memory_present_fn *each, void *arg);
void memory_present_put(struct memory *memory, struct span room, const struct memory_present *present);

/* memory_restore.c */
/* Fills an empty broker from the disk, and notes in its journal that a new epoch begins. */
bool memory_restore(struct memory *memory, struct disk *disk, struct err *err);

#endif

/* memory_parts: what the files of the in-process broker share. For src/broker/ only.
 *
 * Everything happens at once, everything is told later: answers and events wait in one queue, in order, until the end
 * of the turn, so that nobody is called back from within a call. */
#ifndef SENNIT_BROKER_MEMORY_PARTS_H
#define SENNIT_BROKER_MEMORY_PARTS_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "broker/memory.h"

enum { MEMORY_EPOCH_BYTES = 10, MEMORY_AWAY_MS = 4000 };

struct memory {
    struct broker broker;
    struct loop *loop;
    struct map channels, leases, owned; /* rooms; leases by pid; leases by the room they own */
    struct list queue;                  /* notices */
    struct list away;                   /* those present who may return, the first to leave in front */
    struct task tell;
    struct timer sweep;  /* of leases, and the position */
    struct timer leaves; /* the first of `away` */
    uint64_t seq;
    uint64_t log_bytes, store_bytes_max;
    uint64_t logs;             /* that are not empty */
    uint64_t rooms, rooms_max; /* whose newest entry is known */
    uint64_t sweeps;
    char epoch[MEMORY_EPOCH_BYTES];
};

struct stored {
    struct list of_log;
    struct broker_entry entry; /* its spans point into `bytes` */
    char bytes[];              /* audience, body */
};

/* A client's name for a message, remembered for the age that the log keeps, whatever becomes of the entry. */
struct named {
    struct map_node by_id;
    struct list of_room;
    int64_t until_ms;
    uint64_t digest; /* of the message's body */
    char id[];
};

struct channel {
    struct map_node by_room;
    char *name;
    struct list log;
    struct map ids;
    struct list names;   /* of messages, in the order in which they came */
    size_t count, bytes; /* in the log */
    uint64_t last;
    int64_t newest_ms;   /* when that was */
    uint64_t age_ms_max; /* as it was logged with */
    bool wanted;         /* the last word was to subscribe; */
    bool subscribed;     /* and that was confirmed */
    struct list present; /* in the order in which they came */
    struct map present_by_sid;
    uint64_t present_number; /* of the last who came */
};

/* One thing to tell. */
struct notice;
typedef void notice_fn(struct memory *memory, struct notice *notice);
struct notice {
    struct list queued;
    notice_fn *tell;
    union {
        broker_done_fn *done;
        broker_read_fn *read;
        broker_claim_fn *claim;
        broker_presence_fn *presence;
        broker_stats_fn *stats;
    } call; /* to be answered, also at the end; all NULL: an event */
    void *arg;
    enum broker_result result;
    struct channel *channel;
    bool flag;       /* position_ok, entered, or for its owner */
    uint64_t number; /* generation, position, or count */
    uint64_t cursor;
    struct broker_page page;
    struct stored *copy; /* of what is pushed */
    struct stored **copies;
    struct kept *lease;
    struct buf text; /* of those present: texts one behind the other */
    size_t *lens;    /* theirs: sid, tells, sid, ... */
    size_t len_count;
};

static inline struct memory *memory_of(struct broker *broker)
{
    return container_of(broker, struct memory, broker);
}

/* memory.c */
struct notice *memory_notice(struct memory *memory, notice_fn *tell);
void memory_done_later(struct memory *memory, broker_done_fn *done, void *arg, enum broker_result result);
struct channel *memory_channel(struct memory *memory, struct span room);

/* memory_lease.c */
void memory_lease_write(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg);
void memory_lease_claim(struct broker *broker, struct span pid, struct span epoch, uint64_t seq, broker_claim_fn *done,
                        void *arg);
void memory_lease_release(struct broker *broker, const struct broker_lease *lease, bool for_good);
/* Somebody holds a lease that owns this room. */
bool memory_room_has_owner(struct memory *memory, struct span room);
void memory_leases_sweep(struct memory *memory);
void memory_leases_finish(struct memory *memory);
void memory_kept_destroy(struct kept *kept); /* accepts NULL */

/* memory_present.c */
void memory_present_enter(struct broker *broker, struct span room, const struct broker_present *who);
void memory_present_leave(struct broker *broker, struct span room, struct span sid, bool may_return);
void memory_present_list(struct broker *broker, struct span room, uint64_t cursor, uint32_t limit,
                         broker_presence_fn *done, void *arg);
void memory_leaves(struct timer *timer);
void memory_present_finish(struct channel *channel);

#endif

/* memory_parts: the state and functions that the files of the in-process broker share. For src/broker/ only.
 *
 * A call takes effect at once. Its answer and its events wait in one queue, in order, until the end of the turn, so
 * that no callback runs inside a call. */
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
    struct list away;                   /* present sockets that may return, the first to leave in front */
    struct task tell;
    struct timer sweep;  /* of leases, and the position */
    struct timer leaves; /* the first of `away` */
    uint64_t seq;
    uint64_t log_bytes, store_bytes_max;
    uint64_t logs;             /* number of logs that are not empty */
    uint64_t rooms, rooms_max; /* number of rooms whose newest entry is known */
    uint64_t sweeps;
    char epoch[MEMORY_EPOCH_BYTES];
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
    uint64_t age_ms_max; /* of its retention */
    bool wanted;         /* the last call was to subscribe */
    bool subscribed;     /* the subscription was confirmed */
    struct list present; /* in order of entering */
    struct map present_by_sid;
    uint64_t present_number; /* of the last that entered */
};

/* An answer or event in the queue. */
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
        mail_sent_fn *mailed;
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
    size_t *lens;    /* of these texts: sid, data, sid, ... */
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
/* Whether a lease owns this room. */
bool memory_room_has_owner(struct memory *memory, struct span room);
void memory_leases_sweep(struct memory *memory);
void memory_leases_finish(struct memory *memory);
void memory_kept_destroy(struct kept *kept); /* accepts NULL */

/* memory_mail.c */
extern const struct mail_ops memory_mail_ops;

/* memory_present.c */
void memory_present_enter(struct broker *broker, struct span room, const struct broker_present *who);
void memory_present_leave(struct broker *broker, struct span room, struct span sid, bool may_return);
void memory_present_list(struct broker *broker, struct span room, uint64_t cursor, uint32_t limit,
                         broker_presence_fn *done, void *arg);
void memory_leaves(struct timer *timer);
void memory_present_finish(struct channel *channel);

#endif

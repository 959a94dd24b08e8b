/* redis_parts: what the files of the Redis broker share. For src/broker/ only.
 *
 *     DOWN --> CONNECTING (both links) --> GREETING (login, scripts, epoch) --> UP
 *       ^--------------------- either link broke, after a backoff ---------------/
 */
#ifndef SENNIT_BROKER_REDIS_PARTS_H
#define SENNIT_BROKER_REDIS_PARTS_H

#include "broker/redis.h"
#include "broker/redis_answer.h"
#include "broker/redis_link.h"
#include "broker/redis_url.h"
#include "broker/redis_window.h"
#include "loop/resolve.h"

enum redis_state { REDIS_DOWN, REDIS_CONNECTING, REDIS_GREETING, REDIS_UP };

enum redis_script {
    SCRIPT_CHECK,
    SCRIPT_OPEN,
    SCRIPT_PUBLISH,
    SCRIPT_READ,
    SCRIPT_FENCE,
    SCRIPT_LEASE_WRITE,
    SCRIPT_LEASE_CLAIM,
    SCRIPT_LEASE_RELEASE,
    SCRIPT_PRESENT,
    SCRIPT_PRESENT_LIST,
    SCRIPT_PULSE,
    SCRIPT_COUNT
};
enum {
    SHA_BYTES = 40,
    RUN_ID_BYTES_MAX = 64,
    LIFE_BYTES_MAX = 64,
    LIFE_MS = 2500,     /* without a pulse for so long, a life has ended */
    AWAY_MS = 4000,     /* whoever is away for so long has left */
    GONE_MS = 3500,     /* so long after its last pulse those of a life that ended have: with two more pulses until all
                         * are told, that is within 5 s */
    META_MS = 86400000, /* a room's meta outlives its log by so long at least: longer than any lease */
    FENCE_ROOMS_MAX = 200,     /* in one call */
    READS_MAX = 16,            /* under way on the command link; the others wait here, */
    READS_BYTES_MAX = 4 << 20, /* also when they may bring more than this together */
    INVALID_MAX = 5,           /* answers that make no sense, in a row, before that is told */
    SPOILED_TELL_MS = 10000    /* keys that are not ours are told so often */
};

struct redis_broker {
    struct broker broker;
    struct net *net;
    struct loop *loop;
    struct redis_url url;
    struct tls_client *tls; /* NULL: plain */
    char *prefix, *instance;
    /* Made from those. */
    char *key_prefix, *state_key, *publisher_key, *recent_key, *lives_key, *away_key, *rooms_key, *sizes_key,
        *heres_key;
    char *inbox;
    struct redis_link commands, feed;
    struct resolve *resolve;
    size_t address; /* of the name's, counted on: the one to try */
    struct timer backoff;
    uint64_t backoff_ms;
    uint8_t state; /* enum redis_state */
    bool destroying, complained;
    bool proven;   /* it was up once: what is wrong now may pass */
    bool unusable; /* it was found to be of no use, and that was told */
    uint64_t up_since_us;
    uint32_t invalid_count; /* answers that made no sense since a link was last good for a while */
    bool invalid_told;
    uint64_t spoiled_told_us;          /* when that was last said; 0: never */
    uint64_t spoiled_count;            /* since then */
    uint64_t full_told_us, full_count; /* the same of refused publishes */
    char *trouble_text;                /* why it is not to be relied on: broker.trouble */
    uint64_t troubles;                 /* a bit for each that kept a link from coming up and was logged */
    char sha[SCRIPT_COUNT][SHA_BYTES];
    char run_id[RUN_ID_BYTES_MAX];
    size_t run_id_len;
    int greetings_left; /* answers awaited before the epoch can be opened */
    char epoch[BROKER_EPOCH_BYTES_MAX];
    size_t epoch_len;
    uint64_t life_number;
    char life[LIFE_BYTES_MAX]; /* this instance's name from one `up` to the next `down`: `<instance>:<number>` */
    char *of_key;              /* the set of what that life has */
    /* Publishing: redis_publish.c. */
    struct list publishes, flying; /* waiting; in the call under way */
    struct list held_back;         /* to be logged, older than those waiting: while Redis has no memory for them */
    size_t backlog_bytes;
    uint64_t call_number; /* of the last call made */
    bool call_out, rebase;
    struct task publish_flush;
    struct timer publish_retry;
    struct broker_bounds bounds;
    uint64_t store_bytes_max; /* those of the bounds, or what Redis' memory says */
    bool evicts;              /* Redis was seen to drop keys */
    int pressure;             /* 0: Redis has memory; 1: three quarters are used; 2: nine tenths */
    uint64_t info_due_us;     /* when to look again */
    /* Reading: redis_log.c. */
    struct list reads; /* that wait */
    size_t reads_out, reads_bytes_out;
    struct task read_flush;
    /* The feed: redis_feed.c. */
    uint64_t feed_number; /* of the subscriber link: what an earlier one asked for may still come through the inbox */
    uint64_t feed_top;    /* of all seqs that it brought */
    struct redis_window subscriptions;
    struct list fences; /* rooms whose subscription was confirmed this turn */
    size_t fence_count;
    struct task fence_flush;
    /* Heartbeat and probes: redis_pulse.c. */
    struct timer pulse;
    uint64_t pulse_due_us, looked_us;
    uint64_t feed_seen_us;    /* something came */
    uint64_t silent_since_us; /* a probe was accepted and nothing has come since; 0: no such probe */
    struct list probes;
    uint64_t probe_number, probe_taken, probe_seen; /* sent; answered on the command link; come back on the feed */
    /* Presence: redis_present.c. */
    struct redis_window presence;
    struct list present_calls;
    uint64_t present_number;
    /* Calls made while the link is down are answered later. */
    struct list refused;
    struct task refuse;
};

static inline struct redis_broker *redis_of(struct broker *broker)
{
    return container_of(broker, struct redis_broker, broker);
}

/* redis_eval.c: an EVALSHA in the making. */
struct eval {
    struct buf command;
    size_t args; /* still to come */
};
void eval_start(struct eval *eval, const struct redis_broker *redis, enum redis_script script, size_t keys,
                size_t args);
void eval_add(struct eval *eval, struct span arg);
void eval_add_u64(struct eval *eval, uint64_t number);
/* The key "PREFIX:{0}:KIND:NAME". */
void eval_add_key(struct eval *eval, const struct redis_broker *redis, const char *kind, struct span name);
void eval_send(struct eval *eval, struct redis_broker *redis, redis_reply_fn *done, void *arg);
void eval_send_within(struct eval *eval, struct redis_window *window, redis_reply_fn *done, void *arg);
/* "PREFIX:{0}:push:ROOM", the name of a room's channel, appended. */
void redis_channel(struct buf *to, const struct redis_broker *redis, struct span room);

/* redis_greeting.c: both links are connected: logs in, looks whether this Redis will do, loads the scripts, opens the
 * epoch. Ends in redis_up, redis_unusable or redis_break. */
void redis_greet(struct redis_broker *redis);

/* redis.c */
/* The greeting is done; `previous`: the epoch before, empty when it is the same; `last`, `refused`: this publisher's
 * last call. */
void redis_up(struct redis_broker *redis, struct span previous, uint64_t previous_end, uint64_t last,
              struct answer *refused);
/* Nothing will help but the operator. Says so once; then it is told over and over, in case it was proven before. */
void redis_unusable(struct redis_broker *redis, const char *why);
/* Others took this life for ended; whoever was present here has been taken for gone: they enter again under another. */
void redis_life_ended(struct redis_broker *redis);
/* Breaks both links: they come up again after a backoff. */
void redis_break(struct redis_broker *redis, enum close_reason reason);
/* Redis answered what it must not: says which answer it was, breaks the links, and after some in a row says that this
 * goes on. */
void redis_invalid(struct redis_broker *redis, const char *which);
/* What lies under a key is not ours, or damaged: says so now and then, with the key and the cure. `while_doing`: what
 * could not be done. */
void redis_spoiled(struct redis_broker *redis, const char *while_doing, struct span key);
/* True for the error `SPOILED <key>`, which is told; the link goes on. */
bool redis_is_spoiled(struct redis_broker *redis, const struct resp *reply, const char *while_doing);
/* The link has been up for a while: what was wrong before is over. */
void redis_is_good(struct redis_broker *redis);
/* Why the broker is not to be relied on (NULL: it is), told in the log when it changes. */
void redis_trouble_set(struct redis_broker *redis, const char *why);
/* Answers from the loop that the link is down. */
void redis_refuse(struct redis_broker *redis, redis_reply_fn *answer, void *arg);
/* True for an error reply; those that mean that the greeting must be done again break the link. */
bool redis_is_error(struct redis_broker *redis, const struct resp *reply, const char *what);
/* What of an answer of Redis may stand in the log: never a login, whatever Redis made of it. */
struct span redis_quote(const struct redis_broker *redis, struct span answer);
/* The value of `name` (with its colon) in INFO's answer, or a span with NULL data. */
struct span redis_info_get(struct span info, struct span name);

/* redis_memory.c: INFO's memory section, whoever asked for it. */
void redis_memory_seen(struct redis_broker *redis, struct span info);
/* Asks for it when it is time. */
void redis_memory_look(struct redis_broker *redis);
/* What of INFO makes this Redis lose what it accepted, in words; NULL: nothing. To be freed. */
char *redis_eviction_text(struct span info);

/* redis_publish.c */
void redis_publish_init(struct redis_broker *redis);
bool redis_publish(struct broker *broker, const struct broker_publish *publish, broker_done_fn *done, void *arg);
/* The link is up; `last` is the publisher's last call that the server knows, then comes what of it was refused. */
void redis_publish_resume(struct redis_broker *redis, uint64_t last, struct answer *refused);
void redis_publish_finish(struct redis_broker *redis);

/* redis_feed.c */
void redis_feed_init(struct redis_broker *redis);
void redis_subscribe(struct broker *broker, struct span room);
void redis_unsubscribe(struct broker *broker, struct span room);
void redis_feed_received(struct redis_broker *redis, const struct resp *reply);
void redis_feed_down(struct redis_broker *redis);

/* redis_pulse.c */
void redis_pulse_init(struct redis_broker *redis);
void redis_pulse_start(struct redis_broker *redis);
void redis_probe(struct broker *broker, broker_done_fn *done, void *arg);
void redis_probe_received(struct redis_broker *redis, uint64_t number);
void redis_pulse_down(struct redis_broker *redis);

/* redis_log.c */
void redis_log_init(struct redis_broker *redis);
void redis_log_down(struct redis_broker *redis);
void redis_read(struct broker *broker, struct span room, const struct broker_range *range, broker_read_fn *done,
                void *arg);

/* redis_lease.c */
void redis_lease_write(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg);
void redis_lease_claim(struct broker *broker, struct span pid, struct span epoch, uint64_t seq, broker_claim_fn *done,
                       void *arg);
void redis_lease_release(struct broker *broker, const struct broker_lease *lease, bool for_good);

/* redis_present.c */
void redis_present_init(struct redis_broker *redis);
void redis_present_enter(struct broker *broker, struct span room, const struct broker_present *who);
void redis_present_leave(struct broker *broker, struct span room, struct span sid, bool may_return);
void redis_present_list(struct broker *broker, struct span room, uint64_t cursor, uint32_t limit,
                        broker_presence_fn *done, void *arg);
/* What follows the word "present"; false when it makes no sense. */
bool redis_present_received(struct redis_broker *redis, struct words *words);
void redis_present_down(struct redis_broker *redis);

/* redis_stats.c */
void redis_stats(struct broker *broker, broker_stats_fn *done, void *arg);

#endif

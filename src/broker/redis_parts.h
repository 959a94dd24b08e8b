/* redis_parts: what the files of the Redis broker share. For src/broker/ only.
 *
 *     DOWN --> CONNECTING (both links) --> GREETING (login, scripts, epoch) --> UP
 *       ^--------------------- either link broke, after a backoff ---------------/
 */
#ifndef SENNIT_BROKER_REDIS_PARTS_H
#define SENNIT_BROKER_REDIS_PARTS_H

#include "broker/redis.h"
#include "broker/redis_link.h"
#include "broker/redis_url.h"
#include "loop/resolve.h"

enum redis_state { REDIS_DOWN, REDIS_CONNECTING, REDIS_GREETING, REDIS_UP };

enum redis_script {
    SCRIPT_OPEN,
    SCRIPT_PUBLISH,
    SCRIPT_READ,
    SCRIPT_FENCE,
    SCRIPT_LEASE_WRITE,
    SCRIPT_LEASE_CLAIM,
    SCRIPT_LEASE_DELETE,
    SCRIPT_COUNT
};
enum { SHA_BYTES = 40, RUN_ID_BYTES_MAX = 64 };

struct redis_broker {
    struct broker broker;
    struct net *net;
    struct loop *loop;
    struct redis_url url;
    struct tls_client *tls; /* NULL: plain */
    char *prefix, *instance;
    char *state_key, *publisher_key, *inbox; /* made from those */
    struct redis_link commands, feed;
    struct resolve *resolve;
    size_t address; /* of the name's, counted on: the one to try */
    struct timer backoff;
    struct timer pulse; /* the self-probe */
    uint64_t backoff_ms;
    uint8_t state; /* enum redis_state */
    bool destroying, complained;
    uint64_t troubles; /* a bit for each that kept a link from coming up and was logged */
    char sha[SCRIPT_COUNT][SHA_BYTES];
    char run_id[RUN_ID_BYTES_MAX];
    size_t run_id_len;
    int greetings_left; /* answers awaited before the epoch can be opened */
    char epoch[BROKER_EPOCH_BYTES_MAX];
    size_t epoch_len;
    /* Publishing: redis_publish.c. */
    struct list publishes, flying; /* waiting; in the call under way */
    size_t backlog_bytes;
    uint64_t call_number; /* of the last call made */
    bool call_out, rebase;
    struct task publish_flush;
    struct timer publish_retry;
    /* Probes: redis_feed.c. */
    struct list probes;
    uint64_t probe_number;
    uint64_t pulse_sent_us, pulse_seen_us;
    /* Calls made while the link is down are answered later. */
    struct list refused;
    struct task refuse;
};

static inline struct redis_broker *redis_of(struct broker *broker)
{
    return container_of(broker, struct redis_broker, broker);
}

/* redis.c: an EVALSHA in the making. */
struct eval {
    struct buf command;
    size_t args, keys; /* counted */
};
void eval_start(struct eval *eval, const struct redis_broker *redis, enum redis_script script, size_t keys,
                size_t args);
void eval_add(struct eval *eval, struct span arg);
void eval_add_u64(struct eval *eval, uint64_t number);
/* `kind` is "log", "room", "lease" or "id"; `rest` (may be empty) goes behind the name. */
void eval_add_key(struct eval *eval, const struct redis_broker *redis, const char *kind, struct span name);
void eval_send(struct eval *eval, struct redis_broker *redis, redis_reply_fn *done, void *arg);
/* Breaks both links: they come up again after a backoff. */
void redis_break(struct redis_broker *redis, enum close_reason reason);
/* Answers from the loop that the link is down. */
void redis_refuse(struct redis_broker *redis, void (*answer)(void *arg, const struct resp *reply), void *arg);
/* True for an error reply; those that mean that the greeting must be done again break the link. */
bool redis_is_error(struct redis_broker *redis, const struct resp *reply, const char *what);
/* The name of a channel, "PREFIX:{0}:push:ROOM", appended. */
void redis_channel(struct buf *to, const struct redis_broker *redis, struct span room);

/* redis_publish.c */
void redis_publish_init(struct redis_broker *redis);
bool redis_publish(struct broker *broker, const struct broker_publish *publish, broker_done_fn *done, void *arg);
/* The link is up; `last` is the publisher's last call that the server knows. */
void redis_publish_resume(struct redis_broker *redis, uint64_t last);
void redis_publish_finish(struct redis_broker *redis);

/* redis_feed.c */
void redis_subscribe(struct broker *broker, struct span room);
void redis_unsubscribe(struct broker *broker, struct span room);
void redis_probe(struct broker *broker, broker_done_fn *done, void *arg);
void redis_feed_received(struct redis_broker *redis, const struct resp *reply);
void redis_pulse_start(struct redis_broker *redis);
void redis_probes_lost(struct redis_broker *redis);

/* redis_log.c */
void redis_read(struct broker *broker, struct span room, uint64_t after, uint32_t limit, broker_read_fn *done,
                void *arg);
void redis_read_newest(struct broker *broker, struct span room, uint32_t limit, broker_read_fn *done, void *arg);

/* redis_lease.c */
void redis_lease_write(struct broker *broker, const struct broker_lease *lease, uint64_t life_ms, broker_done_fn *done,
                       void *arg);
void redis_lease_claim(struct broker *broker, struct span pid, struct span epoch, uint64_t seq, uint64_t life_ms,
                       broker_claim_fn *done, void *arg);
void redis_lease_delete(struct broker *broker, struct span pid, uint64_t generation);

#endif

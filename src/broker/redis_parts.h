/* redis_parts: the state and functions that the files of the Redis broker share. For src/broker/ only.
 *
 * REDIS_MOVES:
 *
 *     DOWN --dialed--> CONNECTING --both links are open--> GREETING --login, scripts, epoch--> UP
 *     (any) --either link broke--> DOWN
 *
 * The state that belongs to one task stands in a struct of its own, and one file writes it. */
#ifndef SENNIT_BROKER_REDIS_PARTS_H
#define SENNIT_BROKER_REDIS_PARTS_H

#include "broker/giving.h"
#include "broker/pending.h"
#include "broker/redis.h"
#include "broker/redis_answer.h"
#include "broker/redis_link.h"
#include "broker/redis_sentinel.h"
#include "broker/redis_url.h"
#include "broker/redis_window.h"
#include "broker/waiting.h"
#include "loop/resolve.h"
#include "net/tls.h"

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
    SCRIPT_RECORD_ASK,
    SCRIPT_RECORD_PASS,
    SCRIPT_RECORD_END,
    SCRIPT_RECORD_LIST,
    SCRIPT_COUNT
};
enum {
    SHA_BYTES = 40,
    RUN_ID_BYTES_MAX = 64,
    LIFE_BYTES_MAX = 64,
    LIFE_MS = 2500,     /* a life without a pulse for this long has ended */
    AWAY_MS = 4000,     /* a socket that is away for this long has left */
    GONE_MS = 3500,     /* the sockets of an ended life have left this long after its last pulse; with two more pulses
                         * until the others are told, that is within 5 s */
    META_MS = 86400000, /* a room's meta outlives its log by this time at least, which is longer than any lease */
    FENCE_ROOMS_MAX = 200,     /* in one call */
    READS_MAX = 16,            /* under way on the command link; further reads wait, */
    READS_BYTES_MAX = 4 << 20, /* also if the answers together may exceed this */
    CHECKED_MS = 1000,         /* permissions are looked at once in this time */
    DENIED_MS = 5000,          /* a missing permission breaks the links once in this time */
    INVALID_MAX = 5,           /* invalid answers in a row, before the broker counts as in trouble */
    SPOILED_TELL_MS = 10000    /* interval of log lines about keys with foreign data */
};

/* The keys and channels, and the present life. Written by redis_names.c only. */
struct redis_names {
    char *prefix; /* of all keys: `<the setting>:{0}:`. The tag puts the partition into one slot of a cluster */
    char *state, *publisher, *recent, *lives, *away, *rooms, *sizes, *heres; /* keys */
    char *instance;                                                          /* its name, as configured */
    char *inbox;                                                             /* its channel */
    uint64_t life_number;
    char life[LIFE_BYTES_MAX]; /* this instance's name from one `up` to the next `down`: `<instance>:<number>` */
    char *of_life;             /* the key of the set of what that life has; NULL before the first */
};

/* Which Redis to connect to, and when. Written by redis_dial.c only. */
struct redis_dial {
    struct addr addr; /* of the last try */
    struct resolve *resolve;
    size_t address; /* index of the name's address to try next; only counts up */
    char *primary;  /* that Sentinels or MOVED named; NULL: none so far */
    uint16_t primary_port;
    bool is_asking; /* for the primary, to connect to it */
    struct timer backoff;
    uint64_t backoff_ms;
    /* Reasons that kept a link from coming up and have been logged in this outage. */
    bool closes_told[CLOSE_REASON_COUNT], faults_told[TLS_FAULT_OTHER + 1];
};

/* Facts about the server that answers. Written by redis_greeting.c only. */
struct redis_greeting {
    char sha[SCRIPT_COUNT][SHA_BYTES];
    char run_id[RUN_ID_BYTES_MAX];
    size_t run_id_len;
    int left;            /* answers awaited before the epoch can be opened */
    uint64_t checked_us; /* time of the last redis_check_again; 0: never */
    char epoch[BROKER_EPOCH_BYTES_MAX];
    size_t epoch_len; /* 0: none was opened so far */
};

/* Faults, and which of them were logged. Written by redis_trouble.c only. */
struct redis_trouble {
    bool told;              /* something was, since the link last worked */
    bool proven;            /* it was up once, so a present problem may pass */
    bool unusable;          /* it cannot be used, and the watcher was told */
    bool unfit;             /* it was up once and cannot be used now: the text says why */
    char *text;             /* that of broker.trouble */
    uint64_t denied_us;     /* time at which a missing permission broke the links; 0: never */
    uint32_t invalid_count; /* invalid answers since a link was last good for a while */
    bool invalid_told;
    uint64_t spoiled_told_us; /* time of the last log line about foreign data; 0: none */
    uint64_t spoiled_count;   /* cases since then */
};

/* Calls made while the link is down are answered later, with NULL. Written by redis.c only. */
struct redis_refusals {
    struct list waiting;
    struct task flush;
};

/* Written by redis_publish.c only. */
struct redis_publishing {
    struct list waiting, flying; /* flying: in the call under way */
    struct list held_back;       /* to be logged, older than those waiting: while Redis has no memory for them */
    size_t backlog_bytes;        /* of all three */
    uint64_t call_number;        /* of the last publishing call */
    bool call_out, rebase;
    struct task flush;
    struct timer retry;
    uint64_t full_told_us, full_count; /* the last log line about refused publishes, and how many since then */
};

/* Reads on the command link. Written by redis_log.c only. */
struct redis_reading {
    struct list waiting;
    size_t out, bytes_out;
    struct task flush;
};

/* Messages on the subscriber link. Written by redis_feed.c only. */
struct redis_pushes {
    uint64_t number;            /* of that link; answers for an earlier one may still arrive through the inbox */
    uint64_t top;               /* the highest seq that it brought */
    struct redis_window window; /* subscriptions */
    struct list fences;         /* rooms whose subscription was confirmed this turn */
    size_t fence_count;
    struct task fence_flush;
};

/* Written by redis_present.c only. */
struct redis_presence {
    struct redis_window window; /* entries and departures under way */
    struct pending calls;
};

/* How full Redis is. Written by redis_memory.c only. */
struct redis_memory {
    uint64_t store_bytes_max; /* that of the bounds, or derived from Redis' maxmemory */
    bool evicts;              /* Redis may evict keys */
    int pressure;             /* 0: Redis has memory; 1: three quarters are used; 2: nine tenths */
    uint64_t info_due_us;     /* time of the next check */
};

/* Heartbeat and probes. Written by redis_pulse.c only. */
struct redis_pulse {
    struct timer timer;
    uint64_t up_since_us;
    uint64_t due_us, looked_us;
    uint64_t feed_seen_us;    /* time of the feed's last message */
    uint64_t silent_since_us; /* a probe was accepted then, and the feed has been silent since; 0: no such probe */
    struct pending probes;    /* heartbeats have numbers among them */
    uint64_t probe_taken, probe_seen; /* answered on the command link; received on the feed */
};

/* A connection that finds out what the port speaks: redis_port.c. */
struct redis_port {
    struct conn conn;
    struct timer silence;   /* a TLS handshake is not answered */
    struct tls_client *tls; /* NULL: not needed so far */
    const char *why;        /* the fault with its cure; NULL: none was found */
    uint32_t cuts;          /* plain connections that ended without a word */
    bool busy;
};

/* Nodes of a cluster that it told us of, to ask when those of the URL are away. Written by redis_cluster.c only. */
struct redis_cluster {
    bool is_one; /* as INFO says */
    struct redis_place known[REDIS_SEEDS_MAX];
    size_t known_count;
    size_t next; /* of the URL's nodes and these; only counts up */
};

/* Sharded Pub/Sub on a cluster. Written by redis_sharded.c only. */
struct redis_sharded {
    bool listens; /* the feed is subscribed to our channels' sharded namesakes, too, and the fleet can see it */
    bool failed;  /* a heartbeat failed so: it publishes to the others until the links are made anew */
    bool told;    /* why it does without, since there is this broker */
    char sha[SCRIPT_COUNT][SHA_BYTES], enlist[SHA_BYTES];
};

struct redis_broker {
    struct broker broker;
    struct net *net;
    struct loop *loop;
    struct redis_url url;
    struct broker_bounds bounds;
    struct tls_client *tls; /* NULL: plain */
    uint8_t state;          /* enum redis_state; redis_move */
    bool destroying;
    struct redis_link commands, feed;
    struct redis_names names;
    struct redis_dial dial;
    struct redis_port port;
    struct redis_sentinel sentinel; /* unused without Sentinels */
    struct redis_cluster cluster;
    struct redis_sharded sharded;
    struct redis_greeting greeting;
    struct redis_trouble trouble;
    struct redis_memory memory;
    struct redis_pulse pulse;
    struct redis_publishing publishing;
    struct redis_reading reading;
    struct redis_pushes pushes;
    struct redis_presence presence;
    struct redis_refusals refusals;
    struct giving *giving; /* redis_record.c: the record that is being given, during that call; NULL: none */
};

static inline struct redis_broker *redis_of(struct broker *broker)
{
    return container_of(broker, struct redis_broker, broker);
}

/* redis_names.c */
void redis_names_init(struct redis_broker *redis, const char *prefix, const char *instance);
/* Each time the links come up, this instance begins another life. The new life takes over presence and leases of the
 * one before; another instance cleans up the rest. Numbers of lives rise, so late messages of an earlier one are
 * recognized. */
void redis_names_life_begin(struct redis_broker *redis);
void redis_names_finish(struct redis_names *names);

/* redis_dial.c */
void redis_dial_init(struct redis_broker *redis);
/* Connects after a backoff. */
void redis_dial_again(struct redis_broker *redis);
/* The links did not come up as far as a greeting that ends well: says why, once for each reason in an outage. Another
 * address is tried next. */
void redis_dial_failed(struct redis_broker *redis, const struct redis_link *link);
/* The links are up: the next outage is logged again. */
void redis_dial_up(struct redis_broker *redis);
/* They have been up for a while: the next outage begins with the shortest backoff. */
void redis_dial_good(struct redis_broker *redis);
/* The node that a cluster named, to connect to from now on; `host` is copied. NULL data: the one named before is
 * forgotten. */
void redis_dial_primary(struct redis_broker *redis, struct span host, uint16_t port);
void redis_dial_stop(struct redis_broker *redis);
void redis_dial_finish(struct redis_dial *dial);

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

/* redis_greeting.c: called when both links are connected. Logs in, checks that this Redis is usable, loads the scripts
 * and opens the epoch. Ends in redis_up, redis_unusable or redis_break. */
void redis_greet(struct redis_broker *redis);
/* A write failed that should not: finds out, once in a while, whether a permission is missing. If so, ends in
 * redis_unusable. */
void redis_check_again(struct redis_broker *redis);
/* Redis refused `what`. A fault that may pass is logged once, and the greeting is tried again later. */
void redis_greeting_failed(struct redis_broker *redis, const char *what, struct span answer);
/* One of `left` has been answered. */
void redis_greeting_answered(struct redis_broker *redis);
/* The text of a script as the repository has it. */
const char *redis_script_text(enum redis_script script);

/* redis_fit.c */
/* Whether a server that answers INFO so runs as a `cluster` or a `sentinel`. Valkey names the field anew. */
bool redis_mode_is(struct span info, struct span mode);
/* The cure of an error that does not pass by itself, or NULL. */
const char *redis_remedy(struct span answer);
/* Advice for an error that may pass. */
const char *redis_hint(struct span answer);
/* Why this Redis will not do, according to INFO, with the cure; NULL: it will. The caller frees it. */
char *redis_unfit_text(const struct redis_broker *redis, struct span info);

/* redis_cluster.c: all keys are in one slot, so one node of a cluster has them. Any node names it (MOVED). */
/* The Redis to connect to: that which the cluster named, else one of its nodes; without a cluster the URL's. The host
 * is borrowed until the next call of this file. */
struct redis_place redis_cluster_place(const struct redis_broker *redis);
/* The Redis of the last try did not come up: another node is asked. */
void redis_cluster_failed(struct redis_broker *redis);
/* Asks for the cluster's nodes, as one part of the greeting. */
void redis_cluster_greet(struct redis_broker *redis, redis_reply_fn *done);
void redis_cluster_nodes(struct redis_broker *redis, const struct resp *reply);
/* True for an error by which a node sends us elsewhere, or away for now: breaks the links. */
bool redis_cluster_sends_away(struct redis_broker *redis, struct span error);
void redis_cluster_finish(struct redis_broker *redis);

/* redis_sharded.c */
/* The links are being made: nothing is known yet. */
void redis_sharded_begin(struct redis_broker *redis);
/* Begins to listen to sharded channels, as a part of the greeting of a cluster, and says so to the fleet. */
void redis_sharded_greet(struct redis_broker *redis);
/* Says so again, before each heartbeat. */
void redis_sharded_pulse(struct redis_broker *redis);
/* A heartbeat failed. If that may be for the sharded channels, the scripts do without from now on. */
void redis_sharded_failed(struct redis_broker *redis);
/* The digest by which the server knows this script, in the form that is to run. */
struct span redis_sharded_script(const struct redis_broker *redis, enum redis_script script);

/* redis_port.c */
/* The protocol that begins with these bytes, with the cure, or NULL: it is not known. */
const char *redis_stranger_text(struct span first);
void redis_port_init(struct redis_port *port);
/* The links are being made. If TLS is not answered, finds out whether the port speaks plain text. */
void redis_port_connecting(struct redis_broker *redis);
/* A plain connection ended without a word: finds out, now and then, whether the port speaks TLS. Either ends in
 * redis_unusable, and does nothing once the broker was up. */
void redis_port_cut(struct redis_broker *redis);
/* Ends what is under way; the connection is reaped with the links. */
void redis_port_end(struct redis_broker *redis);
void redis_port_finish(struct redis_port *port);

/* redis.c */
void redis_move(struct redis_broker *redis, enum redis_state state);
/* The greeting is done. `previous`: the epoch before, empty if it is the same. `last` and `refused`: number of this
 * publisher's last call, and the entries of it that were refused. */
void redis_up(struct redis_broker *redis, struct span previous, uint64_t previous_end, uint64_t last,
              struct answer *refused);
/* Breaks both links: they come up again after a backoff. */
void redis_break(struct redis_broker *redis, enum close_reason reason);
/* The link has been up for a while: earlier invalid answers are over. */
void redis_is_good(struct redis_broker *redis);
/* Answers from the loop with NULL: the link is down. */
void redis_refuse(struct redis_broker *redis, redis_reply_fn *answer, void *arg);
/* The value of `name` (with its colon) in INFO's answer, or a span with NULL data. */
struct span redis_info_get(struct span info, struct span name);

/* redis_trouble.c */
/* Notes that something is wrong. True for the first time since the link last worked: it is to be logged then. */
bool redis_complains(struct redis_broker *redis);
/* The link works, so the next complaint is logged again. */
void redis_complaint_over(struct redis_broker *redis);
/* The links are up: a fault that was not a lasting one is over. */
void redis_trouble_up(struct redis_broker *redis);
/* They have been up for a while: earlier invalid answers are over. */
void redis_trouble_good(struct redis_broker *redis);
void redis_trouble_finish(struct redis_trouble *trouble);
/* Only the operator can help: logs `why` once for each outage, and breaks the links, which are tried again after a
 * backoff. If the broker was never up, tells the watcher; else sets the trouble until it is up again. */
void redis_unusable(struct redis_broker *redis, const char *why);
/* Other instances have ended this life, and its sockets count as gone: breaks the links. The next `up` begins another
 * life, and sockets enter again. */
void redis_life_ended(struct redis_broker *redis);
/* Redis sent an invalid answer: logs which one, breaks the links, and after INVALID_MAX in a row sets the trouble. */
void redis_invalid(struct redis_broker *redis, const char *which);
/* A key holds foreign or damaged data: logs the key and the cure, every SPOILED_TELL_MS at most. `while_doing`: the
 * operation that failed. */
void redis_spoiled(struct redis_broker *redis, const char *while_doing, struct span key);
/* True for the error `SPOILED <key>`, which it logs; the link stays up. */
bool redis_is_spoiled(struct redis_broker *redis, const struct resp *reply, const char *while_doing);
/* Sets broker.trouble (NULL: none), and logs a change. */
void redis_trouble_set(struct redis_broker *redis, const char *why);
/* Whether an error has this code. From within a script it is written in other ways: `READONLY ...`, or before Redis 7
 * `ERR Error running script (...): ... -READONLY ...`. */
bool redis_error_is(struct span error, struct span code);
/* Whether an error is about a missing permission: `NOPERM ...`; before Redis 7.0 `ERR ... @user_script: 12: -NOPERM
 * ...`; as of 7.0; as of 8.0. */
bool redis_is_about_permission(struct span error);
/* True for an error reply. Breaks the link if the error requires another greeting. */
bool redis_is_error(struct redis_broker *redis, const struct resp *reply, const char *what);
/* The part of an answer of Redis that the log may show: never a login, even if Redis repeats it. */
struct span redis_quote(const struct redis_broker *redis, struct span answer);

/* redis_memory.c */
/* Evaluates the memory section of an INFO answer. */
void redis_memory_seen(struct redis_broker *redis, struct span info);
/* Requests it if it is due. */
void redis_memory_look(struct redis_broker *redis);
/* Makes it due now: a publish found Redis full, or failed, so that it may be. */
void redis_memory_look_soon(struct redis_broker *redis);
/* The setting, according to INFO, by which this Redis may evict keys, in words; NULL: none. The caller frees it. */
char *redis_eviction_text(struct span info);

/* redis_publish.c */
void redis_publish_init(struct redis_broker *redis);
bool redis_publish(struct broker *broker, const struct broker_publish *publish, broker_done_fn *done, void *arg);
/* The link is up. `last` is the number of the publisher's last call that the server knows; `refused`: its refused
 * entries. */
void redis_publish_resume(struct redis_broker *redis, uint64_t last, struct answer *refused);
void redis_publish_finish(struct redis_broker *redis);

/* redis_feed.c */
/* Whether this is the open epoch; any other shows that the state was lost while the link was up (FLUSHALL). */
bool redis_epoch_is_ours(const struct redis_broker *redis, struct span epoch);
/* What the feed says of the counter: false if it falls, which it cannot. */
bool redis_feed_rises_to(struct redis_broker *redis, uint64_t position);
void redis_feed_init(struct redis_broker *redis);
/* Another subscriber link is open: answers for an earlier one do not count. */
void redis_feed_begin(struct redis_broker *redis);
void redis_subscribe(struct broker *broker, struct span room);
void redis_unsubscribe(struct broker *broker, struct span room);
void redis_feed_received(struct redis_broker *redis, const struct resp *reply);
void redis_feed_down(struct redis_broker *redis);

/* redis_pulse.c */
void redis_pulse_init(struct redis_broker *redis);
void redis_pulse_start(struct redis_broker *redis);
void redis_probe(struct broker *broker, broker_done_fn *done, void *arg);
/* The feed brought a message, so it is alive: the wait for a probe is over. */
void redis_pulse_feed_seen(struct redis_broker *redis);
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
void redis_lease_take(struct broker *broker, struct span pid, uint64_t generation, broker_claim_fn *done, void *arg);
void redis_lease_lapsed(struct broker *broker, struct span watch, broker_claim_fn *done, void *arg);
void redis_lease_end(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg);
/* Another instance or program wrote the lease, so its contents are checked. */
bool redis_lease_is_ours(const struct broker_lease *lease);

/* redis_present.c */
void redis_present_init(struct redis_broker *redis);
void redis_present_enter(struct broker *broker, struct span room, const struct broker_present *who);
void redis_present_leave(struct broker *broker, struct span room, struct span sid, bool may_return);
void redis_present_list(struct broker *broker, struct span room, uint64_t cursor, uint32_t limit,
                        broker_presence_fn *done, void *arg);
/* Handles the rest of a message after the word "present"; false if it is invalid. */
bool redis_present_received(struct redis_broker *redis, struct words *words);
void redis_present_down(struct redis_broker *redis);

/* redis_record.c */
extern const struct record_ops redis_record_ops;
/* Handles the rest of a message after the word "record"; false if it is invalid. */
bool redis_record_received(struct redis_broker *redis, struct words *words);

/* redis_rare.c: loads a script, and runs it with these `count` arguments, of which the first is its only key. `done`
 * gets NULL if it could not be loaded. */
void redis_rare_send(struct redis_broker *redis, const char *script, const struct span *args, size_t count,
                     redis_reply_fn *done, void *arg);

/* redis_mail.c */
extern const struct mail_ops redis_mail_ops;
/* Handles the rest of a message after the word "mail"; false if it is invalid. */
bool redis_mail_received(struct redis_broker *redis, struct words *words);

/* redis_stats.c */
void redis_stats(struct broker *broker, broker_stats_fn *done, void *arg);

#endif

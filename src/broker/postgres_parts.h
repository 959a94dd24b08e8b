/* postgres_parts: the state and functions that the files of the Postgres broker share. For src/broker/ only.
 *
 *     DOWN --> CONNECTING (both links) --> GREETING (epoch, life) --> UP
 *       ^------------------- either link broke, after a backoff ------/
 *
 * The calls' link carries what changes or reads. The feed's link polls: for what came to the subscribed rooms and to
 * this instance's inbox behind a position, in one order. */
#ifndef SENNIT_BROKER_POSTGRES_PARTS_H
#define SENNIT_BROKER_POSTGRES_PARTS_H

#include "broker/giving.h"
#include "broker/postgres.h"
#include "broker/postgres_link.h"
#include "broker/postgres_url.h"
#include "broker/waiting.h"
#include "loop/resolve.h"

enum postgres_state { POSTGRES_DOWN, POSTGRES_CONNECTING, POSTGRES_GREETING, POSTGRES_UP };

/* Whoever locks the counter row is being asked for; then the links break. */
enum postgres_blame { BLAME_NOBODY, BLAME_ALONE, BLAME_THEN_BREAK };

/* The functions of the schema (broker/sql/functions.sql). */
enum postgres_function {
    PG_OPEN,
    PG_POLL,
    PG_PUBLISH,
    PG_READ,
    PG_LEASE_WRITE,
    PG_LEASE_CLAIM,
    PG_LEASE_RELEASE,
    PG_LEASE_TAKE,
    PG_LEASE_LAPSED,
    PG_LEASE_END,
    PG_PRESENT_ENTER,
    PG_PRESENT_LEAVE,
    PG_PRESENT_LIST,
    PG_MAIL_SEND,
    PG_MAIL_OWNERS,
    PG_STATS,
    PG_ROOMS_TOUCH,
    PG_PULSE,
    PG_BLOCKER,
    PG_SCHEMA_VERSION,
    PG_RECORD_ASK,
    PG_RECORD_PASS,
    PG_RECORD_END,
    PG_RECORD_LIST,
    PG_FUNCTION_COUNT
};

enum {
    POSTGRES_LIFE_BYTES_MAX = 64,
    POSTGRES_LIFE_MS = 2500, /* a life without a pulse for this long has ended */
    POSTGRES_AWAY_MS = 4000, /* a socket that is away for this long has left */
    POSTGRES_GONE_MS = 1000, /* the sockets of an ended life have left this long after its end */
};

/* A position in all that is pushed: entries up to seq, and messages up to at, have been. */
struct postgres_position {
    uint64_t seq, at;
};

struct postgres_feed {
    struct map rooms;                     /* those that are, or were just, subscribed */
    struct list fences;                   /* rooms whose subscription waits to be confirmed */
    size_t subscribed_count, owned_count; /* rooms that are confirmed: those of sockets, and all others */
    struct list lists;                    /* calls for who is present, in order */
    struct postgres_position reached;
    bool polling, wake; /* a poll is under way; another one is due behind it */
    bool hears;         /* notifications come through */
    bool said;          /* that they do not */
    bool by_timer;      /* the poll under way, or due, is there because its time had come */
    unsigned misses;    /* such polls that found something, since the last notification that came by itself */
    uint64_t kept;      /* the number of the last kept event that the hub was told */
    uint64_t told_us;   /* the hub was told the position */
    uint64_t polls;     /* begun since the link is up */
    struct list probes; /* calls that wait for a poll */
    struct timer again; /* a poll without being notified */
};

struct postgres_broker {
    struct broker broker;
    struct net *net;
    struct loop *loop;
    struct postgres_url url;
    char *schema, *instance, *publisher, *application;
    char *statements[PG_FUNCTION_COUNT];
    char *listen_statement;
    struct pg_link calls, feed_link;
    struct resolve *resolve;
    size_t place, address; /* to try next; only count up */
    struct timer backoff;
    uint64_t backoff_ms;
    uint8_t state; /* enum postgres_state */
    bool destroying, complained, proven, unusable;
    uint8_t blaming;  /* enum postgres_blame */
    uint64_t backend; /* of the feed's link; 0 with `listen=off`, and behind a pooler */
    char *trouble_text;
    char epoch[BROKER_EPOCH_BYTES_MAX + 1];
    uint64_t life_number;
    char life[POSTGRES_LIFE_BYTES_MAX];
    /* Publishing: postgres_publish.c. */
    struct list publishes, flying; /* waiting; in the call under way */
    size_t backlog_bytes;
    uint64_t call_number;
    bool call_out, rebase;
    struct task publish_flush;
    struct timer publish_retry;
    uint64_t full_told_us, full_count;
    struct broker_bounds bounds;
    struct postgres_feed feed;
    struct giving *giving; /* the record that is being told */
    struct timer pulse;
    uint64_t touched_us; /* the rooms of this instance were kept from being forgotten */
    /* Calls made while the link is down are answered later. */
    struct list refused;
    struct task refuse;
};

static inline struct postgres_broker *postgres_of(struct broker *broker)
{
    return container_of(broker, struct postgres_broker, broker);
}

/* postgres.c */
/* Calls a function on the calls' link, or if that is down answers with NULL from the loop. */
void postgres_call(struct postgres_broker *postgres, enum postgres_function function, struct pg_args *args,
                   pg_done_fn *done, void *arg);
/* The same on the feed's link: it takes effect before the next poll, and behind the one that is under way. */
void postgres_feed_call(struct postgres_broker *postgres, enum postgres_function function, struct pg_args *args,
                        pg_done_fn *done, void *arg);
/* Answers with NULL from the loop: the link is down. */
void postgres_refuse(struct postgres_broker *postgres, pg_done_fn *done, void *arg);
/* Breaks both links: they come up again after a backoff. */
void postgres_break(struct postgres_broker *postgres);

/* postgres_trouble.c */
/* True for an error, which it logs. It breaks the links, because what was asked for can then be asked for again. */
bool postgres_is_error(struct postgres_broker *postgres, const PGresult *result, const char *what);
/* The same, but true only says that the call may be repeated on these links: they stay up if the error may pass. */
bool postgres_may_pass(struct postgres_broker *postgres, const PGresult *result, const char *what);
/* The rows have another shape than ours: breaks the links. */
void postgres_invalid(struct postgres_broker *postgres, const char *which);
/* The connection failed, with libpq's words: logs them once, or, if only the operator can help, says the cure. */
void postgres_refused(struct postgres_broker *postgres, const char *why);
void postgres_unusable(struct postgres_broker *postgres, const char *why);
void postgres_trouble_set(struct postgres_broker *postgres, const char *why);
/* The statement's error code (SQLSTATE) is this. */
bool postgres_error_is(const PGresult *result, const char *code);

/* postgres_publish.c */
void postgres_publish_init(struct postgres_broker *postgres);
bool postgres_publish(struct broker *broker, const struct broker_publish *publish, broker_done_fn *done, void *arg);
/* The link is up. `last`: the number of the publisher's last call that the server knows; the refused entries of it are
 * in the columns of the first row. */
void postgres_publish_resume(struct postgres_broker *postgres, uint64_t last, const uint64_t *places,
                             const struct span *whys, size_t count);
void postgres_publish_finish(struct postgres_broker *postgres);

/* postgres_feed.c */
void postgres_feed_init(struct postgres_broker *postgres);
void postgres_feed_start(struct postgres_broker *postgres, struct postgres_position from);
void postgres_feed_down(struct postgres_broker *postgres);
void postgres_feed_finish(struct postgres_broker *postgres);
/* The hub has been pushed every kept event up to this number. */
void postgres_feed_kept(struct postgres_broker *postgres, uint64_t number);
void postgres_feed_notified(struct postgres_broker *postgres);
void postgres_subscribe(struct broker *broker, struct span room);
void postgres_unsubscribe(struct broker *broker, struct span room);
void postgres_present_list(struct broker *broker, struct span room, uint64_t cursor, uint32_t limit,
                           broker_presence_fn *done, void *arg);
void postgres_probe(struct broker *broker, broker_done_fn *done, void *arg);
/* Appends the subscribed rooms as an argument. Entries of owned rooms come through the inbox, so a poll does not name
 * these. */
void postgres_feed_rooms_add(struct postgres_broker *postgres, struct pg_args *args, bool with_owned);

/* postgres_call.c */
void postgres_read(struct broker *broker, struct span room, const struct broker_range *range, broker_read_fn *done,
                   void *arg);
void postgres_lease_write(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg);
void postgres_lease_claim(struct broker *broker, struct span pid, struct span epoch, uint64_t seq,
                          broker_claim_fn *done, void *arg);
void postgres_lease_release(struct broker *broker, const struct broker_lease *lease, bool for_good);
void postgres_lease_take(struct broker *broker, struct span pid, uint64_t generation, broker_claim_fn *done, void *arg);
void postgres_lease_lapsed(struct broker *broker, struct span watch, broker_claim_fn *done, void *arg);
void postgres_lease_end(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg);
void postgres_present_enter(struct broker *broker, struct span room, const struct broker_present *who);
void postgres_present_leave(struct broker *broker, struct span room, struct span sid, bool may_return);
void postgres_stats(struct broker *broker, broker_stats_fn *done, void *arg);
extern const struct mail_ops postgres_mail_ops;

/* postgres_record.c */
extern const struct record_ops postgres_record_ops;
/* What the inbox brings about a polling session, in the order of the pushes: its kind, the ticket, the session, and
 * what else it says; `position` is where the pushes stand. False: it makes no sense. */
bool postgres_record_received(struct postgres_broker *postgres, struct span what, uint64_t ticket, struct span sid,
                              struct span body, uint64_t position);

#endif

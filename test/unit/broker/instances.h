/* instances: brokers on one loop, each with a recorder in the place of its hub.
 *
 * The recorder keeps everything it is told, and checks what must be true of every history: seqs rise, each entry of a
 * room names the one before, fences and positions stand in the order of the pushes, nothing comes from within a call.
 * A breach is a complaint, which fails the test at its next AWAIT. Calls are kept, too: each must have been answered
 * once by the time its instance is gone. */
#ifndef SENNIT_TEST_INSTANCES_H
#define SENNIT_TEST_INSTANCES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"
#include "broker/broker.h"
#include "broker/journal.h"
#include "firestore_process.h"
#include "net/net.h"
#include "pgbouncer_process.h"
#include "postgres_process.h"
#include "redis_process.h"

struct byte_proxy;

enum told_kind {
    TOLD_UP,
    TOLD_DOWN,
    TOLD_UNUSABLE,
    TOLD_SUBSCRIBED,
    TOLD_FORGOTTEN,
    TOLD_PUSHED,
    TOLD_TOP,
    TOLD_REACHED,
    TOLD_ENTERED,
    TOLD_LEFT,
    TOLD_SUPERSEDED
};

/* One event, copied; a span it does not have is empty. */
struct told {
    enum told_kind kind;
    uint64_t at_ms;
    uint64_t number;            /* seq, `last`, position, generation, count, or previous_end */
    uint64_t second;            /* prev of an entry, position of a subscription */
    int64_t time_ms;            /* of an entry */
    struct span name;           /* room, pid, the epoch before, or why */
    struct span audience, body; /* of an entry; or sid, and its presence data */
    char bytes[];
};

/* What the recorder knows of a room. */
struct seen {
    char *room;
    size_t room_len;
    bool known; /* it is subscribed, and `last` its newest entry */
    uint64_t last;
    bool wanted;    /* subscribing was the last word */
    size_t pending; /* confirmations still to come */
};

struct instance {
    struct list of_all;
    struct broker *broker;
    struct net *net;
    char name[16];
    char epoch[BROKER_EPOCH_BYTES_MAX + 1];
    struct told **told;
    size_t told_count, told_cap;
    struct seen *seen;
    size_t seen_count;
    uint64_t newest, reached; /* of the pushes; the last position told */
    uint64_t kept;            /* number of the last kept event, as a fence or a record told it */
    bool up, calling;
    bool recorded; /* what it is told may be old */
    bool loose;    /* pushes get lost on the way on purpose: chains may have holes */
};

/* One call and its answer, copied. */
struct call {
    struct list of_all;
    struct instance *by;
    const char *what;
    int answers;
    enum broker_result result;
    size_t told_before; /* events the instance had been told */
    uint64_t at_ms;
    struct broker_page page;
    bool has_lease, position_ok;
    struct broker_lease lease;
    struct broker_presence presence;
    struct broker_stats stats;
    char **kept; /* texts of the answer */
    size_t kept_count;
};

enum broker_kind { KIND_MEMORY, KIND_FILE, KIND_REDIS, KIND_POSTGRES, KIND_FIRESTORE };

extern enum broker_kind kind; /* of the brokers that instance_open makes */
/* Whether there may be several instances; else there is one, which every name opens. */
bool kind_is_shared(void);
extern struct redis_process redis;         /* where they are, when on Redis */
extern struct postgres_process postgres;   /* the same, on Postgres */
extern struct pgbouncer_process pgbouncer; /* in front of it, if it is reached so: postgres is behind it all the same */
extern struct firestore_process firestore; /* the same, on Firestore */
extern struct loop *loop;
extern struct net net;
extern struct broker_bounds instances_bounds; /* of brokers opened from now on; every test begins without */
extern enum journal_sync instances_sync;      /* of brokers on disk, the same */
extern const struct broker_retention keep;    /* plenty: 10000 entries, 64 MiB, an hour */

/* For every test: another prefix, so that nothing is left of the test before; afterwards all instances are destroyed
 * and all calls must have been answered. */
int instances_set_up(void **state);
int instances_tear_down(void **state);
/* As instances_set_up, on a Redis that an earlier test, if it failed, may have left as no good for others: ended, a
 * replica, full, or with a password. */
int instances_set_up_mended(void **state);
/* The same without the end: what follows is a fleet of its own on the same Redis. */
void instances_use_prefix(const char *prefix);
const char *instances_prefix(void);
/* The directory of this fleet's broker on disk, which the test's end removes. */
const char *instances_directory(void);
/* The whole name of one of this fleet's keys; good until the next call but one. */
const char *instances_key(const char *name);

/* The URL of the server's port on the loopback, for this kind of broker; good until the next call. */
const char *instances_url(uint16_t port);
uint16_t instances_server_port(void);

/* Runs the tests on the kind of broker that the program's first argument names ("memory", "file", "postgres",
 * "pgbouncer", which is Postgres behind a pooler, "firestore", "firestore_model", "redis_cluster", else Redis, with a
 * server started for it by these options). Returns what main returns: 77, which Meson takes for skipped, without that
 * server on this machine. */
int instances_main(int argc, char **argv, const char *name, const struct CMUnitTest *tests, size_t count,
                   const char *const *redis_options);
#define BROKER_TEST(name) cmocka_unit_test_setup_teardown(name, instances_set_up, instances_tear_down)

/* On a server another broker each; the one and only on memory and on disk. */
struct instance *instance_open(const char *name);
struct instance *instance_open_at(const char *name, const char *url);
/* The same, on another loop than all others, that runs by instances_pass only while `awake` is true. */
struct instance *instance_open_apart(const char *name);
extern bool apart_awake;
/* Opens and waits until it is up. */
struct instance *instance_up(const char *name);
/* The same behind a proxy of its own, on Redis. */
struct instance *instance_up_behind(const char *name, struct byte_proxy **proxy);
void instance_destroy(struct instance *instance);
/* Forgets what it was told. */
void instance_forget(struct instance *instance);

/* What it was told, in order; an empty room: of any. */
size_t told_count(const struct instance *instance, enum told_kind what, const char *room);
/* The `index`th of these (from 0); fails when there are fewer. */
const struct told *told_at(const struct instance *instance, enum told_kind what, const char *room, size_t index);
const struct told *told_last(const struct instance *instance, enum told_kind what, const char *room);
/* Its place among all that the instance was told. */
size_t told_place(const struct instance *instance, const struct told *told);
/* How often it was told that `sid` came to, or left, the room. */
size_t told_who(const struct instance *instance, enum told_kind what, const char *room, const char *sid);

/* True when a line of the log since the test began held this text. */
bool instances_logged(const char *text);

/* Milliseconds of the monotonic clock. */
uint64_t now_ms(void);
/* Lets the loop run for about a millisecond, or for exactly one turn without sleeping. */
void instances_pass(void);
void instances_turn(void);
void instances_run(uint64_t ms);
/* By how much more than it should have taken the loop was away: a busy machine. Bounds in real time grow by it. */
uint64_t instances_stalled_ms(void);
void instances_stalled_forget(void);
/* Fails the running test with the first breach that a recorder saw. */
void instances_check(const char *file, int line);
/* Complaints so far do not count: the server lies in these tests. */
void instances_forgive(void);
void instances_complain(struct instance *instance, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define AWAIT_WITHIN(ms, condition) \
    do { \
        uint64_t until_ = now_ms() + (ms), stalled_ = instances_stalled_ms(); \
        while (!(condition)) { \
            if (now_ms() >= until_ + instances_stalled_ms() - stalled_) { \
                instances_check(__FILE__, __LINE__); \
                print_error("%s:%d: not so within %d ms: %s\n", __FILE__, __LINE__, (int)(ms), #condition); \
                fail(); \
            } \
            instances_pass(); \
        } \
        instances_check(__FILE__, __LINE__); \
    } while (0)
#define AWAIT(condition) AWAIT_WITHIN(15000, condition) /* Postgres on a busy machine is slow */
#define AWAIT_ANSWER(call) AWAIT((call)->answers > 0)

/* instance_calls.c. A NULL retention is `keep`; NOT_LOGGED is none. */
extern const struct broker_retention not_logged;
#define NOT_LOGGED (&not_logged)
struct call *publish(struct instance *by, const char *room, const char *body);
/* The same, and waits until it is accepted. */
struct call *publish_now(struct instance *by, const char *room, const char *body);
/* NULL, and no call, when it was refused. */
struct call *publish_with(struct instance *by, const struct broker_publish *publish,
                          const struct broker_retention *retention);
void subscribe(struct instance *by, const char *room);
void unsubscribe(struct instance *by, const char *room);
/* Subscribes and waits for the confirmation. */
void subscribe_now(struct instance *by, const char *room);
struct call *read_range(struct instance *by, struct span room, const struct broker_range *range);
/* The whole log, in as many reads as it takes; waits. The result is the last call, with all entries. */
struct call *read_all(struct instance *by, const char *room);
struct call *lease_write(struct instance *by, const struct broker_lease *lease);
struct call *lease_claim(struct instance *by, const char *pid, const char *epoch, uint64_t seq);
void lease_release(struct instance *by, const struct broker_lease *lease, bool for_good);
struct call *lease_take(struct instance *by, const char *pid, uint64_t generation);
struct call *lease_lapsed(struct instance *by, const char *watch);
struct call *lease_end(struct instance *by, const struct broker_lease *lease);
void enter(struct instance *by, const char *room, const char *sid);
void enter_with_data(struct instance *by, const char *room, const char *sid, const char *data);
/* With a lease of this generation, which is its data, too. */
void enter_as(struct instance *by, const char *room, const char *sid, uint64_t generation);
void leave(struct instance *by, const char *room, const char *sid, bool may_return);
struct call *list(struct instance *by, const char *room, uint64_t cursor, uint32_t limit);
/* True when an answered list holds the sid. */
bool list_has(const struct call *call, const char *sid);
struct call *stats(struct instance *by);
struct call *probe(struct instance *by);

/* For instance_calls.c: what the recorder knows of a room; a call under way, and every one of them gone. */
struct seen *instance_seen(struct instance *instance, struct span room);
struct call *call_begin(struct instance *by, const char *what);
void calls_finish(void);

/* What tests put into bodies. */
int number_of(struct span text);
#define assert_span(span, text) assert_true(span_equal((span), span_str(text)))

#endif

/* run: the state that the parts of a run share. For src/load/ only; see load.h.
 *
 *     RESOLVING -> CONNECTING -> IDLING or PUBLISHING -> SETTLING -> OVER
 *
 * Each phase has a deadline. */
#ifndef SENNIT_LOAD_RUN_H
#define SENNIT_LOAD_RUN_H

#include "load/check.h"
#include "load/client.h"
#include "load/histogram.h"
#include "load/load.h"
#include "load/packed.h"
#include "load/scan.h"
#include "load/url.h"
#include "loop/process.h"
#include "loop/resolve.h"
#include "net/net.h"

enum run_phase { RUN_RESOLVING, RUN_CONNECTING, RUN_IDLING, RUN_PUBLISHING, RUN_SETTLING, RUN_OVER };

enum { RUN_ADDRESSES_MAX = 16 };

/* The server's CPU time and memory at one moment. */
struct run_usage {
    uint64_t cpu_us;
    struct process_memory memory;
};

struct run_counters {
    uint64_t connect_failures, closed_by_server, cuts[CUT_KINDS];
    uint64_t recovered, not_recovered;
    uint64_t sent, resent, acknowledged, refused, skipped; /* skipped: due, but no publisher was connected */
    uint64_t delivered, foreign;                           /* receipts of this run's messages; events of another kind */
    uint64_t gets, posts, upgraded, upgrades_failed;       /* of polling sessions */
};

struct progress {
    struct timer tick;
    uint64_t delivered, at_us; /* at the last line */
    uint32_t quiet_ticks;
    bool on_terminal, line_open;
};

struct run {
    const struct load_options *options;
    struct loop *loop;
    struct net net;
    enum run_phase phase;
    enum load_outcome outcome;
    struct err why; /* of an outcome other than good */

    struct url url;
    char *target;         /* of the request line */
    char *upgrade_target; /* of the one that upgrades a polling session, without its sid; NULL: no polling */
    struct resolve *resolve;
    struct addr addresses[RUN_ADDRESSES_MAX];
    uint32_t address_count, address_at, source_at;

    struct list dials;
    struct packer packer;
    struct buf scratch; /* of one frame */
    struct buf text;    /* of one packet */
    char id[SCAN_RUN_BYTES];
    uint64_t secret[2]; /* from which the names of messages are made */
    struct scan scan;
    struct buf event_prefix;   /* "42", with the namespace */
    struct buf message_prefix; /* of published messages: the same, or "451-" with the namespace */
    struct buf event_head;     /* `["drawing",`, or `,"event":"drawing","args":[` */

    struct client *clients;
    uint32_t started, ready, connected; /* begun to connect; READY now; were READY once */
    uint32_t room_count;                /* 1 without rooms */
    uint32_t *members;                  /* clients by room */
    uint32_t publisher_at;
    struct messages messages;
    struct check *check; /* NULL: nothing is checked */
    uint64_t expected;   /* deliveries, if no client is ever away */
    struct histogram latency;
    struct run_counters counters;

    struct timer connect_tick, publish_tick, cut_tick, settle_tick, deadline;
    struct progress progress;
    struct signal_watch interrupt, terminate;
    uint64_t began_us, phase_us; /* of the run; of the phase */
    uint64_t connect_us;         /* how long it took until all had been READY */
    uint64_t publish_began_us;   /* 0: not yet */
    uint64_t publish_us;         /* how long the run published */
    uint64_t deliver_us;         /* how long it took from the first publish until everything had come */
    uint64_t published_due;      /* messages, by the rate */
    uint64_t quiet_us;           /* when the last missing message came; 0: not yet */
    uint64_t lag_us, lag_us_max; /* how late our own publishing was: since the last line of progress, in all */

    struct run_usage before, after_connect, after_publish, after_idle; /* of the server */
    uint64_t own_cpu_us;                                               /* ours while publishing */
    struct check_totals totals;
    uint32_t away; /* clients that did not come back, or came back and still lack messages */
};

/* connect.c: where to, and from where. */
void run_resolve(struct run *run);
const struct addr *run_address(const struct run *run);
/* Takes the next address when there is one, before anybody has connected. */
bool run_address_next(struct run *run);
/* The address to connect from; false: any. */
bool run_source(struct run *run, struct addr *source);
/* Starts as many clients as are due. */
void run_connect(struct run *run);

/* run.c: begins; stops all timers of the run; and takes the reports of clients. */
void run_start(struct run *run);
void run_stop(struct run *run);
void run_client_ready(struct run *run, struct client *client);
/* A client lost its connection, before or after it was READY. */
void run_client_lost(struct run *run, struct client *client, bool was_in, const char *why);
/* Ends the run: it cannot go on. */
void run_abort(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A message of this run was received. */
static inline void run_delivered(struct run *run, struct client *client, uint32_t message)
{
    run->counters.delivered++;
    histogram_add(&run->latency, loop_now_us(run->loop) - messages_at(&run->messages, message)->sent_us);
    if (run->check != NULL)
        check_receive(run->check, client->index, message);
}

/* The run goes on here when the server's addresses are known, and when every client has been READY. */
void run_resolved(struct run *run);
void run_all_connected(struct run *run);

#endif

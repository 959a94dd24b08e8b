/* serve: one stateless realtime instance: a listener, a broker, a hub, sessions, and the HTTP around them. */
#ifndef SENNIT_SERVE_SERVE_H
#define SENNIT_SERVE_SERVE_H

#include "net/listener.h"
#include "serve/config.h"
#include "serve/crowd.h"
#include "serve/store.h"
#include "session/session.h"

/* Lines in the log about connections that ended for one reason: a few are written, the others are counted. */
struct client_log {
    uint64_t since_us;
    uint32_t lines, silent;
};

struct server {
    struct loop *loop;
    struct net net;
    struct listener listener;
    struct serve_config config;
    struct broker *broker;
    struct hub hub;
    struct sessions sessions;
    struct list clients;
    size_t client_count;
    struct conn_limits limits;
    struct crowd crowd;
    struct store store;
    struct signal_watch term, interrupt;
    struct timer door; /* the listener opens without the broker's word */
    struct timer drain;
    uint64_t drain_until_us;
    size_t drain_batch; /* sessions closed at a time */
    bool draining;
    struct client_log closed_log[CLOSE_REASON_COUNT];
    struct err failure; /* why it ended by itself; empty: it did not */
    /* Requests for /ready that share one probe, and for /metrics that share one look at the broker. */
    struct list ready_waiters, metrics_waiters;
    bool probing, measuring;
    bool probe_passed;  /* the last one, */
    uint64_t probed_us; /* which ended then; 0: none yet */
    uint64_t started_us;
};

/* Starts an instance on a loop of the caller's; false with `err` set when it cannot. To be closed in either case. It
 * listens once the broker has been found to be usable, or after a few seconds without a word of it: then it is alive
 * and not ready. When it is found to be of no use, or the port is taken, the loop is stopped and `failure` says why. */
bool server_open(struct server *server, struct loop *loop, const struct serve_options *options, struct err *err);
/* Ends it at once: connections that are left are closed. An orderly end drains first (SIGTERM). */
void server_close(struct server *server);

/* Runs one instance until SIGTERM or SIGINT, then drains. False with `err` set when it cannot start. */
bool serve_run(const struct serve_options *options, struct err *err);

#endif

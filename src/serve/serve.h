/* serve: one stateless realtime instance: a listener, a broker, a hub, sessions, and the HTTP around them. `embed`
 * opens it, for `sennit serve` and for programs; tests and fuzzers do on a loop of their own. The server owns all of
 * these parts. */
#ifndef SENNIT_SERVE_SERVE_H
#define SENNIT_SERVE_SERVE_H

#include "http/http.h"
#include "net/listener.h"
#include "serve/config.h"
#include "serve/crowd.h"
#include "serve/store.h"
#include "session/session.h"

/* Log lines about connections that ended for one reason: a few are written, the others are counted. */
struct client_log {
    uint64_t since_us;
    uint32_t lines, silent;
};

struct server {
    struct loop *loop;
    struct net net;
    struct listener listener, api_listener;
    struct inquiries *inquiries;
    struct bridge *bridge; /* NULL: none */
    size_t api_requests;   /* under way */
    struct serve_config config;
    struct broker *broker;
    struct hub *hub;
    struct sessions sessions;
    struct http_server http; /* lists the clients */
    struct pool clients;
    struct conn_limits limits;
    struct crowd crowd;
    struct store store;
    struct signal_watch term, interrupt;
    struct timer door; /* when it fires, the listener opens even without the broker */
    struct timer drain;
    uint64_t drain_until_us;
    size_t drain_batch; /* sessions closed at a time */
    bool draining;
    struct client_log closed_log[CLOSE_REASON_COUNT];
    struct err failure; /* why it ended by itself; empty: it did not */
    /* Requests for /ready that share one probe, and for /metrics that share one request to the broker. */
    struct list ready_waiters, ready_operators, metrics_waiters;
    bool probing, measuring;
    bool probe_passed;  /* outcome of the last probe */
    uint64_t probed_us; /* end of that probe; 0: none yet */
    uint64_t started_us;
};

/* Starts an instance on the caller's loop; false with `err` set if that fails. Call server_close in either case. The
 * instance listens once the broker is up, or after a few seconds without it (alive, not ready). If the broker cannot be
 * used, or the port is taken, it stops the loop, and `failure` says why. */
bool server_open(struct server *server, struct loop *loop, const struct serve_options *options, struct err *err);
/* Begins to drain: no new clients, and those that are there move to other instances within a few seconds; then the loop
 * stops. `why` is for the log. Twice is harmless. */
void server_drain(struct server *server, const char *why);
/* Ends it at once and closes remaining connections. An orderly end drains first (SIGTERM). */
void server_close(struct server *server);

#endif

/* client: a client's connection to this instance. It speaks HTTP first; after an upgrade its bytes go to a session. The
 * server owns its clients; each client owns its connection and frees itself when that is closed. */
#ifndef SENNIT_SERVE_CLIENT_H
#define SENNIT_SERVE_CLIENT_H

#include "serve/crowd.h"
#include "serve/serve.h"
#include "serve/store.h"
#include "wire/http1.h"

enum {
    CLIENT_QUEUE_BYTES_MAX = 4 << 20, /* output waiting for one client */
    CLIENT_BACKLOG_BYTES = 256 << 10, /* of unsent responses; above it, the next request waits */
    CLIENT_STALL_MS_MAX = 30000,
};

struct client {
    struct server *server;
    struct conn conn;
    struct client_http *http; /* one of these two at a time, because most connections stay upgraded for long */
    struct websocket websocket;
    struct list of_server;
    struct crowd_member crowd;
};

/* The state of a connection that speaks HTTP. */
struct client_http {
    struct client *client;
    struct list waiter; /* for /ready or /metrics */
    struct timer head_deadline;
    size_t head_seen; /* bytes of an incomplete head that have been scanned */
    bool keep_alive, is_head;
    bool asked;    /* it has sent a complete request before */
    bool may_know; /* what is wrong inside, see admin.h */
};

/* Takes over an accepted stream, or closes it. */
void client_accept(struct server *server, struct io *io, const struct addr *peer);
/* Answers the bytes that a stream has sent so far; for a stream on the reserved descriptor, which is closed at once. */
void client_answer_unkept(struct server *server, struct io *io, const struct addr *peer);
/* Sends a response, without the body for HEAD. The connection stays open if the request allows it. `fields` are
 * complete header lines. */
void client_respond(struct client *client, int status, struct span type, struct span fields, struct span body);
/* The same with the bytes from `from` to `end` of a file. Takes over the caller's reference to `stored`. */
void client_respond_file(struct client *client, int status, struct span type, struct span fields, struct stored *stored,
                         uint64_t from, uint64_t end);
/* Refuses a request: answers with the fault and the cure, counts it, logs it with `what`, and ends the connection. */
void client_refuse(struct client *client, int status, enum refusal refusal, struct span fields, struct span what);
/* No complete request came in time: tells the peer and ends the connection. */
void client_head_timed_out(struct client *client, enum close_reason reason);
/* The crowd needs its place: tells the peer and ends the connection at once. */
void client_give_way(struct client *client);
/* Whether a request waits for its response, or for the response to be sent. */
bool client_is_answering(const struct client *client);
/* Upgrades and begins a session; the caller has checked the request. */
void client_upgrade(struct client *client, const struct http1_head *head);

/* routes.c: acts on one request. */
void route_request(struct client *client, const struct http1_head *head);
/* ready.c: responds later, with the outcome of a probe. */
void ready_request(struct client *client, const struct http1_head *head);
/* metrics.c: responds later, with the instance's counters and the broker's figures. */
void metrics_request(struct client *client, const struct http1_head *head);

#endif

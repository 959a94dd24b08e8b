/* client: a connection to this instance: first HTTP, then, after an upgrade, the bytes of a session. */
#ifndef SENNIT_SERVE_CLIENT_H
#define SENNIT_SERVE_CLIENT_H

#include "serve/crowd.h"
#include "serve/serve.h"
#include "serve/store.h"
#include "wire/http1.h"

enum {
    CLIENT_QUEUE_BYTES_MAX = 4 << 20, /* output waiting for one client */
    CLIENT_BACKLOG_BYTES = 256 << 10, /* of responses; above it, the next request waits until they are out */
    CLIENT_STALL_MS_MAX = 30000,
};

struct client {
    struct server *server;
    struct conn conn;
    struct client_http *http; /* one of these two; not both, for most connections stay upgraded for long */
    struct session *session;
    struct list of_server;
    struct crowd_member crowd;
};

/* What a connection needs while it speaks HTTP. */
struct client_http {
    struct client *client;
    struct list waiter; /* for /ready or /metrics */
    struct timer head_deadline;
    size_t head_seen; /* bytes of an incomplete head that were looked at */
    bool keep_alive, is_head;
    bool asked;    /* a request came before */
    bool may_know; /* what is wrong inside, see admin.h */
};

/* Takes over an accepted stream, or closes it. */
void client_accept(struct server *server, struct io *io, const struct addr *peer);
/* Answers what a stream has asked so far, when there is no descriptor to keep it with. */
void client_answer_unkept(struct server *server, struct io *io, const struct addr *peer);
/* Answers, without the body if it was a HEAD; the connection stays open if the request allowed it. `fields` are
 * complete header lines. */
void client_respond(struct client *client, int status, struct span type, struct span fields, struct span body);
/* The same with the bytes from `from` to `end` of a file, whose reference is given away. */
void client_respond_file(struct client *client, int status, struct span type, struct span fields, struct stored *stored,
                         uint64_t from, uint64_t end);
/* Answers a request with what is wrong and what to change, counts that, notes `what` in the log, and ends the
 * connection. */
void client_refuse(struct client *client, int status, enum refusal refusal, struct span fields, struct span what);
/* No complete request came in time: tells the peer and ends the connection. */
void client_head_timed_out(struct client *client, enum close_reason reason);
/* It has to give its place to another: tells the peer and ends the connection at once. */
void client_give_way(struct client *client);
/* A request waits for its answer, or for that to go out. */
bool client_is_answering(const struct client *client);
/* Upgrades and begins a session; the request was checked. */
void client_upgrade(struct client *client, const struct http1_head *head);

/* routes.c: acts on one request. */
void route_request(struct client *client, const struct http1_head *head);
/* ready.c: answers with the outcome of a probe, later. */
void ready_request(struct client *client, const struct http1_head *head);
/* metrics.c: answers with what was counted, and what the broker says, later. */
void metrics_request(struct client *client, const struct http1_head *head);

#endif

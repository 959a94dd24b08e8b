/* exchange: a client's connection to the ingress, and the one request on it that is under way. */
#ifndef SENNIT_PLATFORM_EXCHANGE_H
#define SENNIT_PLATFORM_EXCHANGE_H

#include "platform/ingress.h"

enum exchange_state {
    EXCHANGE_IDLE,
    EXCHANGE_QUEUED,
    EXCHANGE_CONNECTING,
    EXCHANGE_WAITING,
    EXCHANGE_BODY,
    EXCHANGE_TUNNEL,
    EXCHANGE_ENDED, /* answered, and the connection is being closed */
};

struct exchange;

/* The connection to an instance. It may outlive the exchange by a moment, until it is reaped. */
struct upstream {
    struct conn conn;
    struct exchange *exchange; /* NULL once the exchange has ended */
};

struct exchange {
    struct ingress *ingress;
    struct conn conn; /* the client's */
    struct list of_ingress;
    struct list idle; /* in the ingress' list while it is IDLE, longest first */
    uint64_t idle_since_us;
    struct door_address *address; /* counts it at the door; NULL: not counted */
    struct ask ask;
    struct instance *instance; /* whose slot is held; NULL: none */
    struct upstream *upstream;
    struct timer deadline; /* of the head, then of the request */
    struct timer body_check;
    struct http1_body request_body, response_body;
    struct buf head; /* as it goes to the instance, kept while it may have to be sent again */
    size_t head_seen, response_seen;
    uint64_t body_bytes, body_checked; /* of the request that came, and had come at the last check */
    char accept[28];                   /* Sec-WebSocket-Accept that must come back */
    char method[16];
    uint8_t state; /* enum exchange_state */
    uint8_t tries;
    bool turned_away; /* it came only to be told that it cannot come in */
    bool keep_alive, upgrade, client_is_10, request_chunked, response_chunked;
};

/* A client that `address` counts. */
void exchange_accept(struct ingress *ingress, struct io *io, const struct addr *peer, struct door_address *address);
/* A client that is answered before it asks, and goes. */
void exchange_turn_away(struct ingress *ingress, struct io *io, const struct addr *peer, enum denial denial);
/* Answers with words of our own, counts, logs, and ends the exchange. `status` counts where the table has none. */
void exchange_refuse(struct exchange *exchange, enum denial denial, int status);
/* Counts and logs what cannot be answered any more. */
void exchange_note(struct exchange *exchange, enum denial denial);
/* Ends one that is IDLE because others need its place. */
void exchange_evict(struct exchange *exchange);
/* Gives slot and instance back; then the next request, or the end of the connection. */
void exchange_end(struct exchange *exchange);
/* exchange_upstream.c: a slot was granted; connects. */
void exchange_connect(struct exchange *exchange, struct instance *instance);
/* Cuts the instance's side off. */
void exchange_drop_upstream(struct exchange *exchange);
/* Request bytes on their way, as far as they belong to the body. Returns how many were taken. */
size_t exchange_forward_body(struct exchange *exchange, struct span bytes);
void exchange_set_state(struct exchange *exchange, enum exchange_state state);
/* Reads no more of `from` while too much of it waits at `to`, until that has gone out. */
void exchange_hold_back(struct conn *from, struct conn *to);

#endif

/* exchange: a client's connection to the ingress, with at most one request under way. The ingress lists exchanges; each
 * owns its client's connection and frees itself when that is closed. ingress.h has the picture of its states. */
#ifndef SENNIT_PLATFORM_EXCHANGE_H
#define SENNIT_PLATFORM_EXCHANGE_H

#include "platform/ingress.h"

enum exchange_state {
    EXCHANGE_IDLE,
    EXCHANGE_QUEUED,
    EXCHANGE_CONNECTING,
    EXCHANGE_WAITING,
    EXCHANGE_BODY,
    EXCHANGE_ENDED, /* answered, and the connection is being closed */
};

struct exchange;
/* The ingress' HTTP server runs on these; every connection of it is an exchange's. */
extern const struct http_events exchange_events;

/* The connection to an instance. It may outlive the exchange by a moment, until it is reaped. */
struct upstream {
    struct conn conn;
    union { /* NULL once it has ended */
        struct exchange *exchange;
        struct tunnel *tunnel;     /* behind a 101 */
        struct tail *tail;         /* of a tunnel that is over */
        struct leftover *leftover; /* the client has left */
    };
};

struct exchange {
    struct ingress *ingress;
    struct http http; /* the client's connection; a tunnel once it was handed over */
    struct list idle; /* in the ingress' list while it is IDLE, longest idle first */
    uint64_t idle_since_us;
    struct door_address *address; /* counts it at the door; NULL: not counted */
    struct ask ask;
    struct instance *instance; /* it holds a slot of this one; NULL: none */
    struct upstream *upstream;
    struct timer deadline; /* of the request */
    struct request_record record;
    struct http1_body response_body;
    struct buf trailers; /* of the response, so far */
    struct buf head;     /* the request head for the instance, kept while another try may need it */
    size_t response_seen;
    char accept[28]; /* the Sec-WebSocket-Accept that the instance must answer */
    uint8_t state;   /* enum exchange_state */
    uint8_t tries;
    bool turned_away; /* beyond a bound: it only gets a refusal */
    bool upgrade, request_chunked;
};

/* Takes over an accepted stream, which `address` counts at the door. */
void exchange_accept(struct ingress *ingress, struct io *io, const struct addr *peer, struct door_address *address);
/* Sends a refusal to a stream beyond a bound, without reading a request, and closes it. */
void exchange_turn_away(struct ingress *ingress, struct io *io, const struct addr *peer, enum denial denial);
/* Responds with a denial, counts and logs it, and ends the exchange. `status` is used if the table has none. */
void exchange_refuse(struct exchange *exchange, enum denial denial, int status);
/* Counts and logs a denial when no response is possible any more. */
void exchange_note(struct exchange *exchange, enum denial denial);
/* Ends an IDLE exchange, because other clients need its place. */
void exchange_evict(struct exchange *exchange);
/* Gives the slot back, and ends the response if one has begun. Then the next request begins, or the connection ends. */
void exchange_end(struct exchange *exchange);
/* exchange_upstream.c: a slot was granted: connects to the instance. */
void exchange_connect(struct exchange *exchange, struct instance *instance);
/* Closes the connection to the instance, behind what the instance still gets. */
void exchange_drop_upstream(struct exchange *exchange);
/* Forwards bytes of the request's body; `last` once. */
void exchange_forward_body(struct exchange *exchange, struct span bytes, bool last);
/* Appends the lines of a message's trailers that may pass; counts the others, and notes the first. */
void exchange_trailers_pass(struct exchange *exchange, struct buf *to, struct span lines);
/* The instance has accepted a handshake, and the client has been told: a tunnel takes both connections and the slot.
 * Frees the exchange. */
void exchange_become_tunnel(struct exchange *exchange);
void exchange_set_state(struct exchange *exchange, enum exchange_state state);

#endif

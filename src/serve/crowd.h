/* crowd: bounds the clients' connections, in all and from one address, and chooses those that must go when places are
 * scarce. The server owns it; each client embeds a member.
 *
 * A connection beyond a bound does not wait in the kernel. It takes one of a few spare places, where it gets a refusal,
 * or /health. When the spare places are taken, the oldest one gives way. While more than 80 % of the places are taken,
 * connections without a request, sessions without a namespace, and slowly read responses are ended sooner, the oldest
 * first. */
#ifndef SENNIT_SERVE_CROWD_H
#define SENNIT_SERVE_CROWD_H

#include "net/door.h"
#include "net/refusals.h"
#include "serve/limits.h"

struct crowd {
    struct loop *loop;
    const struct serve_limits *limits;
    uint64_t spare_max;
    bool behind_proxies; /* connections come from trusted proxies, which have no bound as addresses */
    struct door door;    /* counts those that have a place, not the spare ones */
    uint64_t spare_count;
    uint64_t waiting_bytes; /* of incomplete and waiting requests */
    /* Members, the oldest first. Each is in one of these. */
    struct list spare, speaking;
    struct list unjoined; /* upgraded, and not seen in a namespace yet */
    struct list rest;
    struct timer sweep;
};

enum crowd_place {
    CROWD_NOWHERE,
    CROWD_SPARE,    /* beyond a bound */
    CROWD_SPEAKING, /* HTTP */
    CROWD_UPGRADED, /* a session, in a namespace or not yet */
};

/* Embedded in a client. */
struct crowd_member {
    struct list node;             /* in one of the crowd's lists */
    struct door_address *address; /* NULL: not counted */
    uint32_t since_ms;            /* time of its arrival, last request or upgrade, on a clock that wraps */
    uint8_t place;                /* enum crowd_place */
    uint8_t refusal;              /* enum refusal, of a connection in a spare place */
};

struct client;

/* `counts_private`: private addresses count like others, because the operator set the bound. */
void crowd_init(struct crowd *crowd, struct loop *loop, const struct serve_limits *limits, uint64_t spare_max,
                bool counts_private);
void crowd_finish(struct crowd *crowd); /* accepts zeroed memory */
/* A connection arrived from `peer`: gives it a place. May end another connection. */
void crowd_enter(struct crowd *crowd, struct crowd_member *member, const struct addr *peer);
/* A complete request arrived. */
void crowd_asked(struct crowd *crowd, struct crowd_member *member);
/* Behind trusted proxies, a connection that is to be upgraded belongs to one client: counts it for this address. False:
 * the address has the most allowed. */
bool crowd_is_for(struct crowd *crowd, struct crowd_member *member, const struct addr_ip *client);
void crowd_upgraded(struct crowd *crowd, struct crowd_member *member);
void crowd_leave(struct crowd *crowd, struct crowd_member *member);
/* Calls `each` for all clients. It may close connections, which do not leave before the end of the turn. Accepts zeroed
 * memory. */
void crowd_each(struct crowd *crowd, void (*each)(struct client *client, void *arg), void *arg);
/* A member now keeps `bytes` of requests; its owner has `kept`, 0 at first, and tells the end with 0. False if that
 * exceeds the bound. */
bool crowd_keeps(struct crowd *crowd, uint32_t *kept, uint64_t bytes);

#endif

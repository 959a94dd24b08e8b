/* crowd: how many connections clients may hold, in all and from one address, and which of them have to go when there
 * are many.
 *
 * A connection beyond a bound is not left waiting in the kernel: it takes one of a few spare places, in which it is
 * told why, or gets /health. When these are taken, the one that came first gives way. While more than 80 % of the
 * places are taken, connections that have not said what they want, sessions without a namespace and responses that are
 * read slowly are ended sooner, the oldest first. */
#ifndef SENNIT_SERVE_CROWD_H
#define SENNIT_SERVE_CROWD_H

#include "base/map.h"
#include "loop/io.h"
#include "net/refusals.h"
#include "serve/limits.h"

struct crowd {
    struct loop *loop;
    const struct serve_limits *limits;
    uint64_t spare_max;
    bool counts_private; /* addresses of private networks are counted like others: the bound was set */
    uint64_t count, spare_count;
    uint64_t waiting_bytes; /* of unfinished and waiting requests */
    struct map addresses;
    struct list spare, speaking, unjoined; /* members, the oldest first */
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
    struct list node;              /* in one of the crowd's lists, or none */
    struct crowd_address *address; /* NULL: not counted */
    uint32_t since_ms;             /* when it came, or asked, or upgraded, of a clock that wraps */
    uint32_t waiting_bytes;
    uint8_t place;   /* enum crowd_place */
    uint8_t refusal; /* enum refusal, of one that is spare */
};

struct client;

void crowd_init(struct crowd *crowd, struct loop *loop, const struct serve_limits *limits, uint64_t spare_max);
void crowd_finish(struct crowd *crowd); /* accepts zeroed */
/* A connection came from `peer`: finds its place. May end another one. */
void crowd_enter(struct crowd *crowd, struct crowd_member *member, const struct addr *peer);
/* A complete request came. */
void crowd_asked(struct crowd *crowd, struct crowd_member *member);
void crowd_upgraded(struct crowd *crowd, struct crowd_member *member);
void crowd_leave(struct crowd *crowd, struct crowd_member *member);
/* It keeps so many bytes of requests. False when that is too much. */
bool crowd_keeps(struct crowd *crowd, struct crowd_member *member, uint64_t bytes);

/* True for addresses of the public internet; others are proxies, neighbours, or this machine. */
bool crowd_is_public(const struct addr_ip *ip);

#endif

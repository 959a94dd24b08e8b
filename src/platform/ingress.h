/* ingress: forwards HTTP/1.1 and WebSocket requests of clients to an instance with a free slot. `up` owns it. The
 * states of a client's exchange:
 *
 *     IDLE --head--> QUEUED --slot--> CONNECTING --> WAITING --response head--> BODY --> IDLE
 *                                                       \------101-----> ENDED, and a tunnel begins (tunnel.h)
 *
 * A request holds one slot from CONNECTING until it ends; a WebSocket is one long request. The request timeout runs
 * from the request's head to the end, and cuts WebSockets too, without a Close frame, as Cloud Run does. */
#ifndef SENNIT_PLATFORM_INGRESS_H
#define SENNIT_PLATFORM_INGRESS_H

#include "http/http.h"
#include "net/door.h"
#include "net/listener.h"
#include "platform/admission.h"
#include "platform/denials.h"
#include "platform/proxies.h"
#include "platform/request_log.h"
#include "platform/route.h"
#include "wire/http1.h"

enum {
    INGRESS_HEAD_MS_MAX = 60000,       /* a client's request head */
    INGRESS_QUEUE_BYTES_MAX = 8 << 20, /* output that waits for one side */
    INGRESS_PAUSE_BYTES = 64 << 10,    /* above this, the other side is not read */
    INGRESS_STALL_MS_MAX = 60000,
    INGRESS_TAIL_MS = 5000,                /* the same, for what one side of a tunnel sent before it ended */
    INGRESS_LINGER_MS = 1000,              /* wait for the client's end after the response, */
    INGRESS_LINGER_BODY_MS = 10000,        /* and if the client has not sent its whole request yet */
    INGRESS_BODY_BYTES_MAX = 32 << 20,     /* of a request; Cloud Run's limit for HTTP/1 */
    INGRESS_RESPONSE_BYTES_MAX = 32 << 20, /* of a response that announces its length; likewise */
    INGRESS_CONNECT_TRIES = 3,
    INGRESS_SILENT_MS_MAX = 3000, /* time without a request, while connections are scarce, */
    INGRESS_SILENT_MS_FULL = 500, /* and while none is left */
    INGRESS_CROWDED_PERCENT = 80, /* of the connections; from there on they are scarce */
    INGRESS_EVICTED_MAX = 64,     /* silent connections ended for one new connection */
    INGRESS_TURNED_AWAY_MAX = 64, /* at once, with a response; others are closed without one */
    INGRESS_MANY_TUNNELS = 32,    /* with bytes in a millisecond: from there on, the loop gathers (loop_gather) */
    INGRESS_GATHER_US = 1000,
    INGRESS_BODY_MS = 30000, /* see http_rules.body_ms */
};

struct ingress_options {
    const char *bind;         /* an IP address; NULL: this machine's own, 127.0.0.1 and, where there is IPv6, ::1 */
    uint16_t port;            /* 0 picks a free one */
    uint32_t connections_max; /* at least 1 */
    uint32_t connections_per_address; /* at least 1; loopback has no such bound */
    enum request_log_choice log;
    struct proxies proxies;    /* connections from these begin with a header of the PROXY protocol */
    bool close_frame;          /* a WebSocket that the timeout cuts gets a Close frame first */
    bool propagate_disconnect; /* a client that leaves ends its request at the instance, which Cloud Run does not do */
    uint32_t trusted_hops;     /* load balancers in front that write X-Forwarded-For and X-Forwarded-Proto */
};

struct ingress {
    struct net *net;
    struct loop *loop;
    const struct route *route;
    struct listener listener;
    struct listener listener6; /* of ::1 beside 127.0.0.1 */
    struct http_server http;   /* lists the exchanges */
    struct list tunnels;       /* struct tunnel */
    uint32_t tunnel_count;
    struct list tails;     /* struct tail of tunnel.c: connections to instances that outlive their tunnels */
    struct list leftovers; /* struct leftover */
    struct list arrivals;  /* struct arrival */
    uint32_t arrivals_count;
    struct proxies proxies;
    uint32_t trusted_hops;
    bool close_frame, propagate_disconnect;
    bool is_cut;              /* no client's leaving leaves anything any more */
    struct list idle;         /* exchanges without a request, longest idle first */
    struct http1_head answer; /* of an instance, being read: large, and used by one call at a time */
    struct door door;
    struct admission_door admission;
    struct denials denials;
    struct request_log log;
    uint32_t turned_away; /* refused at the door and not closed yet */
    struct conn_limits limits, tail_limits;
    uint64_t tunnels_ms;   /* the millisecond */
    uint32_t tunnels_busy; /* tunnels that carried bytes in it */
    struct {
        uint64_t exchanges, tunnels, timeouts, failures;
        uint64_t left;             /* requests whose client left while the instance worked on them */
        uint64_t trailers_dropped; /* lines */
    } counters;
};

/* `route` must outlive it. False with `err` set. */
bool ingress_open(struct ingress *ingress, struct net *net, const struct route *route,
                  const struct ingress_options *options, struct err *err);
/* From now on every connection begins with TLS. `server` outlives the ingress. */
void ingress_tls_set(struct ingress *ingress, const struct tls_server *server);
/* From now on services are asked who may call them, and tokens are verified; until then nobody's request may come. */
void ingress_identities_set(struct ingress *ingress, struct identities *identities, bool closed);
/* A stream whose client is known has arrived: to the door. */
void ingress_take(struct ingress *ingress, struct io *io, const struct addr *peer);
/* The bounds of connections change: those that are there stay. */
void ingress_bounds_set(struct ingress *ingress, uint32_t connections_max, uint32_t per_address_max);
void ingress_finish(struct ingress *ingress); /* every connection must be gone; accepts zeroed memory */
/* Takes no new connections. Idle ones end now, the others with their exchange. */
void ingress_stop(struct ingress *ingress);
/* Ends every connection. */
void ingress_cut(struct ingress *ingress);

#endif

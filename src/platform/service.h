/* service: a name under which clients reach one or more revisions, and the managed servers (Redis, Postgres) that these
 * share. `up` owns
 * it; the route lists it.
 *
 *   SERVICE_MOVES:
 *     LOADED --service_start--> STARTING --its managed servers serve--> RUNNING
 *     STARTING, RUNNING --service_stop--> DRAINING --the last instance is gone--> CLOSING
 *     CLOSING --its managed servers are gone--> STOPPED
 */
#ifndef SENNIT_PLATFORM_SERVICE_H
#define SENNIT_PLATFORM_SERVICE_H

#include "platform/bill.h"
#include "platform/managed_postgres.h"
#include "platform/managed_redis.h"
#include "platform/revision.h"
#include "platform/traffic.h"

struct catalog;

enum service_state {
    SERVICE_LOADED,
    SERVICE_STARTING,
    SERVICE_RUNNING,
    SERVICE_DRAINING,
    SERVICE_CLOSING,
    SERVICE_STOPPED,
    SERVICE_STATES,
};

enum {
    SERVICE_PERCENT = TRAFFIC_PERCENT, /* the sum of its revisions' shares */
    SERVICE_REVISIONS_MAX = 100,       /* beyond it, the oldest that has no traffic and no instance goes */
};

struct service {
    struct list of_route;
    struct programs *programs;
    struct catalog *owner; /* NULL in tests */
    const struct up_options *options;
    char *name;
    char *document;        /* of the operator's file, as it was taken last; NULL: none, or it is to be taken again */
    struct list revisions; /* at least one, the latest last */
    uint32_t draining;     /* revisions whose instances are not all gone yet */
    uint32_t closing;      /* managed servers that are not gone yet */
    struct managed_redis redis;       /* OFF unless the latest revision wants one */
    struct managed_postgres postgres; /* likewise */
    struct traffic traffic;           /* in force */
    struct traffic awaited;           /* in force as soon as `deploying` is ready */
    struct revision *deploying;       /* it has to prove itself; NULL: none */
    struct logbook book;              /* what its requests and programs have logged; keeps nothing before it starts */
    struct bill bill;                 /* of all its revisions */
    uint32_t number;                  /* in the last name that was made for a revision */
    bool is_first;                    /* of its `up`: its managed servers have the state folder's first places */
    uint8_t state;                    /* enum service_state */
    void (*stopped)(struct service *service);
    /* The state to keep has changed: a revision, its state, or the traffic. May be NULL. */
    void (*changed)(struct service *service);
};

/* `options` and `programs` must outlive it. `stopped` is called once, after service_stop, from it or from the loop. */
struct service *service_create(struct programs *programs, const struct up_options *options,
                               void (*stopped)(struct service *service));
/* It is LOADED or STOPPED, and every request has ended. */
void service_destroy(struct service *service);
/* Adds a revision at the start, behind the others: READY, and prepared, or FAILED for `fault`. The first one names the
 * service. Without other traffic, the latest gets all requests. */
void service_add(struct service *service, struct revision *revision, const char *fault);
/* Adds a revision that has to prove itself, and was prepared. It gets the requests that `traffic` says once it is
 * ready; until then, and if it is not, all stays as it is. A deployment that is under way fails. Before the service
 * starts, the proof begins with it. */
void service_deploy(struct service *service, struct revision *revision, const struct traffic *traffic);
/* Divides new requests so from now on; those under way stay where they are. */
void service_traffic_set(struct service *service, const struct traffic *traffic);
/* Gives all requests to the ready revision before the one that has most of them now, or to `name` unless that is NULL.
 * False with `err` set: there is none, or it is not ready. */
bool service_roll_back(struct service *service, const char *name, struct err *err);
/* Every revision that `traffic` names exists, or is `coming`; false with `err` set. */
bool service_traffic_check(const struct service *service, const struct traffic *traffic, const char *coming,
                           struct err *err);
struct revision *service_find(const struct service *service, const char *name); /* NULL: none */
/* Makes a name for a revision, which none has. The caller frees it. */
char *service_name_next(struct service *service);
/* Starts the managed servers, and then, from the loop, the fleets. False with `err` set. */
bool service_start(struct service *service, struct err *err);
/* Ends the instances, then the managed servers. It is STARTING or RUNNING. */
void service_stop(struct service *service);
/* Sends SIGKILL to all that runs. */
void service_kill(struct service *service);

/* The revision for one request: each gets its percentage of the draws from 0 to SERVICE_PERCENT - 1. */
struct revision *service_revision(const struct service *service, uint32_t draw);
struct revision *service_latest(const struct service *service);
/* The latest that has proved itself; NULL: none yet. */
struct revision *service_latest_ready(const struct service *service);
/* The revision of a tag; NULL: there is no such tag. */
struct revision *service_tagged(const struct service *service, struct span tag);

#endif

/* service: a name under which clients reach one or more revisions, and the managed Redis that these share. `up` owns
 * it; the route lists it.
 *
 *   SERVICE_MOVES:
 *     LOADED --service_start--> STARTING --its Redis answers, or it has none--> RUNNING
 *     STARTING, RUNNING --service_stop--> DRAINING --the last instance is gone--> CLOSING
 *     CLOSING --its Redis is gone, or it has none--> STOPPED
 */
#ifndef SENNIT_PLATFORM_SERVICE_H
#define SENNIT_PLATFORM_SERVICE_H

#include "platform/managed_redis.h"
#include "platform/revision.h"

enum service_state {
    SERVICE_LOADED,
    SERVICE_STARTING,
    SERVICE_RUNNING,
    SERVICE_DRAINING,
    SERVICE_CLOSING,
    SERVICE_STOPPED,
    SERVICE_STATES,
};

enum { SERVICE_PERCENT = 100 }; /* the sum of its revisions' shares */

struct service {
    struct list of_route;
    struct programs *programs;
    const struct up_options *options;
    char *name;
    struct list revisions;      /* at least one, the latest last */
    uint32_t draining;          /* revisions whose instances are not all gone yet */
    struct managed_redis redis; /* OFF unless the latest revision wants one */
    uint8_t state;              /* enum service_state */
    void (*stopped)(struct service *service);
};

/* `options` and `programs` must outlive it. `stopped` is called once, after service_stop, from it or from the loop. */
struct service *service_create(struct programs *programs, const struct up_options *options,
                               void (*stopped)(struct service *service));
/* It is LOADED or STOPPED, and every request has ended. */
void service_destroy(struct service *service);
/* Adds a revision, which gets all requests, and takes over `spec`. The first one names the service. */
struct revision *service_add(struct service *service, struct service_spec *spec);
/* Finds what the revisions need on this machine. False with `err` set. */
bool service_prepare(struct service *service, struct err *err);
/* Starts Redis, and then, from the loop, the fleets. False with `err` set. */
bool service_start(struct service *service, struct err *err);
/* Ends the instances, then Redis. It is STARTING or RUNNING. */
void service_stop(struct service *service);
/* Sends SIGKILL to all that runs. */
void service_kill(struct service *service);

/* The revision for one request: each gets its percentage of the draws from 0 to SERVICE_PERCENT - 1. */
struct revision *service_revision(const struct service *service, uint32_t draw);
struct revision *service_latest(const struct service *service);
/* The most instances that all revisions may have. */
uint64_t service_instances_max(const struct service *service);

#endif

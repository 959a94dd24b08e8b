/* fleet: the instances of one revision, their slots, and the requests that wait for a slot. The revision owns it; the
 * ingress asks it for slots; it owns its instances.
 *
 *   FLEET_MOVES:
 *     OPEN --fleet_start--> SCALING
 *     OPEN, SCALING --fleet_stop--> CLOSING --the last instance is gone--> CLOSED
 */
#ifndef SENNIT_PLATFORM_FLEET_H
#define SENNIT_PLATFORM_FLEET_H

#include "platform/autoscaler.h"
#include "platform/command.h"
#include "platform/demand.h"
#include "platform/instance.h"
#include "platform/spec.h"

enum {
    FLEET_QUEUE_MAX = 10000,       /* waiting requests */
    FLEET_QUEUE_MS_MIN = 10000,    /* a request waits 3.5 times the average startup, and at least this long */
    FLEET_STARTUP_MS_MAX = 240000, /* by then an instance must listen */
    FLEET_IDLE_MS = 15 * 60 * 1000,
    FLEET_TICK_MS = 1000,
    FLEET_SUSPECT_MS = 500, /* an instance that refused a connection gets no other one for this long */
    FLEET_YOUNG_MS = 2000,  /* an instance that ends this soon after it listened counts as not started */
};

enum fleet_state { FLEET_OPEN, FLEET_SCALING, FLEET_CLOSING, FLEET_CLOSED, FLEET_STATES };

/* Why a request got no instance. */
enum fleet_refusal { FLEET_QUEUE_FULL, FLEET_MAX_INSTANCES, FLEET_COLD_START, FLEET_START_FAILED, FLEET_STOPPING };

/* A request for a slot, embedded in the caller, which sets the two callbacks. It waits in the fleet's queue until one
 * of them is called, once, from the loop or from fleet_ask itself. */
struct ask;
struct ask {
    struct list queued;
    struct fleet *fleet; /* that was asked last */
    uint64_t since_us;
    char affinity[AFFINITY_BYTES + 1]; /* of the instance that it prefers; empty: none */
    /* A slot is held for it; give it back with instance_release. */
    void (*granted)(struct ask *ask, struct instance *instance);
    void (*refused)(struct ask *ask, enum fleet_refusal refusal);
};

struct fleet {
    struct loop *loop;
    struct programs *programs;
    const struct service_spec *spec;
    const struct command *command;
    const struct words *environment; /* of all instances */
    const char *image_root;          /* where the files of its image are; NULL: not there yet */
    const char *image_fault;         /* why they cannot be made; NULL: they can */
    const char *secrets;             /* the folder that an instance reads its secrets from; see secrets_take */
    struct bill *bill;               /* that its instances have accounts in; NULL: none */
    struct logbook *book;            /* of its service; NULL: none */
    struct account idle;             /* of the instances that minScale keeps */
    struct redis_port *redis;        /* of its service; NULL: none */
    uint8_t network;                 /* enum network_choice */
    bool unpacks;                    /* its image is being unpacked: nothing starts before fleet_unpacked */
    bool user_told;                  /* that its image has no such user */
    bool outside_told;               /* that the instances' networks do not lead outside */
    bool insists;                    /* its program insists on its port: each instance has a network of its own */
    bool text_log;
    bool loopback_told; /* that its program listens on 127.0.0.1 only */
    bool retired;       /* no request is to come: idle instances stop at once, minScale does not count */
    bool proving;       /* one instance is wanted, to see whether it becomes ready */
    char *fault;        /* why it did not; NULL: it did */
    struct timer verdict;
    /* The first instance has become ready (`fault` is NULL), or has not. From the loop, once after fleet_prove. */
    void (*proved)(struct fleet *fleet, const char *fault);
    uint64_t startup_ms_max, idle_ms;
    struct list instances;
    struct list asks;
    uint32_t ask_count;
    uint32_t started; /* ever */
    struct autoscaler_state autoscaler;
    struct demand requests, cpu; /* open and waiting requests; busy thousandths of a CPU */
    uint64_t cpu_us;             /* when `cpu` was noted last */
    uint32_t open;               /* requests that instances serve */
    uint32_t time_scale;         /* its clock runs so many times faster */
    struct timer tick, pause;    /* `pause`: of the autoscaler, after a start that failed */
    uint64_t startup_us_sum, startup_count;
    uint8_t state;                        /* enum fleet_state */
    void (*stopped)(struct fleet *fleet); /* it is CLOSED; set by the owner before fleet_stop */
    struct {
        uint64_t refused, crashed;
    } counters;
};

/* Nothing starts before it is asked or fleet_start is called. All arguments must outlive the fleet. */
void fleet_init(struct fleet *fleet, struct programs *programs, const struct service_spec *spec,
                const struct command *command, const struct words *environment);
/* Keeps the number of instances that the autoscaler wants, from now on. */
void fleet_start(struct fleet *fleet);
/* The same, and starts one instance to see whether it becomes ready: `proved`, which is set before, says so. */
void fleet_prove(struct fleet *fleet);
/* Its image is unpacked, or cannot be: image_root and image_fault are set. */
void fleet_unpacked(struct fleet *fleet);
/* Whether requests are to come. Without, the instances end as soon as they are idle; with them again, all is as before.
 */
void fleet_retire(struct fleet *fleet, bool retired);
/* Sends SIGTERM to all instances, and refuses waiting and later requests. `stopped` follows: from the loop, or at once
 * if there is no instance. Not to be called twice. */
void fleet_stop(struct fleet *fleet);
/* Sends SIGKILL to all instances. */
void fleet_kill(struct fleet *fleet);
/* Its instances are gone, and no request waits. Accepts zeroed memory. */
void fleet_finish(struct fleet *fleet);

/* Asks for a slot of an instance, chosen uniformly at random among those with a free one. If there is none, the request
 * waits, and the autoscaler may start an instance. */
void fleet_ask(struct fleet *fleet, struct ask *ask);
/* Withdraws a waiting request; harmless if it does not wait. */
void fleet_forget(struct ask *ask);

/* The clock of all its decisions. */
uint64_t fleet_now_us(const struct fleet *fleet);

/* The request timeout on this machine's clock; at least 1. */
uint32_t fleet_timeout_s(const struct fleet *fleet);
/* What is left of it for a request that began then (loop_now_us), in microseconds. */
uint64_t fleet_left_us(const struct fleet *fleet, uint64_t began_us);

/* Called by its instances: the number of requests that they serve changes, */
void fleet_requests_add(struct fleet *fleet, int change);
/* one listens, and */
void fleet_instance_ready(struct fleet *fleet, struct instance *instance);
/* one has ended and left the list; `before` is the state that this ended. */
void fleet_instance_gone(struct fleet *fleet, struct instance *instance, enum program_state before,
                         struct child_end end);
/* One begins or ends to be billed for itself. */
void fleet_idle_changed(struct fleet *fleet);
/* A request has ended. */
void fleet_slot_freed(struct fleet *fleet);
/* Writes one line of an instance's output to ours: behind its name, or as JSON with its name in `from`. */
void fleet_line(struct fleet *fleet, const struct instance *instance, bool is_stderr, struct span line);

#endif

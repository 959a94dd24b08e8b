/* fleet: the instances of one revision, their slots, and the requests that wait for a slot. `up` owns it; the ingress
 * asks it for slots; it owns its instances. */
#ifndef SENNIT_PLATFORM_FLEET_H
#define SENNIT_PLATFORM_FLEET_H

#include "platform/autoscaler.h"
#include "platform/command.h"
#include "platform/instance.h"
#include "platform/spec.h"

enum {
    FLEET_QUEUE_MAX = 10000,       /* waiting requests */
    FLEET_QUEUE_MS_MIN = 10000,    /* a request waits 3.5 times the average startup, and at least this long */
    FLEET_STARTUP_MS_MAX = 240000, /* by then an instance must listen */
    FLEET_IDLE_MS = 15 * 60 * 1000,
    FLEET_TICK_MS = 1000,
    FLEET_YOUNG_MS = 2000, /* an instance that ends this soon after it listened counts as not started */
};

/* Why a request got no instance. */
enum fleet_refusal { FLEET_QUEUE_FULL, FLEET_MAX_INSTANCES, FLEET_COLD_START, FLEET_START_FAILED, FLEET_STOPPING };

/* A request for a slot, embedded in the caller. It waits in the fleet's queue until one of the callbacks is called,
 * once, from the loop or from fleet_ask itself. */
struct ask;
struct ask {
    struct list queued;
    struct fleet *fleet; /* that was asked last */
    uint64_t since_us;
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
    bool text_log;
    uint64_t startup_ms_max, idle_ms;
    struct list instances;
    struct list asks;
    uint32_t ask_count;
    uint32_t started; /* ever */
    struct autoscaler_state autoscaler;
    struct timer tick, pause; /* `pause`: of the autoscaler, after a start that failed */
    uint64_t startup_us_sum, startup_count;
    bool stopping;
    void (*stopped)(struct fleet *fleet); /* the last instance is gone, while stopping */
    struct {
        uint64_t refused, crashed;
    } counters;
};

/* All arguments must outlive the fleet. */
void fleet_init(struct fleet *fleet, struct programs *programs, const struct service_spec *spec,
                const struct command *command, const struct words *environment);
/* Begins to scale. */
void fleet_start(struct fleet *fleet);
/* Sends SIGTERM to all instances, and refuses waiting requests. `stopped` follows, from the loop. */
void fleet_stop(struct fleet *fleet);
void fleet_kill(struct fleet *fleet);
void fleet_finish(struct fleet *fleet);

void fleet_ask(struct fleet *fleet, struct ask *ask);
/* Withdraws a waiting request; harmless if it does not wait. */
void fleet_forget(struct ask *ask);
uint32_t fleet_count(const struct fleet *fleet, enum program_state state);

/* Called by instances. */
void fleet_instance_ready(struct fleet *fleet, struct instance *instance);
void fleet_instance_gone(struct fleet *fleet, struct instance *instance, enum program_state before,
                         struct child_end end);
void fleet_slot_freed(struct fleet *fleet);
void fleet_line(struct fleet *fleet, const struct instance *instance, bool is_stderr, struct span line);

#endif

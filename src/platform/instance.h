/* instance: one process of a revision: the program that runs, its name, and the requests that it serves. The fleet owns
 * it. Its state is its program's: STARTING until it listens on $PORT, READY, STOPPING while it drains, ENDED. It leaves
 * its fleet with its end, and frees itself when the last request that it held has ended too. */
#ifndef SENNIT_PLATFORM_INSTANCE_H
#define SENNIT_PLATFORM_INSTANCE_H

#include "platform/affinity.h"
#include "platform/bill.h"
#include "platform/instance_network.h"
#include "platform/logbook.h"
#include "platform/metadata.h"
#include "platform/program.h"
#include "platform/volumes.h"

struct fleet;

enum {
    INSTANCE_LAST_LINES = 5,  /* of its output, logged when it fails */
    INSTANCE_STILL_MS = 100,  /* without anything to do, it stands still after this time */
    INSTANCE_PORTS_MS = 2000, /* after this time without $PORT, its other ports are looked for */
};

struct instance {
    struct fleet *fleet;
    struct list of_fleet;
    struct program program;
    char *id;
    char affinity[AFFINITY_BYTES + 1]; /* random: what its clients' cookies hold */
    uint16_t port;
    uint32_t requests;
    uint64_t started_us, ready_us, idle_since_us;
    uint64_t cpu_us;     /* that it had used when that was read last */
    uint64_t refused_us; /* when it last refused a connection: its end may be known a moment later; 0: never */
    int64_t started_ms;  /* wall clock */
    struct probe liveness, readiness;
    struct cgroup cgroup;
    struct account account; /* what it is billed for */
    struct instance_network network;
    struct metadata_port metadata;
    struct volumes_shown volumes;
    struct timer still; /* then it has had nothing to do for long enough to stand still */
    uint32_t probing;   /* probes under way */
    bool frozen;        /* it has no CPU */
    bool out_of_memory; /* it is ended, or has been, for its memory */
    bool doomed;        /* it is being killed */
    bool ports_told;    /* instance_check_ports has found something */
    bool volumes_told;  /* likewise instance_check_volumes */
    bool unready;       /* its readiness probe failed, or has not succeeded yet: it gets no new request */
    bool unproved;      /* it listens, and its readiness probe has not succeeded yet: it still counts as starting */
    char *last[INSTANCE_LAST_LINES];
    uint32_t last_count;
};

/* For entries about it; borrowed. */
struct log_origin instance_origin(const struct instance *instance);
/* An event of the platform about it: a line of the log, and an entry of the service's logbook. */
#define INSTANCE_EVENT(about, level, message, ...) \
    LOGBOOK_EVENT((about)->fleet->book, instance_origin(about), (level), (message), ##__VA_ARGS__)

/* Starts a process, and puts it into the fleet's list; NULL with `err` set if it cannot be executed. */
struct instance *instance_start(struct fleet *fleet, struct err *err);
/* Says once, of an instance that is starting for some time, that it listens on another port than $PORT. */
void instance_check_ports(struct instance *instance);
/* Ends one whose readiness probe has not succeeded in the time that a start may take. */
void instance_check_readiness(struct instance *instance);
/* Whether it is starting, and whether it has started and does not stop. */
bool instance_is_starting(const struct instance *instance);
bool instance_is_ready(const struct instance *instance);
/* Lets the files of its volumes follow their secrets. */
void instance_check_volumes(struct instance *instance);
/* Sends SIGTERM, and SIGKILL later. */
void instance_stop(struct instance *instance);
/* Where the kernel does not bound its memory: ends it if it uses more than its limit. */
void instance_check_memory(struct instance *instance);
/* Whether it was ended for its memory. Known at once, when its connections end. */
bool instance_is_out_of_memory(struct instance *instance);
/* The state as /status names it: "starting", "ready", "unready", "draining", "gone". */
const char *instance_state_name(const struct instance *instance);
/* A request begins and ends: each holds one slot. The last one may free an instance that has ended. */
void instance_hold(struct instance *instance);
void instance_release(struct instance *instance);

#endif

/* instance: one process of the service, its port and the requests that it serves. The fleet owns it.
 *
 *     STARTING --listens--> READY --no longer wanted--> DRAINING --> GONE
 *         \--------------------\----- it ended by itself ------------/
 */
#ifndef SENNIT_PLATFORM_INSTANCE_H
#define SENNIT_PLATFORM_INSTANCE_H

#include "loop/child.h"
#include "net/conn.h"

struct fleet;

enum instance_state { INSTANCE_STARTING, INSTANCE_READY, INSTANCE_DRAINING, INSTANCE_GONE };
enum {
    INSTANCE_PROBE_MS = 25,
    INSTANCE_STOP_MS = 10000, /* between SIGTERM and SIGKILL */
    INSTANCE_LAST_LINES = 5,  /* of its output, logged when it fails */
};

struct instance {
    struct fleet *fleet;
    struct list of_fleet;
    struct child child;
    struct conn probe; /* connects to the port until the program listens */
    struct timer probe_timer, deadline;
    char *id;
    uint16_t port;
    uint8_t state; /* enum instance_state */
    bool probing;
    uint32_t requests;
    uint64_t started_us, ready_us, idle_since_us;
    int64_t started_ms; /* wall clock */
    pid_t pid;          /* kept after the end, for the log */
    char *last[INSTANCE_LAST_LINES];
    uint32_t last_count;
};

/* Starts a process; NULL with `err` set if it cannot be executed. */
struct instance *instance_start(struct fleet *fleet, struct err *err);
/* Sends SIGTERM, and SIGKILL ten seconds later. */
void instance_stop(struct instance *instance);
/* Sends SIGKILL to the whole process group, now. */
void instance_kill(struct instance *instance);
/* A request begins and ends. */
void instance_hold(struct instance *instance);
void instance_release(struct instance *instance);

#endif

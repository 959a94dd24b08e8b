/* program: a child process with a life: started, probed until it answers, watched, and ended. An instance and a
 * managed server each embed one and get its events; `up` owns the list of all that run.
 *
 *   PROGRAM_MOVES:
 *     OFF --program_start--> STARTING --the probe is answered--> READY
 *     STARTING, READY --program_stop--> STOPPING
 *     STARTING, READY, STOPPING --the process ended--> ENDED --the probe's connection is closed--> OFF
 *
 * A program that ended may be started again once it is OFF. */
#ifndef SENNIT_PLATFORM_PROGRAM_H
#define SENNIT_PLATFORM_PROGRAM_H

#include "loop/cgroup.h"
#include "loop/child.h"
#include "platform/probe.h"
#include "platform/roster.h"

enum {
    PROGRAM_PROBE_MS = 25,            /* between two probes of the usual kind */
    PROGRAM_PROBE_TIMEOUT_MS = 10000, /* of one such probe */
    PROGRAM_STOP_MS = 10000,          /* between the stop signal and SIGKILL */
};

enum program_state { PROGRAM_OFF, PROGRAM_STARTING, PROGRAM_READY, PROGRAM_STOPPING, PROGRAM_ENDED, PROGRAM_STATES };

/* All programs of one `up`. */
struct programs {
    struct net *net;
    struct loop *loop;
    struct list running;       /* from start to end */
    struct cgroups cgroups;    /* found by `up`, once it is the user that it stays */
    struct roster roster;      /* likewise opened by `up` */
    struct metadata *metadata; /* likewise; NULL: instances have none */
};

struct metadata;
struct program;

/* The owner's callbacks. None is called from within program_start, program_stop or program_kill. */
struct program_events {
    /* STARTING -> READY. */
    void (*ready)(struct program *program);
    /* It did not become ready in time; it is killed after this call. May be NULL without a start_ms_max. */
    void (*late)(struct program *program);
    /* One line of its output. */
    void (*line)(struct program *program, bool is_stderr, struct span line);
    /* The process is gone; `before` is the state that this ended. The memory is still in use. */
    void (*ended)(struct program *program, enum program_state before, struct child_end end);
    /* It is OFF, in the same turn as `ended`: the memory is the owner's again. */
    void (*released)(struct program *program);
};

struct program_spec {
    struct child_spec child;        /* borrowed for the call */
    const char *variable;           /* see roster_note */
    struct addr addr;               /* where it will listen, in child.netspace */
    const struct probe_spec *probe; /* says that it is ready; outlives the program */
    int stop_signal;                /* 0: SIGTERM */
    uint64_t start_ms_max;          /* until it must be ready; 0: no bound but the probe's */
};

struct program {
    struct programs *programs;
    const struct program_events *events;
    struct list of_programs;
    struct child child;
    struct probe probe;
    struct timer deadline; /* to become ready, later to end */
    struct addr addr;
    pid_t pid; /* kept after the end, for the log */
    int stop_signal;
    uint8_t state;
};

/* The probe of a program that is ready when it accepts a connection. */
extern const struct probe_spec program_probe_default;

void programs_init(struct programs *programs, struct net *net);
/* A port of loopback that is free now, and that no running program was given. Another process may take it before the
 * program does; then the program ends by itself. False with `err` set. */
bool programs_find_port(struct programs *programs, uint16_t *port, struct err *err);

/* Whether a running program was given this port; it may not listen on it yet. */
bool programs_have_port(const struct programs *programs, uint16_t port);

void program_init(struct program *program, struct programs *programs, const struct program_events *events);
/* The program is OFF. False with `err` set, and still OFF, if it cannot be executed. */
bool program_start(struct program *program, const struct program_spec *spec, struct err *err);
/* Sends its stop signal, and SIGKILL after PROGRAM_STOP_MS. Harmless if it is stopping or not running. */
void program_stop(struct program *program);
/* Sends SIGKILL to the whole process group now. Harmless if it is not running. */
void program_kill(struct program *program);

#endif

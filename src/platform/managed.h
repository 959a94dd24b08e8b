/* managed: a server beside a service, which `sennit up` runs for it: started, probed until it serves, restarted when it
 * ends, and stopped. It has a directory of its own, and a unix socket that only its user can reach. `managed_redis` and
 * `managed_postgres` each embed one and say what it runs; the service owns them.
 *
 *   MANAGED_MOVES:
 *     OFF --managed_start--> STARTING --managed_serves--> READY
 *     STARTING, READY --it ended by itself--> WAITING --the delay is over--> STARTING
 *     STARTING, READY --managed_stop--> STOPPING --it ended--> STOPPED
 *     WAITING --managed_stop--> STOPPED
 */
#ifndef SENNIT_PLATFORM_MANAGED_H
#define SENNIT_PLATFORM_MANAGED_H

#include "loop/file.h"
#include "platform/program.h"
#include "platform/words.h"

enum { MANAGED_RESTART_MS_MIN = 250, MANAGED_RESTART_MS_MAX = 5000 };

enum managed_state {
    MANAGED_OFF,
    MANAGED_STARTING,
    MANAGED_READY,
    MANAGED_WAITING,
    MANAGED_STOPPING,
    MANAGED_STOPPED,
    MANAGED_STATES,
};

struct managed;

/* What one kind of server has of its own. */
struct managed_kind {
    const char *name;     /* for the log: "redis" */
    const char *title;    /* for people: "Redis" */
    const char *variable; /* of its environment; its value is the directory. See roster_note */
    const char *needs;    /* in front of the error when it cannot be executed */
    const struct probe_spec *probe;
    int stop_signal;   /* 0: SIGTERM */
    bool plain_socket; /* its path may have letters, digits and ._-/ alone */
    /* Appends the command line. */
    void (*command)(const struct managed *managed, struct words *argv);
    /* The probe was answered: calls managed_serves, now or later. */
    void (*answered)(struct managed *managed);
    /* The process is gone: what `answered` began is over. May be NULL. */
    void (*gone)(struct managed *managed);
    /* Whether a line of its output may be why it ends; the last one is logged then. NULL: each may. */
    bool (*is_fault)(struct span line);
};

/* Zeroed memory is OFF. */
struct managed {
    const struct managed_kind *kind;
    struct program program;
    struct timer restart;
    const struct child_user *user; /* as whom it runs; NULL: as we do */
    char *directory;               /* absolute */
    char *short_directory;         /* of the socket, if its path in `directory` would be too long; else NULL */
    char *socket;
    struct addr addr; /* the socket */
    uint64_t restart_ms;
    uint64_t restart_delay_ms; /* from its end to the restart; 0: a short backoff */
    struct file_lock lock;     /* on the directory */
    char last[256];            /* the last line of its output that may say why it ends */
    uint8_t state;             /* enum managed_state */
    /* The owner's callbacks, set before the start. */
    void (*ready)(struct managed *managed);   /* it serves, after each start */
    void (*stopped)(struct managed *managed); /* after managed_stop */
};

/* OFF, with the owner's callbacks as they were. Call managed_finish for each that was prepared. */
void managed_prepare(struct managed *managed, const struct managed_kind *kind, struct programs *programs);
/* Makes its directory for its user alone, and locks it (PATH.lock where the user is another one) for one server at a
 * time, because two spoil the data. False with `err` set. */
bool managed_directory_take(struct managed *managed, const char *path, struct err *err);
/* Puts the socket `name` into the directory, or, where that path is too long for a socket (107 bytes) or not plain,
 * into another one with a short name. False with `err` set. */
bool managed_socket_place(struct managed *managed, const char *name, struct err *err);
/* It has its directory and its socket. False with `err` set, which says what to install. */
bool managed_start(struct managed *managed, struct err *err);
/* STARTING -> READY; calls `ready`. */
void managed_serves(struct managed *managed);
/* Sends it `stop_signal`; `stopped` follows, at once if it does not run. It has been started, and is not stopped
 * twice. */
void managed_stop(struct managed *managed);
/* Sends SIGKILL; harmless if it does not run. */
void managed_kill(struct managed *managed);
/* The process is gone. Accepts zeroed memory. */
void managed_finish(struct managed *managed);
/* The process, 0 while there is none. */
pid_t managed_pid(const struct managed *managed);

#endif

/* child: processes that the loop starts and watches.
 *
 * Each child leads a process group of its own, which is killed when it ends, has /dev/null as its standard input and
 * dies with us (PR_SET_PDEATHSIG). It gets no descriptor but its standard ones (and struct child_ready's), whatever we
 * have open, and cannot gain privileges (PR_SET_NO_NEW_PRIVS). Its two outputs arrive line by line.
 *
 * Starting and waiting touch nothing else of the process: no signal handler, no SIGCHLD, and no child that is not ours.
 * Each child is watched, signalled and reaped through its own pidfd, so a host program may have children and a SIGCHLD
 * handler of its own. The host must not ignore SIGCHLD and must not wait for children that are not its own
 * (waitpid(-1)). Otherwise the child's status is lost and its group cannot be killed (struct child_end). */
#ifndef SENNIT_LOOP_CHILD_H
#define SENNIT_LOOP_CHILD_H

#include <sys/types.h>

#include "base/buf.h"
#include "loop/io.h"
#include "loop/mounts.h"
#include "loop/netspace.h"

/* Whom a child of root's runs as. */
struct child_user {
    uid_t uid;
    gid_t gid;
};

/* A pipe by which a program says that it is ready (`--ready-fd N`). -1: none. */
struct child_ready {
    int ours, its;
};
enum child_readiness { CHILD_READY, CHILD_NOT_READY /* it has ended, or closed the pipe */, CHILD_LATE };

struct child_spec {
    const char *const *argv;         /* NULL-terminated; argv[0] is looked up in PATH unless it has a slash */
    const char *const *env;          /* NULL-terminated "NAME=value"s, the whole environment; NULL: ours */
    const char *directory;           /* NULL: ours */
    bool is_private;                 /* the files it makes are for its user alone (umask 077) */
    char *const *cgroups;            /* NULL-terminated; see struct cgroup.members; NULL: none */
    const struct netspace *netspace; /* its network; NULL, or closed: ours */
    const struct mounts *mounts;     /* folders of its own; NULL: none */
    const struct child_user *user;   /* with no other group than its own; NULL: ours */
    const struct child_ready *ready; /* it has `its` under the same number; NULL: none */
};

/* How a child ended. When the host program took its status first, or ignores SIGCHLD, `exit_status` is
 * CHILD_STATUS_UNKNOWN, and the processes that the child has started were not killed, because its group's number may
 * belong to another group by now. */
enum { CHILD_STATUS_UNKNOWN = -1 };
struct child_end {
    int exit_status; /* when `signal` is 0 */
    int signal;      /* 0: exited by itself */
};

struct child;
/* One line of output without its newline, cut at CHILD_LINE_MAX bytes. */
typedef void child_line_fn(struct child *child, bool is_stderr, struct span line);
/* Called once, when the process is gone and its remaining output was handed out. After that the memory is the caller's
 * again. */
typedef void child_ended_fn(struct child *child, struct child_end end);

enum { CHILD_LINE_MAX = 64 * 1024 };

struct child {
    struct loop *loop;
    pid_t pid; /* 0 when not running */
    child_line_fn *line;
    child_ended_fn *ended;
    struct io watch, out, err;
    struct buf out_rest, err_rest;
    struct timer settle;
    struct child_end end;
};

/* Starts it; false with `err` set when it cannot be executed (not found, not executable: the text says which and where
 * it was looked for) or watched (the kernel is older than 5.3 or forbids it). Exec failures are found here, not by an
 * early exit. `child` must stay in place until `ended` was called; `spec` is not kept. */
bool child_start(struct child *child, struct loop *loop, const struct child_spec *spec, child_line_fn *line,
                 child_ended_fn *ended, struct err *err);

/* Kills it with its group, waits for that, and calls nothing any more: the memory is the caller's again. Harmless if it
 * has ended, or was never started. Accepts zeroed memory. */
void child_discard(struct child *child);

/* False with `err` set: no descriptor is left. */
bool child_ready_open(struct child_ready *ready, struct err *err);
/* After child_start: waits until the child has written something, blocking, and closes the pipe. For what takes a few
 * milliseconds. */
enum child_readiness child_ready_wait(struct child_ready *ready, uint32_t ms_max);
void child_ready_close(struct child_ready *ready); /* harmless when closed */

/* Tries the mounts in a child of its own that ends with that. False with `err` set: which one is not possible, and the
 * cure. */
bool child_may_mount(const struct mounts *mounts, struct err *err);

/* Sends a signal to the child, or to its whole process group; harmless when the child is gone. */
void child_signal(struct child *child, int number);
void child_signal_group(struct child *child, int number);

#endif

/* process: CPU time and memory of a process on this machine, and the settings of this process. Linux: /proc and
 * resource limits.
 *
 * Everything here that changes the whole process (signals, limits, the user) is called by the commands of cli, and by
 * nothing below them but load_run, which raises the descriptor limit for its clients. `tools/tidy.py` knows the files
 * that may call such functions of the C library. */
#ifndef SENNIT_LOOP_PROCESS_H
#define SENNIT_LOOP_PROCESS_H

#include <sys/types.h>

#include "base/err.h"
#include "loop/child.h"
#include "loop/loop.h"

/* User memory of a process, in bytes. */
struct process_memory {
    uint64_t resident;     /* RSS: every page that is in memory */
    uint64_t proportional; /* PSS: shared pages count by their share; 0 when not `whole` */
    uint64_t anonymous;    /* heap, stacks and other memory without a file behind it; 0 when not `whole` */
    bool whole;            /* false: this user may only read the RSS */
};

/* CPU time of the process since it started, user and system, all its threads and none of its children, in
 * microseconds; `pid` 0: this one. False with `err` set when there is no such process. */
bool process_cpu_read(pid_t pid, uint64_t *cpu_us, struct err *err);
/* False with `err` set when there is no such process. */
bool process_memory_read(pid_t pid, struct process_memory *memory, struct err *err);

/* Sets the signals that a parent may have set otherwise, for a program that is ours: SIGPIPE is ignored, so that a
 * reader of our log that has gone costs us its lines and not the process; SIGCHLD is not ignored, or the kernel would
 * reap our children before we learn how they ended (loop/child.h). For cli's main alone. */
void process_signals_set(void);

/* Raises the number of descriptors this process may have open to `wanted` where it may; returns how many it may have
 * now. */
uint64_t process_files_allow(uint64_t wanted);

/* Where programs of this user keep their state: $XDG_STATE_HOME/sennit, else ~/.local/state/sennit, else below /tmp.
 * The caller frees it. https://specifications.freedesktop.org/basedir-spec/latest/ */
char *process_state_home(void);
/* Likewise where they look for settings: $XDG_CONFIG_HOME/sennit, else ~/.config/sennit. */
char *process_config_home(void);
/* Sleeps. For a command that does nothing else. */
void process_pause_ms(uint32_t ms);
/* The number of this process. */
int process_self(void);
/* This process is root's. */
bool process_is_root(void);
/* The user of this name. False: the system knows none. */
bool process_user_find(const char *name, struct child_user *user);
/* Sets the group of the user with this number, if the system knows it. Its folder, which the caller frees, or NULL. */
char *process_user_numbered(struct child_user *user);
/* Becomes that user, with its groups and HOME, for good; XDG_STATE_HOME and XDG_RUNTIME_DIR, which were another's, are
 * forgotten. `user` is a name or a number that the system knows. False with `err` set: there is no such user, or this
 * process is not root's; the process is then as it was, or must not go on. */
bool process_user_become(const char *user, struct err *err);

#endif

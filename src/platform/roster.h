/* roster: notes about the programs that run, so that the next `sennit up` on the same state folder ends what a killed
 * one has left behind: DIR/control/programs/PID, one file for each, made when the program starts and removed when it
 * has ended. `programs` embed it; `up` opens it.
 *
 *     OWNER-PID PID BIRTH BOOT-ID NAME=value */
#ifndef SENNIT_PLATFORM_ROSTER_H
#define SENNIT_PLATFORM_ROSTER_H

#include <sys/types.h>

#include "loop/cgroup.h"

/* Zeroed memory is one that keeps nothing. */
struct roster {
    char *directory;
};

/* Ends what the folder's notes name and still runs, waits for its end (a second at most), and says so in the log. The
 * folder `control` belongs to this process. */
void roster_open(struct roster *roster, const char *control, const struct cgroups *cgroups);
void roster_finish(struct roster *roster);
/* A child of ours has started. `variable` ("NAME=value") is in its environment, and in no other program's of this
 * user. */
void roster_note(const struct roster *roster, pid_t pid, const char *variable);
/* It has ended, with all of its group. */
void roster_forget(const struct roster *roster, pid_t pid);

#endif

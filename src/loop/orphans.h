/* orphans: processes that a process of ours left behind when it was killed. Its children die with it (loop/child.h);
 * what they have started lives on. A number of a process may belong to another one later, so an orphan is known by
 * more: the start of the machine, the start of the process, and a variable of its environment. `platform/roster` keeps
 * the notes. Linux: proc(5). */
#ifndef SENNIT_LOOP_ORPHANS_H
#define SENNIT_LOOP_ORPHANS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { BOOT_ID_BYTES = 40 };

/* When a process started, in ticks since the machine did. False: there is none. */
bool process_birth_read(pid_t pid, uint64_t *birth);
/* The machine's present start has this name; "-": it has none. */
void process_boot_read(char id[BOOT_ID_BYTES]);

/* Sends SIGKILL to the process group `group` if it is the one whose first process was born at `birth`. Where that one
 * is gone, each member that has `variable` ("NAME=value") in its environment is killed by itself. Returns how many
 * processes were killed. */
unsigned orphans_kill(pid_t group, uint64_t birth, const char *variable);
/* Whether a process of the group is there that has not ended. */
bool orphans_live(pid_t group);

#endif

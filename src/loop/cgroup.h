/* cgroup: control groups of Linux, for a program and all that it starts: memory, CPU, and standing still. Version 2
 * where its controllers are free, version 1 beside it on hybrid hosts; whatever this user may not have is just missing.
 * https://docs.kernel.org/admin-guide/cgroup-v2.html , cgroup-v1/{memory,cgroups}.html and scheduler/sched-bwc.html
 *
 * `platform` makes one for each instance. Standing still is only done with version 2: a task that version 1 has frozen
 * cannot be killed. */
#ifndef SENNIT_LOOP_CGROUP_H
#define SENNIT_LOOP_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum cgroup_kind { CGROUP_UNIFIED, CGROUP_MEMORY, CGROUP_CPU, CGROUP_KINDS };

/* Folders in which this process may make groups; NULL: none of that kind. */
struct cgroups {
    char *bases[CGROUP_KINDS];
    char *points[CGROUP_KINDS];       /* where the hierarchy of each is mounted */
    bool unified_memory, unified_cpu; /* the controllers are version 2's */
};
/* Looks for them, and tries each. Also removes groups that earlier processes of this kind have left. */
void cgroups_find(struct cgroups *cgroups);
void cgroups_finish(struct cgroups *cgroups); /* accepts zeroed memory */
bool cgroups_limit_memory(const struct cgroups *cgroups);
bool cgroups_limit_cpu(const struct cgroups *cgroups);

struct cgroup {
    char *folders[CGROUP_KINDS]; /* NULL: none */
    bool unified_memory;
    /* For child_spec.cgroups: files that a process writes "0" to, to get in. */
    char *members[CGROUP_KINDS + 1];
};

/* What a group may use. 0: it says nothing. */
struct cgroup_limits {
    uint64_t memory_bytes_max;
    uint32_t cpu_milli;         /* thousandths of a CPU */
    uint32_t cpu_request_milli; /* its weight against others, as Kubernetes makes it of a request */
};
/* Makes a group; `name` is unique among those of this process. What cannot be made is left out. */
void cgroup_create(struct cgroup *cgroup, const struct cgroups *cgroups, const char *name,
                   const struct cgroup_limits *limits);
/* Removes it, when its processes are gone. Accepts zeroed memory. */
void cgroup_destroy(struct cgroup *cgroup);
/* Sends SIGKILL to all its processes. Returns how many. */
unsigned cgroup_kill(const struct cgroup *cgroup);
/* The same for all groups that the process `owner`, which is gone, has left; removes them. Nothing while it lives. */
unsigned cgroups_kill(const struct cgroups *cgroups, pid_t owner);
/* Lets all its processes stand still, or go on. False: not possible here. */
bool cgroup_freeze(const struct cgroup *cgroup, bool frozen);
/* How many of its processes the kernel has killed because the group had too much memory. */
uint64_t cgroup_oom_kills(const struct cgroup *cgroup);

#endif

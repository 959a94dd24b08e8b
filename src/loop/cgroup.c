/* cgroup: finds the hierarchies in /proc/self/mountinfo and /proc/self/cgroup, and writes their files. */
#include "loop/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/file.h"

#define PREFIX "sennit-"
enum { PATH_BYTES = 4096, CPU_PERIOD_US = 100000, CLEAR_WAITS_MAX = 100, CLEAR_WAIT_NS = 10000000 };

static bool group_write(const char *folder, const char *name, const char *text)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t written = write(fd, text, strlen(text));
    close(fd);
    return written == (ssize_t)strlen(text);
}

/* Reads a file of a group, with a NUL behind it. */
static bool group_read(const char *folder, const char *name, char *text, size_t size)
{
    char path[PATH_BYTES];
    struct buf read = {0};
    struct err ignored;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    bool ok = file_read(path, size - 1, &read, &ignored);
    snprintf(text, size, SPAN_FMT, SPAN_ARG(buf_span(&read)));
    buf_finish(&read);
    return ok;
}

/* Whether `word` is in a list; any list has the empty word. */
static bool list_has(const char *text, char separator, const char *word)
{
    struct span rest = span_sub(span_str(text), 0, strcspn(text, "\n")), one;
    while (span_next(&rest, separator, &one))
        if (span_equal(one, span_str(word)))
            return true;
    return word[0] == '\0';
}

/* The path of this process in a hierarchy: `N:memory:/path`, for version 2 `0::/path`. */
static bool own_path(const char *controller, char *path)
{
    char line[PATH_BYTES];
    bool found = false;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        char *first = strchr(line, ':'), *second = first != NULL ? strchr(first + 1, ':') : NULL;
        if (second == NULL)
            continue;
        *second = '\0';
        if (controller[0] == '\0' ? first[1] != '\0' : !list_has(first + 1, ',', controller))
            continue;
        second[1 + strcspn(second + 1, "\n")] = '\0';
        snprintf(path, PATH_BYTES, "%s", second + 1);
        found = true;
    }
    if (file != NULL)
        fclose(file);
    return found;
}

/* `36 35 98:0 /root /mount/point options - type source superoptions` */
static bool mount_read(char *line, const char *type, const char *controller, char **root, char **point)
{
    char *behind = strstr(line, " - "), *rest = line, *field, *fields[5];
    if (behind == NULL)
        return false;
    *behind = '\0';
    for (int i = 0; i < 5; i++) {
        field = strsep(&rest, " ");
        if (field == NULL)
            return false;
        fields[i] = field;
    }
    char found[64], more[256];
    if (sscanf(behind + 3, "%63s %*s %255s", found, more) != 2 || strcmp(found, type) != 0)
        return false;
    if (!list_has(more, ',', controller))
        return false;
    *root = fields[3];
    *point = fields[4];
    return true;
}

/* The folder of this process in a hierarchy, or NULL; `*mounted`: where that is mounted, which the caller frees. */
static char *folder_find(const char *type, const char *controller, char **mounted)
{
    char own[PATH_BYTES], line[PATH_BYTES], *root, *point, *folder = NULL;
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (!own_path(controller, own)) {
        if (file != NULL)
            fclose(file);
        return NULL;
    }
    while (file != NULL && folder == NULL && fgets(line, sizeof line, file) != NULL) {
        if (!mount_read(line, type, controller, &root, &point))
            continue;
        /* The mount may show only a part of the hierarchy. */
        size_t skip = strcmp(root, "/") != 0 && strncmp(own, root, strlen(root)) == 0 ? strlen(root) : 0;
        folder = mem_printf("%s%s", point, strcmp(own + skip, "/") == 0 ? "" : own + skip);
        *mounted = mem_text(span_str(point));
    }
    if (file != NULL)
        fclose(file);
    return folder;
}

/* Groups whose process, by the number in their name, is gone. One that is not empty stays. */
static void leftovers_remove(const char *base)
{
    DIR *folder = opendir(base);
    struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) != 0)
            continue;
        pid_t pid = (pid_t)strtol(entry->d_name + sizeof PREFIX - 1, NULL, 10);
        if (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH)
            unlinkat(dirfd(folder), entry->d_name, AT_REMOVEDIR);
    }
    if (folder != NULL)
        closedir(folder);
}

static char *base_find(const char *type, const char *controller, const char *needed, char **point)
{
    char *base = folder_find(type, controller, point), path[PATH_BYTES];
    if (base == NULL)
        return NULL;
    leftovers_remove(base);
    char *trial = mem_printf("%s/" PREFIX "%d-trial", base, (int)getpid());
    bool ok = mkdir(trial, 0755) == 0;
    snprintf(path, sizeof path, "%s/%s", trial, needed);
    ok = ok && access(path, W_OK) == 0;
    rmdir(trial);
    free(trial);
    if (ok)
        return base;
    free(base);
    return NULL;
}

/* Children get a controller if the parent gives it on, which it may only while no process is in the parent itself. */
static bool unified_gives(const char *base, const char *controller)
{
    char text[1024], order[64];
    if (!group_read(base, "cgroup.controllers", text, sizeof text) || !list_has(text, ' ', controller))
        return false;
    if (group_read(base, "cgroup.subtree_control", text, sizeof text) && list_has(text, ' ', controller))
        return true;
    snprintf(order, sizeof order, "+%s", controller);
    return group_write(base, "cgroup.subtree_control", order);
}

void cgroups_find(struct cgroups *cgroups)
{
    *cgroups = (struct cgroups){0};
    cgroups->bases[CGROUP_UNIFIED] = base_find("cgroup2", "", "cgroup.freeze", &cgroups->points[CGROUP_UNIFIED]);
    if (cgroups->bases[CGROUP_UNIFIED] != NULL) {
        cgroups->unified_memory = unified_gives(cgroups->bases[CGROUP_UNIFIED], "memory");
        cgroups->unified_cpu = unified_gives(cgroups->bases[CGROUP_UNIFIED], "cpu");
    }
    if (!cgroups->unified_memory)
        cgroups->bases[CGROUP_MEMORY] =
            base_find("cgroup", "memory", "memory.limit_in_bytes", &cgroups->points[CGROUP_MEMORY]);
    if (!cgroups->unified_cpu)
        cgroups->bases[CGROUP_CPU] = base_find("cgroup", "cpu", "cpu.cfs_quota_us", &cgroups->points[CGROUP_CPU]);
}

void cgroups_finish(struct cgroups *cgroups)
{
    for (int i = 0; i < CGROUP_KINDS; i++) {
        free(cgroups->bases[i]);
        free(cgroups->points[i]);
    }
}

bool cgroups_limit_memory(const struct cgroups *cgroups)
{
    return cgroups->unified_memory || cgroups->bases[CGROUP_MEMORY] != NULL;
}

bool cgroups_limit_cpu(const struct cgroups *cgroups)
{
    return cgroups->unified_cpu || cgroups->bases[CGROUP_CPU] != NULL;
}

static void number_write(const char *folder, const char *name, uint64_t number)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    if (folder != NULL)
        group_write(folder, name, text);
}

static void memory_set(const struct cgroup *cgroup, const char *unified, uint64_t bytes)
{
    number_write(unified, "memory.max", bytes);
    number_write(unified, "memory.swap.max", 0);
    number_write(cgroup->folders[CGROUP_MEMORY], "memory.limit_in_bytes", bytes);
    number_write(cgroup->folders[CGROUP_MEMORY], "memory.memsw.limit_in_bytes", bytes);
}

static void cpu_set(const struct cgroup *cgroup, const char *unified, uint32_t milli)
{
    uint64_t quota = (uint64_t)milli * CPU_PERIOD_US / 1000;
    char text[64];
    number_write(cgroup->folders[CGROUP_CPU], "cpu.cfs_period_us", CPU_PERIOD_US);
    number_write(cgroup->folders[CGROUP_CPU], "cpu.cfs_quota_us", quota);
    snprintf(text, sizeof text, "%llu %d", (unsigned long long)quota, CPU_PERIOD_US);
    if (unified != NULL)
        group_write(unified, "cpu.max", text);
}

/* Version 1's shares, 1024 for a CPU; and version 2's weight, 1 to 10000, as runc makes it of them. */
static void weight_set(const struct cgroup *cgroup, const char *unified, uint32_t milli)
{
    enum { SHARES_OF_CPU = 1024, SHARES_MIN = 2, SHARES_MAX = 262144, WEIGHT_MAX = 10000 };
    uint64_t shares = (uint64_t)milli * SHARES_OF_CPU / 1000;
    shares = shares < SHARES_MIN ? SHARES_MIN : shares;
    number_write(cgroup->folders[CGROUP_CPU], "cpu.shares", shares);
    number_write(unified, "cpu.weight", 1 + (shares - SHARES_MIN) * (WEIGHT_MAX - 1) / (SHARES_MAX - SHARES_MIN));
}

static void limits_set(const struct cgroup *cgroup, const struct cgroups *cgroups, const struct cgroup_limits *limits)
{
    const char *unified = cgroup->folders[CGROUP_UNIFIED];
    if (limits->memory_bytes_max != 0)
        memory_set(cgroup, cgroups->unified_memory ? unified : NULL, limits->memory_bytes_max);
    if (limits->cpu_milli != 0)
        cpu_set(cgroup, cgroups->unified_cpu ? unified : NULL, limits->cpu_milli);
    if (limits->cpu_request_milli != 0)
        weight_set(cgroup, cgroups->unified_cpu ? unified : NULL, limits->cpu_request_milli);
}

void cgroup_create(struct cgroup *cgroup, const struct cgroups *cgroups, const char *name,
                   const struct cgroup_limits *limits)
{
    int members = 0;
    *cgroup = (struct cgroup){.unified_memory = cgroups->unified_memory};
    for (int i = 0; i < CGROUP_KINDS; i++) {
        if (cgroups->bases[i] == NULL)
            continue;
        char *folder = mem_printf("%s/" PREFIX "%d-%s", cgroups->bases[i], (int)getpid(), name);
        if (mkdir(folder, 0755) != 0) {
            free(folder);
            continue;
        }
        cgroup->folders[i] = folder;
        cgroup->members[members++] = mem_printf("%s/cgroup.procs", folder);
    }
    limits_set(cgroup, cgroups, limits);
}

void cgroup_destroy(struct cgroup *cgroup)
{
    for (int i = 0; i < CGROUP_KINDS; i++) {
        if (cgroup->folders[i] != NULL)
            rmdir(cgroup->folders[i]);
        free(cgroup->folders[i]);
        free(cgroup->members[i]);
    }
    *cgroup = (struct cgroup){0};
}

/* The members of one group; those of another PID namespace are 0. */
static unsigned folder_kill(const char *folder)
{
    char path[PATH_BYTES], line[32];
    unsigned count = 0;
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        pid_t pid = (pid_t)strtol(line, NULL, 10);
        count += pid > 1 && kill(pid, SIGKILL) == 0;
    }
    if (file != NULL)
        fclose(file);
    return count;
}

unsigned cgroup_kill(const struct cgroup *cgroup)
{
    unsigned count = 0;
    for (int i = 0; i < CGROUP_KINDS; i++)
        count += cgroup->folders[i] != NULL ? folder_kill(cgroup->folders[i]) : 0;
    return count;
}

/* A process is a member until it has ended. */
static unsigned folder_clear(const char *folder)
{
    unsigned count = folder_kill(folder);
    for (int i = 0; i < CLEAR_WAITS_MAX && rmdir(folder) != 0 && errno == EBUSY; i++) {
        nanosleep(&(struct timespec){.tv_nsec = CLEAR_WAIT_NS}, NULL);
        folder_kill(folder); /* what was born meanwhile */
    }
    return count;
}

unsigned cgroups_kill(const struct cgroups *cgroups, pid_t owner)
{
    char prefix[64];
    unsigned count = 0;
    snprintf(prefix, sizeof prefix, PREFIX "%d-", (int)owner);
    if (owner <= 1 || kill(owner, 0) == 0 || errno != ESRCH)
        return 0;
    for (int i = 0; i < CGROUP_KINDS; i++) {
        DIR *base = cgroups->bases[i] != NULL ? opendir(cgroups->bases[i]) : NULL;
        struct dirent *entry;
        while (base != NULL && (entry = readdir(base)) != NULL) {
            if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
                continue;
            char *folder = mem_printf("%s/%s", cgroups->bases[i], entry->d_name);
            count += folder_clear(folder);
            free(folder);
        }
        if (base != NULL)
            closedir(base);
    }
    return count;
}

bool cgroup_freeze(const struct cgroup *cgroup, bool frozen)
{
    const char *unified = cgroup->folders[CGROUP_UNIFIED];
    return unified != NULL && group_write(unified, "cgroup.freeze", frozen ? "1" : "0");
}

uint64_t cgroup_oom_kills(const struct cgroup *cgroup)
{
    const char *folder = cgroup->unified_memory ? cgroup->folders[CGROUP_UNIFIED] : cgroup->folders[CGROUP_MEMORY];
    const char *name = cgroup->unified_memory ? "memory.events" : "memory.oom_control";
    char text[1024];
    unsigned long long kills = 0;
    if (folder == NULL || !group_read(folder, name, text, sizeof text))
        return 0;
    const char *found = strstr(text, "oom_kill ");
    return found != NULL && sscanf(found, "oom_kill %llu", &kills) == 1 ? kills : 0;
}

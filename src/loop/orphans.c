/* orphans: reads /proc/PID/stat and /proc/PID/environ. */
#include "loop/orphans.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"
#include "loop/file.h"

enum { PATH_BYTES = 64, ENVIRON_BYTES_MAX = 4 << 20 };

struct process_stat {
    char state;
    pid_t group;
    uint64_t birth;
};

/* `PID (NAME) STATE PARENT GROUP ... START`: the name may have anything in it, so the fields begin behind the last
 * parenthesis. */
static bool stat_read(pid_t pid, struct process_stat *stat)
{
    char path[PATH_BYTES], line[1024];
    int group;
    unsigned long long birth;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    bool ok = file != NULL && fgets(line, sizeof line, file) != NULL;
    if (file != NULL)
        fclose(file);
    const char *end = ok ? strrchr(line, ')') : NULL;
    ok = end != NULL &&
         sscanf(end + 1, " %c %*d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                &stat->state, &group, &birth) == 3;
    if (ok) {
        stat->group = group;
        stat->birth = birth;
    }
    return ok;
}

static bool has_ended(const struct process_stat *stat)
{
    return stat->state == 'Z' || stat->state == 'X';
}

bool process_birth_read(pid_t pid, uint64_t *birth)
{
    struct process_stat stat;
    if (pid <= 0 || !stat_read(pid, &stat))
        return false;
    *birth = stat.birth;
    return true;
}

void process_boot_read(char id[BOOT_ID_BYTES])
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file == NULL || fgets(id, BOOT_ID_BYTES, file) == NULL)
        snprintf(id, BOOT_ID_BYTES, "-");
    if (file != NULL)
        fclose(file);
    id[strcspn(id, "\n")] = '\0';
}

/* Another user's environment cannot be read, and then is not ours. */
static bool has_variable(pid_t pid, const char *variable)
{
    char path[PATH_BYTES];
    char *line = NULL;
    size_t size = 0, read = 0;
    ssize_t got;
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    FILE *file = fopen(path, "re");
    while (!found && file != NULL && read < ENVIRON_BYTES_MAX && (got = getdelim(&line, &size, '\0', file)) > 0) {
        found = strcmp(line, variable) == 0;
        read += (size_t)got;
    }
    free(line);
    if (file != NULL)
        fclose(file);
    return found;
}

/* Calls `act` for each living process of the group; returns how often it was true. */
static unsigned members_count(pid_t group, bool (*act)(pid_t pid, const char *variable), const char *variable)
{
    unsigned count = 0;
    struct process_stat stat;
    struct dirent *entry;
    DIR *processes = opendir("/proc");
    while (processes != NULL && (entry = readdir(processes)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && stat_read(pid, &stat) && stat.group == group && !has_ended(&stat))
            count += act(pid, variable);
    }
    if (processes != NULL)
        closedir(processes);
    return count;
}

static bool is_there(pid_t pid, const char *variable)
{
    return true;
}

static bool kill_marked(pid_t pid, const char *variable)
{
    return has_variable(pid, variable) && kill(pid, SIGKILL) == 0;
}

bool orphans_live(pid_t group)
{
    return members_count(group, is_there, NULL) > 0;
}

unsigned orphans_kill(pid_t group, uint64_t birth, const char *variable)
{
    struct process_stat first;
    if (group <= 1)
        return 0;
    if (!stat_read(group, &first))
        return members_count(group, kill_marked, variable);
    if (first.birth != birth || first.group != group)
        return 0;
    unsigned count = members_count(group, is_there, NULL);
    return kill(-group, SIGKILL) == 0 ? count : 0;
}

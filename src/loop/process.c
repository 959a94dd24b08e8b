/* process: reads CPU time and memory from /proc, sets signals, raises the descriptor limit, and switches the user. */
#include "loop/process.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "loop/file.h"

enum {
    PATH_BYTES = 64,
    TEXT_BYTES_MAX = 64 * 1024,
    KIB = 1024,
    PID_MAX = 1 << 22, /* the kernel's own limit; a clock's id has no room for much more */
};

static pid_t pid_or_self(pid_t pid)
{
    return pid != 0 ? pid : getpid();
}

bool process_cpu_read(pid_t pid, uint64_t *cpu_us, struct err *err)
{
    clockid_t clock;
    struct timespec used;
    if (pid < 0 || pid > PID_MAX || clock_getcpuclockid(pid_or_self(pid), &clock) != 0 ||
        clock_gettime(clock, &used) != 0)
        return err_set(err, "there is no process %d", (int)pid);
    *cpu_us = (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
    return true;
}

/* The bytes behind `name` in lines like "Rss:   12 kB"; 0 when there is no such line. */
static uint64_t kib_find(struct span text, const char *name)
{
    struct span line;
    while (span_next(&text, '\n', &line)) {
        uint64_t value;
        if (!span_starts_with(line, span_str(name)))
            continue;
        struct span number = span_trim(span_from(line, strlen(name)));
        ptrdiff_t end = span_find(number, ' ');
        if (end > 0 && span_to_u64(span_sub(number, 0, (size_t)end), &value))
            return value * KIB;
    }
    return 0;
}

bool process_memory_read(pid_t pid, struct process_memory *memory, struct err *err)
{
    char path[PATH_BYTES];
    struct buf text = {0};
    *memory = (struct process_memory){0};
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid_or_self(pid));
    memory->whole = file_read(path, TEXT_BYTES_MAX, &text, err) && text.len > 0;
    if (memory->whole) {
        memory->resident = kib_find(buf_span(&text), "Rss:");
        memory->proportional = kib_find(buf_span(&text), "Pss:");
        memory->anonymous = kib_find(buf_span(&text), "Anonymous:");
    } else {
        buf_clear(&text);
        snprintf(path, sizeof path, "/proc/%d/status", (int)pid_or_self(pid));
        if (file_read(path, TEXT_BYTES_MAX, &text, err))
            memory->resident = kib_find(buf_span(&text), "VmRSS:");
    }
    buf_finish(&text);
    return memory->resident != 0 || err_set(err, "there is no process %d", (int)pid);
}

void process_signals_set(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
}

uint64_t process_files_allow(uint64_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    return limit.rlim_cur;
}

char *process_state_home(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state != NULL && state[0] == '/')
        return mem_printf("%s/sennit", state);
    return mem_printf("%s/.local/state/sennit", home != NULL ? home : "/tmp");
}

char *process_config_home(void)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (config != NULL && config[0] == '/')
        return mem_printf("%s/sennit", config);
    return mem_printf("%s/.config/sennit", home != NULL ? home : "/tmp");
}

void process_pause_ms(uint32_t ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

int process_self(void)
{
    return (int)getpid();
}

bool process_is_root(void)
{
    return geteuid() == 0;
}

bool process_user_find(const char *name, struct child_user *user)
{
    const struct passwd *entry = getpwnam(name);
    if (entry != NULL)
        *user = (struct child_user){entry->pw_uid, entry->pw_gid};
    return entry != NULL;
}

char *process_user_numbered(struct child_user *user)
{
    const struct passwd *entry = getpwuid(user->uid);
    if (entry == NULL)
        return NULL;
    user->gid = entry->pw_gid;
    return mem_text(span_str(entry->pw_dir));
}

bool process_user_become(const char *user, struct err *err)
{
    uint64_t uid;
    const struct passwd *entry = getpwnam(user);
    if (entry == NULL && span_to_u64(span_str(user), &uid) && uid < UINT32_MAX)
        entry = getpwuid((uid_t)uid);
    if (entry == NULL)
        return err_set(err, "there is no user \"%.100s\" on this machine", user);
    if (!process_is_root())
        return err_set(err, "only root can become another user: leave it out, or run this as root");
    if (initgroups(entry->pw_name, entry->pw_gid) != 0 || setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) != 0 ||
        setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) != 0)
        return err_set(err, "cannot become user %.100s: %s", user, strerror(errno));
    /* The change hid /proc/self from us. */
    prctl(PR_SET_DUMPABLE, 1);
    setenv("HOME", entry->pw_dir, 1);
    unsetenv("XDG_STATE_HOME");
    unsetenv("XDG_RUNTIME_DIR");
    return true;
}

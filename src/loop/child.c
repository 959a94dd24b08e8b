/* child: starts, signals and reaps child processes. There is one short fork; an error between fork and exec comes back
 * through a pipe that exec closes. */
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    READ_BYTES = 4096,
    DRAIN_BYTES_MAX = 64 * 1024, /* of one output in one turn, as much as a pipe holds, so that a child that never stops
                                    writing does not stop the loop */
    SETTLE_MS = 200,
    DESCRIPTORS_MAX = 1 << 20,
    REPORT_NUMBERS = 3, /* what the child reports of a step that failed: which one, errno, and its part */
};

static int pid_descriptor(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* As waitid, for this child alone, without waiting. A kernel older than 5.4 cannot wait for a pidfd; there the pid is
 * used, which is the child's own until the child is reaped. */
static int child_wait(const struct child *child, siginfo_t *info, int options)
{
    enum { WAIT_FOR_PIDFD = 3 /* P_PIDFD, which old C libraries do not name */ };
    info->si_pid = 0;
    int done = waitid((idtype_t)WAIT_FOR_PIDFD, (id_t)child->watch.fd, info, options | WNOHANG);
    return done != 0 && errno == EINVAL ? waitid(P_PID, (id_t)child->pid, info, options | WNOHANG) : done;
}

/* True while the child runs, or has ended and nobody has reaped it. Until then no other process has its pid or its
 * group's number. */
static bool is_ours(const struct child *child)
{
    siginfo_t info;
    return child->pid > 0 && child_wait(child, &info, WEXITED | WNOWAIT) == 0;
}

/* Every descriptor from 3 up closes at exec, also those that the program which started us left open. */
static void descriptors_hide(void)
{
    if (close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    /* The kernel is older than 5.11. */
    struct rlimit limit;
    rlim_t end = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : DESCRIPTORS_MAX;
    for (int fd = STDERR_FILENO + 1; fd < DESCRIPTORS_MAX && (rlim_t)fd < end; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static bool outputs_take(int out, int err)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0;
}

/* `parent` may have ended before. */
static void dies_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
}

/* The steps from fork to exec; the child reports the one that failed. */
enum step { STEP_OUTPUTS, STEP_NETWORK, STEP_MOUNTS, STEP_USER, STEP_DIRECTORY, STEP_EXEC };

static bool user_become(const struct child_user *user)
{
    return setgroups(1, &user->gid) == 0 && setresgid(user->gid, user->gid, user->gid) == 0 &&
           setresuid(user->uid, user->uid, user->uid) == 0;
}

/* `*detail` says which part of a step failed. */
static enum step steps_take(const struct child_spec *spec, char *const *environment, const int ends[3], pid_t parent,
                            int *detail)
{
    if (!outputs_take(ends[0], ends[1]))
        return STEP_OUTPUTS;
    if (!netspace_join(spec->netspace))
        return STEP_NETWORK;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (spec->mounts != NULL && (*detail = mounts_enter(spec->mounts)) != 0)
        return STEP_MOUNTS;
    if (spec->user != NULL && !user_become(spec->user))
        return STEP_USER;
    dies_with(parent); /* again: the kernel forgets it with a change of user, or a user namespace */
    if (spec->is_private)
        umask(077);
    if (spec->directory != NULL && chdir(spec->directory) != 0)
        return STEP_DIRECTORY;
    descriptors_hide();
    if (spec->ready != NULL)
        fcntl(spec->ready->its, F_SETFD, 0);
    execvpe(spec->argv[0], (char *const *)spec->argv, environment);
    return STEP_EXEC;
}

static void cgroups_join(char *const *members)
{
    for (; members != NULL && *members != NULL; members++) {
        int fd = open(*members, O_WRONLY | O_CLOEXEC);
        ssize_t ignored = fd >= 0 ? write(fd, "0", 1) : 0;
        (void)ignored; /* without its limits, it runs still */
        if (fd >= 0)
            close(fd);
    }
}

/* In the child: never returns. Calls only functions that are safe between fork and exec. */
static void become(const struct child_spec *spec, char *const *environment, const int ends[3], pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    dies_with(parent);
    cgroups_join(spec->cgroups);
    int detail = 0, step = (int)steps_take(spec, environment, ends, parent, &detail);
    int report[REPORT_NUMBERS] = {step, errno, detail};
    ssize_t ignored = write(ends[2], report, sizeof report);
    (void)ignored;
    _exit(127);
}

static void hand_out_line(struct child *child, bool is_stderr, struct span line)
{
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    child->line(child, is_stderr, line);
}

static void hand_out_lines(struct child *child, bool is_stderr, struct buf *rest, bool all)
{
    struct span text = buf_span(rest);
    ptrdiff_t end;
    size_t used = 0;
    while ((end = span_find(span_from(text, used), '\n')) >= 0) {
        hand_out_line(child, is_stderr, span_sub(text, used, (size_t)end));
        used += (size_t)end + 1;
    }
    if (text.len > used && (all || text.len - used >= CHILD_LINE_MAX)) {
        hand_out_line(child, is_stderr, span_from(text, used));
        used = text.len;
    }
    buf_consume(rest, used);
}

static void drain(struct child *child, struct io *io, struct buf *rest)
{
    bool is_stderr = io == &child->err;
    ssize_t got, total = 0;
    while (io_is_open(io) && total < DRAIN_BYTES_MAX &&
           (got = io_read(io, buf_reserve(rest, READ_BYTES), READ_BYTES)) != IO_AGAIN) {
        if (got <= 0) {
            io_close(io, false);
            break;
        }
        buf_added(rest, (size_t)got);
        total += got;
        hand_out_lines(child, is_stderr, rest, false);
    }
    if (!io_is_open(io))
        hand_out_lines(child, is_stderr, rest, true);
}

static void outputs_close(struct child *child)
{
    timer_stop(child->loop, &child->settle);
    io_close(&child->out, false);
    io_close(&child->err, false);
    buf_finish(&child->out_rest);
    buf_finish(&child->err_rest);
}

static void finish(struct child *child)
{
    drain(child, &child->out, &child->out_rest);
    drain(child, &child->err, &child->err_rest);
    hand_out_lines(child, false, &child->out_rest, true);
    hand_out_lines(child, true, &child->err_rest, true);
    outputs_close(child);
    child->ended(child, child->end);
}

/* Finishes when the child is gone and its outputs are closed. A grandchild may hold them open; SETTLE_MS bounds the
 * wait. */
static void maybe_finish(struct child *child)
{
    if (child->pid == 0 && !io_is_open(&child->out) && !io_is_open(&child->err))
        finish(child);
}

static void on_settled(struct timer *timer)
{
    finish(container_of(timer, struct child, settle));
}

static void on_out(struct io *io, unsigned ready)
{
    struct child *child = container_of(io, struct child, out);
    drain(child, io, &child->out_rest);
    maybe_finish(child);
}

static void on_err(struct io *io, unsigned ready)
{
    struct child *child = container_of(io, struct child, err);
    drain(child, io, &child->err_rest);
    maybe_finish(child);
}

static void on_ended(struct io *io, unsigned ready)
{
    struct child *child = container_of(io, struct child, watch);
    siginfo_t info;
    /* The whole group ends, as a container does with its first process. */
    child_signal_group(child, SIGKILL);
    if (child_wait(child, &info, WEXITED) != 0)
        child->end = (struct child_end){CHILD_STATUS_UNKNOWN, 0}; /* ECHILD: the host program was first */
    else if (info.si_pid == 0)
        return;
    else
        child->end =
            info.si_code == CLD_EXITED ? (struct child_end){info.si_status, 0} : (struct child_end){0, info.si_status};
    child->pid = 0;
    io_close(io, false);
    drain(child, &child->out, &child->out_rest);
    drain(child, &child->err, &child->err_rest);
    if (!io_is_open(&child->out) && !io_is_open(&child->err))
        finish(child);
    else
        timer_start(child->loop, &child->settle, LOOP_MS(SETTLE_MS));
}

static bool pipes_open(int pipes[3][2])
{
    for (int i = 0; i < 3; i++)
        pipes[i][0] = pipes[i][1] = -1;
    for (int i = 0; i < 3; i++)
        if (pipe2(pipes[i], O_CLOEXEC) != 0)
            return false;
    return true;
}

static void pipes_close(int pipes[3][2], int side)
{
    for (int i = 0; i < 3; i++) {
        if (pipes[i][side] >= 0)
            close(pipes[i][side]);
        pipes[i][side] = -1;
    }
}

static bool start_error(const struct child_spec *spec, const int report[REPORT_NUMBERS], struct err *err)
{
    if (report[0] == STEP_MOUNTS)
        return mounts_error(spec->mounts, report[2], report[1], err);
    if (report[0] == STEP_DIRECTORY && spec->user != NULL && report[1] == EACCES)
        return err_set(err,
                       "the user %u cannot enter the directory %s: let it (chmod o+x), or choose another directory",
                       (unsigned)spec->user->uid, spec->directory);
    if (report[0] == STEP_DIRECTORY)
        return err_set(err, "cannot enter the directory %s: %s", spec->directory, strerror(report[1]));
    if (report[0] == STEP_USER)
        return err_set(err, "%s: cannot become the user %u: %s", spec->argv[0], (unsigned)spec->user->uid,
                       strerror(report[1]));
    if (report[0] == STEP_NETWORK)
        return err_set(err, "%s: cannot enter its network: %s", spec->argv[0], strerror(report[1]));
    if (report[0] == STEP_EXEC && report[1] == ENOENT && strchr(spec->argv[0], '/') == NULL)
        return err_set(err, "%s: not found in PATH", spec->argv[0]);
    return err_set(err, "%s: cannot be run: %s", spec->argv[0], strerror(report[1]));
}

static void watch_output(struct io *io, int *fd)
{
    fcntl(*fd, F_SETFL, O_NONBLOCK);
    io->fd = *fd;
    *fd = -1;
    io_want(io, IO_READ);
}

/* Forks with every signal blocked, so that no signal runs a handler of the parent in the child. The child resets all
 * handlers before it unblocks them. It waits until the parent has a descriptor for it: in a host that ignores SIGCHLD,
 * a child that ends at once would leave nothing to open one for. */
static pid_t fork_quietly(const struct child_spec *spec, int pipes[3][2], int *watch)
{
    int go[2];
    if (pipe2(go, O_CLOEXEC) != 0)
        return -1;
    char *const *environment = spec->env != NULL ? (char *const *)spec->env : environ;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        char none;
        close(go[1]);
        while (read(go[0], &none, 1) < 0 && errno == EINTR)
            continue;
        become(spec, environment, (const int[]){pipes[0][1], pipes[1][1], pipes[2][1]}, parent);
    }
    int error = errno;
    if (pid > 0) {
        *watch = pid_descriptor(pid);
        error = errno;
    }
    close(go[0]);
    close(go[1]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return pid;
}

/* True when the child could not exec; `report` then has the step that failed and its errno. A signal handler of the
 * host may interrupt the read. */
static bool report_read(int fd, int report[REPORT_NUMBERS])
{
    ssize_t got;
    do
        got = read(fd, report, REPORT_NUMBERS * sizeof report[0]);
    while (got < 0 && errno == EINTR);
    return got == REPORT_NUMBERS * sizeof report[0];
}

static void wait_for(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

bool child_ready_open(struct child_ready *ready, struct err *err)
{
    int ends[2];
    *ready = (struct child_ready){-1, -1};
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(err, "no pipe: %s", strerror(errno));
    *ready = (struct child_ready){ends[0], ends[1]};
    return true;
}

void child_ready_close(struct child_ready *ready)
{
    if (ready->its >= 0)
        close(ready->its);
    if (ready->ours >= 0)
        close(ready->ours);
    *ready = (struct child_ready){-1, -1};
}

enum child_readiness child_ready_wait(struct child_ready *ready, uint32_t ms_max)
{
    struct pollfd waited = {.fd = ready->ours, .events = POLLIN};
    char ignored;
    close(ready->its); /* the child's own is open until it ends */
    ready->its = -1;
    int there;
    do
        there = poll(&waited, 1, (int)ms_max);
    while (there < 0 && errno == EINTR);
    bool is_ready = there > 0 && read(ready->ours, &ignored, 1) == 1;
    child_ready_close(ready);
    return is_ready ? CHILD_READY : there == 0 ? CHILD_LATE : CHILD_NOT_READY;
}

bool child_may_mount(const struct mounts *mounts, struct err *err)
{
    int report[2] = {0}, ends[2], status;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(err, "the volumes cannot be tried: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        report[0] = mounts_enter(mounts);
        report[1] = errno;
        _exit(write(ends[1], report, sizeof report) != sizeof report);
    }
    int error = errno;
    close(ends[1]);
    ssize_t got = pid > 0 ? read(ends[0], report, sizeof report) : -1;
    close(ends[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (got != sizeof report)
        return err_set(err, "the volumes cannot be tried: %s", strerror(error));
    return report[0] == 0 || mounts_error(mounts, report[0], report[1], err);
}

bool child_start(struct child *child, struct loop *loop, const struct child_spec *spec, child_line_fn *line,
                 child_ended_fn *ended, struct err *err)
{
    int pipes[3][2], report[REPORT_NUMBERS], watch = -1;
    *child = (struct child){.loop = loop, .line = line, .ended = ended};
    timer_init(&child->settle, on_settled);
    io_init(&child->watch, loop, on_ended);
    io_init(&child->out, loop, on_out);
    io_init(&child->err, loop, on_err);
    pid_t pid = pipes_open(pipes) ? fork_quietly(spec, pipes, &watch) : -1;
    int error = errno;
    pipes_close(pipes, 1);
    if (pid < 0) {
        pipes_close(pipes, 0);
        return err_set(err, "cannot start %s: %s", spec->argv[0], strerror(error));
    }
    if (report_read(pipes[2][0], report)) {
        wait_for(pid);
        pipes_close(pipes, 0);
        if (watch >= 0)
            close(watch);
        return start_error(spec, report, err);
    }
    if (watch < 0) {
        kill(-pid, SIGKILL);
        wait_for(pid);
        pipes_close(pipes, 0);
        return err_set(err, "%s: cannot be watched: pidfd_open: %s", spec->argv[0], strerror(error));
    }
    child->pid = pid;
    child->watch.fd = watch;
    io_want(&child->watch, IO_READ);
    watch_output(&child->out, &pipes[0][0]);
    watch_output(&child->err, &pipes[1][0]);
    pipes_close(pipes, 0);
    return true;
}

void child_discard(struct child *child)
{
    if (child->loop == NULL)
        return;
    if (is_ours(child)) {
        child_signal_group(child, SIGKILL);
        wait_for(child->pid);
    }
    child->pid = 0;
    io_close(&child->watch, false);
    outputs_close(child);
}

void child_signal(struct child *child, int number)
{
    if (is_ours(child))
        kill(child->pid, number);
}

void child_signal_group(struct child *child, int number)
{
    if (is_ours(child))
        kill(-child->pid, number);
}

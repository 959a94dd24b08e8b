/* child: see child.h. The fork is done in one place and short; what fails between fork and exec comes back through a
 * pipe that exec closes. */
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

enum {
    READ_BYTES = 4096,
    DRAIN_BYTES_MAX = 64 * 1024, /* of one output in one go, and what a pipe holds: who never stops must not stop us */
    SETTLE_MS = 200,
};

static int pid_descriptor(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* In the child: never returns. Only what is safe between fork and exec is called. */
static void become(const struct child_spec *spec, char *const *environment, int out, int err, int failed)
{
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDONLY);
    int step = 1;
    if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0) {
        step = 2;
        if (spec->directory == NULL || chdir(spec->directory) == 0) {
            step = 3;
            execvpe(spec->argv[0], (char *const *)spec->argv, environment);
        }
    }
    int report[2] = {step, errno};
    ssize_t ignored = write(failed, report, sizeof report);
    (void)ignored;
    _exit(127);
}

/* Our environment with `add` over it; the strings are borrowed, the array is the caller's. */
static char **environment_with(const char *const *add)
{
    size_t count = 0, added = 0;
    while (environ[count] != NULL)
        count++;
    while (add != NULL && add[added] != NULL)
        added++;
    char **all = mem_zero(count + added + 1, sizeof *all);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        bool hidden = false;
        for (size_t j = 0; j < added && !hidden; j++) {
            size_t name = (size_t)(strchr(add[j], '=') - add[j]) + 1;
            hidden = strncmp(environ[i], add[j], name) == 0;
        }
        if (!hidden)
            all[n++] = environ[i];
    }
    for (size_t j = 0; j < added; j++)
        all[n++] = (char *)(uintptr_t)add[j];
    return all;
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

static void finish(struct child *child)
{
    timer_stop(child->loop, &child->settle);
    drain(child, &child->out, &child->out_rest);
    drain(child, &child->err, &child->err_rest);
    hand_out_lines(child, false, &child->out_rest, true);
    hand_out_lines(child, true, &child->err_rest, true);
    io_close(&child->out, false);
    io_close(&child->err, false);
    buf_finish(&child->out_rest);
    buf_finish(&child->err_rest);
    child->ended(child, child->end);
}

/* Gone, and nobody holds its outputs any more; a grandchild that does is not waited for long. */
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
    int status;
    /* As when a container's first process ends. Not yet reaped, it keeps its group's number from being another's. */
    child_signal_group(child, SIGKILL);
    if (waitpid(child->pid, &status, WNOHANG) != child->pid)
        return;
    child->end =
        WIFSIGNALED(status) ? (struct child_end){0, WTERMSIG(status)} : (struct child_end){WEXITSTATUS(status), 0};
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

static bool start_error(const struct child_spec *spec, const int report[2], struct err *err)
{
    if (report[0] == 2)
        return err_set(err, "cannot enter the directory %s: %s", spec->directory, strerror(report[1]));
    if (report[0] == 3 && report[1] == ENOENT && strchr(spec->argv[0], '/') == NULL)
        return err_set(err, "%s: not found in PATH", spec->argv[0]);
    return err_set(err, "%s: cannot be run: %s", spec->argv[0], strerror(report[1]));
}

static void watch_output(struct io *io, struct loop *loop, io_ready_fn *ready, int *fd)
{
    io_init(io, loop, ready);
    fcntl(*fd, F_SETFL, O_NONBLOCK);
    io->fd = *fd;
    *fd = -1;
    io_want(io, IO_READ);
}

bool child_start(struct child *child, struct loop *loop, const struct child_spec *spec, child_line_fn *line,
                 child_ended_fn *ended, struct err *err)
{
    int pipes[3][2], report[2];
    *child = (struct child){.loop = loop, .line = line, .ended = ended};
    timer_init(&child->settle, on_settled);
    char **environment = environment_with(spec->env_add);
    bool opened = pipes_open(pipes);
    pid_t pid = opened ? fork() : -1;
    if (pid == 0)
        become(spec, environment, pipes[0][1], pipes[1][1], pipes[2][1]);
    int error = errno;
    free(environment);
    pipes_close(pipes, 1);
    if (pid < 0) {
        pipes_close(pipes, 0);
        return err_set(err, "cannot start %s: %s", spec->argv[0], strerror(error));
    }
    if (read(pipes[2][0], report, sizeof report) == sizeof report) {
        waitpid(pid, NULL, 0);
        pipes_close(pipes, 0);
        return start_error(spec, report, err);
    }
    int watch = pid_descriptor(pid);
    if (watch < 0) {
        error = errno;
        kill(-pid, SIGKILL);
        waitpid(pid, NULL, 0);
        pipes_close(pipes, 0);
        return err_set(err, "%s: cannot be watched: pidfd_open: %s", spec->argv[0], strerror(error));
    }
    child->pid = pid;
    io_init(&child->watch, loop, on_ended);
    child->watch.fd = watch;
    io_want(&child->watch, IO_READ);
    watch_output(&child->out, loop, on_out, &pipes[0][0]);
    watch_output(&child->err, loop, on_err, &pipes[1][0]);
    pipes_close(pipes, 0);
    return true;
}

void child_signal(struct child *child, int number)
{
    if (child->pid > 0)
        kill(child->pid, number);
}

void child_signal_group(struct child *child, int number)
{
    if (child->pid > 0)
        kill(-child->pid, number);
}

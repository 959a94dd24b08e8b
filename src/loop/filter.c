/* filter: posix_spawn, which a worker may call while other threads run, and a pipe. */
#include "loop/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "loop/file.h"
#include "loop/process.h"

enum { STOP_LOOK_MS = 100, END_LOOKS = 100, END_LOOK_MS = 10 };

char *filter_program(const char *name, struct err *err)
{
    struct buf self = {0};
    if (!file_self(&self))
        buf_clear(&self);
    buf_append_char(&self, '\0');
    const char *own = buf_span(&self).data, *slash = strrchr(own, '/');
    char *beside = mem_printf("%.*s/%s", slash != NULL ? (int)(slash - own) : 0, own, name);
    char *installed = mem_printf("%s/%s", SENNIT_LIBEXEC, name), *found = NULL;
    if (access(beside, X_OK) == 0)
        found = mem_text(span_str(beside));
    else if (access(installed, X_OK) == 0)
        found = mem_text(span_str(installed));
    else
        err_set(err, "there is neither %.200s nor %.200s", beside, installed);
    free(beside);
    free(installed);
    buf_finish(&self);
    return found;
}

/* Returns an errno. The program has no signal blocked, and is in a group of its own: Ctrl-C is not for it. */
static int spawn(pid_t *pid, const char *const *argv, int input, int output)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    char *const no_variables[] = {NULL};
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    int error = posix_spawn(pid, argv[0], &actions, &attributes, (char *const *)argv, no_variables);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

bool filter_start(struct filter *filter, const char *const *argv, const char *file, struct err *err)
{
    int ends[2];
    *filter = (struct filter){.pid = -1, .output = -1};
    int input = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (input < 0)
        return err_set(err, "%.300s: %s", file, strerror(errno));
    if (pipe2(ends, O_CLOEXEC) != 0) {
        err_set(err, "%.300s: %s", file, strerror(errno));
        close(input);
        return false;
    }
    int error = spawn(&filter->pid, argv, input, ends[1]);
    close(input);
    close(ends[1]);
    filter->output = ends[0];
    if (error == 0)
        return true;
    close(ends[0]);
    *filter = (struct filter){.pid = -1, .output = -1};
    return err_set(err, "%s cannot be started: %s", argv[0], strerror(error));
}

enum filter_result filter_read(struct filter *filter, char *to, size_t room, size_t *got, uint32_t silent_ms_max,
                               atomic_bool *stop)
{
    struct pollfd waited = {.fd = filter->output, .events = POLLIN};
    *got = 0;
    for (uint32_t silent_ms = 0; silent_ms < silent_ms_max; silent_ms += STOP_LOOK_MS) {
        if (stop != NULL && atomic_load(stop))
            return FILTER_STOPPED;
        if (poll(&waited, 1, STOP_LOOK_MS) <= 0)
            continue;
        ssize_t count = read(filter->output, to, room);
        if (count < 0 && errno == EINTR)
            continue;
        *got = count > 0 ? (size_t)count : 0;
        filter->is_over = count <= 0;
        return count > 0 ? FILTER_GOT : FILTER_OVER;
    }
    return FILTER_SILENT;
}

/* It has closed its output, so it ends, unless something has taken it over. */
static bool ends_by_itself(pid_t pid, int *status)
{
    for (int i = 0; i < END_LOOKS; i++) {
        pid_t ended = waitpid(pid, status, WNOHANG);
        if (ended != 0)
            return ended == pid;
        process_pause_ms(END_LOOK_MS);
    }
    return false;
}

int filter_end(struct filter *filter)
{
    int status = 0;
    if (filter->pid <= 0)
        return 0;
    close(filter->output);
    bool has_ended = filter->is_over && ends_by_itself(filter->pid, &status);
    if (!has_ended) {
        kill(filter->pid, SIGKILL);
        while (waitpid(filter->pid, &status, 0) < 0 && errno == EINTR)
            continue;
    }
    *filter = (struct filter){.pid = -1, .output = -1};
    return has_ended && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

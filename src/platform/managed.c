/* managed: the directory, the socket, and the restarts. The moves of its state are a table. */
#include "platform/managed.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/moves.h"
#include "loop/private.h"
#include "platform/environment.h"

#define MANAGED_MOVES(MOVE) \
    MOVE(MANAGED_OFF, MANAGED_STARTING) \
    MOVE(MANAGED_STARTING, MANAGED_READY) \
    MOVE(MANAGED_STARTING, MANAGED_WAITING) \
    MOVE(MANAGED_STARTING, MANAGED_STOPPING) \
    MOVE(MANAGED_READY, MANAGED_WAITING) \
    MOVE(MANAGED_READY, MANAGED_STOPPING) \
    MOVE(MANAGED_WAITING, MANAGED_STARTING) \
    MOVE(MANAGED_WAITING, MANAGED_STOPPED) \
    MOVE(MANAGED_STOPPING, MANAGED_STOPPED)

/* The only function that changes a managed server's state. managed.h has the picture. */
static void set_state(struct managed *managed, enum managed_state state)
{
    static const bool legal[MANAGED_STATES][MANAGED_STATES] = {MANAGED_MOVES(MOVE_LEGAL)};
    assert(legal[managed->state][state]);
    managed->state = (uint8_t)state;
}

static struct loop *loop_of(const struct managed *managed)
{
    return managed->program.programs->loop;
}

static struct managed *managed_of(struct program *program)
{
    return container_of(program, struct managed, program);
}

static void on_ready(struct program *program)
{
    struct managed *managed = managed_of(program);
    managed->kind->answered(managed);
}

void managed_serves(struct managed *managed)
{
    char text[64];
    set_state(managed, MANAGED_READY);
    managed->restart_ms = MANAGED_RESTART_MS_MIN;
    snprintf(text, sizeof text, "%s is ready", managed->kind->name);
    log_event(LOG_INFO, text, LOG_C("socket", managed->socket), LOG_N("pid", managed->program.pid));
    managed->ready(managed);
}

static void on_line(struct program *program, bool is_stderr, struct span line)
{
    struct managed *managed = managed_of(program);
    const struct managed_kind *kind = managed->kind;
    if (line.len > 0 && (kind->is_fault == NULL || kind->is_fault(line)))
        snprintf(managed->last, sizeof managed->last, SPAN_FMT, SPAN_ARG(line));
    log_event(LOG_DEBUG, kind->name, LOG_S("line", line));
}

static void restart_later(struct managed *managed)
{
    uint64_t ms = managed->restart_delay_ms != 0 ? managed->restart_delay_ms : managed->restart_ms;
    timer_start(loop_of(managed), &managed->restart, LOOP_MS(ms));
    managed->restart_ms =
        managed->restart_ms * 2 > MANAGED_RESTART_MS_MAX ? MANAGED_RESTART_MS_MAX : managed->restart_ms * 2;
}

static void on_ended(struct program *program, enum program_state before, struct child_end end)
{
    struct managed *managed = managed_of(program);
    char text[64];
    if (managed->kind->gone != NULL)
        managed->kind->gone(managed);
    if (managed->state == MANAGED_STOPPING) {
        set_state(managed, MANAGED_STOPPED);
        return;
    }
    snprintf(text, sizeof text, "%s ended; restarting it", managed->kind->name);
    log_event(LOG_ERROR, text, LOG_N("status", end.exit_status), LOG_N("signal", end.signal),
              LOG_C("last_output", managed->last), LOG_C("directory", managed->directory));
    set_state(managed, MANAGED_WAITING);
}

static void on_released(struct program *program)
{
    struct managed *managed = managed_of(program);
    if (managed->state == MANAGED_STOPPED)
        managed->stopped(managed);
    else
        restart_later(managed);
}

static const struct program_events program_events = {
    .ready = on_ready, .line = on_line, .ended = on_ended, .released = on_released};

bool managed_start(struct managed *managed, struct err *err)
{
    const struct managed_kind *kind = managed->kind;
    struct words argv = {0}, environment = {0};
    kind->command(managed, &argv);
    environment_add_system(&environment);
    environment_set(&environment, mem_printf("%s=%s", kind->variable, managed->directory));
    const struct program_spec spec = {
        .child = {.argv = (const char *const *)argv.list,
                  .env = (const char *const *)environment.list,
                  .directory = "/",
                  .user = managed->user,
                  .is_private = true},
        .variable = environment.list[environment.count - 1],
        .addr = managed->addr,
        .probe = kind->probe,
        .stop_signal = kind->stop_signal,
    };
    bool ok = program_start(&managed->program, &spec, err);
    words_finish(&argv);
    words_finish(&environment);
    if (!ok)
        return err_prefix(err, "%s", kind->needs);
    set_state(managed, MANAGED_STARTING);
    return true;
}

static void restart_due(struct timer *timer)
{
    struct managed *managed = container_of(timer, struct managed, restart);
    struct err err;
    char text[64];
    if (!managed_start(managed, &err)) {
        snprintf(text, sizeof text, "%s cannot be started", managed->kind->name);
        log_event(LOG_ERROR, text, LOG_C("why", err.text));
        restart_later(managed);
    }
}

bool managed_directory_take(struct managed *managed, const char *path, struct err *err)
{
    unsigned corrected = 0;
    managed->directory = managed->user != NULL ? private_directory_give(path, managed->user, err)
                                               : private_directory_make(path, &corrected, err);
    bool taken = managed->directory != NULL;
    if (taken) {
        /* What another user may replace, root does not open. */
        char *lock = mem_printf(managed->user != NULL ? "%s.lock" : "%s/lock", managed->directory);
        taken = file_lock_take(&managed->lock, lock, err);
        free(lock);
    }
    if (corrected > 0)
        log_event(LOG_WARNING, "other users could read the directory of a managed server: modes corrected",
                  LOG_C("server", managed->kind->name), LOG_C("directory", managed->directory),
                  LOG_N("modes_changed", corrected));
    return taken ||
           err_prefix(err, "the managed %s needs a directory of its own (--state DIR says which one it gets): ",
                      managed->kind->title);
}

static bool path_fits(const struct managed *managed, const char *path)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._/";
    struct addr addr;
    return addr_from_unix(&addr, span_str(path)) && (!managed->kind->plain_socket || path[strspn(path, plain)] == '\0');
}

bool managed_socket_place(struct managed *managed, const char *name, struct err *err)
{
    managed->socket = mem_printf("%s/%s", managed->directory, name);
    if (path_fits(managed, managed->socket))
        return addr_from_unix(&managed->addr, span_str(managed->socket));
    managed->short_directory = private_directory_make_short(managed->user, err);
    if (managed->short_directory == NULL)
        return err_prefix(err, "the path %.200s does not fit a socket, and for a shorter one: ", managed->socket);
    log_event(LOG_INFO,
              managed->kind->plain_socket
                  ? "the directory's path is too long for a socket, or has other characters than letters, digits and "
                    "._-: the socket is in another directory"
                  : "the directory's path is too long for a socket: the socket is in another directory",
              LOG_C("directory", managed->short_directory));
    free(managed->socket);
    managed->socket = mem_printf("%s/%s", managed->short_directory, name);
    return addr_from_unix(&managed->addr, span_str(managed->socket)) ||
           err_set(err, "the path %.200s is too long for a socket: set XDG_RUNTIME_DIR to a shorter one",
                   managed->socket);
}

void managed_prepare(struct managed *managed, const struct managed_kind *kind, struct programs *programs)
{
    *managed = (struct managed){
        .kind = kind,
        .restart_ms = MANAGED_RESTART_MS_MIN,
        .ready = managed->ready,
        .stopped = managed->stopped,
        .lock = {.fd = -1},
    };
    program_init(&managed->program, programs, &program_events);
    timer_init(&managed->restart, restart_due);
}

pid_t managed_pid(const struct managed *managed)
{
    return managed->program.child.pid;
}

void managed_stop(struct managed *managed)
{
    if (managed->state == MANAGED_STARTING || managed->state == MANAGED_READY) {
        set_state(managed, MANAGED_STOPPING);
        program_stop(&managed->program);
        return;
    }
    timer_stop(loop_of(managed), &managed->restart);
    set_state(managed, MANAGED_STOPPED);
    if (managed->program.state == PROGRAM_OFF) /* else it is released in this turn */
        managed->stopped(managed);
}

void managed_kill(struct managed *managed)
{
    if (managed->kind != NULL)
        program_kill(&managed->program);
}

void managed_finish(struct managed *managed)
{
    if (managed->kind == NULL)
        return;
    timer_stop(loop_of(managed), &managed->restart);
    file_lock_drop(&managed->lock);
    if (managed->socket != NULL) { /* a server that was killed has left both */
        char *lock = mem_printf("%s.lock", managed->socket);
        file_remove(lock);
        free(lock);
    }
    if (managed->short_directory != NULL)
        private_directory_remove(managed->short_directory, strrchr(managed->socket, '/') + 1);
    free(managed->directory);
    free(managed->short_directory);
    free(managed->socket);
}

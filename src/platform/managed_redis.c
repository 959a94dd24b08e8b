/* managed_redis: redis-server's command line, its directories and its socket, and its restarts. The moves of its state
 * are a table. */
#include "platform/managed_redis.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/moves.h"
#include "loop/private.h"
#include "platform/environment.h"

/* It also answers while it loads its data: "-LOADING". */
static const struct probe_spec redis_probe = {
    .kind = PROBE_LINE,
    .question = "PING\r\n",
    .answer = "+PONG",
    .delay_ms = PROGRAM_PROBE_MS,
    .period_ms = PROGRAM_PROBE_MS,
    .timeout_ms = PROGRAM_PROBE_TIMEOUT_MS,
    .successes = 1,
};

static const char socket_name[] = "redis.sock";

#define MANAGED_REDIS_MOVES(MOVE) \
    MOVE(MANAGED_REDIS_OFF, MANAGED_REDIS_STARTING) \
    MOVE(MANAGED_REDIS_STARTING, MANAGED_REDIS_READY) \
    MOVE(MANAGED_REDIS_STARTING, MANAGED_REDIS_WAITING) \
    MOVE(MANAGED_REDIS_STARTING, MANAGED_REDIS_STOPPING) \
    MOVE(MANAGED_REDIS_READY, MANAGED_REDIS_WAITING) \
    MOVE(MANAGED_REDIS_READY, MANAGED_REDIS_STOPPING) \
    MOVE(MANAGED_REDIS_WAITING, MANAGED_REDIS_STARTING) \
    MOVE(MANAGED_REDIS_WAITING, MANAGED_REDIS_STOPPED) \
    MOVE(MANAGED_REDIS_STOPPING, MANAGED_REDIS_STOPPED)

/* The only function that changes a managed Redis' state. managed_redis.h has the picture. */
static void set_state(struct managed_redis *redis, enum managed_redis_state state)
{
    static const bool legal[MANAGED_REDIS_STATES][MANAGED_REDIS_STATES] = {MANAGED_REDIS_MOVES(MOVE_LEGAL)};
    assert(legal[redis->state][state]);
    redis->state = (uint8_t)state;
}

static struct loop *loop_of(const struct managed_redis *redis)
{
    return redis->program.programs->loop;
}

static struct managed_redis *redis_of(struct program *program)
{
    return container_of(program, struct managed_redis, program);
}

static void on_ready(struct program *program)
{
    struct managed_redis *redis = redis_of(program);
    set_state(redis, MANAGED_REDIS_READY);
    redis->restart_ms = REDIS_RESTART_MS_MIN;
    log_event(LOG_INFO, "redis is ready", LOG_C("socket", redis->socket), LOG_N("pid", program->pid));
    redis->ready(redis);
}

static void on_line(struct program *program, bool is_stderr, struct span line)
{
    struct managed_redis *redis = redis_of(program);
    if (line.len > 0)
        snprintf(redis->last, sizeof redis->last, SPAN_FMT, SPAN_ARG(line));
    log_event(LOG_DEBUG, "redis", LOG_S("line", line));
}

static void restart_later(struct managed_redis *redis)
{
    uint64_t ms = redis->options.restart_delay_ms != 0 ? redis->options.restart_delay_ms : redis->restart_ms;
    timer_start(loop_of(redis), &redis->restart, LOOP_MS(ms));
    redis->restart_ms = redis->restart_ms * 2 > REDIS_RESTART_MS_MAX ? REDIS_RESTART_MS_MAX : redis->restart_ms * 2;
}

static void on_ended(struct program *program, enum program_state before, struct child_end end)
{
    struct managed_redis *redis = redis_of(program);
    if (redis->state == MANAGED_REDIS_STOPPING) {
        set_state(redis, MANAGED_REDIS_STOPPED);
        return;
    }
    log_event(LOG_ERROR, "redis ended; restarting it", LOG_N("status", end.exit_status), LOG_N("signal", end.signal),
              LOG_C("last_output", redis->last), LOG_C("directory", redis->directory));
    set_state(redis, MANAGED_REDIS_WAITING);
}

static void on_released(struct program *program)
{
    struct managed_redis *redis = redis_of(program);
    if (redis->state == MANAGED_REDIS_STOPPED)
        redis->stopped(redis);
    else
        restart_later(redis);
}

static const struct program_events program_events = {
    .ready = on_ready, .line = on_line, .ended = on_ended, .released = on_released};

static bool start(struct managed_redis *redis, struct err *err)
{
    char memory[24];
    struct words environment = {0};
    snprintf(memory, sizeof memory, "%llu", (unsigned long long)redis->options.memory_bytes_max);
    /* With appendfsync everysec, Redis answers up to two seconds before it writes while the disk syncs, and loses these
     * writes if it is killed. With "no" it writes before it answers, and loses writes only if the machine fails. */
    const char *const argv[] = {"redis-server",
                                "--port",
                                "0",
                                "--unixsocket",
                                redis->socket,
                                "--unixsocketperm",
                                "600",
                                "--dir",
                                redis->directory,
                                "--appendonly",
                                "yes",
                                "--appendfsync",
                                "no",
                                "--save",
                                "",
                                "--maxmemory",
                                memory,
                                "--maxmemory-policy",
                                "noeviction",
                                "--stream-node-max-bytes", /* a room of one entry costs 1.7 KB instead of 4.8 */
                                "1024",
                                "--daemonize",
                                "no",
                                NULL};
    environment_add_system(&environment);
    environment_set(&environment, mem_printf("SENNIT_REDIS=%s", redis->directory));
    const struct program_spec spec = {
        .child = {.argv = argv, .env = (const char *const *)environment.list, .directory = "/", .is_private = true},
        .variable = environment.list[environment.count - 1],
        .addr = redis->addr,
        .probe = &redis_probe,
    };
    bool ok = program_start(&redis->program, &spec, err);
    words_finish(&environment);
    if (!ok)
        return err_prefix(err,
                          "sennit.dev/redis: managed needs Debian's redis-server (apt-get install redis-server): ");
    set_state(redis, MANAGED_REDIS_STARTING);
    return true;
}

static void restart_due(struct timer *timer)
{
    struct managed_redis *redis = container_of(timer, struct managed_redis, restart);
    struct err err;
    if (!start(redis, &err)) {
        log_event(LOG_ERROR, "redis cannot be started", LOG_C("why", err.text));
        restart_later(redis);
    }
}

/* Takes the lock, because two Redis that append to one file spoil it. */
static bool directory_take(struct managed_redis *redis, struct err *err)
{
    unsigned corrected = 0;
    redis->directory = private_directory_make(redis->options.directory, &corrected, err);
    bool taken = redis->directory != NULL;
    if (taken) {
        char *path = mem_printf("%s/lock", redis->directory);
        taken = file_lock_take(&redis->lock, path, err);
        free(path);
    }
    if (corrected > 0)
        log_event(LOG_WARNING, "other users could read the managed Redis' directory: modes corrected",
                  LOG_C("directory", redis->directory), LOG_N("modes_changed", corrected));
    return taken ||
           err_prefix(err, "the managed Redis needs a directory of its own (--state DIR says which one it gets): ");
}

/* Percent-encodes all but the unreserved characters and the slash (RFC 3986), so that any path fits into a URL. */
static char *url_of(const char *path)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    struct buf text = {0};
    buf_append(&text, SPAN_LIT("unix://"));
    for (; *path != '\0'; path++) {
        if (strchr(plain, *path) != NULL)
            buf_append_char(&text, *path);
        else
            buf_printf(&text, "%%%02X", (unsigned char)*path);
    }
    char *url = mem_text(buf_span(&text));
    buf_finish(&text);
    return url;
}

/* Puts the socket beside the data. If that path is too long for a socket (107 bytes), a directory with a short name
 * holds it. */
static bool socket_place(struct managed_redis *redis, struct err *err)
{
    redis->socket = mem_printf("%s/%s", redis->directory, socket_name);
    if (!addr_from_unix(&redis->addr, span_str(redis->socket))) {
        redis->short_directory = private_directory_make_short(err);
        if (redis->short_directory == NULL)
            return err_prefix(err, "the path %.200s is too long for a socket, and for a shorter one: ", redis->socket);
        log_event(LOG_INFO, "the directory's path is too long for a socket: the socket is in another directory",
                  LOG_C("directory", redis->short_directory));
        free(redis->socket);
        redis->socket = mem_printf("%s/%s", redis->short_directory, socket_name);
        if (!addr_from_unix(&redis->addr, span_str(redis->socket)))
            return err_set(err, "the path %.200s is too long for a socket: set XDG_RUNTIME_DIR to a shorter one",
                           redis->socket);
    }
    redis->url = url_of(redis->socket);
    return true;
}

bool managed_redis_start(struct managed_redis *redis, struct programs *programs,
                         const struct managed_redis_options *options, struct err *err)
{
    *redis = (struct managed_redis){
        .options = *options,
        .restart_ms = REDIS_RESTART_MS_MIN,
        .ready = redis->ready,
        .stopped = redis->stopped,
        .lock = {.fd = -1},
    };
    program_init(&redis->program, programs, &program_events);
    timer_init(&redis->restart, restart_due);
    bool ok = directory_take(redis, err) && socket_place(redis, err) &&
              redis_port_open(&redis->port, programs->net, &redis->addr, err) && start(redis, err);
    redis->options.directory = NULL; /* the caller's */
    return ok;
}

void managed_redis_tell(const struct managed_redis *redis, struct words *environment)
{
    environment_set(environment, mem_printf("REDIS_URL=%s", redis->url));
    environment_set(environment, mem_text(SPAN_LIT("REDISHOST=127.0.0.1")));
    environment_set(environment, mem_printf("REDISPORT=%u", redis->port.number));
}

pid_t managed_redis_pid(const struct managed_redis *redis)
{
    return redis->program.child.pid;
}

void managed_redis_stop(struct managed_redis *redis)
{
    redis_port_close(&redis->port);
    if (redis->state == MANAGED_REDIS_STARTING || redis->state == MANAGED_REDIS_READY) {
        set_state(redis, MANAGED_REDIS_STOPPING);
        program_stop(&redis->program);
        return;
    }
    timer_stop(loop_of(redis), &redis->restart);
    set_state(redis, MANAGED_REDIS_STOPPED);
    if (redis->program.state == PROGRAM_OFF) /* else it is released in this turn */
        redis->stopped(redis);
}

void managed_redis_kill(struct managed_redis *redis)
{
    program_kill(&redis->program);
}

void managed_redis_close(struct managed_redis *redis)
{
    redis_port_close(&redis->port);
}

void managed_redis_finish(struct managed_redis *redis)
{
    if (redis->program.programs == NULL)
        return;
    timer_stop(loop_of(redis), &redis->restart);
    file_lock_drop(&redis->lock);
    if (redis->short_directory != NULL)
        private_directory_remove(redis->short_directory, socket_name);
    free(redis->directory);
    free(redis->short_directory);
    free(redis->socket);
    free(redis->url);
}

/* managed_redis: starts, probes, restarts and stops redis-server, with its command line and its directories. */
#include "platform/managed_redis.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/private.h"
#include "platform/environment.h"

static const char socket_name[] = "redis.sock";

static void probe_connect(struct managed_redis *redis)
{
    if (redis->probing)
        return;
    redis->probing = true;
    conn_connect(&redis->probe, &redis->addr);
}

static void probe_opened(struct conn *conn)
{
    conn_send(conn, SPAN_LIT("PING\r\n"));
}

static size_t probe_received(struct conn *conn, char *bytes, size_t len)
{
    struct managed_redis *redis = container_of(conn, struct managed_redis, probe);
    /* "-LOADING" means not yet. */
    bool pong = span_starts_with(span_of(bytes, len), SPAN_LIT("+PONG"));
    conn_close(conn, CLOSE_DONE);
    if (!pong || redis->answers || !redis->running)
        return len;
    bool first = !redis->answered;
    redis->answers = redis->answered = true;
    redis->restart_ms = REDIS_RESTART_MS_MIN;
    log_event(LOG_INFO, "redis is ready", LOG_C("socket", redis->socket), LOG_N("pid", redis->child.pid));
    if (first)
        redis->ready(redis);
    return len;
}

static void probe_closed(struct conn *conn, enum close_reason reason)
{
    struct managed_redis *redis = container_of(conn, struct managed_redis, probe);
    redis->probing = false;
    if (redis->running && !redis->answers && !redis->stopping)
        timer_start(redis->loop, &redis->timer, LOOP_MS(REDIS_PROBE_MS));
}

static const struct conn_events probe_events = {
    .opened = probe_opened, .received = probe_received, .closed = probe_closed};
static const struct conn_limits probe_limits = {.queue_bytes_max = 64, .input_bytes_max = 1024};

static void line_received(struct child *child, bool is_stderr, struct span line)
{
    struct managed_redis *redis = container_of(child, struct managed_redis, child);
    if (line.len > 0)
        snprintf(redis->last, sizeof redis->last, SPAN_FMT, SPAN_ARG(line));
    log_event(LOG_DEBUG, "redis", LOG_S("line", line));
}

static void restart_later(struct managed_redis *redis)
{
    uint64_t ms = redis->options.restart_delay_ms != 0 ? redis->options.restart_delay_ms : redis->restart_ms;
    timer_start(redis->loop, &redis->timer, LOOP_MS(ms));
    redis->restart_ms = redis->restart_ms * 2 > REDIS_RESTART_MS_MAX ? REDIS_RESTART_MS_MAX : redis->restart_ms * 2;
}

static void ended(struct child *child, struct child_end end)
{
    struct managed_redis *redis = container_of(child, struct managed_redis, child);
    redis->running = redis->answers = false;
    timer_stop(redis->loop, &redis->timer);
    timer_stop(redis->loop, &redis->deadline);
    conn_close(&redis->probe, CLOSE_DONE);
    if (redis->stopping) {
        redis->stopped(redis);
        return;
    }
    log_event(LOG_ERROR, "redis ended; restarting it", LOG_N("status", end.exit_status), LOG_N("signal", end.signal),
              LOG_C("last_output", redis->last), LOG_C("directory", redis->directory));
    if (redis->restart_ms == 0)
        redis->restart_ms = REDIS_RESTART_MS_MIN;
    restart_later(redis);
}

static bool launch(struct managed_redis *redis, struct err *err)
{
    char memory[24];
    struct words environment = {0};
    snprintf(memory, sizeof memory, "%llu", (unsigned long long)redis->options.memory_bytes_max);
    /* Not everysec: while the disk syncs, Redis then answers for up to two seconds before it writes, and a killed one
     * has lost that. With "no" it writes before it answers; what it wrote is lost only with the machine. */
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
    struct child_spec spec = {
        .argv = argv, .env = (const char *const *)environment.list, .directory = "/", .is_private = true};
    bool ok = child_start(&redis->child, redis->loop, &spec, line_received, ended, err);
    words_finish(&environment);
    if (!ok)
        return err_prefix(err,
                          "sennit.dev/redis: managed needs Debian's redis-server (apt-get install redis-server): ");
    redis->running = true;
    timer_start(redis->loop, &redis->timer, LOOP_MS(REDIS_PROBE_MS));
    return true;
}

static void on_timer(struct timer *timer)
{
    struct managed_redis *redis = container_of(timer, struct managed_redis, timer);
    struct err err;
    if (redis->running) {
        probe_connect(redis);
    } else if (!launch(redis, &err)) {
        log_event(LOG_ERROR, "redis cannot be started", LOG_C("why", err.text));
        restart_later(redis);
    }
}

static void on_deadline(struct timer *timer)
{
    managed_redis_kill(container_of(timer, struct managed_redis, deadline));
}

/* Two that append to one file spoil it. */
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

/* RFC 3986: all but the unreserved and the slash is spelled out, so that any path can stand in a URL. */
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

/* Beside the data; or, where that path is too long for a socket (107 bytes), in a directory with a short name. */
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

bool managed_redis_start(struct managed_redis *redis, struct net *net, const struct managed_redis_options *options,
                         struct err *err)
{
    *redis = (struct managed_redis){
        .loop = net->loop,
        .net = net,
        .options = *options,
        .ready = redis->ready,
        .stopped = redis->stopped,
        .lock = {.fd = -1},
    };
    timer_init(&redis->timer, on_timer);
    timer_init(&redis->deadline, on_deadline);
    conn_init(&redis->probe, net, &probe_events, &probe_limits);
    bool ok = directory_take(redis, err) && socket_place(redis, err) && launch(redis, err);
    redis->options.directory = NULL; /* the caller's */
    return ok;
}

void managed_redis_stop(struct managed_redis *redis)
{
    redis->stopping = true;
    if (!redis->running) {
        timer_stop(redis->loop, &redis->timer);
        redis->stopped(redis);
        return;
    }
    child_signal(&redis->child, SIGTERM);
    timer_start(redis->loop, &redis->deadline, LOOP_MS(REDIS_STOP_MS));
}

void managed_redis_kill(struct managed_redis *redis)
{
    child_signal(&redis->child, SIGKILL);
}

void managed_redis_finish(struct managed_redis *redis)
{
    if (redis->loop == NULL)
        return;
    timer_stop(redis->loop, &redis->timer);
    timer_stop(redis->loop, &redis->deadline);
    file_lock_drop(&redis->lock);
    if (redis->short_directory != NULL)
        private_directory_remove(redis->short_directory, socket_name);
    free(redis->directory);
    free(redis->short_directory);
    free(redis->socket);
    free(redis->url);
}

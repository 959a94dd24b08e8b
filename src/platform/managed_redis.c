/* managed_redis: see managed_redis.h. */
#include "platform/managed_redis.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/file.h"

static void probe_connect(struct managed_redis *redis)
{
    struct addr addr;
    if (redis->probing)
        return;
    addr_loopback(&addr, redis->port);
    redis->probing = true;
    conn_connect(&redis->probe, &addr);
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
    log_event(LOG_INFO, "redis is ready", LOG_N("port", redis->port), LOG_N("pid", redis->child.pid));
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
    uint64_t ms = redis->restart_delay_ms != 0 ? redis->restart_delay_ms : redis->restart_ms;
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
    log_event(LOG_ERROR, "redis ended; it is started again", LOG_N("status", end.exit_status),
              LOG_N("signal", end.signal), LOG_C("last_output", redis->last), LOG_C("directory", redis->directory));
    if (redis->restart_ms == 0)
        redis->restart_ms = REDIS_RESTART_MS_MIN;
    restart_later(redis);
}

static bool launch(struct managed_redis *redis, struct err *err)
{
    char port[8];
    snprintf(port, sizeof port, "%u", redis->port);
    /* Not everysec: while the disk syncs, Redis then answers for up to two seconds before it writes, and a killed one
     * has lost that. With "no" it writes before it answers; what it wrote is lost only with the machine. */
    const char *const argv[] = {"redis-server",
                                "--port",
                                port,
                                "--bind",
                                "127.0.0.1",
                                "--dir",
                                redis->directory,
                                "--appendonly",
                                "yes",
                                "--appendfsync",
                                "no",
                                "--save",
                                "",
                                "--maxmemory-policy",
                                "noeviction",
                                "--stream-node-max-bytes", /* a room of one entry costs 1.7 KB instead of 4.8 */
                                "1024",
                                "--daemonize",
                                "no",
                                NULL};
    struct child_spec spec = {.argv = argv};
    if (!child_start(&redis->child, redis->loop, &spec, line_received, ended, err))
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
    if (!file_make_directory(redis->directory, err))
        return false;
    char *path = mem_printf("%s/lock", redis->directory);
    bool taken = file_lock_take(&redis->lock, path, err);
    free(path);
    return taken ||
           err_prefix(err, "the managed Redis needs a directory of its own (--state DIR says which one it gets): ");
}

bool managed_redis_start(struct managed_redis *redis, struct net *net, const char *directory, uint64_t restart_delay_ms,
                         struct err *err)
{
    struct io io;
    struct addr addr;
    *redis = (struct managed_redis){
        .loop = net->loop,
        .net = net,
        .directory = mem_text(span_str(directory)),
        .restart_delay_ms = restart_delay_ms,
        .ready = redis->ready,
        .stopped = redis->stopped,
        .lock = {.fd = -1},
    };
    timer_init(&redis->timer, on_timer);
    timer_init(&redis->deadline, on_deadline);
    conn_init(&redis->probe, net, &probe_events, &probe_limits);
    if (!directory_take(redis, err))
        return false;
    io_init(&io, net->loop, NULL);
    addr_loopback(&addr, 0);
    if (!io_listen(&io, &addr, err))
        return false;
    io_local(&io, &addr);
    redis->port = addr_port(&addr);
    io_close(&io, false);
    redis->url = mem_printf("redis://127.0.0.1:%u", redis->port);
    return launch(redis, err);
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
    free(redis->directory);
    free(redis->url);
}

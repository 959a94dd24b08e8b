/* managed_redis: the command line of redis-server, or of valkey-server, and where programs find it. */
#include "platform/managed_redis.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
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

static const struct managed_redis *redis_of(const struct managed *managed)
{
    return container_of(managed, const struct managed_redis, managed);
}

static void command(const struct managed *managed, struct words *argv)
{
    /* With appendfsync everysec, Redis answers up to two seconds before it writes while the disk syncs, and loses these
     * writes if it is killed. With "no" it writes before it answers, and loses writes only if the machine fails. */
    static const char *const fixed[] = {"--port",
                                        "0",
                                        "--unixsocketperm",
                                        "600",
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
                                        "no"};
    /* Valkey takes the same options. */
    bool is_valkey = !file_in_path("redis-server") && file_in_path("valkey-server");
    words_add(argv, mem_text(is_valkey ? SPAN_LIT("valkey-server") : SPAN_LIT("redis-server")));
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        words_add(argv, mem_text(span_str(fixed[i])));
    words_add(argv, mem_text(SPAN_LIT("--unixsocket")));
    words_add(argv, mem_text(span_str(managed->socket)));
    words_add(argv, mem_text(SPAN_LIT("--dir")));
    words_add(argv, mem_text(span_str(managed->directory)));
    words_add(argv, mem_text(SPAN_LIT("--maxmemory")));
    words_add(argv, mem_printf("%llu", (unsigned long long)redis_of(managed)->memory_bytes_max));
}

static const struct managed_kind kind = {
    .name = "redis",
    .title = "Redis",
    .variable = "SENNIT_REDIS",
    .needs = "sennit.dev/redis: managed needs Debian's redis-server or valkey-server (apt-get install redis-server): ",
    .probe = &redis_probe,
    .command = command,
    .answered = managed_serves,
};

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

bool managed_redis_start(struct managed_redis *redis, struct programs *programs,
                         const struct managed_redis_options *options, struct err *err)
{
    struct managed *managed = &redis->managed;
    managed_prepare(managed, &kind, programs);
    managed->restart_delay_ms = options->restart_delay_ms;
    redis->memory_bytes_max = options->memory_bytes_max;
    if (!managed_directory_take(managed, options->directory, err) || !managed_socket_place(managed, "redis.sock", err))
        return false;
    redis->url = url_of(managed->socket);
    return redis_port_open(&redis->port, programs->net, &managed->addr, err) && managed_start(managed, err);
}

void managed_redis_tell(const struct managed_redis *redis, struct words *environment)
{
    environment_set(environment, mem_printf("REDIS_URL=%s", redis->url));
    environment_set(environment, mem_text(SPAN_LIT("REDISHOST=127.0.0.1")));
    environment_set(environment, mem_printf("REDISPORT=%u", redis->port.number));
}

void managed_redis_stop(struct managed_redis *redis)
{
    redis_port_close(&redis->port);
    managed_stop(&redis->managed);
}

void managed_redis_close(struct managed_redis *redis)
{
    redis_port_close(&redis->port);
}

void managed_redis_finish(struct managed_redis *redis)
{
    managed_finish(&redis->managed);
    free(redis->url);
}

/* real_redis: starts the server, and a blocking link to it. See real_redis.h. */
#include "real_redis.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/redis_server.h"
#include "base/mem.h"
#include "fake_redis_parts.h"

enum { START_TRIES = 500, START_PAUSE_US = 20000, ANSWER_MS_MAX = 5000, PIECE_BYTES = 65536 };

static int connect_once(const struct real_redis *redis)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", redis->socket);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

int real_redis_connect(const struct real_redis *redis)
{
    int fd = connect_once(redis);
    if (fd < 0) {
        perror("connecting to redis-server");
        abort();
    }
    return fd;
}

static void server_exec(const struct real_redis *redis)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* Small encodings stay small: the order of a large hash is nobody's promise. */
    redis_server_exec((const char *[]){"redis-server",
                                       "--port",
                                       "0",
                                       "--unixsocket",
                                       redis->socket,
                                       "--dir",
                                       redis->directory,
                                       "--save",
                                       "",
                                       "--appendonly",
                                       "no",
                                       "--loglevel",
                                       "warning",
                                       "--logfile",
                                       "server.log",
                                       "--hash-max-listpack-entries",
                                       "100000",
                                       "--hash-max-listpack-value",
                                       "1000000",
                                       NULL});
    _exit(127);
}

bool real_redis_start(struct real_redis *redis)
{
    snprintf(redis->directory, sizeof redis->directory, "/tmp/sennit-redis-XXXXXX");
    if (mkdtemp(redis->directory) == NULL)
        return false;
    snprintf(redis->socket, sizeof redis->socket, "%s/socket", redis->directory);
    redis->pid = fork();
    if (redis->pid == 0)
        server_exec(redis);
    for (int i = 0; i < START_TRIES && redis->pid > 0; i++) {
        int fd = connect_once(redis);
        if (fd >= 0) {
            close(fd);
            return true;
        }
        if (waitpid(redis->pid, NULL, WNOHANG) == redis->pid)
            redis->pid = 0;
        usleep(START_PAUSE_US);
    }
    real_redis_stop(redis);
    return false;
}

void real_redis_stop(struct real_redis *redis)
{
    char log[96];
    if (redis->pid > 0) {
        kill(redis->pid, SIGKILL);
        waitpid(redis->pid, NULL, 0);
    }
    redis->pid = 0;
    snprintf(log, sizeof log, "%s/server.log", redis->directory);
    unlink(log);
    unlink(redis->socket);
    rmdir(redis->directory);
}

void real_redis_write(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t written = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (written < 0 && errno != EINTR) {
            perror("writing to redis-server");
            abort();
        }
        bytes = span_from(bytes, written > 0 ? (size_t)written : 0);
    }
}

char *script_with_clock(const char *text, const char *key)
{
    struct buf out = {0};
    const char *at;
    while ((at = strstr(text, "call('TIME')")) != NULL) {
        buf_append(&out, span_of(text, (size_t)(at - text)));
        buf_printf(&out, "call('HMGET', '%s', 's', 'us')", key);
        text = at + sizeof "call('TIME')" - 1;
    }
    buf_append(&out, span_str(text));
    char *copy = mem_text(buf_span(&out));
    buf_finish(&out);
    return copy;
}

size_t reply_length(struct span bytes)
{
    int64_t number = 0;
    ptrdiff_t end = span_find(bytes, '\n');
    if (end < 2)
        return 0;
    size_t len = (size_t)end + 1;
    fake_span_i64(span_sub(bytes, 1, (size_t)end - 2), &number);
    if (bytes.data[0] == '$' && number >= 0) {
        len += (size_t)number + 2;
    } else if (bytes.data[0] == '*') {
        for (int64_t i = 0; i < number; i++) {
            size_t item = len < bytes.len ? reply_length(span_from(bytes, len)) : 0;
            if (item == 0)
                return 0;
            len += item;
        }
    }
    return len <= bytes.len ? len : 0;
}

void real_redis_read_some(int fd, struct buf *to)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, ANSWER_MS_MAX) <= 0) {
        fprintf(stderr, "redis-server does not answer\n");
        abort();
    }
    ssize_t got = read(fd, buf_reserve(to, PIECE_BYTES), PIECE_BYTES);
    if (got <= 0) {
        perror("reading from redis-server");
        abort();
    }
    buf_added(to, (size_t)got);
}

void real_redis_read(int fd, struct buf *to, size_t count)
{
    size_t from = to->len;
    while (count > 0) {
        size_t len = reply_length(span_from(buf_span(to), from));
        if (len == 0) {
            real_redis_read_some(fd, to);
            continue;
        }
        from += len;
        count--;
    }
}

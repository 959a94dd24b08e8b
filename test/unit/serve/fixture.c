/* fixture: see fixture.h: the instance, the sockets, and the waiting. */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../own_ip.h"
#include "base/mem.h"

enum { WAIT_MS = 10000 };

static struct loop *loop;
struct server *server;
struct peer peers[PEERS];
static struct timer tick, patience;
static const char *awaited;
static struct peer *awaiting;
char sid[ENGINEIO_SID_BYTES + 1];

static void peer_read(struct peer *peer)
{
    char bytes[4096];
    ssize_t got;
    while (peer->fd >= 0 && (got = recv(peer->fd, bytes, sizeof bytes, 0)) > 0)
        buf_append(&peer->got, span_of(bytes, (size_t)got));
    if (peer->fd >= 0 && (got == 0 || errno != EAGAIN))
        peer->ended = true;
}

bool has(const struct peer *peer, const char *text)
{
    return peer->got.len > 0 && memmem(buf_span(&peer->got).data, peer->got.len, text, strlen(text)) != NULL;
}

static void on_tick(struct timer *timer)
{
    for (int i = 0; i < PEERS; i++)
        peer_read(&peers[i]);
    if (awaiting != NULL && (awaited != NULL ? has(awaiting, awaited) : awaiting->ended))
        loop_stop(loop);
    else
        timer_start(loop, timer, 500);
}

static void on_patience(struct timer *timer)
{
    loop_stop(loop);
}

static void run(struct peer *peer, const char *text, uint32_t ms)
{
    awaiting = peer;
    awaited = text;
    timer_start(loop, &tick, 0);
    timer_start(loop, &patience, LOOP_MS(ms));
    loop_run(loop);
    timer_stop(loop, &tick);
    timer_stop(loop, &patience);
}

void pass_ms(uint32_t ms)
{
    run(NULL, NULL, ms);
}

void await_end(struct peer *peer)
{
    run(peer, NULL, WAIT_MS);
    assert_true(peer->ended);
}

void await(struct peer *peer, const char *text)
{
    run(peer, text, WAIT_MS);
    if (!has(peer, text))
        fail_msg("no \"%s\" in: " SPAN_FMT, text, SPAN_ARG(buf_span(&peer->got)));
}

void start(const char *config)
{
    char file[] = "/tmp/sennit-engine-XXXXXX";
    int fd = mkstemp(file);
    struct err err;
    struct serve_options options = {.config_path = file, .port = "0", .broker = {.broker = "memory"}};
    assert_true(dprintf(fd, "%s\nnamespaces: {/: {events: {}}}\n", config) > 0);
    close(fd);
    loop = loop_create(&err);
    server = mem_alloc(sizeof *server);
    timer_init(&tick, on_tick);
    timer_init(&patience, on_patience);
    bool ok = server_open(server, loop, &options, &err);
    unlink(file);
    if (!ok)
        fail_msg("%s", err.text);
    for (int i = 0; i < 100 && !io_is_open(&server->listener.io); i++)
        run(NULL, NULL, 5);
    for (int i = 0; i < PEERS; i++)
        peers[i] = (struct peer){.fd = -1};
}

void leave(struct peer *peer)
{
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
    buf_finish(&peer->got);
    peer->ended = false;
}

void stop(void)
{
    for (int i = 0; i < PEERS; i++)
        leave(&peers[i]);
    server_close(server);
    loop_destroy(loop);
    free(server);
}

void say(struct peer *peer, const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(OWN_IP)};
    if (peer->fd < 0) {
        in.sin_port = htons(listener_port(&server->listener));
        peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(peer->fd, (struct sockaddr *)&in, sizeof in);
        run(NULL, NULL, 5);
    }
    buf_clear(&peer->got);
    assert_int_equal(send(peer->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

const char *request(const char *method, const char *target, const char *fields, const char *body)
{
    static char text[4096];
    char length[64] = "";
    if (body[0] != '\0')
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body));
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: a.com\r\n%s%s\r\n%s", method, target, fields, length, body);
    return text;
}

const char *of_session(const char *target)
{
    static char text[512];
    snprintf(text, sizeof text, target, sid);
    return text;
}

void answers(struct peer *peer, const char *asked, const char *expected)
{
    say(peer, asked);
    run(peer, "\r\n\r\n", WAIT_MS);
    run(NULL, NULL, 3);
    struct span got = buf_span(&peer->got);
    if (!span_starts_with(got, span_str(expected)))
        fail_msg("%s got: " SPAN_FMT, asked, SPAN_ARG(got));
}

void begin_session(struct peer *peer)
{
    answers(peer, request("GET", POLL, "", ""), "HTTP/1.1 200 OK\r\n");
    const char *at = memmem(buf_span(&peer->got).data, peer->got.len, "\"sid\":\"", 7);
    assert_non_null(at);
    memcpy(sid, at + 7, ENGINEIO_SID_BYTES);
}

void is_gone(struct peer *peer)
{
    answers(peer, request("GET", of_session(POLL "&sid=%s"), "", ""), "HTTP/1.1 400 Bad Request\r\n");
    assert_true(has(peer, "{\"code\":1,\"message\":\"Session ID unknown\"}"));
}

void lives(struct peer *peer)
{
    answers(peer, request("POST", of_session(POLL "&sid=%s"), "", "3"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n");
}

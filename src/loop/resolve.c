/* resolve: resolves names with c-ares, whose sockets and timeouts run on the loop. c-ares reports each change of
 * interest in a socket, and each close in advance: when it calls back with an answer, the descriptor may already be
 * reused. */
#include "loop/resolve.h"

#include <ares.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "loop/loop_epoll.h"

enum { ADDRS_MAX = 16, SOCKETS_MAX = 16, POLL_MS = 50 };

struct watched {
    struct io io; /* the descriptor is c-ares' own */
    struct resolve *resolve;
};

struct resolve {
    struct loop *loop;
    resolve_fn *done;
    void *arg;
    ares_channel channel; /* NULL for an IP, which needs no lookup */
    struct watched sockets[SOCKETS_MAX];
    struct timer timer; /* answers, or lets c-ares look at its timeouts */
    bool initialized;   /* one count of c-ares' own initialization is ours */
    bool answered;
    struct addr addrs[ADDRS_MAX];
    size_t count;
    const char *why;
};

static void resolve_destroy(struct resolve *resolve)
{
    timer_stop(resolve->loop, &resolve->timer);
    if (resolve->channel != NULL)
        ares_destroy(resolve->channel);
    if (resolve->initialized)
        ares_library_cleanup();
    for (int i = 0; i < SOCKETS_MAX; i++)
        assert(!io_is_open(&resolve->sockets[i].io));
    free(resolve);
}

static void answer(struct resolve *resolve)
{
    resolve_fn *done = resolve->done;
    void *arg = resolve->arg;
    if (resolve->count == 0 && resolve->why == NULL)
        resolve->why = "no address";
    done(arg, resolve->addrs, resolve->count, resolve->why);
    resolve_destroy(resolve);
}

static void resolved(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    struct resolve *resolve = arg;
    resolve->answered = true;
    if (status != ARES_SUCCESS)
        resolve->why = ares_strerror(status);
    for (struct ares_addrinfo_node *node = result != NULL ? result->nodes : NULL;
         node != NULL && resolve->count < ADDRS_MAX; node = node->ai_next) {
        struct addr *addr = &resolve->addrs[resolve->count];
        if (node->ai_addrlen > sizeof addr->storage)
            continue;
        memcpy(&addr->storage, node->ai_addr, node->ai_addrlen);
        addr->len = node->ai_addrlen;
        resolve->count++;
    }
    if (result != NULL)
        ares_freeaddrinfo(result);
}

/* c-ares wants this of a socket from now on; nothing when it is about to close it. */
static void socket_wanted(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct resolve *resolve = arg;
    struct io *io = NULL;
    for (int i = 0; i < SOCKETS_MAX && io == NULL; i++)
        if (resolve->sockets[i].io.fd == fd)
            io = &resolve->sockets[i].io;
    for (int i = 0; i < SOCKETS_MAX && io == NULL; i++)
        if (!io_is_open(&resolve->sockets[i].io))
            io = &resolve->sockets[i].io;
    if (io == NULL)
        return; /* more than it could need: what this one would have heard times out */
    io->fd = fd;
    io_want(io, (readable ? IO_READ : 0u) | (writable ? IO_WRITE : 0u));
    if (readable || writable)
        return;
    loop_batch_forget(resolve->loop, io);
    io->fd = -1;
}

static void step(struct resolve *resolve, ares_socket_t readable, ares_socket_t writable)
{
    ares_process_fd(resolve->channel, readable, writable);
    if (resolve->answered) {
        answer(resolve);
        return;
    }
    timer_start(resolve->loop, &resolve->timer, LOOP_MS(POLL_MS));
}

static void on_ready(struct io *io, unsigned ready)
{
    struct resolve *resolve = container_of(io, struct watched, io)->resolve;
    step(resolve, ready & IO_READ ? io->fd : ARES_SOCKET_BAD, ready & IO_WRITE ? io->fd : ARES_SOCKET_BAD);
}

static void on_timer(struct timer *timer)
{
    struct resolve *resolve = container_of(timer, struct resolve, timer);
    if (resolve->answered)
        answer(resolve);
    else
        step(resolve, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static bool ask(struct resolve *resolve, const char *host, uint16_t port)
{
    struct ares_addrinfo_hints hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NUMERICSERV};
    struct ares_options options = {.sock_state_cb = socket_wanted, .sock_state_cb_data = resolve};
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    resolve->initialized = status == ARES_SUCCESS;
    if (resolve->initialized)
        status = ares_init_options(&resolve->channel, &options, ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) {
        resolve->why = ares_strerror(status);
        return false;
    }
    ares_getaddrinfo(resolve->channel, host, service, &hints, resolved, resolve);
    return !resolve->answered;
}

struct resolve *resolve_start(struct loop *loop, const char *host, uint16_t port, resolve_fn *done, void *arg)
{
    struct resolve *resolve = mem_zero(1, sizeof *resolve);
    resolve->loop = loop;
    resolve->done = done;
    resolve->arg = arg;
    timer_init(&resolve->timer, on_timer);
    for (int i = 0; i < SOCKETS_MAX; i++) {
        io_init(&resolve->sockets[i].io, loop, on_ready);
        resolve->sockets[i].resolve = resolve;
    }
    if (addr_from_ip(&resolve->addrs[0], span_str(host), port)) {
        resolve->count = 1;
        resolve->answered = true;
    } else if (!ask(resolve, host, port)) {
        resolve->answered = true;
    }
    timer_start(loop, &resolve->timer, resolve->answered ? 0 : LOOP_MS(POLL_MS));
    return resolve;
}

void resolve_cancel(struct resolve *resolve)
{
    if (resolve == NULL)
        return;
    /* c-ares calls back while it is destroyed. */
    resolve->answered = true;
    resolve_destroy(resolve);
}

/* io_epoll: the streams and listeners of io.h on non-blocking sockets.
 *
 * Errors of the peer become IO_ERROR, those of the machine's limits IO_EXHAUSTED; errno never leaves this file but
 * through io_connected. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/loop_epoll.h"

enum { LISTEN_BACKLOG = 4096, KEEPALIVE_IDLE_S = 30, KEEPALIVE_EVERY_S = 10, KEEPALIVE_PROBES = 3 };

void io_init(struct io *io, struct loop *loop, io_ready_fn *ready)
{
    *io = (struct io){.loop = loop, .fd = -1, .ready = ready};
}

static uint32_t epoll_events(unsigned want)
{
    return (want & IO_READ ? EPOLLIN : 0) | (want & IO_WRITE ? EPOLLOUT : 0) | (want & IO_ENDED ? EPOLLRDHUP : 0);
}

void io_want(struct io *io, unsigned events)
{
    if (events == io->want)
        return;
    assert(io->fd >= 0);
    int op = events == 0 ? EPOLL_CTL_DEL : io->want == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    struct epoll_event event = {.events = epoll_events(events), .data.ptr = io};
    if (epoll_ctl(io->loop->epoll_fd, op, io->fd, &event) != 0) {
        /* The kernel's memory or fs.epoll.max_user_watches is used up: this stream will hear nothing until its
         * owner's timers end it. Or it is of a file (EPERM), which only a program can have given: it is told. */
        if (errno != EPERM)
            log_event(LOG_ERROR, "epoll refused a descriptor", LOG_C("error", strerror(errno)));
        return;
    }
    io->want = (uint8_t)events;
}

void io_close(struct io *io, bool reset)
{
    if (io->fd < 0)
        return;
    loop_batch_forget(io->loop, io);
    if (reset) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(io->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    /* Explicitly: a child that is about to start may share the descriptor, and epoll would go on watching it. */
    io_want(io, 0);
    close(io->fd);
    io->fd = -1;
    io->want = 0;
}

bool io_borrow(struct io *io, int fd)
{
    assert(io->fd < 0);
    io->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return io->fd >= 0;
}

bool io_is_of(const struct io *io, int fd)
{
    struct stat own, other;
    return fstat(io->fd, &own) == 0 && fstat(fd, &other) == 0 && own.st_dev == other.st_dev &&
           own.st_ino == other.st_ino;
}

void io_give_back(struct io *io)
{
    if (io->fd < 0)
        return;
    io_want(io, 0);
    loop_batch_forget(io->loop, io);
    close(io->fd);
    io->fd = -1;
}

void io_take_back(struct io *io)
{
    struct epoll_event unused = {0};
    if (io->fd < 0)
        return;
    loop_batch_forget(io->loop, io);
    /* It fails if the library was faster and has closed it: then epoll has forgotten it by itself. */
    if (io->want != 0)
        epoll_ctl(io->loop->epoll_fd, EPOLL_CTL_DEL, io->fd, &unused);
    io->fd = -1;
    io->want = 0;
}

void io_lend(struct io *io, int fd, unsigned events)
{
    io_take_back(io);
    io->fd = fd;
    io_want(io, events);
}

void io_move(struct io *to, struct io *from)
{
    assert(to->fd < 0 && to->loop == from->loop);
    if (from->fd < 0)
        return;
    struct epoll_event event = {.events = epoll_events(from->want), .data.ptr = to};
    loop_batch_forget(from->loop, from);
    to->fd = from->fd;
    to->want = from->want;
    if (to->want != 0 && epoll_ctl(to->loop->epoll_fd, EPOLL_CTL_MOD, to->fd, &event) != 0)
        log_event(LOG_ERROR, "epoll refused a descriptor", LOG_C("error", strerror(errno)));
    from->fd = -1;
    from->want = 0;
}

static bool is_tcp(const struct addr *addr)
{
    return addr->storage.ss_family != AF_UNIX;
}

static void set_option(int fd, int level, int name, int value)
{
    /* Options only tune the stream. A kernel that does not know one still carries it. */
    (void)setsockopt(fd, level, name, &value, sizeof value);
}

static int socket_open(const struct addr *addr)
{
    int fd = socket(addr->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && is_tcp(addr))
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return fd;
}

/* True when `addr` is the path of a socket that nobody listens on any more; it is removed. */
static bool unix_leftover_removed(const struct addr *addr)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&addr->storage;
    struct stat about;
    if (lstat(un->sun_path, &about) != 0 || !S_ISSOCK(about.st_mode))
        return false;
    int fd = socket_open(addr);
    if (fd < 0)
        return false;
    bool refused = connect(fd, (const struct sockaddr *)un, addr->len) != 0 && errno == ECONNREFUSED;
    close(fd);
    return refused && unlink(un->sun_path) == 0;
}

static bool listen_failed(const struct addr *addr, int error, struct err *err)
{
    char ip[ADDR_TEXT_MAX];
    unsigned port = addr_port(addr);
    addr_ip_text(addr, ip);
    if (!is_tcp(addr))
        return err_set(err, "cannot listen on %s: %s", ((const struct sockaddr_un *)&addr->storage)->sun_path,
                       error == EADDRINUSE ? "another program listens there" : strerror(error));
    if (error == EADDRINUSE)
        return err_set(err,
                       "port %u is in use: another program listens there, choose another (--port) or stop what listens "
                       "there (ss -ltnp 'sport = :%u' shows it)",
                       port, port);
    if (error == EACCES)
        return err_set(err, "port %u is not allowed to this user: choose 1024 or above (--port)", port);
    if (error == EADDRNOTAVAIL)
        return err_set(err, "cannot listen on %s port %u: this machine has no such address", ip, port);
    return err_set(err, "cannot listen on %s port %u: %s", ip, port, strerror(error));
}

bool io_listen(struct io *io, const struct addr *addr, struct err *err)
{
    const struct sockaddr *name = (const struct sockaddr *)&addr->storage;
    assert(io->fd < 0);
    int fd = socket_open(addr);
    if (fd < 0)
        return listen_failed(addr, errno, err);
    if (is_tcp(addr))
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (addr->storage.ss_family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    int bound = bind(fd, name, addr->len);
    if (bound != 0 && errno == EADDRINUSE && !is_tcp(addr)) {
        errno = EADDRINUSE;
        bound = unix_leftover_removed(addr) ? bind(fd, name, addr->len) : (errno = EADDRINUSE, -1);
    }
    if (bound != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        int error = errno;
        close(fd);
        return listen_failed(addr, error, err);
    }
    io->fd = fd;
    return true;
}

void io_local(const struct io *io, struct addr *addr)
{
    *addr = (struct addr){.len = sizeof addr->storage};
    if (getsockname(io->fd, (struct sockaddr *)&addr->storage, &addr->len) != 0)
        *addr = (struct addr){0};
}

bool io_peer_is_own(const struct io *io)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(io->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == geteuid() || peer.uid == 0);
}

int io_accept(struct io *listener, struct io *to, struct addr *peer)
{
    assert(to->fd < 0);
    *peer = (struct addr){.len = sizeof peer->storage};
    int fd;
    do
        fd = accept4(listener->fd, (struct sockaddr *)&peer->storage, &peer->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return IO_AGAIN;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            return IO_EXHAUSTED;
        return IO_ERROR;
    }
    if (is_tcp(peer))
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    to->fd = fd;
    return 0;
}

void io_reserve(struct io *io)
{
    if (io->fd < 0)
        io->fd = fcntl(io->loop->epoll_fd, F_DUPFD_CLOEXEC, 0);
}

bool io_connect(struct io *io, const struct addr *addr)
{
    return io_connect_from(io, addr, NULL);
}

bool io_connect_from(struct io *io, const struct addr *addr, const struct addr *source)
{
    assert(io->fd < 0);
    int fd = socket_open(addr);
    if (fd < 0)
        return false;
    if (source != NULL) {
        /* The port is chosen by connect, which looks at both ends, and not by bind, which would count to 28,000. */
        set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
        if (bind(fd, (const struct sockaddr *)&source->storage, source->len) != 0) {
            close(fd);
            return false;
        }
    }
    if (is_tcp(addr)) {
        set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
        set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S);
        set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    }
    if (connect(fd, (const struct sockaddr *)&addr->storage, addr->len) != 0 && errno != EINPROGRESS &&
        errno != EINTR) {
        close(fd);
        return false;
    }
    io->fd = fd;
    return true;
}

int io_connected(struct io *io)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return errno;
    return error;
}

static ssize_t result(ssize_t done)
{
    if (done >= 0)
        return done;
    return errno == EAGAIN || errno == EWOULDBLOCK ? IO_AGAIN : IO_ERROR;
}

ssize_t io_read(struct io *io, void *to, size_t size)
{
    ssize_t got;
    do
        got = io->is_file ? read(io->fd, to, size) : recv(io->fd, to, size, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == ENOTSOCK) { /* on a socket the kernel has less to do for recv than for read */
        io->is_file = true;
        return io_read(io, to, size);
    }
    return result(got);
}

ssize_t io_peek(struct io *io, void *to, size_t size)
{
    ssize_t got;
    do
        got = recv(io->fd, to, size, MSG_PEEK);
    while (got < 0 && errno == EINTR);
    return result(got);
}

size_t io_unread(const struct io *io)
{
    int bytes = 0;
    return ioctl(io->fd, FIONREAD, &bytes) == 0 && bytes > 0 ? (size_t)bytes : 0;
}

/* On a socket the kernel has less to do for send and sendmsg than for writev. */
ssize_t io_writev(struct io *io, const struct iovec *parts, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
    ssize_t put;
    do
        put = count == 1 ? send(io->fd, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL)
                         : sendmsg(io->fd, &message, MSG_NOSIGNAL);
    while (put < 0 && errno == EINTR);
    return result(put);
}

void io_unsent_max(struct io *io, uint32_t bytes)
{
    if (io->fd >= 0)
        set_option(io->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)bytes);
}

void io_ack_late(struct io *io)
{
    if (io->fd >= 0)
        set_option(io->fd, IPPROTO_TCP, TCP_QUICKACK, 0);
}

void io_shutdown(struct io *io)
{
    if (io->fd >= 0)
        (void)shutdown(io->fd, SHUT_WR);
}

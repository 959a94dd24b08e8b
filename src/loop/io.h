/* io: streams and listeners of the loop. Non-blocking, close-on-exec; never seen as a descriptor above this layer. */
#ifndef SENNIT_LOOP_IO_H
#define SENNIT_LOOP_IO_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/span.h"
#include "loop/loop.h"

/* An address: IPv4, IPv6 or a unix path. */
struct addr {
    socklen_t len;
    struct sockaddr_storage storage;
};

/* Parses a literal IP address; no names, those are resolved (loop/resolve.h). */
bool addr_from_ip(struct addr *addr, struct span ip, uint16_t port);
bool addr_from_unix(struct addr *addr, struct span path);
/* Any local address, for listening: the dual-stack wildcard where there is IPv6, else 0.0.0.0. */
void addr_any(struct addr *addr, uint16_t port);
void addr_loopback(struct addr *addr, uint16_t port);  /* 127.0.0.1 */
void addr_loopback6(struct addr *addr, uint16_t port); /* ::1 */
uint16_t addr_port(const struct addr *addr);
void addr_port_set(struct addr *addr, uint16_t port); /* no effect on a path */
/* The IP alone ("127.0.0.1", "::1"; an IPv4-mapped IPv6 address as IPv4), or "unix"; `text` has room for ADDR_TEXT_MAX.
 */
enum { ADDR_TEXT_MAX = 64 };
void addr_ip_text(const struct addr *addr, char text[ADDR_TEXT_MAX]);

/* The IP and the port alone, small enough for every connection to keep. IPv4 is kept mapped into IPv6 (RFC 4291 section
 * 2.5.5.2). */
struct addr_ip {
    uint8_t bytes[16];
    uint16_t port;
    bool is_unix; /* there is no IP */
};
void addr_ip_of(const struct addr *addr, struct addr_ip *ip);
/* An IPv4 address, which is kept mapped into IPv6. */
bool addr_ip_is_v4(const struct addr_ip *ip);
/* The part of an address that belongs to one customer: the IPv4 address, or the first 64 bits of an IPv6 address. The
 * rest is zero. */
enum { ADDR_NETWORK_BYTES = 16 };
void addr_ip_network(const struct addr_ip *ip, uint8_t network[ADDR_NETWORK_BYTES]);
/* As addr_ip_text. */
void addr_ip_print(const struct addr_ip *ip, char text[ADDR_TEXT_MAX]);

/* IO_ENDED: the peer has ended its half, though what it sent before may be unread. IO_BROKEN: the stream is lost. Both
 * are for streams that are not read: on one that is, the next read tells. */
enum io_events { IO_READ = 1, IO_WRITE = 2, IO_ENDED = 4, IO_BROKEN = 8 };

struct io;
/* `ready` holds those of the wanted io_events that became possible; errors and hang-ups show as both, and the next read
 * or write returns the error. */
typedef void io_ready_fn(struct io *io, unsigned ready);
struct io {
    struct loop *loop;
    int fd; /* -1 when closed; of no meaning above this layer */
    uint8_t want;
    bool is_file; /* not a socket: a pipe, say */
    io_ready_fn *ready;
};

/* The negative results of io_read, io_writev and io_accept. */
enum io_result { IO_AGAIN = -1, IO_ERROR = -2, IO_EXHAUSTED = -3 };

void io_init(struct io *io, struct loop *loop, io_ready_fn *ready);

/* Listens; false with `err` set (a port in use names the port and what to do). Port 0 picks a free one. */
bool io_listen(struct io *io, const struct addr *addr, struct err *err);
/* The local address of a listener or a stream. */
void io_local(const struct io *io, struct addr *addr);

/* Takes one waiting stream into `to` (initialised): 0, or IO_AGAIN, IO_ERROR (that stream is gone, go on), IO_EXHAUSTED
 * (no descriptor left: stop accepting for a while). TCP_NODELAY is set. */
int io_accept(struct io *listener, struct io *to, struct addr *peer);

/* Whether the process at the other end of a unix stream is of this user, or root's, by what the kernel says
 * (SO_PEERCRED). */
bool io_peer_is_own(const struct io *io);

/* Reserves a descriptor: `io` is open and does nothing. Closing it makes a descriptor available to io_accept. Leaves
 * `io` closed when there is no descriptor. */
void io_reserve(struct io *io);

/* Begins to connect; IO_WRITE becomes ready when it is done or has failed; io_connected then returns which. False when
 * it failed at once. TCP_NODELAY is set. */
bool io_connect(struct io *io, const struct addr *addr);
/* The same from the local address `source`, any port; NULL: as the kernel chooses. */
bool io_connect_from(struct io *io, const struct addr *addr, const struct addr *source);
/* 0 when connected, else an errno value. */
int io_connected(struct io *io);

/* Bytes read (> 0), 0 at the end of the stream, IO_AGAIN or IO_ERROR. */
ssize_t io_read(struct io *io, void *to, size_t size);
/* The same, and the bytes stay: the next read brings them again. Sockets only. */
ssize_t io_peek(struct io *io, void *to, size_t size);
/* Bytes that the kernel has for the next reads. */
size_t io_unread(const struct io *io);
/* Bytes written, or IO_AGAIN or IO_ERROR; a peer that has gone is IO_ERROR and no SIGPIPE. `count` is IOV_MAX at most.
 */
ssize_t io_writev(struct io *io, const struct iovec *parts, int count);
/* The kernel takes no more bytes while it has this many that it has not sent yet. Has no effect where the kernel does
 * not know the option. */
void io_unsent_max(struct io *io, uint32_t bytes);
/* What was just read is acknowledged with the next bytes of ours, or when more has come, rather than at once by the
 * next read (TCP_QUICKACK). The kernel forgets it in time. Has no effect where it does not know the option. */
void io_ack_late(struct io *io);
/* Ends our half; the peer sees the end of the stream behind what was written. */
void io_shutdown(struct io *io);
/* Closes; harmless when closed. With `reset`, the peer sees a reset and unsent bytes are dropped. */
void io_close(struct io *io, bool reset);

/* Watches a descriptor that a library owns: it alone reads, writes and closes it. Another one may be lent in its place.
 * Before or right after the library closes it, it is taken back. */
void io_lend(struct io *io, int fd, unsigned events);
void io_take_back(struct io *io); /* harmless when none is lent */

/* Moves an open stream, with its wanted events, from one io to another, which is initialised and closed. Moving a
 * closed one does nothing. */
void io_move(struct io *to, struct io *from);

/* Sets the events for which `ready` is called (level-triggered); 0 for none. */
void io_want(struct io *io, unsigned events);

/* Watches a descriptor that is not ours, by a duplicate: so it does no harm if its owner closes it meanwhile. `io`,
 * initialised and closed, is open, to be ended by io_give_back. Not for io_close. False: there is no such descriptor,
 * or there are too many. */
bool io_borrow(struct io *io, int fd);
void io_give_back(struct io *io);
/* Whether `fd` is what was borrowed: its owner has not closed it, nor opened another one that got its number. */
bool io_is_of(const struct io *io, int fd);

static inline bool io_is_open(const struct io *io)
{
    return io->fd >= 0;
}

#endif

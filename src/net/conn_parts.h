/* conn_parts: functions that the files of conn call in each other. For src/net/ only. */
#ifndef SENNIT_NET_CONN_PARTS_H
#define SENNIT_NET_CONN_PARTS_H

#include "net/conn.h"

/* net.c: at the end of this turn the connection, which is in neither list, is flushed or reaped. */
void net_turn_add(struct net_turn *turn, struct conn *conn);
/* Takes it out again, if it is in this one. */
static inline void net_turn_remove(struct net_turn *turn, struct conn *conn)
{
    if (conn->turn != 0)
        turn->conns[conn->turn - 1] = NULL;
    conn->turn = 0;
}

/* conn.c */

/* The stream carries bytes both ways: tells the owner. */
void conn_established(struct conn *conn);
/* Whether the owner would take bytes now. */
bool conn_takes_input(const struct conn *conn);
/* Hands bytes to the owner, behind its unconsumed ones. */
void conn_take_input(struct conn *conn, char *bytes, size_t len);
/* The peer ended its half. */
void conn_end_input(struct conn *conn);
/* The stream takes no bytes any more: hands out the input that the peer had sent before, as far as the owner reads. */
void conn_read_last(struct conn *conn);
/* The stream does not carry bytes any more: closes with the reason that fits. */
void conn_broken(struct conn *conn);
/* Tells the loop whether to watch for input and for room for output. */
void conn_update_want(struct conn *conn);
/* The timer of stalls, of connecting and of lingering. */
void conn_stall_begin(struct conn *conn, uint64_t in_us);
void conn_stall_end(struct conn *conn);
/* Hands kept input out again, if it is due. */
void conn_resume(struct conn *conn);
/* Ends what was closed. */
void conn_reap(struct conn *conn);

/* conn_queue.c */

enum { CONN_GATHER_MAX = 256, CONN_FLUSH_BYTES_MAX = 4 << 20 /* of one connection in one turn */ };

/* The unsent rest of a source. */
struct conn_stream {
    struct conn_source *source;
    uint64_t at, end;
};

/* Puts it on the turn's flush list. */
void conn_touch(struct conn *conn);
/* Writes the queue. Returns the bytes written, or IO_ERROR. */
ssize_t conn_queue_write(struct conn *conn);
/* Empties the queue unsent. */
void conn_queue_drop(struct conn *conn);
/* Whether bytes wait to be written. */
static inline bool conn_has_output(const struct conn *conn)
{
    return conn->queue != NULL;
}
static inline bool conn_has_frames(const struct conn *conn)
{
    return conn->queue != NULL && conn->queue->count > 0;
}
/* The first waiting frames, CONN_GATHER_MAX at most, without bytes that have been written. */
int conn_queue_gather(const struct conn *conn, struct iovec parts[CONN_GATHER_MAX]);
/* `written` bytes of the queue have been written. */
void conn_queue_advance(struct conn *conn, size_t written);

/* conn_tls.c; of connections that carry TLS */

/* The stream underneath is up: begins the handshake. */
void conn_tls_begin(struct conn *conn);
/* The handshake has begun and is not complete. */
static inline bool conn_tls_is_shaking(const struct conn *conn)
{
    return conn->state == CONN_CONNECTING && conn_tls(conn) != NULL && conn_tls(conn)->begun;
}
/* Reads, decrypts, hands out. */
void conn_tls_read(struct conn *conn);
/* Hands out plaintext that had been read when the owner paused. */
void conn_tls_resume(struct conn *conn);
/* As conn_queue_write. */
ssize_t conn_tls_write(struct conn *conn);
/* One attempt to write the queue, and close_notify or an alert. */
void conn_tls_last_words(struct conn *conn);

#endif

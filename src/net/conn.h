/* conn: one stream, its state and its bounded output queue.
 *
 *            conn_adopt            conn_shutdown          end of stream,
 *   CLOSED ------------> OPEN ----------------> DRAINING -- linger over --> CLOSING --- reap ---> CLOSED
 *      \-- conn_connect -> CONNECTING --^         conn_close from any but CLOSED --^
 *
 * The owner embeds struct conn and gets its events; `serve`, `platform`, `load` and the Redis links own connections.
 * Nothing is written while events are handled: conn_send queues a reference and marks the connection as touched. At the
 * end of the turn every touched connection is flushed once, in one gathered write. Nobody frees a connection in its own
 * callback: conn_close queues it, and the end of the turn calls `closed`, once. After that the memory is the owner's
 * again, and may be used for another connection. An idle connection holds no buffer. */
#ifndef SENNIT_NET_CONN_H
#define SENNIT_NET_CONN_H

#include "base/buf.h"
#include "base/frame.h"
#include "loop/io.h"
#include "net/close_reasons.h"
#include "net/net.h"
#include "net/tls.h"

enum {
    CONN_CONNECT_MS_MAX = 10000,
    CONN_UNSENT_BYTES_MAX = 128 << 10, /* of a source: bytes that the kernel has taken and not sent yet */
};

enum conn_state { CONN_CLOSED, CONN_CONNECTING, CONN_OPEN, CONN_DRAINING, CONN_CLOSING };

struct conn;

/* The owner's callbacks. Each may call any conn function on any connection. */
struct conn_events {
    /* An outgoing connection is up. May be NULL for accepted ones. */
    void (*opened)(struct conn *conn);
    /* Bytes arrived; unconsumed ones of the last call come first. They may be changed in place. Returns the number
     * consumed. The rest is kept, and comes again with more behind it; beyond input_bytes_max the connection closes
     * with INPUT_LIMIT. Not called while reading is paused. */
    size_t (*received)(struct conn *conn, char *bytes, size_t len);
    /* The peer ended its half. NULL: the connection is closed with PEER_CLOSED. Not repeated. */
    void (*ended)(struct conn *conn);
    /* The peer has ended its half, or is gone (`broken`), while reading is paused. What it sent before is unread: once
     * it is read, `ended` or `broken` follows. May be NULL: then nothing is noticed before that. */
    void (*ending)(struct conn *conn, bool broken);
    /* Reading or writing failed, so the peer is gone: told at once, and then the connection closes. May be NULL. */
    void (*broken)(struct conn *conn);
    /* The output queue has become empty, after the kernel had not taken all of it, or after conn_await_drained. May be
     * NULL. */
    void (*drained)(struct conn *conn);
    /* The connection is over. Called exactly once, at the end of the turn; the owner may free the memory of `conn`. */
    void (*closed)(struct conn *conn, enum close_reason reason);
};

/* Bytes that are read when the kernel has room for them, such as a file's. So a slow client costs no memory. Many
 * connections may share one source. */
struct conn_source {
    /* Copies up to `size` bytes at `offset` into `to`. Returns their number (> 0), or -1 if the source has become
     * shorter. */
    ssize_t (*read)(struct conn_source *source, uint64_t offset, char *to, size_t size);
    /* One connection is done with it, sent or not. */
    void (*released)(struct conn_source *source);
};

struct conn_limits {
    uint32_t queue_bytes_max; /* output queue; beyond it the connection closes with SLOW_CONSUMER */
    size_t output_bytes_max;  /* bytes that wait for all peers in this process; beyond it, a connection whose peer does
                               * not read and that has more than its share closes with OUTPUT_FULL; 0: no bound */
    uint32_t input_bytes_max; /* unconsumed input */
    uint32_t write_stall_ms_max; /* bytes wait and the peer takes none for this long: WRITE_TIMEOUT; 0: never */
};

/* A place in the output queue. */
struct conn_slot {
    struct frame *frame;
    struct frame_tag tag;
};

/* What waits to be written: a ring of frames, and a source behind them. */
struct conn_queue {
    struct conn_stream *stream; /* NULL: none */
    uint32_t at, count, cap;
    uint32_t head_written; /* bytes of the first frame that have been written */
    uint32_t bytes;        /* of the frames, without those */
    struct conn_slot slots[];
};

/* What an idle connection without TLS has not. */
struct conn_extra {
    struct conn *conn;
    struct timer stall; /* also the timer of connecting and of lingering */
    struct buf input;   /* bytes that `received` did not consume */
    struct tls *tls;    /* NULL: plain */
    uint32_t linger_ms; /* from the end of our half to the end of the stream */
};

struct conn {
    struct net *net;
    const struct conn_events *events;
    const struct conn_limits *limits; /* shared by many, owned by the caller, outlives the connection */
    struct io io;
    struct conn_queue *queue; /* NULL: nothing waits */
    struct conn_extra *extra; /* NULL: none of it */
    struct addr_ip peer;
    uint32_t turn;  /* its place in net.touched or, once it is closed, in net.closing, from 1; 0: none */
    uint8_t state;  /* enum conn_state */
    uint8_t reason; /* enum close_reason, the first one given */
    bool read_paused : 1, read_ended : 1, blocked : 1, shut : 1, awaited : 1;
    bool ending : 1, lost : 1; /* what the owner was told by `ending` */
    bool resuming : 1;         /* the turn's flush will hand out kept input again */
};

void conn_init(struct conn *conn, struct net *net, const struct conn_events *events, const struct conn_limits *limits);
/* Takes over an accepted stream (the io is moved; `from` is closed afterwards) and starts to read. */
void conn_adopt(struct conn *conn, struct io *from, const struct addr *peer);
/* The same over TLS: the handshake is the client's to begin, and has CONN_CONNECT_MS_MAX; until it is complete the
 * connection is CONNECTING. `opened` may be NULL. `server` outlives the connection. */
void conn_adopt_tls(struct conn *conn, struct io *from, const struct addr *peer, const struct tls_server *server);
/* Connects; `opened` or, with CONNECT_FAILED, `closed` follows, never before this returns. */
void conn_connect(struct conn *conn, const struct addr *addr);
/* The same with TLS: `opened` follows when the handshake is complete. `client` outlives the connection. All bounds
 * count plaintext; unwritten ciphertext is 128 KiB at most. */
void conn_connect_tls(struct conn *conn, const struct addr *addr, const struct tls_client *client);
/* The fault of TLS, for the log, or TLS_FAULT_NONE. Valid until `closed` returns. */
const struct tls_problem *conn_tls_problem(const struct conn *conn);

/* Queues a copy of `bytes`. Dropped silently unless CONNECTING or OPEN. */
void conn_send(struct conn *conn, struct span bytes);
/* The same for bytes that were read in this turn and go to one peer: if nothing waits, what the kernel takes is written
 * at once and never copied. Not for fan-out. */
void conn_relay(struct conn *conn, struct span bytes);
/* Queues `frame`, taking a reference of its own. Dropped silently unless CONNECTING or OPEN. */
void conn_send_frame(struct conn *conn, struct frame *frame);
/* The same, under a tag. */
void conn_send_tagged(struct conn *conn, struct frame *frame, struct frame_tag tag);
/* Sends the bytes from `offset` to `end` of `source`, behind the queue. The owner may send nothing else until `drained`
 * (ask with conn_await_drained). `released` is called in any case. If the source has fewer bytes, the connection ends
 * with BODY_CUT. Not over TLS. */
void conn_send_source(struct conn *conn, struct conn_source *source, uint64_t offset, uint64_t end);
static inline bool conn_sends_source(const struct conn *conn)
{
    return conn->queue != NULL && conn->queue->stream != NULL;
}
/* The peer has ended its half, or is gone, while reading is paused (conn_events, `ending`). */
static inline bool conn_is_ending(const struct conn *conn)
{
    return conn->ending;
}
/* Bytes that were read and not consumed. */
static inline size_t conn_kept(const struct conn *conn)
{
    return conn->extra != NULL ? conn->extra->input.len : 0;
}
static inline struct span conn_kept_bytes(const struct conn *conn)
{
    return conn->extra != NULL ? buf_span(&conn->extra->input) : SPAN_LIT("");
}
/* NULL: it is plain. */
static inline struct tls *conn_tls(const struct conn *conn)
{
    return conn->extra != NULL ? conn->extra->tls : NULL;
}
/* Bytes that wait in the queue. */
static inline size_t conn_queued(const struct conn *conn)
{
    return conn->queue != NULL ? conn->queue->bytes : 0;
}
/* The peer reads more slowly than we write: what waits cannot be written yet. */
static inline bool conn_is_blocked(const struct conn *conn)
{
    return conn->blocked;
}
/* Shows the tag of every waiting frame to `keep`, first to go first, and drops the frames for which it returns false. A
 * first frame that is partly written stays in any case. */
typedef bool conn_keep_fn(void *arg, const struct frame_tag *tag);
void conn_queue_filter(struct conn *conn, conn_keep_fn *keep, void *arg);
/* Asks for `drained` when the queue is empty, also if the kernel takes all of it at once. */
static inline void conn_await_drained(struct conn *conn)
{
    conn->awaited = true;
}
/* Writes the queue now instead of at the end of the turn: for bytes that must be out before the next step. Not for
 * fan-out. */
void conn_flush(struct conn *conn);

/* Other limits from now on. Bytes that wait have their write_stall_ms_max to move, from now. */
void conn_limits_set(struct conn *conn, const struct conn_limits *limits);

/* Bytes from the peer that `received` has not consumed, those in the kernel too. Over TLS they are not counted: 0. */
size_t conn_unread(const struct conn *conn);

/* Stops and resumes reading: back-pressure. Kept input is handed out again on resuming, from the loop. */
void conn_read_pause(struct conn *conn, bool paused);

/* Moves an OPEN connection, with all that waits in it, to other memory, and to another owner's events; `from` is closed
 * then, and no event of it follows. Not from an event of its own. Kept input is handed out by the loop. */
void conn_move(struct conn *to, struct conn *from, const struct conn_events *events);

/* Flushes the queue, as long as the peer takes some of it once in write_stall_ms_max (0: within linger_ms). Then ends
 * our half, and passes input to `received` until the peer ends too or `linger_ms` has passed. */
void conn_shutdown(struct conn *conn, enum close_reason reason, uint32_t linger_ms);
/* Ends the connection at the end of this turn, after one last attempt to write the queue. Closing twice is harmless;
 * the first reason stands. */
void conn_close(struct conn *conn, enum close_reason reason);

static inline bool conn_is_open(const struct conn *conn)
{
    return conn->state == CONN_OPEN;
}

#endif

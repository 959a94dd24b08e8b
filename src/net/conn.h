/* conn: one stream, its state and its bounded output queue.
 *
 *            conn_adopt            conn_shutdown          end of stream,
 *   CLOSED ------------> OPEN ----------------> DRAINING -- linger over --> CLOSING --- reap ---> CLOSED
 *      \-- conn_connect -> CONNECTING --^             conn_close from any state --^
 *
 * Nothing is written while events are handled: conn_send queues a reference and marks the connection as touched; at the
 * end of the turn every touched connection is flushed once, gathered. Nobody frees a connection in its own callback:
 * conn_close queues it, and the end of the turn calls `closed`, once, after which the memory is the owner's again, who
 * may open it once more. An idle connection holds no buffer. */
#ifndef SENNIT_NET_CONN_H
#define SENNIT_NET_CONN_H

#include "base/buf.h"
#include "base/frame.h"
#include "base/list.h"
#include "loop/io.h"
#include "net/close_reasons.h"
#include "net/net.h"
#include "net/tls.h"

enum {
    CONN_CONNECT_MS_MAX = 10000,
    CONN_UNSENT_BYTES_MAX = 128 << 10, /* of a source: what the kernel takes and has not sent yet */
};

enum conn_state { CONN_CLOSED, CONN_CONNECTING, CONN_OPEN, CONN_DRAINING, CONN_CLOSING };

struct conn;

/* What the owner is told. Any of these may call any conn function on any connection. */
struct conn_events {
    /* An outgoing connection is up. May be NULL for accepted ones. */
    void (*opened)(struct conn *conn);
    /* Bytes came, those left over from the last call first; they may be changed in place. Returns how many were
     * consumed; the rest is kept (bounded by input_bytes_max, beyond which the connection closes with INPUT_LIMIT) and
     * comes again with more behind it. Not called while reading is paused. */
    size_t (*received)(struct conn *conn, char *bytes, size_t len);
    /* The peer ended its half. NULL: the connection is closed with PEER_CLOSED. Not repeated. */
    void (*ended)(struct conn *conn);
    /* The output queue has become empty, which had not fitted into the kernel, or was waited for by conn_await_drained.
     * May be NULL. */
    void (*drained)(struct conn *conn);
    /* Over. Called exactly once, at the end of the turn; the owner may free what embeds `conn`. */
    void (*closed)(struct conn *conn, enum close_reason reason);
};

/* Bytes that are read when the kernel has room for them, such as a file's: whoever reads slowly makes nobody hold them.
 * Many connections may share one source. */
struct conn_source {
    /* Puts up to `size` bytes from `offset` on into `to`: how many (> 0), or -1 when they are not there any more. */
    ssize_t (*read)(struct conn_source *source, uint64_t offset, char *to, size_t size);
    /* One connection is done with it, sent or not. */
    void (*released)(struct conn_source *source);
};

struct conn_limits {
    uint32_t queue_bytes_max; /* output queue; beyond it the connection closes with SLOW_CONSUMER */
    size_t output_bytes_max;  /* what waits for all peers in this process; beyond it, a connection whose peer does not
                               * read and that has more than its share closes with OUTPUT_FULL; 0: no bound */
    uint32_t input_bytes_max; /* unconsumed input */
    uint32_t write_stall_ms_max; /* bytes wait and none was taken for so long: WRITE_TIMEOUT; 0: never */
};

struct conn {
    struct net *net;
    const struct conn_events *events;
    const struct conn_limits *limits; /* shared by many, owned by the caller, outlives the connection */
    struct io io;
    struct list turn;     /* in the turn's flush list or, once it is closed, in its reap list */
    struct frame **queue; /* ring of waiting frames */
    uint32_t queue_at, queue_count, queue_cap;
    uint32_t head_written;      /* bytes of the first frame that are out */
    uint32_t queue_bytes;       /* waiting, without those */
    uint32_t linger_ms;         /* from the end of our half to the end of the stream */
    struct conn_stream *stream; /* a source that goes out behind the queue; NULL: none */
    struct buf *input;          /* what `received` left; NULL: nothing */
    struct timer stall;         /* also: the connect's and the linger's */
    uint8_t state;              /* enum conn_state */
    uint8_t reason;             /* enum close_reason, the first one given */
    bool read_paused, read_ended, blocked, shut, awaited;
    bool resuming; /* kept input is to be handed out again, in the turn's flush */
    struct addr_ip peer;
    struct tls *tls; /* NULL: plain */
};

void conn_init(struct conn *conn, struct net *net, const struct conn_events *events, const struct conn_limits *limits);
/* Takes over an accepted stream (the io is moved; `from` is closed afterwards) and starts to read. */
void conn_adopt(struct conn *conn, struct io *from, const struct addr *peer);
/* Connects; `opened` or, with CONNECT_FAILED, `closed` follows, never before this returns. */
void conn_connect(struct conn *conn, const struct addr *addr);
/* The same with TLS: `opened` follows when the handshake is complete. `client` outlives the connection. All bounds
 * count plaintext; what is encrypted and not written is 128 KiB at most. */
void conn_connect_tls(struct conn *conn, const struct addr *addr, const struct tls_client *client);
/* What went wrong with TLS, for the log; TLS_FAULT_NONE when nothing did. Valid until `closed` returns. */
const struct tls_problem *conn_tls_problem(const struct conn *conn);

/* Queues a copy of `bytes`. Dropped silently unless CONNECTING or OPEN. */
void conn_send(struct conn *conn, struct span bytes);
/* Queues `frame`, taking a reference of its own. Dropped silently unless CONNECTING or OPEN. */
void conn_send_frame(struct conn *conn, struct frame *frame);
/* Sends the bytes from `offset` to `end` of `source` behind what waits in the queue; nothing else may be sent before
 * `drained` (ask with conn_await_drained) says that they are out. `released` is called in any case. A source that has
 * fewer bytes ends the connection with BODY_CUT. Not over TLS. */
void conn_send_source(struct conn *conn, struct conn_source *source, uint64_t offset, uint64_t end);
static inline bool conn_sends_source(const struct conn *conn)
{
    return conn->stream != NULL;
}
/* Bytes that wait in the queue. */
static inline size_t conn_queued(const struct conn *conn)
{
    return conn->queue_bytes;
}
/* Shows every waiting frame to `keep`, the first to go out in front, and drops those for which it returns false; but
 * for a first one of which some is out already, which stays whatever it says. */
typedef bool conn_keep_fn(void *arg, struct span bytes);
void conn_queue_filter(struct conn *conn, conn_keep_fn *keep, void *arg);
/* `drained` is to be called when what waits is out, also if the kernel takes it all at once. */
static inline void conn_await_drained(struct conn *conn)
{
    conn->awaited = true;
}
/* Writes what waits now instead of at the end of the turn. For what must be out before the next step; not for fan-out.
 */
void conn_flush(struct conn *conn);

/* Stops and resumes reading: back-pressure. Kept input is handed out again on resuming, from the loop. */
void conn_read_pause(struct conn *conn, bool paused);

/* Flushes what waits, for as long as the peer takes some of it once in write_stall_ms_max (0: for linger_ms); ends our
 * half; and lets `received` see input until the peer ends too or `linger_ms` passed. */
void conn_shutdown(struct conn *conn, enum close_reason reason, uint32_t linger_ms);
/* Ends it at the end of this turn; one last attempt is made to write what waits. Closing twice is harmless, the first
 * reason stands. */
void conn_close(struct conn *conn, enum close_reason reason);

static inline bool conn_is_open(const struct conn *conn)
{
    return conn->state == CONN_OPEN;
}

#endif

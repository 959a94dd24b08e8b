/* conn_tls: connections that carry TLS: the handshake, and ciphertext between the kernel and the queue.
 *
 * A frame stays in the queue until the records that hold it are written, so that the queue's bounds and the stall timer
 * mean what they mean without TLS. Records are made only when all earlier ones are out. */
#include "loop/io.h"
#include "net/conn_parts.h"

enum {
    RECORD_BYTES = 16 * 1024,   /* plaintext of the largest record (RFC 8446 section 5.1) */
    SEAL_BYTES_MAX = 64 * 1024, /* plaintext in one write */
    OUT_BYTES_MAX = 128 * 1024, /* answers that the peer provoked and does not read, and what was sealed */
};

/* What the handshake or reading has put out goes with the turn's flush. */
static void answer(struct conn *conn)
{
    if (conn_tls(conn)->out.len > OUT_BYTES_MAX)
        conn_close(conn, CLOSE_SLOW_CONSUMER);
    else if (conn_tls(conn)->out.len > 0 && conn->state != CONN_CLOSING && !conn->blocked)
        conn_touch(conn);
}

static void shake(struct conn *conn)
{
    int result = tls_handshake(conn_tls(conn));
    if (result == TLS_FAILED)
        conn_close(conn, CLOSE_TLS_FAILED);
    else if (result == 0)
        conn_established(conn);
}

/* Decrypts what came and hands it out, until more is needed or the owner takes no more. */
static void open_records(struct conn *conn)
{
    char *plain = conn->net->receive;
    while (conn_takes_input(conn) && !conn->read_ended) {
        ssize_t got = tls_read(conn_tls(conn), plain, NET_RECEIVE_BYTES);
        if (got == TLS_MORE)
            break;
        if (got == TLS_FAILED)
            conn_close(conn, CLOSE_TLS_FAILED);
        else if (got == 0)
            conn_end_input(conn);
        else
            conn_take_input(conn, plain, (size_t)got);
    }
}

static void input_came(struct conn *conn)
{
    if (conn_tls_is_shaking(conn))
        shake(conn);
    open_records(conn);
    answer(conn);
}

void conn_tls_begin(struct conn *conn)
{
    shake(conn);
    answer(conn);
    conn_update_want(conn);
}

/* The stream underneath has ended, and TLS has not. */
static void cut_off(struct conn *conn)
{
    if (conn_tls_is_shaking(conn)) {
        tls_set_problem(conn_tls(conn), TLS_FAULT_OTHER, "the peer ends the connection during the handshake");
        conn_close(conn, CLOSE_TLS_FAILED);
    } else {
        conn_close(conn, CLOSE_TLS_TRUNCATED);
    }
}

void conn_tls_read(struct conn *conn)
{
    struct net *net = conn->net;
    size_t budget = net->budget.read_bytes_per_turn;
    while (budget > 0 && (conn_takes_input(conn) || conn_tls_is_shaking(conn)) && !conn->read_ended) {
        size_t size = budget < NET_PIECE_BYTES ? budget : NET_PIECE_BYTES;
        /* By way of shared memory: each of many handshakes keeps what has come, and no room for more. */
        ssize_t got = io_read(&conn->io, net->piece, size);
        if (got == IO_ERROR)
            conn_broken(conn);
        else if (got == 0)
            cut_off(conn);
        if (got <= 0)
            return;
        net->bytes_in += (uint64_t)got;
        budget -= (size_t)got;
        buf_append(&conn_tls(conn)->in, span_of(net->piece, (size_t)got));
        input_came(conn);
        if ((size_t)got < size)
            return; /* the kernel has no more for now */
    }
}

void conn_tls_resume(struct conn *conn)
{
    open_records(conn);
    answer(conn);
}

/* Puts what waits into records, small frames together. */
static bool seal(struct conn *conn)
{
    struct tls *tls = conn_tls(conn);
    struct iovec parts[CONN_GATHER_MAX];
    char small[RECORD_BYTES];
    size_t filled = 0;
    int count = conn_queue_gather(conn, parts);
    for (int i = 0; i < count && tls->sealed < SEAL_BYTES_MAX; i++) {
        struct span part = span_sub(span_of(parts[i].iov_base, parts[i].iov_len), 0, SEAL_BYTES_MAX - tls->sealed);
        tls->sealed += part.len;
        if (filled + part.len > sizeof small) {
            if (!tls_write(tls, span_of(small, filled)))
                return false;
            filled = 0;
        }
        if (part.len >= sizeof small) {
            if (!tls_write(tls, part))
                return false;
        } else {
            memcpy(small + filled, part.data, part.len);
            filled += part.len;
        }
    }
    return tls_write(tls, span_of(small, filled));
}

/* Makes the next ciphertext to write; false on a fault. Without any, `out` stays empty. */
static bool fill_out(struct conn *conn)
{
    struct tls *tls = conn_tls(conn);
    if (tls->sealed > 0)
        conn_queue_advance(conn, tls->sealed);
    tls->sealed = 0;
    if (!tls->established)
        return true;
    if (conn_has_frames(conn))
        return seal(conn);
    if (conn->state == CONN_DRAINING)
        tls_goodbye(tls);
    return true;
}

ssize_t conn_tls_write(struct conn *conn)
{
    struct buf *out = &conn_tls(conn)->out;
    ssize_t total = 0;
    while (total < CONN_FLUSH_BYTES_MAX) {
        if (out->len == 0 && !fill_out(conn))
            return IO_ERROR;
        if (out->len == 0)
            break;
        struct iovec part = {out->data + out->off, out->len};
        ssize_t written = io_writev(&conn->io, &part, 1);
        if (written == IO_AGAIN || written == IO_ERROR)
            return written == IO_ERROR ? IO_ERROR : total;
        conn->net->writes++;
        conn->net->bytes_out += (uint64_t)written;
        total += written;
        buf_consume(out, (size_t)written);
    }
    if (out->len == 0)
        buf_finish(out);
    return total;
}

void conn_tls_last_words(struct conn *conn)
{
    struct tls *tls = conn_tls(conn);
    if (!tls->begun || !io_is_open(&conn->io) || conn_tls_write(conn) == IO_ERROR)
        return;
    /* Half a record would swallow a goodbye. */
    if (!conn_has_frames(conn) && tls->out.len == 0) {
        tls_goodbye(tls);
        conn_tls_write(conn);
    }
}

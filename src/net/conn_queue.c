/* conn_queue: the bounded queue of frames that wait to be written, and the flush: all of them in gathered writes. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/conn_parts.h"

enum { QUEUE_CAP_MIN = 4 };

static struct frame *queue_at(const struct conn *conn, uint32_t index)
{
    return conn->queue[(conn->queue_at + index) & (conn->queue_cap - 1)];
}

static void queue_grow(struct conn *conn)
{
    uint32_t cap = conn->queue_cap != 0 ? conn->queue_cap * 2 : QUEUE_CAP_MIN;
    struct frame **queue = mem_zero(cap, sizeof(struct frame *));
    for (uint32_t i = 0; i < conn->queue_count; i++)
        queue[i] = queue_at(conn, i);
    free(conn->queue);
    conn->queue = queue;
    conn->queue_cap = cap;
    conn->queue_at = 0;
}

void conn_queue_drop(struct conn *conn)
{
    for (uint32_t i = 0; i < conn->queue_count; i++)
        frame_unref(queue_at(conn, i));
    free(conn->queue);
    conn->queue = NULL;
    conn->queue_at = conn->queue_count = conn->queue_cap = 0;
    conn->queue_bytes = conn->head_written = 0;
}

void conn_queue_filter(struct conn *conn, conn_keep_fn *keep, void *arg)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < conn->queue_count; i++) {
        struct frame *frame = queue_at(conn, i);
        if (keep(arg, frame_span(frame)) || (i == 0 && conn->head_written > 0)) {
            conn->queue[(conn->queue_at + kept++) & (conn->queue_cap - 1)] = frame;
        } else {
            conn->queue_bytes -= frame->len;
            frame_unref(frame);
        }
    }
    conn->queue_count = kept;
}

void conn_touch(struct conn *conn)
{
    if (!list_empty(&conn->turn))
        return;
    list_append(&conn->net->touched, &conn->turn);
    loop_at_flush(conn->net->loop, &conn->net->flush);
}

void conn_send_frame(struct conn *conn, struct frame *frame)
{
    if ((conn->state != CONN_OPEN && conn->state != CONN_CONNECTING) || frame->len == 0)
        return;
    if (conn->queue_bytes + (uint64_t)frame->len > conn->limits->queue_bytes_max) {
        conn_close(conn, CLOSE_SLOW_CONSUMER);
        return;
    }
    if (conn->queue_count == conn->queue_cap)
        queue_grow(conn);
    conn->queue[(conn->queue_at + conn->queue_count++) & (conn->queue_cap - 1)] = frame_ref(frame);
    conn->queue_bytes += frame->len;
    if (conn->state == CONN_OPEN && !conn->blocked)
        conn_touch(conn);
}

void conn_send(struct conn *conn, struct span bytes)
{
    struct frame *frame = frame_copy(bytes);
    conn_send_frame(conn, frame);
    frame_unref(frame);
}

void conn_queue_advance(struct conn *conn, size_t written)
{
    conn->queue_bytes -= (uint32_t)written;
    while (written > 0) {
        struct frame *head = queue_at(conn, 0);
        size_t left = head->len - conn->head_written;
        if (written < left) {
            conn->head_written += (uint32_t)written;
            return;
        }
        written -= left;
        conn->head_written = 0;
        conn->queue_at = (conn->queue_at + 1) & (conn->queue_cap - 1);
        conn->queue_count--;
        frame_unref(head);
    }
    if (conn->queue_count == 0) {
        /* An idle connection holds no buffer. */
        free(conn->queue);
        conn->queue = NULL;
        conn->queue_cap = conn->queue_at = 0;
    }
}

int conn_queue_gather(const struct conn *conn, struct iovec parts[CONN_GATHER_MAX])
{
    int count = 0;
    for (uint32_t i = 0; i < conn->queue_count && count < CONN_GATHER_MAX; i++) {
        struct frame *frame = queue_at(conn, i);
        uint32_t skip = i == 0 ? conn->head_written : 0;
        parts[count++] = (struct iovec){frame->data + skip, frame->len - skip};
    }
    return count;
}

ssize_t conn_queue_write(struct conn *conn)
{
    struct iovec parts[CONN_GATHER_MAX];
    ssize_t total = 0;
    if (conn->tls != NULL)
        return conn_tls_write(conn);
    while (conn->queue_count > 0 && total < CONN_FLUSH_BYTES_MAX) {
        ssize_t written = io_writev(&conn->io, parts, conn_queue_gather(conn, parts));
        if (written == IO_AGAIN || written == IO_ERROR)
            return written == IO_ERROR ? IO_ERROR : total;
        conn->net->writes++;
        conn->net->bytes_out += (uint64_t)written;
        total += written;
        conn_queue_advance(conn, (size_t)written);
    }
    return total;
}

/* Waits for room in the kernel, at most so long without any progress. */
static void set_blocked(struct conn *conn, bool blocked, bool progress)
{
    uint32_t stall_ms = conn->limits->write_stall_ms_max;
    bool was = conn->blocked;
    conn->blocked = blocked;
    if (was != blocked)
        io_want(&conn->io, blocked ? conn->io.want | IO_WRITE : conn->io.want & ~(unsigned)IO_WRITE);
    if ((conn->state != CONN_OPEN && conn->state != CONN_DRAINING) || stall_ms == 0)
        return;
    if (!blocked && conn->state == CONN_OPEN)
        timer_stop(conn->net->loop, &conn->stall);
    else if (blocked && (progress || !was))
        timer_start(conn->net->loop, &conn->stall, LOOP_MS(stall_ms));
}

void conn_flush(struct conn *conn)
{
    if (conn->state != CONN_OPEN && conn->state != CONN_DRAINING && !conn_tls_is_shaking(conn))
        return;
    bool was_blocked = conn->blocked;
    ssize_t written = conn_queue_write(conn);
    if (written == IO_ERROR) {
        /* The peer's last word may be an alert that says why, or an answer given before all was asked. */
        if (conn->tls != NULL)
            conn_tls_read(conn);
        else
            conn_read_last(conn);
        conn_broken(conn);
        return;
    }
    bool waits = conn->queue_count > 0 || (conn->tls != NULL && conn->tls->out.len > 0);
    set_blocked(conn, waits, written > 0);
    if (waits || conn->state == CONN_CONNECTING)
        return;
    if (conn->state == CONN_DRAINING && !conn->shut) {
        conn->shut = true;
        io_shutdown(&conn->io);
        timer_start(conn->net->loop, &conn->stall, LOOP_MS(conn->linger_ms));
        if (conn->read_ended) {
            conn_close(conn, conn->reason);
            return;
        }
    }
    bool awaited = was_blocked || conn->awaited;
    conn->awaited = false;
    if (awaited && conn->events->drained != NULL)
        conn->events->drained(conn);
}

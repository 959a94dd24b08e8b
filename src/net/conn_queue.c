/* conn_queue: the bounded queue of frames to be written, and the flush, which writes them in gathered calls. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/conn_parts.h"

enum {
    QUEUE_CAP_MIN = 4,
    STREAM_FLUSH_BYTES_MAX = 256 << 10, /* of a source in one turn: the others want to be served */
    FRAMES_FREE = 1024,                 /* so many frames of a queue count by their bytes alone, */
    FRAME_BYTES = 48                    /* the others by what the least one takes, too */
};

static struct conn_slot *slot_at(struct conn_queue *queue, uint32_t index)
{
    return &queue->slots[(queue->at + index) & (queue->cap - 1)];
}

/* The queue, made or made larger so that one more frame has a place. */
static struct conn_queue *queue_grow(struct conn *conn)
{
    struct conn_queue *old = conn->queue;
    uint32_t cap = old != NULL ? old->cap * 2 : QUEUE_CAP_MIN;
    struct conn_queue *queue = mem_zero(1, sizeof *queue + cap * sizeof queue->slots[0]);
    if (old != NULL)
        *queue = *old;
    for (uint32_t i = 0; i < queue->count; i++)
        queue->slots[i] = *slot_at(old, i);
    queue->cap = cap;
    queue->at = 0;
    free(old);
    return conn->queue = queue;
}

/* An idle connection holds no buffer. */
static void free_if_empty(struct conn *conn)
{
    if (conn->queue->count > 0 || conn->queue->stream != NULL)
        return;
    free(conn->queue);
    conn->queue = NULL;
}

static void stream_end(struct conn *conn)
{
    struct conn_stream *stream = conn->queue->stream;
    if (stream == NULL)
        return;
    stream->source->released(stream->source);
    free(stream);
    conn->queue->stream = NULL;
}

void conn_queue_drop(struct conn *conn)
{
    struct conn_queue *queue = conn->queue;
    if (queue == NULL)
        return;
    stream_end(conn);
    for (uint32_t i = 0; i < queue->count; i++)
        frame_unref(slot_at(queue, i)->frame);
    free(queue);
    conn->queue = NULL;
}

void conn_queue_filter(struct conn *conn, conn_keep_fn *keep, void *arg)
{
    struct conn_queue *queue = conn->queue;
    uint32_t kept = 0;
    if (queue == NULL)
        return;
    for (uint32_t i = 0; i < queue->count; i++) {
        struct conn_slot slot = *slot_at(queue, i);
        if (keep(arg, &slot.tag) || (i == 0 && queue->head_written > 0)) {
            *slot_at(queue, kept++) = slot;
        } else {
            queue->bytes -= slot.frame->len;
            frame_unref(slot.frame);
        }
    }
    queue->count = kept;
    free_if_empty(conn);
}

void conn_touch(struct conn *conn)
{
    if (conn->turn != 0)
        return;
    net_turn_add(&conn->net->touched, conn);
    loop_at_flush(conn->net->loop, &conn->net->flush);
}

/* The memory that waiting frames take: a frame of two bytes takes more than two. */
static uint64_t weight_of(const struct conn *conn)
{
    const struct conn_queue *queue = conn->queue;
    uint64_t count = queue != NULL && queue->count > FRAMES_FREE ? queue->count - FRAMES_FREE : 0;
    return conn_queued(conn) + count * FRAME_BYTES;
}

/* Too much waits for all, and more for this one than for most, who does not read it. */
static bool is_greedy(const struct conn *conn)
{
    size_t max = conn->limits->output_bytes_max;
    return max != 0 && conn->blocked && frame_bytes_alive() > max && weight_of(conn) > max / conn->net->conns_open;
}

void conn_send_tagged(struct conn *conn, struct frame *frame, struct frame_tag tag)
{
    if ((conn->state != CONN_OPEN && conn->state != CONN_CONNECTING) || frame->len == 0)
        return;
    assert(!conn_sends_source(conn));
    if (weight_of(conn) + frame->len > conn->limits->queue_bytes_max) {
        conn_close(conn, CLOSE_SLOW_CONSUMER);
        return;
    }
    if (is_greedy(conn)) {
        conn_close(conn, CLOSE_OUTPUT_FULL);
        return;
    }
    struct conn_queue *queue = conn->queue;
    if (queue == NULL || queue->count == queue->cap)
        queue = queue_grow(conn);
    *slot_at(queue, queue->count++) = (struct conn_slot){frame_ref(frame), tag};
    queue->bytes += frame->len;
    if (conn->state == CONN_OPEN && !conn->blocked)
        conn_touch(conn);
}

void conn_send_frame(struct conn *conn, struct frame *frame)
{
    conn_send_tagged(conn, frame, (struct frame_tag){0});
}

void conn_send(struct conn *conn, struct span bytes)
{
    struct frame *frame = frame_copy(bytes);
    conn_send_frame(conn, frame);
    frame_unref(frame);
}

void conn_relay(struct conn *conn, struct span bytes)
{
    bool passes = conn->state == CONN_OPEN && !conn->blocked && !conn_has_output(conn) && conn_tls(conn) == NULL;
    if (passes && bytes.len > 0) {
        struct iovec part = {(void *)bytes.data, bytes.len};
        ssize_t written = io_writev(&conn->io, &part, 1);
        if (written > 0) { /* the flush finds a fault again */
            conn->net->writes++;
            conn->net->bytes_out += (uint64_t)written;
            bytes = span_from(bytes, (size_t)written);
        }
    }
    if (bytes.len > 0)
        conn_send(conn, bytes);
}

void conn_send_source(struct conn *conn, struct conn_source *source, uint64_t offset, uint64_t end)
{
    assert(conn_tls(conn) == NULL && !conn_sends_source(conn) && offset <= end);
    if (conn->state != CONN_OPEN || offset == end) {
        source->released(source);
        return;
    }
    if (end - offset > CONN_UNSENT_BYTES_MAX)
        io_unsent_max(&conn->io, CONN_UNSENT_BYTES_MAX);
    struct conn_stream *stream = mem_alloc(sizeof *stream);
    *stream = (struct conn_stream){source, offset, end};
    if (conn->queue == NULL)
        queue_grow(conn);
    conn->queue->stream = stream;
    if (!conn->blocked)
        conn_touch(conn);
}

void conn_queue_advance(struct conn *conn, size_t written)
{
    struct conn_queue *queue = conn->queue;
    queue->bytes -= (uint32_t)written;
    while (written > 0) {
        struct frame *head = slot_at(queue, 0)->frame;
        size_t left = head->len - queue->head_written;
        if (written < left) {
            queue->head_written += (uint32_t)written;
            return;
        }
        written -= left;
        queue->head_written = 0;
        queue->at = (queue->at + 1) & (queue->cap - 1);
        queue->count--;
        frame_unref(head);
    }
    free_if_empty(conn);
}

int conn_queue_gather(const struct conn *conn, struct iovec parts[CONN_GATHER_MAX])
{
    struct conn_queue *queue = conn->queue;
    int count = 0;
    for (uint32_t i = 0; queue != NULL && i < queue->count && count < CONN_GATHER_MAX; i++) {
        struct frame *frame = slot_at(queue, i)->frame;
        uint32_t skip = i == 0 ? queue->head_written : 0;
        parts[count++] = (struct iovec){frame->data + skip, frame->len - skip};
    }
    return count;
}

/* The next bytes of the source; false when it does not have them. */
static bool stream_piece(struct conn *conn, struct iovec *part)
{
    struct conn_stream *stream = conn->queue->stream;
    uint64_t left = stream->end - stream->at;
    size_t size = left < NET_PIECE_BYTES ? (size_t)left : NET_PIECE_BYTES;
    ssize_t got = stream->source->read(stream->source, stream->at, conn->net->piece, size);
    if (got <= 0) {
        conn->reason = CLOSE_BODY_CUT; /* also when another one was given: the peer lacks something */
        stream_end(conn);
        free_if_empty(conn);
        return false;
    }
    *part = (struct iovec){conn->net->piece, (size_t)got};
    return true;
}

/* One gathered write of frames and, behind the last one, of the source: as io_writev. */
static ssize_t write_once(struct conn *conn)
{
    struct iovec parts[CONN_GATHER_MAX + 1];
    int count = conn_queue_gather(conn, parts), frames = count;
    struct conn_stream *stream = conn->queue->stream;
    if (stream != NULL && (uint32_t)count == conn->queue->count && !stream_piece(conn, &parts[count++]))
        return IO_ERROR;
    ssize_t written = io_writev(&conn->io, parts, count);
    if (written < 0)
        return written;
    conn->net->writes++;
    conn->net->bytes_out += (uint64_t)written;
    size_t of_frames = frames == count ? (size_t)written : conn->queue->bytes;
    if (of_frames > (size_t)written)
        of_frames = (size_t)written;
    if (of_frames > 0)
        conn_queue_advance(conn, of_frames);
    if (stream != NULL && (stream->at += (size_t)written - of_frames) == stream->end) {
        stream_end(conn);
        free_if_empty(conn);
    }
    return written;
}

ssize_t conn_queue_write(struct conn *conn)
{
    ssize_t total = 0;
    if (conn_tls(conn) != NULL)
        return conn_tls_write(conn);
    while (conn_has_output(conn) &&
           total < (conn_sends_source(conn) ? (ssize_t)STREAM_FLUSH_BYTES_MAX : (ssize_t)CONN_FLUSH_BYTES_MAX)) {
        ssize_t written = write_once(conn);
        if (written == IO_AGAIN || written == IO_ERROR)
            return written == IO_ERROR ? IO_ERROR : total;
        total += written;
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
        conn_stall_end(conn);
    else if (blocked && (progress || !was))
        conn_stall_begin(conn, LOOP_MS(stall_ms));
}

void conn_flush(struct conn *conn)
{
    if (conn->state != CONN_OPEN && conn->state != CONN_DRAINING && !conn_tls_is_shaking(conn))
        return;
    bool was_blocked = conn->blocked;
    ssize_t written = conn_queue_write(conn);
    if (written == IO_ERROR && conn->reason == CLOSE_BODY_CUT) {
        conn_close(conn, CLOSE_BODY_CUT);
        return;
    }
    if (written == IO_ERROR) {
        /* The peer's last word may be an alert that says why, or an answer given before all was asked. */
        if (conn_tls(conn) != NULL)
            conn_tls_read(conn);
        else
            conn_read_last(conn);
        conn_broken(conn);
        return;
    }
    bool waits = conn_has_output(conn) || (conn_tls(conn) != NULL && conn_tls(conn)->out.len > 0);
    set_blocked(conn, waits, written > 0);
    if (waits || conn->state == CONN_CONNECTING)
        return;
    if (conn->state == CONN_DRAINING && !conn->shut) {
        conn->shut = true;
        io_shutdown(&conn->io);
        conn_stall_begin(conn, LOOP_MS(conn->extra->linger_ms));
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

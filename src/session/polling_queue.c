/* polling_queue: what waits for the next GET, and the functions by which a session sends. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "session/polling_parts.h"
#include "wire/payload.h"

enum {
    QUEUE_CAP_MIN = 8,
    ANSWER_BYTES_MAX = 256 << 10, /* of one answer; a larger packet has an answer of its own */
    ENDING_MS = 30000,            /* the client may fetch the close packet for so long (upstream's closeTimeout) */
};

/* To a GET that comes when the session has been closed: upstream's answer, to the byte. */
#define FAREWELL_LATE \
    "6\x1e" \
    "1"

static struct polling *polling_of(struct transport *transport)
{
    return container_of(transport, struct polling, transport);
}

static const struct polling *const_polling_of(const struct transport *transport)
{
    return container_of(transport, const struct polling, transport);
}

static struct frame *encode(const struct transport *transport, const struct span *parts, size_t count)
{
    struct buf text = {0};
    (void)transport;
    buf_append(&text, parts[0]);
    for (size_t i = 1; i < count; i++) {
        if (i > 1 || parts[0].data != NULL)
            buf_append_char(&text, PAYLOAD_SEPARATOR);
        payload_binary_encode(&text, parts[i]);
    }
    struct frame *frame = frame_copy(buf_span(&text));
    buf_finish(&text);
    return frame;
}

static void queue_append(struct polling *polling, struct frame *frame, struct frame_tag tag)
{
    if (polling->queue_count == polling->queue_cap) {
        polling->queue_cap = polling->queue_cap != 0 ? polling->queue_cap * 2 : QUEUE_CAP_MIN;
        polling->queue = mem_resize(polling->queue, polling->queue_cap * sizeof *polling->queue);
    }
    polling->queue[polling->queue_count++] = (struct polling_slot){frame_ref(frame), tag};
    polling->queue_bytes += frame->len + 1;
}

void polling_queue_drop(struct polling *polling)
{
    for (size_t i = 0; i < polling->queue_count; i++)
        frame_unref(polling->queue[i].frame);
    free(polling->queue);
    polling->queue = NULL;
    polling->queue_count = polling->queue_cap = polling->queue_bytes = 0;
}

static size_t packets_of(const struct frame *frame)
{
    size_t count = 1;
    for (size_t i = 0; i < frame->len; i++)
        count += frame->data[i] == PAYLOAD_SEPARATOR;
    return count;
}

/* The first frame has more packets than one answer may have: what another instance has left is one frame. */
static void first_split(struct polling *polling, struct buf *to, uint32_t packets_max)
{
    struct polling_slot *slot = &polling->queue[0];
    struct span rest = span_of(slot->frame->data, slot->frame->len), packet;
    bool begun = false;
    for (uint32_t i = 0; i < packets_max && payload_next(&rest, &begun, &packet); i++) {
        if (i > 0)
            buf_append_char(to, PAYLOAD_SEPARATOR);
        buf_append(to, packet);
    }
    struct frame *frame = frame_copy(rest);
    polling->queue_bytes -= slot->frame->len - frame->len;
    frame_unref(slot->frame);
    slot->frame = frame;
}

void polling_queue_take(struct polling *polling, struct buf *to, uint32_t packets_max)
{
    size_t taken = 0, packets = 0;
    for (; taken < polling->queue_count; taken++) {
        struct frame *frame = polling->queue[taken].frame;
        if (taken > 0 && to->len + frame->len >= ANSWER_BYTES_MAX)
            break;
        packets += packets_max > 0 ? packets_of(frame) : 0;
        if (packets > packets_max && taken == 0)
            first_split(polling, to, packets_max);
        if (packets > packets_max)
            break;
        if (taken > 0)
            buf_append_char(to, PAYLOAD_SEPARATOR);
        buf_append(to, span_of(frame->data, frame->len));
        polling->queue_bytes -= frame->len + 1;
        frame_unref(frame);
    }
    polling->queue_count -= taken;
    if (polling->queue_count > 0)
        memmove(polling->queue, polling->queue + taken, polling->queue_count * sizeof *polling->queue);
    else
        polling_queue_drop(polling);
}

static void send_frame(struct transport *transport, struct frame *frame, struct frame_tag tag)
{
    struct polling *polling = polling_of(transport);
    if (polling->state != POLLING_LIVE)
        return;
    queue_append(polling, frame, tag);
    const struct session_limits *limits = &polling->sessions->limits;
    if (polling->queue_bytes > limits->queue_bytes_max + 2 * (size_t)limits->payload_bytes_max)
        session_close(transport->session, CLOSE_SLOW_CONSUMER);
    else
        loop_at_flush(polling->sessions->loop, &polling->flush);
}

static size_t queued(const struct transport *transport)
{
    return const_polling_of(transport)->queue_bytes;
}

static bool is_writable(const struct transport *transport)
{
    return const_polling_of(transport)->get != NULL;
}

static bool is_open(const struct transport *transport)
{
    return const_polling_of(transport)->state == POLLING_LIVE;
}

static void await_drained(struct transport *transport)
{
    struct polling *polling = polling_of(transport);
    polling->drain_awaited = true;
    loop_at_flush(polling->sessions->loop, &polling->flush);
}

static void filter(struct transport *transport, transport_keep_fn *keep, void *arg)
{
    struct polling *polling = polling_of(transport);
    size_t kept = 0;
    for (size_t i = 0; i < polling->queue_count; i++) {
        struct polling_slot slot = polling->queue[i];
        if (keep(arg, &slot.tag)) {
            polling->queue[kept++] = slot;
        } else {
            polling->queue_bytes -= slot.frame->len + 1;
            frame_unref(slot.frame);
        }
    }
    polling->queue_count = kept;
}

static void pause_reading(struct transport *transport, bool paused)
{
    struct polling *polling = polling_of(transport);
    polling->paused = paused;
    if (!paused)
        loop_at_flush(polling->sessions->loop, &polling->flush);
}

static void stirred(struct transport *transport)
{
    struct polling *polling = polling_of(transport);
    if (polling->state == POLLING_LIVE && polling_is_roaming(polling->sessions))
        loop_at_flush(polling->sessions->loop, &polling->flush);
}

/* The waiting packets and one more. No client comes back for a second answer to an instance that ends a session. */
static bool fits_one_answer(const struct polling *polling)
{
    size_t packets = 1;
    for (size_t i = 0; i < polling->queue_count; i++)
        packets += packets_of(polling->queue[i].frame);
    return polling->queue_bytes + 2 <= ANSWER_BYTES_MAX &&
           (polling->get->packets_max == 0 || packets <= polling->get->packets_max);
}

static void farewell(struct polling *polling, const char *packets)
{
    struct frame *frame = frame_copy(span_str(packets));
    queue_append(polling, frame, (struct frame_tag){0});
    frame_unref(frame);
}

bool polling_farewell_late(struct polling *polling)
{
    if (!polling->farewell_waits)
        return false;
    polling->farewell_waits = false;
    farewell(polling, FAREWELL_LATE);
    return true;
}

/* The client is told: with the answer to the GET that waits (`1`, or `6` if it has said goodbye itself), else with an
 * answer of its own behind what waits, as upstream has it. */
static void close_told(struct transport *transport, enum close_reason reason)
{
    struct polling *polling = polling_of(transport);
    bool is_asked = reason == CLOSE_ENGINE_CLOSED;
    /* A client whose packets are none of Engine.IO's, or that has gone, finds its session unknown, as upstream has it.
     */
    bool is_awaited = !is_asked && reason != CLOSE_PING_TIMEOUT && reason != CLOSE_ENGINE_INVALID;
    if (polling->state != POLLING_LIVE)
        return;
    if (polling_is_roaming(polling->sessions) && (reason == CLOSE_DRAINED || reason == CLOSE_ROTATED)) {
        transport->session->closing = false; /* this instance ends, and the session goes on elsewhere */
        polling_let_go(polling);
        return;
    }
    if (polling->get == NULL && (!is_awaited || polling_is_roaming(polling->sessions))) {
        polling_end(polling, reason);
        return;
    }
    /* The client reads again what it is not sent. What waited behind a lost lease speaks of what is lost. */
    if (polling_is_roaming(polling->sessions) && (reason == CLOSE_HISTORY_LOST || !fits_one_answer(polling)))
        polling_queue_drop(polling);
    polling->farewell_waits = polling->get == NULL && polling->queue_count > 0;
    if (!polling->farewell_waits)
        farewell(polling, is_asked ? "6" : polling->get != NULL ? "1" : FAREWELL_LATE);
    polling->reason = reason;
    polling_set_state(polling, POLLING_ENDING);
    if (polling_is_roaming(polling->sessions))
        polling_record_end(polling); /* before the GET is answered */
    timer_start(polling->sessions->loop, &polling->timer, LOOP_MS(ENDING_MS));
    loop_at_flush(polling->sessions->loop, &polling->flush);
    loop_at_reap(polling->sessions->loop, &polling->reap);
}

static void close_now(struct transport *transport, enum close_reason reason)
{
    struct polling *polling = polling_of(transport);
    if (polling->state == POLLING_LIVE || polling->state == POLLING_ENDING)
        polling_end(polling, reason);
}

static const struct addr_ip *peer(const struct transport *transport)
{
    return &const_polling_of(transport)->peer;
}

const struct transport_type polling_transport_type = {
    .encode = encode,
    .send = send_frame,
    .queued = queued,
    .is_writable = is_writable,
    .is_open = is_open,
    .await_drained = await_drained,
    .filter = filter,
    .pause = pause_reading,
    .close = close_told,
    .abort = close_now,
    .stirred = stirred,
    .peer = peer,
};

/* probe: a WebSocket proves that it works, and takes over a polling session.
 *
 *     client                              server
 *     2probe  on the WebSocket ------->
 *                              <-------   3probe; from now on a held GET is answered soon, with 6 if nothing waits
 *     5       on the WebSocket ------->   the session moves; what waits goes out on the WebSocket
 *
 * Between the answer to its last GET and `5` the client has no request under way. */
#include <stdlib.h>

#include "session/polling_parts.h"
#include "session/websocket.h"
#include "wire/payload.h"

enum { PARTS_MAX = 64 };

/* One queued message: a text packet, then its attachments. */
static void slot_send(struct transport *to, const struct polling_slot *slot)
{
    struct span rest = span_of(slot->frame->data, slot->frame->len), packet, parts[PARTS_MAX];
    struct buf binary[PARTS_MAX] = {{0}};
    size_t count = 0;
    bool begun = false;
    while (count < PARTS_MAX && payload_next(&rest, &begun, &packet)) {
        parts[count] = packet;
        if (payload_is_binary(packet) && payload_binary_decode(&binary[count], packet))
            parts[count] = buf_span(&binary[count]);
        count++;
    }
    struct frame *frame = to->type->encode(to, parts, count);
    to->type->send(to, frame, slot->tag);
    frame_unref(frame);
    while (count-- > 0)
        buf_finish(&binary[count]);
}

static void move(struct polling *polling)
{
    struct transport *to = &polling->websocket->transport;
    struct session *session = polling->transport.session;
    polling_set_state(polling, POLLING_MOVED);
    timer_stop(polling->sessions->loop, &polling->probe_timer);
    timer_stop(polling->sessions->loop, &polling->timer);
    polling->transport.session = NULL;
    session_move(session, to);
    for (size_t i = 0; i < polling->queue_count; i++)
        slot_send(to, &polling->queue[i]);
    polling_queue_drop(polling);
    if (polling->drain_awaited)
        to->type->await_drained(to);
    polling_answer(&polling->get, POLLING_PAYLOAD, SPAN_LIT("6"));
}

static void probe_fail(struct polling *polling, enum close_reason reason)
{
    struct websocket *websocket = polling->websocket;
    polling->websocket = NULL;
    polling->probed = false;
    timer_stop(polling->sessions->loop, &polling->probe_timer);
    websocket_refuse(websocket, reason);
}

void polling_probe_received(struct polling *polling, struct span text)
{
    if (!polling->probed && span_equal(text, SPAN_LIT("2probe"))) {
        polling->probed = true;
        transport_send_packet(&polling->websocket->transport, SPAN_LIT("3probe"));
        polling_probe_polled(polling);
    } else if (polling->probed && span_equal(text, SPAN_LIT("5")) && polling->post == NULL) {
        move(polling);
    } else {
        probe_fail(polling, CLOSE_PROBE_FAILED);
    }
}

static void probe_tick(struct timer *timer)
{
    struct polling *polling = container_of(timer, struct polling, probe_timer);
    struct sessions *sessions = polling->sessions;
    uint64_t left_us = polling->probe_until_us - loop_now_us(sessions->loop);
    if (loop_now_us(sessions->loop) >= polling->probe_until_us) {
        probe_fail(polling, CLOSE_PROBE_FAILED);
        return;
    }
    if (polling->get != NULL && polling->probed)
        polling_answer(&polling->get, POLLING_PAYLOAD, SPAN_LIT("6"));
    timer_start(sessions->loop, timer, left_us);
}

void polling_probe_polled(struct polling *polling)
{
    if (polling->get != NULL && polling->probed && polling->state == POLLING_LIVE)
        timer_start(polling->sessions->loop, &polling->probe_timer, LOOP_MS(PROBE_NOOP_MS));
}

void polling_probe_end(struct polling *polling)
{
    timer_stop(polling->sessions->loop, &polling->probe_timer);
    if (polling->websocket != NULL && polling->websocket->transport.session == NULL) {
        websocket_refuse(polling->websocket, CLOSE_PROBE_FAILED);
        polling->websocket = NULL;
    }
}

void polling_probe_init(struct polling *polling)
{
    timer_init(&polling->probe_timer, probe_tick);
}

bool polling_can_upgrade(const struct sessions *sessions, struct span sid)
{
    return engineio_sid_is_valid(sid) && polling_find(sessions, sid) != NULL;
}

void polling_upgrade(struct sessions *sessions, struct websocket *websocket, struct span sid, struct conn *conn)
{
    struct polling *polling = engineio_sid_is_valid(sid) ? polling_find(sessions, sid) : NULL;
    websocket_open_probe(websocket, sessions, polling, conn);
    if (polling == NULL || polling->state != POLLING_LIVE || polling->websocket != NULL) {
        websocket_refuse(websocket, CLOSE_PROBE_FAILED);
        return;
    }
    polling->websocket = websocket;
    polling->probe_until_us = loop_now_us(sessions->loop) + LOOP_MS(sessions->limits.upgrade_timeout_ms);
    timer_start(sessions->loop, &polling->probe_timer, LOOP_MS(sessions->limits.upgrade_timeout_ms));
}

void polling_websocket_closed(struct polling *polling)
{
    if (polling->state == POLLING_MOVED) {
        polling_end(polling, CLOSE_NORMAL);
        return;
    }
    polling->websocket = NULL;
    polling->probed = false;
    timer_stop(polling->sessions->loop, &polling->probe_timer);
}

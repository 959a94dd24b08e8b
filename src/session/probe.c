/* probe: a WebSocket proves that it works, and takes over a polling session.
 *
 *     client                              server
 *     2probe  on the WebSocket ------->
 *                              <-------   3probe; from now on a held GET is answered soon, with 6 if nothing waits
 *     5       on the WebSocket ------->   the session moves; what waits goes out on the WebSocket
 *
 * Between the answer to its last GET and `5` the client has no request under way. */
#include <stdlib.h>

#include "session/moved.h"
#include "session/polling_parts.h"
#include "session/websocket.h"
#include "wire/payload.h"

enum {
    PARTS_MAX = 64,
    SILENT_MS = 1000, /* of a WebSocket that says nothing for so long, the broker is asked whether its session polls */
};

/* One queued message: a text packet, then its attachments; or binary packets without a text, each a message. */
void polling_slot_send(struct transport *to, const struct polling_slot *slot)
{
    struct span rest = span_of(slot->frame->data, slot->frame->len), packet;
    bool begun = false, more = payload_next(&rest, &begun, &packet);
    while (more) {
        bool is_text = !payload_is_binary(packet);
        struct span parts[PARTS_MAX] = {is_text ? packet : (struct span){NULL, 0}};
        struct buf binary[PARTS_MAX] = {{0}};
        size_t count = 1, most = is_text ? PARTS_MAX : 2;
        more = !is_text || payload_next(&rest, &begun, &packet);
        for (; more && payload_is_binary(packet) && count < most; more = payload_next(&rest, &begun, &packet)) {
            if (payload_binary_decode(&binary[count], packet))
                parts[count] = buf_span(&binary[count]);
            count++;
        }
        struct frame *frame = to->type->encode(to, parts, count);
        to->type->send(to, frame, slot->tag);
        frame_unref(frame);
        while (count-- > 1)
            buf_finish(&binary[count]);
    }
}

uint64_t polling_probe_since_us(const struct polling *polling)
{
    return polling->probe_until_us - LOOP_MS(polling->sessions->limits.upgrade_timeout_ms);
}

void polling_moved(struct polling *polling)
{
    struct websocket *websocket = polling->websocket;
    struct span sid = span_of(polling->sid, sizeof polling->sid);
    polling->websocket = NULL;
    timer_stop(polling->sessions->loop, &polling->timer);
    polling_leave(polling);
    websocket_moved(websocket, polling_is_roaming(polling->sessions) ? NULL : moved_begin(polling->sessions, sid));
    session_stirred(websocket->transport.session);
}

static void move(struct polling *polling)
{
    struct transport *to = &polling->websocket->transport;
    struct session *session = polling->transport.session;
    polling->transport.session = NULL;
    session_move(session, to, polling_probe_since_us(polling));
    for (size_t i = 0; i < polling->queue_count; i++)
        polling_slot_send(to, &polling->queue[i]);
    polling_queue_drop(polling);
    if (polling->drain_awaited)
        to->type->await_drained(to);
    polling_moved(polling);
    polling_answer(&polling->get, POLLING_PAYLOAD, SPAN_LIT("6"));
}

/* The WebSocket is no way to this session. Where the session is elsewhere, nothing of it is left here. */
static void probe_forget(struct polling *polling)
{
    bool was_told = polling->probed; /* the client may have stopped to poll */
    polling->websocket = NULL;
    polling->probed = false;
    timer_stop(polling->sessions->loop, &polling->probe_timer);
    if (polling->state != POLLING_ASKING)
        return;
    if (polling->want == RECORD_FOR_WEBSOCKET)
        polling_record_end(polling); /* it cannot be told whether the client has given its polling up */
    else
        record_probe(hub_broker(polling->sessions->hub), span_of(polling->sid, sizeof polling->sid), polling->ticket,
                     was_told ? 0 : 1, NULL, NULL);
    polling_leave(polling);
}

static void probe_fail(struct polling *polling)
{
    struct websocket *websocket = polling->websocket;
    probe_forget(polling);
    websocket_refuse(websocket, CLOSE_PROBE_FAILED);
}

static void look(struct polling *polling);

static void probe_tick(struct timer *timer)
{
    struct polling *polling = container_of(timer, struct polling, probe_timer);
    struct loop *loop = polling->sessions->loop;
    uint64_t now = loop_now_us(loop);
    if (polling->websocket != NULL && now >= polling->probe_until_us) {
        probe_fail(polling);
        return;
    }
    if (polling->probed)
        polling_let_go(polling);
    else if (polling->websocket != NULL && polling->state == POLLING_ASKING && polling->ticket == 0)
        look(polling);
    if (polling->websocket != NULL)
        timer_start(loop, timer, polling->probe_until_us - now);
}

void polling_probe_polled(struct polling *polling)
{
    if (polling->get != NULL && polling->probed && polling->state == POLLING_LIVE)
        timer_start(polling->sessions->loop, &polling->probe_timer, LOOP_MS(PROBE_NOOP_MS));
}

void polling_probed(struct polling *polling, bool probing)
{
    polling->probed = probing;
    polling_probe_polled(polling);
}

void polling_probe_end(struct polling *polling)
{
    struct websocket *websocket = polling->websocket;
    timer_stop(polling->sessions->loop, &polling->probe_timer);
    if (websocket == NULL)
        return;
    polling->websocket = NULL;
    websocket_polling_set(websocket, NULL);
    if (websocket->transport.session == NULL)
        websocket_refuse(websocket, CLOSE_PROBE_FAILED);
}

void polling_probe_init(struct polling *polling)
{
    timer_init(&polling->probe_timer, probe_tick);
}

static void answer_probe(struct polling *polling)
{
    polling->probed = true;
    transport_send_packet(&polling->websocket->transport, SPAN_LIT("3probe"));
    polling_probe_polled(polling);
}

/* Calls the broker for a WebSocket whose session is not here. What its client says meanwhile waits. */
static void call(struct polling *polling, uint64_t until_ms, record_done_fn *done)
{
    polling->ticket = ++polling->sessions->polling_tickets;
    polling->calls++;
    websocket_wait(polling->websocket, true);
    record_probe(hub_broker(polling->sessions->hub), span_of(polling->sid, sizeof polling->sid), polling->ticket,
                 until_ms, done, polling);
}

/* False: the WebSocket is gone. */
static bool is_answered(struct polling *polling)
{
    polling->calls--;
    if (polling->state == POLLING_GONE) {
        if (polling->calls == 0)
            polling->reap.run(&polling->reap);
        return false;
    }
    return polling->websocket != NULL;
}

/* Whoever holds the session has been told, so a held GET ends soon. */
static void noted(void *arg, enum record_result result)
{
    struct polling *polling = arg;
    if (!is_answered(polling))
        return;
    if (result == RECORD_OK) {
        answer_probe(polling);
        websocket_wait(polling->websocket, false);
    } else {
        probe_fail(polling);
    }
}

static void probe_begin(struct polling *polling)
{
    if (polling->transport.session != NULL)
        answer_probe(polling);
    else
        call(polling, polling->sessions->limits.upgrade_timeout_ms, noted);
}

static void looked(void *arg, enum record_result result)
{
    struct polling *polling = arg;
    if (!is_answered(polling))
        return;
    if (result == RECORD_NONE) {
        probe_fail(polling);
        return;
    }
    polling->looked = true;
    polling->ticket = 0;
    websocket_wait(polling->websocket, false);
}

/* A probe that fails at once changes nothing but that a held GET is answered early. */
static void look(struct polling *polling)
{
    if (!polling->looked)
        call(polling, 1, looked);
}

void polling_probe_received(struct polling *polling, struct span text)
{
    bool begins = !polling->probed && polling->ticket == 0 && span_equal(text, SPAN_LIT("2probe"));
    if (begins) {
        probe_begin(polling);
    } else if (!polling->probed || !span_equal(text, SPAN_LIT("5")) || polling->post != NULL) {
        probe_fail(polling);
    } else if (polling->transport.session != NULL) {
        move(polling);
    } else {
        websocket_wait(polling->websocket, true);
        polling_ask(polling, RECORD_FOR_WEBSOCKET);
    }
}

/* Where sessions move, whatever this instance has of the session is for its requests; the WebSocket's side is apart. */
static struct polling *polling_probed_by(struct sessions *sessions, struct span sid, struct websocket *websocket)
{
    if (!polling_may_be_elsewhere(sessions, sid))
        return polling_find(sessions, sid);
    struct polling *polling = polling_create(sessions, websocket->transport.type->peer(&websocket->transport));
    memcpy(polling->sid, sid.data, sizeof polling->sid);
    return polling;
}

void polling_upgrade(struct sessions *sessions, struct websocket *websocket, struct span sid, struct conn *conn,
                     struct span token)
{
    websocket_open_probe(websocket, sessions, conn);
    struct polling *polling = polling_probed_by(sessions, sid, websocket);
    bool is_free = polling != NULL && polling->websocket == NULL &&
                   (polling->state == POLLING_LIVE || polling->state == POLLING_ASKING);
    if (!is_free) {
        websocket_refuse(websocket, CLOSE_PROBE_FAILED);
        return;
    }
    websocket_polling_set(websocket, polling);
    polling->websocket = websocket;
    polling_token_set(polling, token);
    polling->probe_until_us = loop_now_us(sessions->loop) + LOOP_MS(sessions->limits.upgrade_timeout_ms);
    uint64_t timeout_ms = sessions->limits.upgrade_timeout_ms;
    timer_start(sessions->loop, &polling->probe_timer, LOOP_MS(timeout_ms < SILENT_MS ? timeout_ms : SILENT_MS));
}

void polling_websocket_closed(struct polling *polling)
{
    if (polling->websocket != NULL)
        probe_forget(polling);
}

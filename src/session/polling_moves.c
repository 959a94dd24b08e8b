/* polling_moves: a polling session goes to where its requests are.
 *
 * A request asks the broker for the session. Whoever has it finishes what is under way, and passes it on as a parcel;
 * then it is opened here, by the resume that the client itself would make after a cut. So one instance has it at a
 * time, and between two requests none: an instance may be frozen or end whenever it has no request under way, and
 * nothing is lost. That is also why a request is answered only once the parcel has been passed.
 *
 *     GET at A         holds the session, waits for something to send
 *     POST at B        asks; A is told, passes the parcel, and waits for it again
 *     B                opens it, acts, waits until everything is accepted, passes it; answers `ok`
 *     A                opens it, finds what waits, passes the rest, and answers its GET */
#include <assert.h>
#include <stdlib.h>

#include "session/assembly.h"
#include "session/engine.h"
#include "session/parcel.h"
#include "session/polling_parts.h"
#include "session/subscriber.h"
#include "session/websocket.h"
#include "wire/payload.h"

enum {
    AGAIN_MS = 200,    /* after a call that failed */
    REMIND_MS = 1000,  /* one that waits asks again: what it was to be told may be lost */
    MOVED_MS = 60000,  /* a session on a WebSocket is known as such for so long */
    JOIN_MARGIN_MS = 1 /* rounding */
};

static struct broker *broker_of(const struct polling *polling)
{
    return hub_broker(polling->sessions->hub);
}

static struct span sid_of(const struct polling *polling)
{
    return span_of(polling->sid, sizeof polling->sid);
}

/* Every call to the broker has been answered: one that is gone is freed now. False: it is gone. */
static bool is_answered(struct polling *polling)
{
    assert(polling->calls > 0);
    polling->calls--;
    if (polling->state != POLLING_GONE)
        return true;
    if (polling->calls == 0)
        polling->reap.run(&polling->reap);
    return false;
}

/* How long its record lives when nobody has a request of it. */
static uint64_t life_ms(const struct polling *polling, const struct session_clock *clock)
{
    return clock->heartbeat_ms + (clock->awaiting_pong ? 0 : polling->sessions->limits.ping_timeout_ms);
}

static uint64_t hold_ms(const struct sessions *sessions)
{
    return 2 * ((uint64_t)sessions->limits.ping_interval_ms + sessions->limits.ping_timeout_ms);
}

/* It begins. */

static void parcel_of_new(struct buf *to, const struct sessions *sessions, const struct protocol *protocol)
{
    struct parcel parcel = {.protocol = protocol->kind,
                            .heartbeat_ms = sessions->limits.ping_interval_ms,
                            .join_ms = sessions->limits.connect_timeout_ms};
    parcel_encode(to, &parcel);
}

static void begun(void *arg, enum record_result result);

static void begin_again(struct polling *polling)
{
    const struct session_limits *limits = &polling->sessions->limits;
    polling->calls++;
    record_open(broker_of(polling), sid_of(polling), buf_span(&polling->parcel),
                (uint64_t)limits->ping_interval_ms + limits->ping_timeout_ms, begun, polling);
}

static void begun(void *arg, enum record_result result)
{
    struct polling *polling = arg;
    struct buf text = {0};
    if (!is_answered(polling))
        return;
    if (result == RECORD_LOST) {
        timer_start(polling->sessions->loop, &polling->again, LOOP_MS(AGAIN_MS));
        return;
    }
    engine_open_encode(&text, polling->sessions, TRANSPORT_POLLING, polling->sid);
    polling->sessions->counters.opened++;
    memcpy(polling->get->sid, polling->sid, sizeof polling->sid);
    polling_answer(&polling->get, POLLING_PAYLOAD, buf_span(&text));
    buf_finish(&text);
    polling_leave(polling);
}

void polling_begin(struct sessions *sessions, const struct protocol *protocol, struct polling_exchange *exchange)
{
    struct polling *polling = polling_create(sessions, exchange->peer);
    session_sid_create(sessions, polling->sid);
    parcel_of_new(&polling->parcel, sessions, protocol);
    polling->get = exchange;
    exchange->polling = polling;
    begin_again(polling);
}

/* It is asked for, and opened. */

static void socket_open(struct session *session, const struct parcel_socket *parcel, uint64_t away_ms)
{
    struct session_app *app = session->sessions->app;
    enum refusal refusal;
    const struct nsp *nsp = app->nsp_find(app, parcel->nsp, &refusal);
    struct subscriber_start start = {.pid = parcel->pid,
                                     .offset = parcel->offset,
                                     .presence_data = parcel->presence_data,
                                     .is_moved = true,
                                     .asking = parcel->asking,
                                     .away_ms = away_ms};
    if (nsp != NULL && parcel->claims.len > 0) {
        start.identity = identity_create(parcel->claims, (int64_t)parcel->expires_ms);
        start.identity->told = parcel->told;
    }
    if (nsp != NULL)
        refusal = subscriber_begin(session, nsp, &start);
    if (refusal != REFUSAL_COUNT) { /* this instance has another configuration, or too many namespaces */
        refusals_note(&session->sessions->refusals, refusal, parcel->pid, parcel->nsp);
        session_close(session, CLOSE_HISTORY_LOST);
    }
    nsp_unref(app, nsp);
}

static uint64_t left_ms(uint64_t ms, uint64_t away_ms)
{
    return ms > away_ms ? ms - away_ms : 0;
}

/* Opens a parcel on this transport. False if it is none of ours. */
static bool session_open(struct polling *polling, struct transport *transport, const struct record_grant *grant)
{
    struct sessions *sessions = polling->sessions;
    struct parcel parcel;
    struct parcel_socket socket;
    if (!parcel_decode(grant->record, &parcel) || parcel.protocol != sessions->polling_protocol->kind)
        return false;
    struct session_clock clock = {.joined = parcel.joined,
                                  .awaiting_pong = parcel.awaiting_pong,
                                  .heartbeat_ms = left_ms(parcel.heartbeat_ms, grant->away_ms),
                                  .join_ms = left_ms(parcel.join_ms, grant->away_ms)};
    uint64_t since_us = polling->websocket != NULL ? polling_probe_since_us(polling) : loop_now_us(sessions->loop);
    struct session *session = session_restore(sessions, transport, sessions->polling_protocol, &clock, since_us);
    session_token_set(session, span_str(polling->token));
    polling->join_until_us = loop_now_us(sessions->loop) + LOOP_MS(clock.join_ms);
    if (parcel.waiting.len > 0) {
        struct frame *frame = frame_copy(parcel.waiting);
        struct polling_slot slot = {frame, {0}};
        if (transport == &polling->transport)
            transport->type->send(transport, frame, slot.tag);
        else
            polling_slot_send(transport, &slot);
        frame_unref(frame);
    }
    assembly_restore(session, parcel.unfinished);
    for (uint64_t i = 0; i < parcel.socket_count && parcel_socket_next(&parcel.sockets, &socket); i++)
        socket_open(session, &socket, grant->away_ms);
    return true;
}

/* There is no such session, or none that this instance could open. */
static void refuse_all(struct polling *polling, enum polling_outcome outcome)
{
    bool was_held = polling->held;
    polling_leave(polling);
    polling_answer(&polling->post, outcome, SPAN_LIT(""));
    /* A GET that was held tells the client at once; to a fresh one the session is unknown. */
    if (was_held && outcome == POLLING_UNKNOWN_SID)
        polling_answer(&polling->get, POLLING_PAYLOAD, SPAN_LIT("1"));
    else
        polling_answer(&polling->get, outcome, SPAN_LIT(""));
}

/* A broker that has lost data may have an older record. What waits in it was sent since. */
static bool is_outdated(const struct polling *polling, struct span record)
{
    struct parcel parcel;
    struct parcel_socket socket;
    struct token token, now;
    hub_token(polling->sessions->hub, 0, &now);
    if (!parcel_decode(record, &parcel))
        return false;
    for (uint64_t i = 0; i < parcel.socket_count && parcel_socket_next(&parcel.sockets, &socket); i++) {
        if (token_decode(socket.offset, &token) &&
            !span_equal(span_of(token.epoch, token.epoch_len), span_of(now.epoch, now.epoch_len)))
            return true;
    }
    return false;
}

static void given(struct polling *polling, const struct record_grant *grant)
{
    timer_stop(polling->sessions->loop, &polling->again);
    polling->held = true;
    if (is_outdated(polling, grant->record)) {
        polling_record_end(polling);
        refuse_all(polling, POLLING_UNKNOWN_SID);
        return;
    }
    if (polling->websocket != NULL) {
        if (!session_open(polling, &polling->websocket->transport, grant)) {
            refuse_all(polling, POLLING_UNKNOWN_SID);
            return;
        }
        record_end(broker_of(polling), sid_of(polling), polling->ticket, MOVED_MS);
        polling_moved(polling);
        return;
    }
    polling_set_state(polling, POLLING_LIVE);
    if (!session_open(polling, &polling->transport, grant)) {
        polling_end(polling, CLOSE_BROKER_INVALID);
        return;
    }
    if (grant->probing || polling->probed)
        polling_probed(polling, true);
    loop_at_flush(polling->sessions->loop, &polling->flush);
}

static void asked(void *arg, enum record_result result, const struct record_grant *grant)
{
    struct polling *polling = arg;
    if (!is_answered(polling) || polling->state != POLLING_ASKING)
        return;
    switch (result) {
    case RECORD_OK:
        given(polling, grant);
        break;
    case RECORD_WAITING:
    case RECORD_LOST:
        timer_start(polling->sessions->loop, &polling->again, LOOP_MS(result == RECORD_LOST ? AGAIN_MS : REMIND_MS));
        break;
    case RECORD_MOVED:
        refuse_all(polling, POLLING_BAD_REQUEST);
        break;
    case RECORD_OVERLAP:
        refuse_all(polling, POLLING_REFUSED);
        break;
    case RECORD_NONE:
        refuse_all(polling, POLLING_UNKNOWN_SID);
        break;
    }
}

static void ask_again(struct polling *polling)
{
    polling->calls++;
    record_ask(broker_of(polling), sid_of(polling), polling->ticket, (enum record_want)polling->want,
               hold_ms(polling->sessions), asked, polling);
}

void polling_ask(struct polling *polling, enum record_want want)
{
    polling->ticket = ++polling->sessions->polling_tickets;
    polling->want = (char)want;
    ask_again(polling);
}

/* It is passed on. */

static void passed(void *arg, enum record_result result);

static void pass_again(struct polling *polling)
{
    polling->calls++;
    record_pass(broker_of(polling), sid_of(polling), polling->ticket, buf_span(&polling->parcel), polling->life_ms,
                passed, polling);
}

static void passed(void *arg, enum record_result result)
{
    struct polling *polling = arg;
    if (!is_answered(polling) || polling->state != POLLING_PASSING)
        return;
    if (result == RECORD_LOST) {
        timer_start(polling->sessions->loop, &polling->again, LOOP_MS(AGAIN_MS));
        return;
    }
    buf_finish(&polling->parcel);
    if (result != RECORD_OK) {
        refuse_all(polling, POLLING_UNKNOWN_SID);
        return;
    }
    if (polling->payload.len > 0) {
        timer_stop(polling->sessions->loop, &polling->timer);
        polling_answer(&polling->get, POLLING_PAYLOAD, buf_span(&polling->payload));
        buf_finish(&polling->payload);
    }
    if (polling->read_all) {
        polling->read_all = false;
        polling_answer(&polling->post, POLLING_OK, SPAN_LIT(""));
    }
    if (polling->get == NULL && polling->post == NULL) {
        polling_leave(polling);
        return;
    }
    polling_set_state(polling, POLLING_ASKING);
    polling_ask(polling, polling->get != NULL ? RECORD_FOR_GET : RECORD_FOR_POST);
}

static void parcel_make(struct polling *polling)
{
    struct session *session = polling->transport.session;
    struct session_clock clock = session_clock(session);
    uint64_t now = loop_now_us(polling->sessions->loop);
    struct buf waiting = {0}, unfinished = {0};
    assembly_park(&unfinished, session);
    while (polling->queue_count > 0) {
        if (waiting.len > 0)
            buf_append_char(&waiting, PAYLOAD_SEPARATOR);
        polling_queue_take(polling, &waiting, 0);
    }
    struct parcel parcel = {
        .protocol = session->protocol->kind,
        .joined = clock.joined,
        .awaiting_pong = clock.awaiting_pong,
        .heartbeat_ms = clock.heartbeat_ms,
        .join_ms = polling->join_until_us > now ? (polling->join_until_us - now) / 1000 + JOIN_MARGIN_MS : 0,
        .socket_count = session->socket_count,
        .waiting = buf_span(&waiting),
        .unfinished = buf_span(&unfinished),
    };
    parcel_encode(&polling->parcel, &parcel);
    list_each (node, &session->sockets) {
        subscriber_park(container_of(node, struct subscriber, of_session), &polling->parcel);
    }
    buf_append(&polling->parcel, buf_span(&waiting));
    buf_append(&polling->parcel, buf_span(&unfinished));
    buf_finish(&waiting);
    buf_finish(&unfinished);
    polling->life_ms = life_ms(polling, &clock);
}

static void pass(struct polling *polling)
{
    struct session *session = polling->transport.session;
    if (polling->get != NULL && polling->queue_count > 0)
        polling_queue_take(polling, &polling->payload, polling->get->packets_max);
    else if (polling->get != NULL && polling->let_go)
        buf_append_char(&polling->payload, ENGINEIO_NOOP);
    polling->wanted = polling->let_go = false;
    parcel_make(polling);
    polling_set_state(polling, POLLING_PASSING);
    polling->transport.session = NULL;
    session_ending(session);
    session_closed(session, CLOSE_PARKED);
    pass_again(polling);
}

void polling_moves_step(struct polling *polling)
{
    struct session *session = polling->transport.session;
    if (polling->state != POLLING_LIVE || !session_is_calm(session))
        return;
    if (polling->post != NULL && !polling->read_all && !polling->paused) {
        polling_read_on(polling);
        if (polling->state != POLLING_LIVE || !session_is_calm(session))
            return; /* session_stirred leads back here */
    }
    bool is_due = polling->get != NULL && (polling->queue_count > 0 || polling->let_go);
    bool is_idle = polling->get == NULL && (polling->post == NULL || polling->read_all);
    /* The broker knows of the POST alone: it would take the next one, elsewhere, for one too many. */
    bool is_misnamed = polling->read_all && polling->want == RECORD_FOR_POST;
    if (is_due || is_idle || is_misnamed || polling->wanted) {
        pass(polling);
    } else if (polling->read_all) { /* the held GET keeps it here */
        polling->read_all = false;
        polling_answer(&polling->post, POLLING_OK, SPAN_LIT(""));
    }
}

void polling_record_end(struct polling *polling)
{
    record_end(broker_of(polling), sid_of(polling), polling->ticket, 0);
}

static void again(struct timer *timer)
{
    struct polling *polling = container_of(timer, struct polling, again);
    if (polling->state == POLLING_PASSING)
        pass_again(polling);
    else if (polling->ticket == 0)
        begin_again(polling);
    else
        ask_again(polling);
}

void polling_moves_init(struct polling *polling)
{
    timer_init(&polling->again, again);
}

void polling_moves_finish(struct polling *polling)
{
    timer_stop(polling->sessions->loop, &polling->again);
    buf_finish(&polling->parcel);
    buf_finish(&polling->payload);
}

/* What the broker tells. */

/* The request with this ticket, or NULL: it may have gone. */
static struct polling *by_ticket(struct sessions *sessions, struct span sid, uint64_t ticket)
{
    struct polling *polling = polling_find(sessions, sid);
    if (polling != NULL && polling->ticket == ticket)
        return polling;
    list_each (node, &sessions->all_pollings) { /* a WebSocket that takes over */
        polling = container_of(node, struct polling, of_all);
        if (polling->ticket == ticket && polling->state != POLLING_GONE && span_equal(sid_of(polling), sid))
            return polling;
    }
    return NULL;
}

/* The broker says this to a holder. Its word may overtake the answer that makes this request the holder, as both come
 * over links of their own: then it counts from that answer on. */
static struct polling *holder(struct sessions *sessions, struct span sid, uint64_t ticket)
{
    struct polling *polling = by_ticket(sessions, sid, ticket);
    bool is_holder = polling != NULL && (polling->state == POLLING_LIVE || polling->state == POLLING_ASKING);
    return is_holder && polling->websocket == NULL ? polling : NULL;
}

static void wanted(void *arg, struct span sid, uint64_t ticket, enum record_want want)
{
    struct polling *polling = holder(arg, sid, ticket);
    if (polling == NULL)
        return;
    polling->wanted = true;
    polling->let_go = polling->let_go || want == RECORD_FOR_WEBSOCKET;
    loop_at_flush(polling->sessions->loop, &polling->flush);
}

static void granted(void *arg, struct span sid, uint64_t ticket, const struct record_grant *grant)
{
    struct polling *polling = by_ticket(arg, sid, ticket);
    if (polling != NULL && polling->state == POLLING_ASKING)
        given(polling, grant);
}

static void gone(void *arg, struct span sid, uint64_t ticket)
{
    struct polling *polling = by_ticket(arg, sid, ticket);
    if (polling != NULL && polling->state == POLLING_ASKING)
        refuse_all(polling, POLLING_UNKNOWN_SID);
    else if (polling != NULL && polling->state == POLLING_LIVE)
        polling_end(polling, CLOSE_POLLS_OVERLAP);
}

static void probed(void *arg, struct span sid, uint64_t ticket, bool probing)
{
    struct polling *polling = holder(arg, sid, ticket);
    if (polling != NULL)
        polling_probed(polling, probing);
}

const struct record_events polling_record_events = {wanted, granted, gone, probed};

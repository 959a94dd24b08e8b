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

#include "session/engine.h"
#include "session/parcel.h"
#include "session/polling_parts.h"
#include "session/subscriber.h"
#include "session/websocket.h"

enum {
    AGAIN_MS = 200,   /* after a call that failed */
    REMIND_MS = 1000, /* one that waits asks again: what it was to be told may be lost */
    /* The GET of a client that has just been answered waits so long for more, so that each answer brings several
     * events when there are many; that of one that waited for a while is answered at once. */
    GATHER_MS = 20,
    GATHER_LESS_MS = 5,
    BUSY_MS = 100,
    QUIET_MS = 1000,
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

/* From one pong to the time when the next must have come. */
static uint64_t whole_life_ms(const struct sessions *sessions)
{
    return (uint64_t)sessions->limits.ping_interval_ms + sessions->limits.ping_timeout_ms;
}

uint64_t polling_hold_ms(const struct sessions *sessions)
{
    return 2 * whole_life_ms(sessions);
}

/* It begins. */

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

static void begin_again(struct polling *polling)
{
    struct record_passing passing = {.record = buf_span(&polling->parcel), .life_ms = whole_life_ms(polling->sessions)};
    polling->calls++;
    record_open(broker_of(polling), sid_of(polling), &passing, begun, polling);
}

void polling_begin(struct sessions *sessions, const struct protocol *protocol, struct polling_exchange *exchange)
{
    struct polling *polling = polling_create(sessions, exchange->peer);
    session_sid_create(sessions, polling->sid);
    polling_parcel_begin(polling, protocol, exchange->handshake);
    polling->get = exchange;
    exchange->polling = polling;
    begin_again(polling);
}

/* It is asked for, and opened. */

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

/* Where unlogged events are kept, those that come between now and the subscription of a room would be missed. So it is
 * opened once all its rooms are subscribed. It is held already, and giving it once more changes nothing. */
static bool is_prepared(struct polling *polling, const struct record_grant *grant)
{
    polling->prepares = false;
    for (size_t i = 0; i < grant->claim_count && grant->kept_number > 0; i++)
        polling->prepares |= !polling_claim_is_prepared(polling, &grant->claims[i]);
    if (polling->prepares)
        timer_start(polling->sessions->loop, &polling->again, LOOP_MS(AGAIN_MS));
    return !polling->prepares;
}

/* A broker that has lost data may have an older record, whose waiting packets were sent since. */
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

/* The session is not opened, so nobody here has the leases claimed with it: the client may come back by them. */
static void claims_release(const struct polling *polling, const struct record_grant *grant)
{
    for (size_t i = 0; i < grant->claim_count; i++) {
        if (grant->claims[i].lease != NULL)
            broker_lease_release(broker_of(polling), grant->claims[i].lease, false);
    }
}

static void given(struct polling *polling, const struct record_grant *grant)
{
    if (!is_prepared(polling, grant))
        return;
    timer_stop(polling->sessions->loop, &polling->again);
    polling->held = true;
    if (is_outdated(polling, grant->record)) {
        claims_release(polling, grant);
        polling_record_end(polling);
        refuse_all(polling, POLLING_UNKNOWN_SID);
        return;
    }
    if (polling->websocket != NULL) {
        if (!polling_parcel_open(polling, &polling->websocket->transport, grant)) {
            claims_release(polling, grant);
            refuse_all(polling, POLLING_UNKNOWN_SID);
            return;
        }
        polling_moved(polling);
        return;
    }
    polling_set_state(polling, POLLING_LIVE);
    polling->gather_us = 0;
    if (!polling_parcel_open(polling, &polling->transport, grant)) {
        claims_release(polling, grant);
        polling_end(polling, CLOSE_BROKER_INVALID);
        return;
    }
    if (grant->probing || polling->probed)
        polling_probed(polling, true);
    loop_at_flush(polling->sessions->loop, &polling->flush);
}

static void answered_about(struct polling *polling, enum record_result result)
{
    switch (result) {
    case RECORD_OK:
    case RECORD_WAITING:
    case RECORD_LOST:
        if (!polling->prepares)
            timer_start(polling->sessions->loop, &polling->again,
                        LOOP_MS(result == RECORD_LOST ? AGAIN_MS : REMIND_MS));
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

static void asked(void *arg, enum record_result result)
{
    struct polling *polling = arg;
    polling->asking_us = polling_call_us(polling);
    polling->asked_us = 0;
    if (is_answered(polling) && polling->state == POLLING_ASKING)
        answered_about(polling, result);
}

static void ask_again(struct polling *polling)
{
    polling->calls++;
    polling->prepares = false; /* else nobody would remind of this call if its grant is lost */
    polling->asked_us = loop_now_us(polling->sessions->loop);
    record_ask(broker_of(polling), sid_of(polling), polling->ticket, (enum record_want)polling->want,
               polling_hold_ms(polling->sessions), asked, polling);
}

void polling_ask(struct polling *polling, enum record_want want)
{
    polling->ticket = ++polling->sessions->polling_tickets;
    polling->want = (char)want;
    ask_again(polling);
}

/* A pong alone. */
static void ponged_by_post(void *arg, enum record_result result)
{
    struct polling *polling = arg;
    if (!is_answered(polling) || polling->state != POLLING_ASKING)
        return;
    if (result != RECORD_OK) {
        answered_about(polling, result);
        return;
    }
    polling->is_pong = false;
    buf_finish(&polling->rest);
    polling_answer(&polling->post, POLLING_OK, SPAN_LIT(""));
    if (polling->get != NULL) /* that came to this instance meanwhile */
        polling_ask(polling, RECORD_FOR_GET);
    else
        polling_leave(polling);
}

void polling_pong(struct polling *polling)
{
    polling->is_pong = true;
    polling->calls++;
    record_pong(broker_of(polling), sid_of(polling), whole_life_ms(polling->sessions), ponged_by_post, polling);
}

/* It is passed on. */

static void passed(void *arg, enum record_result result);

static void pass_again(struct polling *polling)
{
    polling_parcel_age(polling);
    struct record_passing passing = {
        .record = buf_span(&polling->parcel),
        .leases = polling->parking.leases,
        .lease_count = polling->parking.count,
        .kept = polling->parking.kept,
        .hold_ms = polling_hold_ms(polling->sessions),
        .awaits_pong = polling->parked.awaiting_pong,
        .life_ms = life_ms(polling, &polling->parked),
        .again = polling->again_ticket,
        .want = polling->get != NULL && polling->payload.len == 0 ? RECORD_FOR_GET : RECORD_FOR_POST,
    };
    polling->calls++;
    polling->passes++;
    record_pass(broker_of(polling), sid_of(polling), polling->ticket, &passing, passed, polling);
}

/* It is not here any more: what is finished is answered, and what is not goes on waiting. False: nothing does. */
static bool passed_on(struct polling *polling)
{
    timer_stop(polling->sessions->loop, &polling->again);
    polling_parcel_finish(polling);
    if (polling->payload.len > 0) {
        timer_stop(polling->sessions->loop, &polling->timer);
        polling_answer(&polling->get, POLLING_PAYLOAD, buf_span(&polling->payload));
        buf_finish(&polling->payload);
    }
    if (polling->read_all) {
        polling->read_all = false;
        polling_answer(&polling->post, POLLING_OK, SPAN_LIT(""));
    }
    if (polling->get == NULL && polling->post == NULL && polling->again_ticket == 0) {
        polling_leave(polling);
        return false;
    }
    polling_set_state(polling, POLLING_ASKING);
    return true;
}

static void wait_again(struct polling *polling)
{
    polling->ticket = polling->again_ticket;
    polling->again_ticket = 0;
    polling->want = (char)(polling->get != NULL ? RECORD_FOR_GET : RECORD_FOR_POST);
}

/* If the link broke and a first call was done, another instance may have had the session since: the broker knows only
 * the last that passed it on. Then `none` says nothing, and asking for the session tells whether it still exists. */
static bool is_passed(const struct polling *polling, enum record_result result)
{
    return result == RECORD_OK || (result == RECORD_NONE && polling->pass_lost);
}

static void passed(void *arg, enum record_result result)
{
    struct polling *polling = arg;
    polling->passes--;
    if (!is_answered(polling) || polling->state != POLLING_PASSING || polling->passes > 0)
        return;
    if (result == RECORD_LOST) {
        polling->pass_lost = true;
        timer_start(polling->sessions->loop, &polling->again, LOOP_MS(AGAIN_MS));
        return;
    }
    if (!is_passed(polling, result)) {
        refuse_all(polling, POLLING_UNKNOWN_SID);
        return;
    }
    if (!passed_on(polling))
        return;
    if (polling->again_ticket == 0) {
        polling_ask(polling, polling->get != NULL ? RECORD_FOR_GET : RECORD_FOR_POST);
    } else {
        wait_again(polling);
        timer_start(polling->sessions->loop, &polling->again, result == RECORD_OK ? LOOP_MS(REMIND_MS) : 0);
    }
}

static void answer_make(struct polling *polling)
{
    if (polling->get == NULL)
        return;
    if (polling_is_repeated(polling->get, polling->done_get)) {
        buf_append(&polling->payload, buf_span(&polling->done_answer));
        return;
    }
    if (polling->queue_count > 0)
        polling_queue_take(polling, &polling->payload, polling->get->packets_max);
    else if (polling->let_go)
        buf_append_char(&polling->payload, ENGINEIO_NOOP);
    polling_answer_keep(polling, buf_span(&polling->payload));
}

static void pass(struct polling *polling)
{
    struct session *session = polling->transport.session;
    answer_make(polling);
    polling->wanted = polling->let_go = false;
    bool goes_on = (polling->get != NULL && polling->payload.len == 0) || (polling->post != NULL && !polling->read_all);
    polling->again_ticket = goes_on ? ++polling->sessions->polling_tickets : 0;
    timer_stop(polling->sessions->loop, &polling->again);
    polling_parcel_make(polling);
    if (polling->parcel.len > RECORD_BYTES_MAX) { /* its client reads too slowly for what it is sent */
        polling_end(polling, CLOSE_SLOW_CONSUMER);
        return;
    }
    polling->pass_lost = false;
    polling_set_state(polling, POLLING_PASSING);
    polling->transport.session = NULL;
    session_ending(session);
    session_closed(session, CLOSE_PARKED);
    pass_again(polling);
}

/* Whether what waits is to be answered now; else the timer calls again. */
static bool has_gathered(struct polling *polling)
{
    uint64_t now = loop_now_us(polling->sessions->loop), wait_ms = 0;
    if (polling->queue_count == 0)
        return false;
    if (polling->gather_us == 0) {
        uint64_t busy_ms = polling->away_ms + (now - polling->given_us) / 1000;
        wait_ms = busy_ms < BUSY_MS ? GATHER_MS : busy_ms < QUIET_MS ? GATHER_LESS_MS : 0;
        polling->gather_us = now + LOOP_MS(wait_ms);
    }
    if (now >= polling->gather_us)
        return true;
    timer_start(polling->sessions->loop, &polling->again, polling->gather_us - now);
    return false;
}

void polling_moves_step(struct polling *polling)
{
    struct session *session = polling->transport.session;
    if (polling->state != POLLING_LIVE || !session_is_calm(session))
        return;
    if (polling_is_repeated(polling->post, polling->done_post)) {
        buf_finish(&polling->rest);
        polling->read_all = true;
    }
    if (polling->post != NULL && !polling->read_all && !polling->paused) {
        polling_read_on(polling);
        if (polling->state != POLLING_LIVE || !session_is_calm(session))
            return; /* session_stirred leads back here */
    }
    if (polling->read_all && polling->post != NULL)
        polling->done_post = polling->post->mark;
    bool is_again = polling_is_repeated(polling->get, polling->done_get);
    if (is_again && polling->done_answer.len == 0) {
        polling_end_repeated(polling);
        return;
    }
    bool is_due = polling->get != NULL && (polling->let_go || is_again || has_gathered(polling));
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

static void again(struct timer *timer)
{
    struct polling *polling = container_of(timer, struct polling, again);
    if (polling->state == POLLING_PASSING)
        pass_again(polling);
    else if (polling->state == POLLING_LIVE)
        polling_moves_step(polling);
    else if (polling->is_pong)
        polling_pong(polling);
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
    polling_parcel_finish(polling);
    buf_finish(&polling->payload);
}

/* What the broker tells. */

/* The request with this ticket, or NULL: it may have gone. */
static struct polling *by_ticket(struct sessions *sessions, struct span sid, uint64_t ticket)
{
    struct polling *polling = polling_find(sessions, sid);
    if (polling != NULL && (polling->ticket == ticket || polling->again_ticket == ticket))
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

static void pass_soon(struct polling *polling)
{
    polling->wanted = true;
    loop_at_flush(polling->sessions->loop, &polling->flush);
}

static void wanted(void *arg, struct span sid, uint64_t ticket, enum record_want want)
{
    struct sessions *sessions = arg;
    struct polling *polling = holder(sessions, sid, ticket);
    /* A broker that has lost its last writes takes this instance for the holder of a session that it has passed on.
     * Whoever asks would wait in vain. */
    if (by_ticket(sessions, sid, ticket) == NULL)
        record_disown(hub_broker(sessions->hub), sid, ticket);
    if (polling == NULL)
        return;
    polling->let_go = polling->let_go || want == RECORD_FOR_WEBSOCKET;
    pass_soon(polling);
}

static void granted(void *arg, struct span sid, uint64_t ticket, const struct record_grant *grant)
{
    struct polling *polling = by_ticket(arg, sid, ticket);
    if (polling == NULL)
        return;
    /* The answer to the pass comes by another link. */
    if (polling->state == POLLING_PASSING && polling->again_ticket == ticket && passed_on(polling))
        wait_again(polling);
    if (polling->state == POLLING_ASKING && polling->ticket == ticket)
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
    if (polling == NULL)
        return;
    /* The stock client stops to poll when it has been sent 3probe, and if the WebSocket ends then, it never begins
     * again: it would be mute until it misses the pings. With the end of its session it is back at once. */
    if (polling->state == POLLING_LIVE && !probing && polling->probed && polling->get != NULL)
        polling_end(polling, CLOSE_PROBE_FAILED);
    else
        polling_probed(polling, probing);
}

static void ponged(void *arg, struct span sid, uint64_t ticket)
{
    struct polling *polling = by_ticket(arg, sid, ticket);
    if (polling != NULL && polling->state == POLLING_LIVE)
        session_received(polling->transport.session, SPAN_LIT("3"));
}

const struct record_events polling_record_events = {wanted, granted, gone, probed, ponged};

void pollings_prepared(struct sessions *sessions)
{
    list_each (node, &sessions->all_pollings) {
        struct polling *polling = container_of(node, struct polling, of_all);
        if (polling->state == POLLING_ASKING && polling->prepares)
            timer_start(sessions->loop, &polling->again, 0);
    }
}

void pollings_link_up(struct sessions *sessions)
{
    list_each (node, &sessions->all_pollings) {
        struct polling *polling = container_of(node, struct polling, of_all);
        /* A WebSocket that only probes has a ticket, too, but is to be given the session when its client says `5`. */
        bool has_asked = polling->websocket == NULL || polling->want == RECORD_FOR_WEBSOCKET;
        if (polling->state == POLLING_LIVE)
            pass_soon(polling);
        else if (polling->state == POLLING_PASSING || (polling->state == POLLING_ASKING && has_asked))
            timer_start(sessions->loop, &polling->again, 0);
    }
}

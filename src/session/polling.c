/* polling: requests of polling sessions, and how a session ends. */
#include "session/polling.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/moves.h"
#include "session/moved.h"
#include "session/polling_parts.h"
#include "wire/payload.h"
#include "wire/utf8.h"

enum { ANSWER_LEAD_MS = 2000 }; /* a held GET is answered so long before the platform's request timeout */

#define POLLING_MOVES(MOVE) \
    MOVE(POLLING_ASKING, POLLING_LIVE) \
    MOVE(POLLING_LIVE, POLLING_PASSING) \
    MOVE(POLLING_PASSING, POLLING_ASKING) \
    MOVE(POLLING_ASKING, POLLING_GONE) \
    MOVE(POLLING_PASSING, POLLING_GONE) \
    MOVE(POLLING_LIVE, POLLING_ENDING) \
    MOVE(POLLING_LIVE, POLLING_GONE) \
    MOVE(POLLING_ENDING, POLLING_GONE)

void polling_set_state(struct polling *polling, enum polling_state state)
{
    static const bool legal[POLLING_STATES][POLLING_STATES] = {POLLING_MOVES(MOVE_LEGAL)};
    assert(legal[polling->state][state]);
    polling->state = (uint8_t)state;
}

struct polling *polling_find(const struct sessions *sessions, struct span sid)
{
    struct map_node *node = map_find(&sessions->pollings, sid);
    return node != NULL ? container_of(node, struct polling, by_sid) : NULL;
}

void polling_answer(struct polling_exchange **exchange, enum polling_outcome outcome, struct span payload)
{
    struct polling_exchange *answered = *exchange;
    if (answered == NULL)
        return;
    *exchange = NULL;
    if (exchange == &answered->polling->get)
        polling_held_end(answered->polling);
    answered->polling = NULL;
    answered->answer(answered, outcome, payload);
}

static void refuse(struct polling_exchange *exchange, enum polling_outcome outcome)
{
    exchange->answer(exchange, outcome, SPAN_LIT(""));
}

/* The session, if there still is one, closes; the memory goes once it is not found any more. */
static void reap(struct task *task)
{
    struct polling *polling = container_of(task, struct polling, reap);
    struct session *session = polling->transport.session;
    if (session != NULL) {
        polling->transport.session = NULL;
        session_closed(session, polling->reason);
    }
    if (polling->state != POLLING_GONE)
        return;
    if (polling->calls > 0)
        return; /* the last answer frees it */
    polling_moves_finish(polling);
    polling_held_end(polling);
    list_remove(&polling->of_all);
    task_cancel(&polling->flush);
    task_cancel(&polling->reap);
    timer_stop(polling->sessions->loop, &polling->timer);
    polling_queue_drop(polling);
    buf_finish(&polling->rest);
    polling_answer_forget(polling);
    free(polling->token);
    free(polling);
}

void polling_record_end(struct polling *polling)
{
    record_end(hub_broker(polling->sessions->hub), span_of(polling->sid, sizeof polling->sid), polling->ticket);
}

void polling_end(struct polling *polling, enum close_reason reason)
{
    if (polling->state == POLLING_LIVE)
        polling->reason = reason;
    if (polling_is_roaming(polling->sessions) && polling->state != POLLING_ENDING)
        polling_record_end(polling);
    if (polling->transport.session != NULL)
        session_ending(polling->transport.session);
    polling_leave(polling);
    polling_answer(&polling->get, POLLING_PAYLOAD, SPAN_LIT("1"));
    polling_answer(&polling->post, POLLING_OK, SPAN_LIT(""));
}

void polling_leave(struct polling *polling)
{
    polling_set_state(polling, POLLING_GONE);
    if (polling->coming != NULL)
        polling_post_forget(polling->coming);
    if (polling->by_sid.key.len > 0)
        map_remove(&polling->sessions->pollings, &polling->by_sid);
    polling_probe_end(polling);
    loop_at_reap(polling->sessions->loop, &polling->reap);
}

void pollings_cut(struct sessions *sessions, enum close_reason reason)
{
    list_each (node, &sessions->all_pollings) {
        struct polling *polling = container_of(node, struct polling, of_all);
        if (polling->state != POLLING_GONE)
            polling_end(polling, reason);
        reap(&polling->reap);
    }
}

/* Reads what came with the POST, until the session is paused. */
void polling_read_on(struct polling *polling)
{
    struct span rest = buf_span(&polling->rest), packet;
    struct session *session = polling->transport.session;
    if (rest.len == 0)
        rest.data = polling->rest_begun ? NULL : "";
    if (!polling->rest_begun && !utf8_is_valid(rest))
        session_close(session, CLOSE_ENGINE_INVALID);
    while (polling->state == POLLING_LIVE && !polling->paused && payload_next(&rest, &polling->rest_begun, &packet))
        session_received(session, packet);
    if (polling->state == POLLING_LIVE && polling->paused && rest.data != NULL) {
        buf_consume(&polling->rest, polling->rest.len - rest.len);
        return;
    }
    buf_finish(&polling->rest);
    polling->read_all = true;
    if (polling->post != NULL && !polling_is_roaming(polling->sessions))
        polling->done_post = polling->post->mark;
    if (polling->state != POLLING_LIVE || !polling_is_roaming(polling->sessions))
        polling_answer(&polling->post, POLLING_OK, SPAN_LIT(""));
}

static void take_for_get(struct polling *polling)
{
    struct buf payload = {0};
    polling_queue_take(polling, &payload, polling->get->packets_max);
    if (polling->state != POLLING_ENDING) /* the client may not come for the rest */
        timer_stop(polling->sessions->loop, &polling->timer);
    polling_answer_keep(polling, buf_span(&payload));
    polling_answer(&polling->get, POLLING_PAYLOAD, buf_span(&payload));
    buf_finish(&payload);
}

static void tell_drained(struct polling *polling)
{
    if (polling->state == POLLING_LIVE && polling->drain_awaited && polling->queue_count == 0) {
        polling->drain_awaited = false;
        session_drained(polling->transport.session);
    }
}

void polling_flush(struct polling *polling)
{
    bool is_roaming = polling_is_roaming(polling->sessions);
    if (polling->get != NULL && polling->queue_count > 0 && (!is_roaming || polling->state == POLLING_ENDING))
        take_for_get(polling);
    if (polling->state == POLLING_ENDING && polling->queue_count == 0 && !polling_farewell_late(polling))
        polling_end(polling, polling->reason);
    tell_drained(polling);
    if (is_roaming)
        polling_moves_step(polling);
    else if (polling->state == POLLING_LIVE && polling->post != NULL && !polling->paused)
        polling_read_on(polling);
}

static void flush(struct task *task)
{
    polling_flush(container_of(task, struct polling, flush));
}

/* A held GET is answered in time, or nobody has fetched the farewell. */
static void timer_fired(struct timer *timer)
{
    struct polling *polling = container_of(timer, struct polling, timer);
    if (polling->state == POLLING_ENDING)
        polling_end(polling, polling->reason);
    else
        polling_let_go(polling);
}

void polling_let_go(struct polling *polling)
{
    if (polling->get == NULL)
        return;
    if (polling_is_roaming(polling->sessions)) {
        polling->let_go = true;
        loop_at_flush(polling->sessions->loop, &polling->flush);
    } else {
        polling_answer(&polling->get, POLLING_PAYLOAD, SPAN_LIT("6"));
    }
}

struct polling *polling_create(struct sessions *sessions, const struct addr_ip *peer)
{
    struct polling *polling = mem_zero(1, sizeof *polling);
    polling->transport = (struct transport){.type = &polling_transport_type, .format = TRANSPORT_POLLING};
    polling->sessions = sessions;
    polling->peer = *peer;
    task_init(&polling->flush, flush);
    task_init(&polling->reap, reap);
    timer_init(&polling->timer, timer_fired);
    polling_probe_init(polling);
    polling_moves_init(polling);
    list_init(&polling->of_all);
    list_init(&polling->of_held);
    list_append(&sessions->all_pollings, &polling->of_all);
    return polling;
}

void polling_token_set(struct polling *polling, struct span token)
{
    if (polling->transport.session != NULL) {
        session_token_set(polling->transport.session, token);
    } else if (token.len > 0) {
        free(polling->token);
        polling->token = mem_text(token);
    }
}

void polling_name(struct polling *polling, struct span sid)
{
    memcpy(polling->sid, sid.data, sizeof polling->sid);
    map_add(&polling->sessions->pollings, &polling->by_sid, span_of(polling->sid, sizeof polling->sid));
}

/* Sessions that began, less those whose records must have run out since: a bucket that leaks `max` in the life of one.
 */
static uint64_t begun_lately(const struct sessions *sessions, uint64_t max)
{
    uint64_t life_us = LOOP_MS((uint64_t)sessions->limits.ping_interval_ms + sessions->limits.ping_timeout_ms);
    uint64_t gone_us = loop_now_us(sessions->loop) - sessions->polling_begun_us;
    uint64_t gone = gone_us < life_us ? gone_us * max / life_us : max;
    return sessions->polling_begun > gone ? sessions->polling_begun - gone : 0;
}

bool polling_admit(struct sessions *sessions, uint64_t sessions_max)
{
    uint64_t begun = polling_is_roaming(sessions) ? begun_lately(sessions, sessions_max) : 0;
    if (sessions->count >= sessions_max || begun >= sessions_max)
        return false;
    sessions->polling_begun = begun + 1;
    sessions->polling_begun_us = loop_now_us(sessions->loop);
    return true;
}

void polling_handshake(struct sessions *sessions, const struct protocol *protocol, struct polling_exchange *exchange)
{
    char sid[ENGINEIO_SID_BYTES];
    if (polling_is_roaming(sessions)) {
        polling_begin(sessions, protocol, exchange);
        return;
    }
    struct polling *polling = polling_create(sessions, exchange->peer);
    polling->state = POLLING_LIVE;
    session_create(sessions, &polling->transport, protocol, sid);
    session_handshake_set(polling->transport.session, exchange->handshake);
    polling_token_set(polling, exchange->token);
    polling_name(polling, span_of(sid, sizeof sid));
    memcpy(exchange->sid, sid, sizeof sid);
    polling->get = exchange;
    exchange->polling = polling;
    polling_flush(polling);
}

/* The session that a request is for, or NULL: then the request has been refused. One that is not here is asked for. */
static struct polling *polling_asked(struct sessions *sessions, struct polling_exchange *exchange, struct span sid,
                                     enum record_want want)
{
    struct polling *polling = polling_find(sessions, sid);
    exchange->polling = NULL;
    if (polling == NULL && polling_may_be_elsewhere(sessions, sid)) {
        polling = polling_create(sessions, exchange->peer);
        polling_name(polling, sid);
        polling_ask(polling, want);
    }
    if (polling == NULL) {
        refuse(exchange, moved_is(sessions, sid) ? POLLING_BAD_REQUEST : POLLING_UNKNOWN_SID);
        return NULL;
    }
    polling_token_set(polling, exchange->token);
    return polling;
}

/* A second request of its kind, while the first is under way: a client of this protocol never sends it, so two clients
 * seem to use one session. */
static bool is_overlapping(struct polling *polling, const struct polling_exchange *under_way,
                           struct polling_exchange *exchange)
{
    if (under_way == NULL)
        return false;
    polling_end(polling, CLOSE_POLLS_OVERLAP);
    refuse(exchange, POLLING_REFUSED);
    return true;
}

static void hold(struct polling *polling)
{
    uint64_t timeout_ms = polling->sessions->request_timeout_ms;
    if (timeout_ms > 0)
        timer_start(polling->sessions->loop, &polling->timer,
                    LOOP_MS(timeout_ms > 2 * ANSWER_LEAD_MS ? timeout_ms - ANSWER_LEAD_MS : timeout_ms / 2));
}

/* Where sessions do not move: its GET came before, and its answer got lost. What waits behind that answer stays. */
static void get_again(struct polling *polling)
{
    if (polling->done_answer.len == 0)
        polling_end_repeated(polling);
    else
        polling_answer(&polling->get, POLLING_PAYLOAD, buf_span(&polling->done_answer));
}

void polling_get(struct sessions *sessions, struct polling_exchange *exchange, struct span sid)
{
    struct polling *polling = polling_asked(sessions, exchange, sid, RECORD_FOR_GET);
    if (polling == NULL || is_overlapping(polling, polling->get, exchange))
        return;
    polling->get = exchange;
    exchange->polling = polling;
    polling->peer = *exchange->peer;
    if (polling->state == POLLING_LIVE && !polling_is_roaming(sessions)) {
        if (polling_is_repeated(exchange, polling->done_get)) {
            get_again(polling);
            return;
        }
        polling_answer_forget(polling);
    }
    if (polling->state != POLLING_ENDING)
        hold(polling);
    polling_flush(polling);
    if (polling->get == exchange)
        polling_held_begin(polling);
    polling_probe_polled(polling);
}

enum polling_outcome polling_look(const struct sessions *sessions, struct span sid)
{
    if (moved_is(sessions, sid))
        return POLLING_BAD_REQUEST;
    return polling_find(sessions, sid) != NULL || polling_may_be_elsewhere(sessions, sid) ? POLLING_OK
                                                                                          : POLLING_UNKNOWN_SID;
}

bool polling_post_begin(struct sessions *sessions, struct polling_exchange *exchange, struct span sid)
{
    struct polling *polling = polling_find(sessions, sid);
    exchange->polling = NULL;
    if (polling == NULL) /* polling_post finds out what there is to say */
        return true;
    if (is_overlapping(polling, polling->post != NULL ? polling->post : polling->coming, exchange))
        return false;
    polling->coming = exchange;
    exchange->polling = polling;
    return true;
}

void polling_post_forget(struct polling_exchange *exchange)
{
    if (exchange->polling != NULL)
        exchange->polling->coming = NULL;
    exchange->polling = NULL;
}

/* A pong alone needs no session here: between two pings it is all that an idle client sends. */
static void pong(struct sessions *sessions, struct polling_exchange *exchange, struct span sid)
{
    struct polling *polling = polling_create(sessions, exchange->peer);
    polling_name(polling, sid);
    polling->post = exchange;
    exchange->polling = polling;
    buf_append(&polling->rest, SPAN_LIT("3"));
    polling_pong(polling);
}

void polling_post(struct sessions *sessions, struct polling_exchange *exchange, struct span sid, struct span body)
{
    polling_post_forget(exchange);
    if (polling_find(sessions, sid) == NULL && polling_may_be_elsewhere(sessions, sid) &&
        span_equal(body, SPAN_LIT("3"))) {
        pong(sessions, exchange, sid);
        return;
    }
    struct polling *polling = polling_asked(sessions, exchange, sid, RECORD_FOR_POST);
    if (polling == NULL || is_overlapping(polling, polling->post, exchange))
        return;
    polling->post = exchange;
    exchange->polling = polling;
    bool is_done = !polling_is_roaming(sessions) && polling_is_repeated(exchange, polling->done_post);
    if (polling->state == POLLING_ENDING || is_done) { /* its packets count no more, or were taken before */
        polling_answer(&polling->post, POLLING_OK, SPAN_LIT(""));
        return;
    }
    buf_append(&polling->rest, body);
    polling->rest_begun = polling->read_all = false;
    if (polling_is_roaming(sessions))
        polling_moves_step(polling);
    else
        polling_read_on(polling);
}

void polling_aborted(struct polling_exchange *exchange)
{
    struct polling *polling = exchange->polling;
    if (polling == NULL)
        return;
    exchange->polling = NULL;
    polling_held_end(polling);
    if (polling->get == exchange)
        polling->get = NULL;
    else if (polling->post == exchange)
        polling->post = NULL;
    else
        polling->coming = NULL;
    polling_end(polling, CLOSE_POLL_ABORTED);
}

/* call: counts calls, answers and changes, and decides which sessions are not read and when they are read again. */
#include "session/call.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "session/question.h"
#include "session/subscriber.h"

enum {
    SHARE = 4,      /* one session has at most this part of what is left */
    LATER_MS = 100, /* how often sessions that changed too much are looked at */
};

static bool changes_too_much(struct session *session)
{
    struct sessions *sessions = session->sessions;
    uint32_t now_ms = (uint32_t)(loop_now_us(sessions->loop) / 1000), gone = now_ms - session->changes_ms;
    uint64_t back = (uint64_t)gone * sessions->limits.changes_per_second / 1000;
    if (back > 0) {
        session->changes = back < session->changes ? session->changes - (uint32_t)back : 0;
        session->changes_ms = now_ms;
    }
    return session->changes >= sessions->limits.changes_burst;
}

/* How much of `max` this session may have under way now. */
static size_t share_of(const struct sessions *sessions)
{
    size_t total = sessions->limits.call_bytes_total_max, max = sessions->limits.call_bytes_max;
    size_t left = total > sessions->loads.cost ? (total - sessions->loads.cost) / SHARE : 0;
    return left < max ? left : max;
}

static bool address_sends_too_much(const struct session *session, uint64_t now_us)
{
    const struct rates *rates = &session->sessions->rates;
    if (rates->rates[RATES_MESSAGES].per_second == 0)
        return false;
    return rates_wait_us(rates, RATES_MESSAGES, session->transport->type->peer(session->transport), now_us) > 0;
}

static bool sends_too_much(const struct session *session, uint64_t now_us)
{
    const struct bucket messages = session_has(session).messages;
    return !bucket_has(&messages, &session->sessions->limits.messages, now_us);
}

/* Why it is not to be read, or REFUSAL_COUNT. `part`: 1 for whether it has too much, 2 for whether half is not done
 * yet. */
static enum refusal over(struct session *session, unsigned part)
{
    struct sessions *sessions = session->sessions;
    const struct load *load = session->load;
    uint64_t now_us = loop_now_us(sessions->loop);
    if (changes_too_much(session))
        return REFUSAL_CHANGES_RATE;
    if (sends_too_much(session, now_us))
        return REFUSAL_MESSAGES_RATE;
    if (address_sends_too_much(session, now_us))
        return REFUSAL_ADDRESS_MESSAGES_RATE;
    if (load->count > 0 &&
        (load->count >= sessions->limits.calls_max / part || load->cost >= share_of(sessions) / part))
        return REFUSAL_CALLS_FULL;
    return REFUSAL_COUNT;
}

static void stall_note(struct session *session, enum refusal why)
{
    char ip[ADDR_TEXT_MAX];
    addr_ip_print(session->transport->type->peer(session->transport), ip);
    refusals_note(&session->sessions->refusals, why, span_str(ip), SPAN_LIT(""));
}

static void stall_if_over(struct session *session)
{
    struct sessions *sessions = session->sessions;
    enum refusal why = session->paused ? REFUSAL_COUNT : over(session, 1);
    if (why == REFUSAL_COUNT)
        return;
    stall_note(session, why);
    session->paused = true;
    sessions->counters.stalled++;
    list_append(&sessions->loads.stalled, &session->load->stalled);
    session->transport->type->pause(session->transport, true);
    loads_look_later(sessions);
}

static void review_all(struct sessions *sessions)
{
    list_each (node, &sessions->loads.stalled) {
        struct session *session = container_of(node, struct load, stalled)->session;
        if (over(session, 2) != REFUSAL_COUNT)
            continue;
        session->paused = false;
        list_remove(node);
        session->transport->type->pause(session->transport, session->held);
        load_release(session);
    }
}

static void review(struct task *task)
{
    review_all(container_of(task, struct sessions, loads.review));
}

static void later(struct timer *timer)
{
    struct sessions *sessions = container_of(timer, struct sessions, loads.later);
    review_all(sessions);
    questions_ask(sessions);
    loads_look_later(sessions);
}

void loads_look_later(struct sessions *sessions)
{
    struct loads *loads = &sessions->loads;
    if (!timer_running(&loads->later) && !(list_empty(&loads->stalled) && list_empty(&loads->askers)))
        timer_start(sessions->loop, &loads->later, LOOP_MS(LATER_MS));
}

void loads_init(struct sessions *sessions)
{
    struct loads *loads = &sessions->loads;
    list_init(&loads->askers);
    list_init(&loads->holders);
    list_init(&loads->stalled);
    task_init(&loads->review, review);
    timer_init(&loads->later, later);
}

void loads_finish(struct sessions *sessions)
{
    assert(sessions->loads.cost == 0 && sessions->loads.asking == 0 && sessions->loads.answer_bytes == 0);
    task_cancel(&sessions->loads.review);
    timer_stop(sessions->loop, &sessions->loads.later);
}

struct load *load_of(struct session *session)
{
    if (session->load == NULL) {
        struct load *load = session->load = mem_zero(1, sizeof *load);
        load->session = session;
        list_init(&load->calls);
        list_init(&load->questions);
        list_init(&load->asker);
        list_init(&load->holder);
        list_init(&load->stalled);
    }
    return session->load;
}

void load_release(struct session *session)
{
    struct load *load = session->load;
    if (load == NULL || load->count > 0 || load->answer_bytes > 0 || load->asking || !list_empty(&load->stalled))
        return;
    assert(list_empty(&load->questions) && list_empty(&load->asker));
    free(load);
    session->load = NULL;
}

void call_answers(struct call *call, struct span ack_id)
{
    call->id_len = (uint8_t)ack_id.len;
    if (ack_id.len != 0)
        memcpy(call->id, ack_id.data, ack_id.len);
}

void call_begin(struct call *call, struct session *session, struct subscriber *subscriber, struct span ack_id,
                size_t bytes)
{
    struct load *load = load_of(session);
    *call = (struct call){.sessions = session->sessions, .session = session, .subscriber = subscriber};
    list_init(&call->of_load);
    list_init(&call->node);
    if (subscriber != NULL)
        subscriber->refs++;
    call_answers(call, ack_id);
    call->cost = (uint32_t)(sizeof *call + bytes);
    list_append(&load->calls, &call->of_load);
    load->count++;
    load->cost += call->cost;
    session->sessions->loads.cost += call->cost;
    stall_if_over(session);
}

struct call *call_create(struct session *session, struct subscriber *subscriber, struct span ack_id, size_t bytes)
{
    struct call *call = mem_alloc(sizeof *call);
    call_begin(call, session, subscriber, ack_id, bytes);
    return call;
}

void call_end(struct call *call)
{
    struct session *session = call->session;
    list_remove(&call->node);
    call->sessions->loads.cost -= call->cost;
    if (session != NULL) {
        list_remove(&call->of_load);
        session->load->count--;
        session->load->cost -= call->cost;
        load_release(session);
        session_stirred(session);
    }
    if (!list_empty(&call->sessions->loads.stalled))
        loop_at_reap(call->sessions->loop, &call->sessions->loads.review);
    if (call->subscriber != NULL)
        subscriber_unref(call->subscriber);
}

static void answer_gone(struct session *session)
{
    struct load *load = session->load;
    session->sessions->loads.answer_bytes -= load->answer_bytes;
    load->answer_bytes = 0;
    list_remove(&load->holder);
}

void load_answered(struct session *session, size_t bytes)
{
    struct load *load = load_of(session);
    load->answer_bytes += (uint32_t)bytes;
    session->sessions->loads.answer_bytes += bytes;
    if (list_empty(&load->holder)) {
        load->answered_us = loop_now_us(session->sessions->loop);
        list_append(&session->sessions->loads.holders, &load->holder);
    }
    transport_await_drained(session->transport);
}

void load_drained(struct session *session)
{
    if (session->load == NULL)
        return;
    answer_gone(session);
    questions_ask_for(session);
    load_release(session);
}

void load_finish(struct session *session)
{
    struct sessions *sessions = session->sessions;
    struct load *load = session->load;
    if (load == NULL)
        return;
    load->asking = true; /* it goes here, and nowhere below */
    questions_drop(session);
    answer_gone(session);
    list_each (node, &load->calls) {
        struct call *call = container_of(node, struct call, of_load);
        list_remove(node);
        call->session = NULL;
    }
    list_remove(&load->asker);
    list_remove(&load->stalled);
    free(load);
    session->load = NULL;
    questions_ask(sessions);
}

void session_message(struct session *session)
{
    struct sessions *sessions = session->sessions;
    const struct rate *rate = &sessions->limits.messages;
    uint64_t now_us = loop_now_us(sessions->loop);
    if (rate->per_second == 0 && sessions->rates.rates[RATES_MESSAGES].per_second == 0)
        return;
    if (rate->per_second != 0)
        bucket_take(&session_extra(session)->messages, rate, now_us);
    rates_take(&sessions->rates, RATES_MESSAGES, session->transport->type->peer(session->transport), now_us);
    if (sends_too_much(session, now_us) || address_sends_too_much(session, now_us)) {
        load_of(session);
        stall_if_over(session);
    }
}

void session_change(struct session *session, size_t by)
{
    session->changes += (uint32_t)by;
    if (changes_too_much(session)) {
        load_of(session);
        stall_if_over(session);
    }
}

/* records: the operations on records, and what the test lets happen between them. See records.h. */
#include "records.h"

#include <stdio.h>
#include <string.h>

#include "session/socket.h"

enum { ANSWERS = 8 };

struct record record;

static struct {
    record_done_fn *done;
    void *arg;
    enum record_result result;
} answers[ANSWERS];
static size_t answer_count;
static struct task answering;

static void answer_all(struct task *task)
{
    for (size_t i = 0; i < answer_count; i++) {
        if (answers[i].done != NULL)
            answers[i].done(answers[i].arg, answers[i].result);
    }
    answer_count = 0;
}

static void answer_later(record_done_fn *done, void *arg, enum record_result result)
{
    assert_true(answer_count < ANSWERS);
    answers[answer_count].done = done;
    answers[answer_count].arg = arg;
    answers[answer_count++].result = result;
    loop_at_reap(loop, &answering);
}

/* The record is given to its holder once the leases are claimed, one after the other. */
static struct {
    bool runs;
    size_t count;
    struct record_claim claims[LEASES];
    struct broker_lease leases[LEASES];
    struct buf texts[LEASES];
} giving;

static void claim_next(void);

static void give(void)
{
    uint64_t ticket = record.holder;
    struct record_grant grant = {.record = span_of(record.text, record.len),
                                 .claims = giving.claims,
                                 .claim_count = giving.count,
                                 .kept = record.kept,
                                 .kept_count = record.kept_count,
                                 .kept_lost = record.kept_lost,
                                 .away_ms = record.away_ms,
                                 .probing = record.probing,
                                 .ponged = record.pong_us > 0,
                                 .pong_ms = (loop_now_us(loop) - record.pong_us) / 1000};
    giving.runs = false;
    if (record.exists && ticket != 0 && ticket != OTHERS)
        broker->record_events->granted(&sessions, own_sid(), ticket, &grant);
    for (size_t i = 0; i < LEASES; i++)
        buf_finish(&giving.texts[i]);
}

void record_claimed(void *arg, enum broker_result result, const struct broker_lease *lease, bool position_ok)
{
    size_t i = giving.count++;
    giving.claims[i] = (struct record_claim){.pid = span_str(record.leases[i].pid), .position_ok = position_ok};
    if (result == BROKER_OK && lease->generation != record.leases[i].generation + 1) {
        giving.claims[i].superseded = true;
    } else if (result == BROKER_OK) {
        struct buf *text = &giving.texts[i];
        buf_append(text, lease->sid);
        buf_append(text, lease->own);
        buf_append(text, lease->rooms);
        buf_append(text, lease->data);
        struct span all = buf_span(text);
        size_t own = lease->sid.len, rooms = own + lease->own.len, data = rooms + lease->rooms.len;
        giving.leases[i] = *lease;
        giving.leases[i].pid = giving.claims[i].pid;
        giving.leases[i].sid = span_sub(all, 0, own);
        giving.leases[i].own = span_sub(all, own, lease->own.len);
        giving.leases[i].rooms = span_sub(all, rooms, lease->rooms.len);
        giving.leases[i].data = span_sub(all, data, lease->data.len);
        giving.claims[i].lease = &giving.leases[i];
        record.leases[i].generation = lease->generation;
    }
    claim_next();
}

static void claim_next(void)
{
    if (giving.count == record.lease_count)
        give();
    else
        broker_lease_claim(broker, span_str(record.leases[giving.count].pid), (struct span){NULL, 0}, 0, record_claimed,
                           NULL);
}

static struct task given;

static void give_begin(struct task *task)
{
    giving.count = 0;
    claim_next();
}

static void give_later(uint64_t ticket)
{
    record.holder = ticket;
    if (!giving.runs)
        loop_at_reap(loop, &given);
    giving.runs = true;
}

static void keep(const struct record_passing *passing)
{
    assert_true(passing->record.len <= RECORD_MAX && passing->lease_count <= LEASES);
    memcpy(record.text, passing->record.data, passing->record.len);
    record.len = passing->record.len;
    record.life_ms = passing->life_ms;
    record.awaits_pong = passing->awaits_pong;
    record.lease_count = passing->lease_count;
    for (size_t i = 0; i < passing->lease_count; i++) {
        snprintf(record.leases[i].pid, sizeof record.leases[i].pid, SPAN_FMT, SPAN_ARG(passing->leases[i].pid));
        record.leases[i].generation = passing->leases[i].generation;
    }
    if (!passing->awaits_pong)
        record.pong_us = 0;
}

static struct {
    uint64_t ticket;
    record_done_fn *done;
    void *arg;
} late;

void record_answer_late(void)
{
    give_later(late.ticket);
    answer_later(late.done, late.arg, RECORD_WAITING);
}

static void ask(struct broker *of, struct span sid, uint64_t ticket, enum record_want want, uint64_t hold_ms,
                record_done_fn *done, void *arg)
{
    if (record.slow) {
        late.ticket = ticket;
        late.done = done;
        late.arg = arg;
        return;
    }
    enum record_result result = !record.exists                            ? RECORD_NONE
                                : record.moved && record.holder != ticket ? RECORD_MOVED
                                                                          : RECORD_WAITING;
    record.asked++;
    if (result == RECORD_WAITING && (record.holder == 0 || record.holder == ticket)) {
        record.moved = want == RECORD_FOR_WEBSOCKET;
        record.kind = want;
        give_later(ticket);
    }
    answer_later(done, arg, result);
}

static void pass(struct broker *of, struct span sid, uint64_t ticket, const struct record_passing *passing,
                 record_done_fn *done, void *arg)
{
    if (ticket == 0) {
        record.exists = true;
        record.opened++;
        keep(passing);
        answer_later(done, arg, RECORD_OK);
        return;
    }
    bool is_holder = record.exists && record.holder == ticket;
    if (is_holder && !record.deaf) {
        record.passed++;
        record.holder = 0;
        keep(passing);
        if (passing->again > 0) { /* nobody else waits here */
            record.kind = passing->want;
            give_later(passing->again);
        }
    }
    answer_later(done, arg, record.deaf ? RECORD_LOST : is_holder ? RECORD_OK : RECORD_NONE);
}

static void end(struct broker *of, struct span sid, uint64_t ticket)
{
    record.ended++;
    record.exists = false;
    record.holder = 0;
}

static void disown(struct broker *of, struct span sid, uint64_t ticket)
{
    record.disowned++;
}

static void probe(struct broker *of, struct span sid, uint64_t ticket, uint64_t until_ms, record_done_fn *done,
                  void *arg)
{
    bool is_free = record.exists && !record.moved;
    record.probing = is_free && until_ms > 0;
    answer_later(done, arg, is_free ? RECORD_OK : RECORD_NONE);
}

static void pong(struct broker *of, struct span sid, uint64_t life_ms, record_done_fn *done, void *arg)
{
    if (record.exists) {
        record.ponged++;
        record.pong_us = loop_now_us(loop);
        record.life_ms = life_ms;
    }
    answer_later(done, arg, record.exists ? RECORD_OK : RECORD_NONE);
}

static const struct record_ops ops = {ask, pass, end, disown, probe, pong, NULL};

static int left_behind;  /* answers behind which this instance still had the session */
static size_t walked_in; /* sessions of the test's other clients */

/* With the last answer this instance may stop for good. */
static void look_behind(void)
{
    if (!requests_are_under_way() && record.exists && !record.moved &&
        (record.holder != 0 || sessions.count > walked_in))
        left_behind++;
}

void await(struct request *request)
{
    for (int i = 0; i < 500 && !request->answered; i++)
        turn(2);
    assert_true(request->answered);
    assert_int_equal(left_behind, 0);
}

/* Another client, on a WebSocket. */
struct browser *walk_in(void)
{
    walked_in = 1;
    return enter(0, "40");
}

void post_now(const char *body)
{
    struct request *request = post(1, body);
    await(request);
    assert_int_equal(request->outcome, POLLING_OK);
}

struct span payload(struct request *request)
{
    await(request);
    assert_int_equal(request->outcome, POLLING_PAYLOAD);
    return buf_span(&request->payload);
}

size_t times(struct span text, const char *part)
{
    size_t found = 0, len = strlen(part);
    for (const char *at = text.data; (at = memmem(at, text.len - (size_t)(at - text.data), part, len)) != NULL;
         at += len)
        found++;
    return found;
}

void begin(void)
{
    struct request *request = prepare(0);
    polling_handshake(&sessions, &socket_protocol, &request->exchange);
    assert_true(span_starts_with(payload(request), SPAN_LIT("0{\"sid\":\"")));
    memcpy(request_sid, request->exchange.sid, sizeof request_sid);
    assert_int_equal(record.opened, 1);
}

void join(void)
{
    begin();
    post_now("40");
    struct span got = payload(get(2));
    assert_true(span_starts_with(got, SPAN_LIT("40{\"sid\":\"")));
}

int moves_set_up(void **state)
{
    set_up(state);
    memset(&record, 0, sizeof record);
    left_behind = 0;
    walked_in = 0;
    answer_count = 0;
    task_init(&answering, answer_all);
    task_init(&given, give_begin);
    memset(&giving, 0, sizeof giving);
    broker->records = &ops;
    requests_answered = look_behind;
    return 0;
}

int moves_tear_down(void **state)
{
    sessions.app->admit = NULL;
    sessions.app->may = NULL;
    for (int i = 0; i < REQUESTS; i++) {
        if (requests[i].exchange.polling != NULL)
            polling_aborted(&requests[i].exchange);
    }
    turn(5);
    task_cancel(&answering);
    task_cancel(&given);
    requests_answered = NULL;
    requests_finish();
    return tear_down(state);
}

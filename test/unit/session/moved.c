/* moved: see moved.h. */
#include "moved.h"

#include "session/socket.h"

enum { ANSWERS = 8 };

struct record_kept record;
uint64_t away_ms;

/* Calls that wait for their answers. */
static struct {
    record_done_fn *done;
    record_asked_fn *asked;
    void *arg;
    enum record_result result;
} answers[ANSWERS];
static size_t answer_count;
static struct task answering;

static void answer_all(struct task *task)
{
    for (size_t i = 0; i < answer_count; i++) {
        struct record_grant grant = {
            .record = span_of(record.text, record.len), .away_ms = away_ms, .probing = record.probing};
        if (answers[i].done != NULL)
            answers[i].done(answers[i].arg, answers[i].result);
        else if (answers[i].asked != NULL)
            answers[i].asked(answers[i].arg, answers[i].result, answers[i].result == RECORD_OK ? &grant : NULL);
    }
    answer_count = 0;
}

static void answer_later(record_done_fn *done, record_asked_fn *asked, void *arg, enum record_result result)
{
    assert_true(answer_count < ANSWERS);
    answers[answer_count].done = done;
    answers[answer_count].asked = asked;
    answers[answer_count].arg = arg;
    answers[answer_count++].result = result;
    loop_at_reap(loop, &answering);
}

static void keep(struct span text, uint64_t life_ms)
{
    assert_true(text.len <= RECORD_MAX);
    memcpy(record.text, text.data, text.len);
    record.len = text.len;
    record.life_ms = life_ms;
}

static void open_record(struct broker *of, struct span sid, struct span text, uint64_t life_ms, record_done_fn *done,
                        void *arg)
{
    record.exists = true;
    record.opened++;
    keep(text, life_ms);
    answer_later(done, NULL, arg, RECORD_OK);
}

static void ask(struct broker *of, struct span sid, uint64_t ticket, enum record_want want, uint64_t hold_ms,
                record_asked_fn *done, void *arg)
{
    enum record_result result = !record.exists                                  ? RECORD_NONE
                                : record.moved                                  ? RECORD_MOVED
                                : record.holder != 0 && record.holder != ticket ? RECORD_WAITING
                                                                                : RECORD_OK;
    record.asked++;
    if (result == RECORD_OK) {
        record.holder = ticket;
        record.kind = want;
    }
    answer_later(NULL, done, arg, result);
}

static void pass(struct broker *of, struct span sid, uint64_t ticket, struct span text, uint64_t life_ms,
                 record_done_fn *done, void *arg)
{
    bool is_holder = record.exists && record.holder == ticket;
    if (is_holder && !record.deaf) {
        record.passed++;
        record.holder = 0;
        keep(text, life_ms);
    }
    answer_later(done, NULL, arg, record.deaf ? RECORD_LOST : is_holder ? RECORD_OK : RECORD_NONE);
}

static void end(struct broker *of, struct span sid, uint64_t ticket, uint64_t moved_ms)
{
    record.ended++;
    record.moved = moved_ms > 0;
    record.exists = record.moved;
    record.holder = 0;
}

static void probe(struct broker *of, struct span sid, uint64_t ticket, uint64_t until_ms, record_done_fn *done,
                  void *arg)
{
    record.probing = record.exists && until_ms > 0;
    answer_later(done, NULL, arg, record.exists ? RECORD_OK : RECORD_NONE);
}

static const struct record_ops ops = {open_record, ask, pass, end, probe};

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
    away_ms = 0;
    task_init(&answering, answer_all);
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
    requests_answered = NULL;
    requests_finish();
    return tear_down(state);
}

/* test_records: a polling session is held by one instance at a time, and passed on in the order of those who ask. */
#include <stdio.h>

#include "instances.h"

#define SID "AAAABBBBCCCCDDDDEEEE"
enum { LIFE_MS = 60000, HOLD_MS = 60000, HEARD_MAX = 16 };

/* What an instance was told of sessions; and one call. */
struct heard {
    char kind;
    uint64_t ticket;
    int detail; /* what it is wanted for, or whether a WebSocket probes */
    char record[32];
};
struct ear {
    struct instance *instance;
    struct heard heard[HEARD_MAX];
    size_t count;
};
struct outcome {
    bool answered;
    enum record_result result;
    char record[32];
    uint64_t away_ms;
    bool probing;
};

static struct ear ears[3];

static struct heard *hear(struct ear *ear, char what, struct span sid, uint64_t ticket)
{
    assert_true(span_equal(sid, SPAN_LIT(SID)));
    assert_true(ear->count < HEARD_MAX);
    struct heard *heard = &ear->heard[ear->count++];
    *heard = (struct heard){.kind = what, .ticket = ticket};
    return heard;
}

static void wanted(void *arg, struct span sid, uint64_t ticket, enum record_want want)
{
    hear(arg, 'w', sid, ticket)->detail = want;
}

static void granted(void *arg, struct span sid, uint64_t ticket, const struct record_grant *grant)
{
    struct heard *heard = hear(arg, 'g', sid, ticket);
    snprintf(heard->record, sizeof heard->record, SPAN_FMT, SPAN_ARG(grant->record));
    heard->detail = grant->probing;
}

static void gone(void *arg, struct span sid, uint64_t ticket)
{
    hear(arg, 'x', sid, ticket);
}

static void probed(void *arg, struct span sid, uint64_t ticket, bool probing)
{
    hear(arg, 'p', sid, ticket)->detail = probing;
}

static const struct record_events events = {wanted, granted, gone, probed};

static struct ear *open_ear(int number, const char *name)
{
    struct ear *ear = &ears[number];
    *ear = (struct ear){.instance = instance_up(name)};
    record_attach(ear->instance->broker, &events, ear);
    return ear;
}

static void on_done(void *arg, enum record_result result)
{
    struct outcome *outcome = arg;
    outcome->answered = true;
    outcome->result = result;
}

static void on_asked(void *arg, enum record_result result, const struct record_grant *grant)
{
    struct outcome *outcome = arg;
    outcome->answered = true;
    outcome->result = result;
    if (grant == NULL)
        return;
    snprintf(outcome->record, sizeof outcome->record, SPAN_FMT, SPAN_ARG(grant->record));
    outcome->away_ms = grant->away_ms;
    outcome->probing = grant->probing;
}

static void begin(struct ear *by, const char *record)
{
    struct outcome outcome = {.answered = false};
    record_open(by->instance->broker, SPAN_LIT(SID), span_str(record), LIFE_MS, on_done, &outcome);
    AWAIT(outcome.answered);
    assert_int_equal(outcome.result, RECORD_OK);
}

static struct outcome ask(struct ear *by, uint64_t ticket, enum record_want want)
{
    struct outcome outcome = {.answered = false};
    record_ask(by->instance->broker, SPAN_LIT(SID), ticket, want, HOLD_MS, on_asked, &outcome);
    AWAIT(outcome.answered);
    return outcome;
}

static enum record_result pass(struct ear *by, uint64_t ticket, const char *record)
{
    struct outcome outcome = {.answered = false};
    record_pass(by->instance->broker, SPAN_LIT(SID), ticket, span_str(record), LIFE_MS, on_done, &outcome);
    AWAIT(outcome.answered);
    return outcome.result;
}

static enum record_result try_probe(struct ear *by, uint64_t ticket, uint64_t until_ms)
{
    struct outcome outcome = {.answered = false};
    record_probe(by->instance->broker, SPAN_LIT(SID), ticket, until_ms, on_done, &outcome);
    AWAIT(outcome.answered);
    return outcome.result;
}

static void assert_heard(const struct ear *ear, size_t at, char what, uint64_t ticket, int detail, const char *record)
{
    AWAIT(ear->count > at);
    assert_int_equal(ear->heard[at].kind, what);
    assert_int_equal(ear->heard[at].ticket, ticket);
    assert_int_equal(ear->heard[at].detail, detail);
    assert_string_equal(ear->heard[at].record, record);
}

static void what_was_passed_is_given(void **state)
{
    struct ear *a = open_ear(0, "A"), *b = open_ear(1, "B");
    assert_int_equal(ask(a, 1, RECORD_FOR_GET).result, RECORD_NONE);
    begin(a, "one");
    struct outcome outcome = ask(b, 7, RECORD_FOR_POST);
    assert_int_equal(outcome.result, RECORD_OK);
    assert_string_equal(outcome.record, "one");
    assert_string_equal(ask(b, 7, RECORD_FOR_POST).record, "one"); /* the answer may have been lost */
    assert_int_equal(pass(b, 7, "two"), RECORD_OK);
    assert_int_equal(pass(b, 7, "two"), RECORD_OK);
    assert_int_equal(pass(b, 8, "three"), RECORD_NONE); /* it holds nothing */
    instances_run(30);
    outcome = ask(a, 9, RECORD_FOR_GET);
    assert_string_equal(outcome.record, "two");
    assert_true(outcome.away_ms >= 29 && outcome.away_ms < 5000);
    assert_false(outcome.probing);
}

static void whoever_asks_waits_for_the_holder(void **state)
{
    struct ear *a = open_ear(0, "A"), *b = open_ear(1, "B"), *c = open_ear(2, "C");
    begin(a, "one");
    assert_int_equal(ask(a, 1, RECORD_FOR_GET).result, RECORD_OK);
    assert_int_equal(ask(b, 2, RECORD_FOR_POST).result, RECORD_WAITING);
    assert_heard(a, 0, 'w', 1, 'p', "");
    assert_int_equal(ask(c, 3, RECORD_FOR_WEBSOCKET).result, RECORD_WAITING);
    assert_int_equal(ask(b, 2, RECORD_FOR_POST).result, RECORD_WAITING); /* once more: still waits once */
    assert_int_equal(pass(a, 1, "two"), RECORD_OK);
    assert_heard(b, 0, 'g', 2, 0, "two");
    assert_heard(b, 1, 'w', 2, 'w', "");             /* and is not the last */
    assert_int_equal(pass(a, 1, "late"), RECORD_OK); /* a repetition changes nothing */
    assert_int_equal(pass(b, 2, "three"), RECORD_OK);
    assert_heard(c, 0, 'g', 3, 0, "three");
    assert_int_equal(c->count, 1);
    assert_int_equal(pass(c, 3, "four"), RECORD_OK);
    assert_string_equal(ask(a, 4, RECORD_FOR_GET).record, "four");
}

static void a_second_request_of_a_kind_ends_the_session(void **state)
{
    struct ear *a = open_ear(0, "A"), *b = open_ear(1, "B"), *c = open_ear(2, "C");
    begin(a, "one");
    assert_int_equal(ask(a, 1, RECORD_FOR_GET).result, RECORD_OK);
    assert_int_equal(ask(b, 2, RECORD_FOR_POST).result, RECORD_WAITING);
    assert_int_equal(ask(c, 3, RECORD_FOR_GET).result, RECORD_OVERLAP);
    assert_heard(a, 1, 'x', 1, 0, "");
    assert_heard(b, 0, 'x', 2, 0, "");
    assert_int_equal(pass(a, 1, "two"), RECORD_NONE);
    assert_int_equal(ask(c, 4, RECORD_FOR_GET).result, RECORD_NONE);
    begin(a, "one");
    assert_int_equal(ask(a, 5, RECORD_FOR_GET).result, RECORD_OK);
    assert_int_equal(ask(b, 6, RECORD_FOR_POST).result, RECORD_WAITING);
    assert_int_equal(ask(c, 7, RECORD_FOR_POST).result, RECORD_OVERLAP); /* with one that waits, too */
}

static void a_session_that_ends_is_gone_for_all(void **state)
{
    struct ear *a = open_ear(0, "A"), *b = open_ear(1, "B");
    begin(a, "one");
    assert_int_equal(ask(a, 1, RECORD_FOR_GET).result, RECORD_OK);
    assert_int_equal(ask(b, 2, RECORD_FOR_POST).result, RECORD_WAITING);
    record_end(a->instance->broker, SPAN_LIT(SID), 1, 0);
    assert_heard(b, 0, 'x', 2, 0, "");
    assert_int_equal(ask(b, 3, RECORD_FOR_POST).result, RECORD_NONE);
    assert_int_equal(a->count, 1); /* that it was wanted: it has ended the session itself */
}

static void a_websocket_is_announced_to_the_holder(void **state)
{
    struct ear *a = open_ear(0, "A"), *b = open_ear(1, "B"), *c = open_ear(2, "C");
    assert_int_equal(try_probe(b, 2, 10000), RECORD_NONE);
    begin(a, "one");
    assert_int_equal(ask(a, 1, RECORD_FOR_GET).result, RECORD_OK);
    assert_int_equal(try_probe(b, 2, 10000), RECORD_OK);
    assert_heard(a, 0, 'p', 1, 1, "");
    assert_int_equal(try_probe(c, 3, 10000), RECORD_NONE); /* one at a time */
    assert_int_equal(pass(a, 1, "two"), RECORD_OK);
    assert_true(ask(c, 4, RECORD_FOR_GET).probing);
    assert_int_equal(try_probe(b, 2, 0), RECORD_OK);
    assert_heard(c, 0, 'p', 4, 0, "");
    assert_int_equal(try_probe(c, 5, 30), RECORD_OK); /* another one may try now */
    instances_run(60);
    assert_int_equal(pass(c, 4, "three"), RECORD_OK);
    assert_false(ask(a, 6, RECORD_FOR_GET).probing); /* the time is over */
    assert_int_equal(pass(a, 6, "four"), RECORD_OK);
    assert_int_equal(ask(b, 7, RECORD_FOR_WEBSOCKET).result, RECORD_OK);
    record_end(b->instance->broker, SPAN_LIT(SID), 7, 60000);
    assert_int_equal(ask(a, 8, RECORD_FOR_GET).result, RECORD_MOVED);
    assert_int_equal(try_probe(c, 9, 10000), RECORD_NONE);
}

/* Whatever the dead instance did with the session since it got it is lost, so the session ends. */
static void a_dead_holder_takes_its_session_with_it(void **state)
{
    struct ear *a = open_ear(0, "A"), *b = open_ear(1, "B");
    begin(a, "one");
    assert_int_equal(ask(a, 1, RECORD_FOR_GET).result, RECORD_OK);
    instance_destroy(a->instance);
    instances_run(200);
    struct outcome outcome = {.result = RECORD_WAITING};
    uint64_t until = now_ms() + 10000;
    while (outcome.result == RECORD_WAITING && now_ms() < until) {
        instances_run(200);
        outcome = ask(b, 2, RECORD_FOR_POST);
    }
    assert_int_equal(outcome.result, RECORD_NONE);
}

static void one_that_nobody_asks_for_is_forgotten(void **state)
{
    struct ear *a = open_ear(0, "A");
    struct outcome outcome = {.answered = false};
    record_open(a->instance->broker, SPAN_LIT(SID), SPAN_LIT("one"), 40, on_done, &outcome);
    AWAIT(outcome.answered);
    instances_run(80);
    assert_int_equal(ask(a, 1, RECORD_FOR_GET).result, RECORD_NONE);
}

static void foreign_data_is_no_session(void **state)
{
    struct ear *a = open_ear(0, "A");
    redis_ask(&redis, "SET", instances_key("session:" SID), "x", NULL);
    assert_int_equal(ask(a, 1, RECORD_FOR_GET).result, RECORD_NONE);
    assert_true(instances_logged("session:" SID));
    redis_ask(&redis, "DEL", instances_key("session:" SID), NULL);
    redis_ask(&redis, "HSET", instances_key("session:" SID), "waiters", "nonsense\n\n5@ \n", "record", "r", "holder",
              "?", NULL);
    struct outcome outcome = ask(a, 2, RECORD_FOR_GET); /* its holder lives nowhere */
    assert_int_equal(outcome.result, RECORD_NONE);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(what_was_passed_is_given),
        BROKER_TEST(whoever_asks_waits_for_the_holder),
        BROKER_TEST(a_second_request_of_a_kind_ends_the_session),
        BROKER_TEST(a_session_that_ends_is_gone_for_all),
        BROKER_TEST(a_websocket_is_announced_to_the_holder),
        BROKER_TEST(a_dead_holder_takes_its_session_with_it),
        BROKER_TEST(one_that_nobody_asks_for_is_forgotten),
        BROKER_TEST(foreign_data_is_no_session),
    };
    return instances_main(argc, argv, "broker/records", tests, sizeof tests / sizeof tests[0], NULL);
}

/* test_records_lost: a holder whose instance is cut off for longer than a life. Only that instance knows what became of
 * the session since, so a request elsewhere waits for it, and not without end. And a call that comes late, over a link
 * that was cut. */
#include <stdio.h>

#include "byte_proxy.h"
#include "instances.h"

#define SID "AAAABBBBCCCCDDDDEEEE"
enum { LIFE_MS = 60000, HOLD_MS = 60000, CUT_MS = 3300 /* a life lasts 2500 */ };

/* What an instance was told last. */
struct ear {
    struct instance *instance;
    size_t wanted, granted, gone;
    char record[16];
};

static struct ear ears[2];
static struct {
    bool answered;
    enum record_result result;
} outcome;

static void wanted(void *arg, struct span sid, uint64_t ticket, enum record_want want)
{
    ((struct ear *)arg)->wanted++;
}

static void granted(void *arg, struct span sid, uint64_t ticket, const struct record_grant *grant)
{
    struct ear *ear = arg;
    ear->granted++;
    snprintf(ear->record, sizeof ear->record, SPAN_FMT, SPAN_ARG(grant->record));
}

static void gone(void *arg, struct span sid, uint64_t ticket)
{
    ((struct ear *)arg)->gone++;
}

static const struct record_events events = {.wanted = wanted, .granted = granted, .gone = gone};

static struct ear *listen_to(int number, struct instance *instance)
{
    ears[number] = (struct ear){.instance = instance};
    record_attach(instance->broker, &events, &ears[number]);
    return &ears[number];
}

static void on_done(void *arg, enum record_result result)
{
    outcome.answered = true;
    outcome.result = result;
}

static enum record_result ask(struct ear *by, uint64_t ticket, enum record_want want)
{
    outcome.answered = false;
    record_ask(by->instance->broker, SPAN_LIT(SID), ticket, want, HOLD_MS, on_done, NULL);
    AWAIT(outcome.answered);
    return outcome.result;
}

static enum record_result pass(struct ear *by, uint64_t ticket, const char *record)
{
    struct record_passing passing = {.record = span_str(record), .life_ms = LIFE_MS, .hold_ms = HOLD_MS};
    outcome.answered = false;
    if (ticket == 0)
        record_open(by->instance->broker, SPAN_LIT(SID), &passing, on_done, NULL);
    else
        record_pass(by->instance->broker, SPAN_LIT(SID), ticket, &passing, on_done, NULL);
    AWAIT(outcome.answered);
    return outcome.result;
}

/* A holds the session for a GET, and is cut off for so long that it has no life any more. */
static void cut_off(struct ear **a, struct ear **b, struct byte_proxy **proxy)
{
    *a = listen_to(0, instance_up_behind("A", proxy));
    *b = listen_to(1, instance_up("B"));
    assert_int_equal(pass(*b, 0, "one"), RECORD_OK);
    assert_int_equal(ask(*a, 1, RECORD_FOR_GET), RECORD_WAITING);
    AWAIT((*a)->granted == 1);
    (*proxy)->refusing = true;
    byte_proxy_cut(*proxy);
    instances_run(CUT_MS);
}

/* Nobody would notice if its instance ended while it holds the session. */
static void a_life_that_has_ended_is_given_nothing(void **state)
{
    struct ear *a = listen_to(0, instance_up("A"));
    assert_int_equal(pass(a, 0, "one"), RECORD_OK);
    redis_ask(&redis, "DEL", instances_key("lives"), NULL);
    assert_int_equal(ask(a, 1, RECORD_FOR_GET), RECORD_LOST);
    AWAIT_WITHIN(10000, broker_is_up(a->instance->broker));
    assert_int_equal(ask(a, 1, RECORD_FOR_GET), RECORD_WAITING); /* in its next life */
    AWAIT(a->granted == 1);
}

static void a_holder_that_comes_back_passes_it_on(void **state)
{
    struct byte_proxy *proxy;
    struct ear *a, *b;
    cut_off(&a, &b, &proxy);
    assert_int_equal(ask(b, 2, RECORD_FOR_POST), RECORD_WAITING);
    instances_run(500);
    assert_int_equal(ask(b, 2, RECORD_FOR_POST), RECORD_WAITING); /* as a request does that waits */
    proxy->refusing = false;
    AWAIT_WITHIN(10000, a->instance->up);
    assert_int_equal(ask(b, 2, RECORD_FOR_POST), RECORD_WAITING);
    AWAIT(a->wanted > 0);
    assert_int_equal(pass(a, 1, "two"), RECORD_OK);
    AWAIT(b->granted == 1);
    assert_string_equal(b->record, "two");
    instances_run(RECORD_LOST_MS / 2); /* it lives on as it did before */
    assert_int_equal(pass(b, 2, "three"), RECORD_OK);
    instances_run(RECORD_LOST_MS / 2 + 500);
    assert_int_equal(ask(a, 3, RECORD_FOR_GET), RECORD_WAITING);
}

static void one_that_stays_away_is_not_awaited_for_ever(void **state)
{
    struct byte_proxy *proxy;
    struct ear *a, *b;
    cut_off(&a, &b, &proxy);
    uint64_t since = now_ms();
    while (ask(b, 2, RECORD_FOR_POST) == RECORD_WAITING) {
        assert_true(now_ms() - since < RECORD_LOST_MS + 3000);
        instances_run(200);
    }
    assert_int_equal(outcome.result, RECORD_NONE);
    assert_true(now_ms() - since > RECORD_LOST_MS - 1000);
}

/* A client has one GET: when the next comes, the one that the holder had is over. */
static void a_second_get_waits_for_nobody(void **state)
{
    struct byte_proxy *proxy;
    struct ear *a, *b;
    cut_off(&a, &b, &proxy);
    assert_int_equal(ask(b, 2, RECORD_FOR_GET), RECORD_NONE);
}

/* A asks for the session. Its link is cut, and Redis gets that call when `come_late` says so. By its next link, A asks
 * for the session again, and is given it. */
static void ask_twice(struct ear **a, struct ear **b, struct byte_proxy **proxy)
{
    *a = listen_to(0, instance_up_behind("A", proxy));
    *b = listen_to(1, instance_up("B"));
    subscribe_now((*b)->instance, "r");
    assert_int_equal(pass(*b, 0, "one"), RECORD_OK);
    (*proxy)->delaying = true;
    outcome.answered = false;
    record_ask((*a)->instance->broker, SPAN_LIT(SID), 1, RECORD_FOR_GET, HOLD_MS, on_done, NULL);
    enter((*a)->instance, "r", "behind it");
    instances_run(20);
    byte_proxy_cut(*proxy);
    AWAIT(outcome.answered);
    assert_int_equal(outcome.result, RECORD_LOST);
    (*proxy)->delaying = false;
    AWAIT((*a)->instance->up);
    assert_int_equal(ask(*a, 1, RECORD_FOR_GET), RECORD_WAITING);
    AWAIT((*a)->granted == 1);
}

static void come_late(const struct ear *b, struct byte_proxy *proxy)
{
    assert_int_equal(told_who(b->instance, TOLD_ENTERED, "r", "behind it"), 0);
    byte_proxy_deliver(proxy);
    AWAIT(told_who(b->instance, TOLD_ENTERED, "r", "behind it") == 1);
    instances_run(20);
}

static void a_late_ask_gives_nothing_to_an_ended_life(void **state)
{
    struct byte_proxy *proxy;
    struct ear *a, *b;
    ask_twice(&a, &b, &proxy);
    come_late(b, proxy);
    assert_int_equal(a->granted, 1);
    assert_int_equal(ask(b, 2, RECORD_FOR_POST), RECORD_WAITING);
    assert_int_equal(pass(a, 1, "two"), RECORD_OK);
    AWAIT(b->granted == 1);
    assert_string_equal(b->record, "two");
}

static void a_late_ask_of_one_that_has_passed_it_on_takes_nothing(void **state)
{
    struct byte_proxy *proxy;
    struct ear *a, *b;
    ask_twice(&a, &b, &proxy);
    assert_int_equal(pass(a, 1, "two"), RECORD_OK);
    come_late(b, proxy);
    assert_int_equal(a->granted, 1);
    assert_int_equal(ask(b, 2, RECORD_FOR_GET), RECORD_WAITING);
    AWAIT(b->granted == 1);
    assert_string_equal(b->record, "two");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(a_life_that_has_ended_is_given_nothing),
        BROKER_TEST(a_holder_that_comes_back_passes_it_on),
        BROKER_TEST(one_that_stays_away_is_not_awaited_for_ever),
        BROKER_TEST(a_second_get_waits_for_nobody),
        BROKER_TEST(a_late_ask_gives_nothing_to_an_ended_life),
        BROKER_TEST(a_late_ask_of_one_that_has_passed_it_on_takes_nothing),
    };
    return instances_main(argc, argv, "broker/records_lost", tests, sizeof tests / sizeof tests[0], NULL);
}

/* test_records_present: news of who is present, kept for polling sessions between two requests: in their order among
 * the unlogged events, each once, and numbered as those are. */
#include <stdio.h>

#include "instances.h"

#define SID "AAAABBBBCCCCDDDDEEEE"
enum { LIFE_MS = 60000, HOLD_MS = 60000 };

static struct {
    bool answered;
    enum record_result result;
} outcome;
static struct {
    int grants;
    uint64_t number, lost;
    char kept[512]; /* `<change or e><count>:<sid or body>:<data> ` of each */
} given;

static void on_done(void *arg, enum record_result result)
{
    outcome.answered = true;
    outcome.result = result;
}

static void granted(void *arg, struct span sid, uint64_t ticket, const struct record_grant *grant)
{
    given.grants++;
    given.number = grant->kept_number;
    given.lost = grant->kept_lost;
    given.kept[0] = '\0';
    for (size_t i = 0; i < grant->kept_count; i++) {
        const struct record_kept *kept = &grant->kept[i];
        size_t at = strlen(given.kept);
        assert_true(span_equal(kept->room, SPAN_LIT("r")));
        snprintf(given.kept + at, sizeof given.kept - at, "%c%d:" SPAN_FMT ":" SPAN_FMT " ",
                 kept->change != 0 ? kept->change : 'e', (int)kept->count,
                 SPAN_ARG(kept->change != 0 ? kept->sid : kept->body), SPAN_ARG(kept->data));
    }
}

static const struct record_events events = {.granted = granted};

static void ask(struct instance *by, uint64_t ticket)
{
    int before = given.grants;
    outcome.answered = false;
    record_ask(by->broker, SPAN_LIT(SID), ticket, RECORD_FOR_GET, HOLD_MS, on_done, NULL);
    AWAIT(outcome.answered && given.grants > before);
}

static void pass(struct instance *by, uint64_t ticket, uint64_t generation)
{
    struct record_lease of = {.pid = SPAN_LIT("pid"), .generation = generation};
    struct record_passing passing = {.record = SPAN_LIT("0 "),
                                     .leases = &of,
                                     .lease_count = 1,
                                     .kept = given.number,
                                     .life_ms = LIFE_MS,
                                     .hold_ms = HOLD_MS};
    outcome.answered = false;
    if (ticket == 0)
        record_open(by->broker, SPAN_LIT(SID), &passing, on_done, NULL);
    else
        record_pass(by->broker, SPAN_LIT(SID), ticket, &passing, on_done, NULL);
    AWAIT(outcome.answered);
    assert_int_equal(outcome.result, RECORD_OK);
}

/* A session with a lease that wants the room kept, between two requests. */
static void park(struct instance *by)
{
    struct broker_lease lease = {.pid = SPAN_LIT("pid"),
                                 .sid = SPAN_LIT("sid"),
                                 .rooms = SPAN_LIT("rooms"),
                                 .generation = 5,
                                 .window_ms = 60000,
                                 .keep = SPAN_LIT("1 r"),
                                 .keep_ms = HOLD_MS};
    memset(&given, 0, sizeof given);
    record_attach(by->broker, &events, NULL);
    struct call *call = lease_write(by, &lease);
    AWAIT_ANSWER(call);
    pass(by, 0, 5);
}

static void publish_unlogged(struct instance *by, const char *body)
{
    struct broker_publish publish = {.room = SPAN_LIT("r"), .body = span_str(body)};
    struct call *call = publish_with(by, &publish, NOT_LOGGED);
    AWAIT_ANSWER(call);
}

static void comings_and_goings_are_kept_in_their_order(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    subscribe_now(b, "r");
    park(a);
    enter_with_data(b, "r", "ann", "{\"n\":1}");
    AWAIT(told_count(b, TOLD_ENTERED, "r") == 1);
    publish_unlogged(b, "x");
    enter_with_data(b, "r", "bob", "2");
    AWAIT(told_count(b, TOLD_ENTERED, "r") == 2);
    leave(b, "r", "ann", false);
    AWAIT(told_count(b, TOLD_LEFT, "r") == 1);
    ask(a, 1);
    assert_string_equal(given.kept, "+1:ann:{\"n\":1} e0:x: +2:bob:2 -1:ann:{\"n\":1} ");
    assert_int_equal(given.number, 4);
    assert_int_equal(b->kept, 4); /* whoever is subscribed knows that it has had them */
    pass(a, 1, 6);
    ask(a, 2); /* they have been sent */
    assert_string_equal(given.kept, "");
}

/* One that was cut off and does not come back is gone: a heartbeat finds that. */
static void one_that_stays_away_is_kept_as_gone(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    subscribe_now(b, "r");
    enter(b, "r", "ann");
    AWAIT(told_count(b, TOLD_ENTERED, "r") == 1);
    park(a);
    leave(b, "r", "ann", true);
    AWAIT_WITHIN(10000, told_count(b, TOLD_LEFT, "r") == 1);
    ask(a, 1);
    assert_true(strncmp(given.kept, "-0:ann:", 7) == 0);
    assert_int_equal(given.number, b->kept);
}

/* What nobody waits for is not kept. */
static void rooms_without_polling_sessions_keep_nothing(void **state)
{
    struct instance *a = instance_up("A");
    subscribe_now(a, "r");
    enter(a, "r", "ann");
    AWAIT(told_count(a, TOLD_ENTERED, "r") == 1);
    park(a);
    ask(a, 1);
    assert_string_equal(given.kept, "");
    assert_int_equal(given.number, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(comings_and_goings_are_kept_in_their_order),
        BROKER_TEST(one_that_stays_away_is_kept_as_gone),
        BROKER_TEST(rooms_without_polling_sessions_keep_nothing),
    };
    return instances_main(argc, argv, "broker/records_present", tests, sizeof tests / sizeof tests[0], NULL);
}

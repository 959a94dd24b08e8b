/* test_parked: the leases of polling sessions that nobody has lapse when their time is over, although the instance that
 * had the session last lives. */
#include "instances.h"

#define SID "AAAABBBBCCCCDDDDEEEE"
enum { LIFE_MS = 60000, WINDOW_MS = 200 };

/* The last grant: the generation of its lease; 0: none. And the answer of the last call. */
static uint64_t granted_generation;
static bool is_answered;
static enum record_result answer;

static void wanted(void *arg, struct span sid, uint64_t ticket, enum record_want want)
{
}

static void granted(void *arg, struct span sid, uint64_t ticket, const struct record_grant *grant)
{
    const struct broker_lease *lease = grant->claim_count > 0 ? grant->claims[0].lease : NULL;
    granted_generation = lease != NULL ? lease->generation : 0;
    if (lease != NULL)
        subscribe(arg, "@own"); /* as the hub does when a member joins it */
}

static void gone(void *arg, struct span sid, uint64_t ticket)
{
}

static void probed(void *arg, struct span sid, uint64_t ticket, bool probing)
{
}

static void ponged(void *arg, struct span sid, uint64_t ticket)
{
}

static const struct record_events events = {wanted, granted, gone, probed, ponged};

static struct instance *instance_with_records(const char *name)
{
    struct instance *instance = instance_up(name);
    record_attach(instance->broker, &events, instance);
    return instance;
}

static void on_done(void *arg, enum record_result result)
{
    is_answered = true;
    answer = result;
}

static void await_answer(enum record_result expected)
{
    AWAIT(is_answered);
    assert_int_equal(answer, expected);
    is_answered = false;
}

/* A watched lease; only the first is the session's. */
static void lease_put(struct instance *by, const char *pid, const char *own, uint64_t generation)
{
    const struct broker_lease lease = {.pid = span_str(pid),
                                       .sid = SPAN_LIT("sid"),
                                       .own = span_str(own),
                                       .rooms = SPAN_LIT("rooms"),
                                       .watch = SPAN_LIT("/chat"),
                                       .generation = generation,
                                       .window_ms = WINDOW_MS};
    struct call *call = lease_write(by, &lease);
    AWAIT_ANSWER(call);
}

/* Passes the session on, with the lease in this generation, to nobody. */
static void pass_on_as(struct instance *by, uint64_t ticket, uint64_t generation, enum record_result expected)
{
    const struct record_lease lease = {.pid = SPAN_LIT("pid"), .generation = generation};
    const struct record_passing passing = {
        .record = SPAN_LIT("record"), .leases = &lease, .lease_count = 1, .life_ms = LIFE_MS, .hold_ms = LIFE_MS};
    record_pass(by->broker, SPAN_LIT(SID), ticket, &passing, on_done, NULL);
    await_answer(expected);
}

static void pass_on(struct instance *by, uint64_t ticket, uint64_t generation)
{
    pass_on_as(by, ticket, generation, RECORD_OK);
}

static void take(struct instance *by, uint64_t ticket, uint64_t generation)
{
    record_ask(by->broker, SPAN_LIT(SID), ticket, RECORD_FOR_GET, LIFE_MS, on_done, NULL);
    await_answer(RECORD_WAITING);
    if (generation != 0)
        AWAIT(granted_generation == generation);
    else
        instances_run(50);
}

/* A session that B has; beside it a socket that A has. */
static void session_begin(struct instance *a, struct instance *b)
{
    const struct record_passing passing = {.record = SPAN_LIT("record"), .life_ms = LIFE_MS};
    granted_generation = 0;
    is_answered = false;
    lease_put(a, "pid", "@own", 5);
    lease_put(a, "held", "", 5);
    record_open(a->broker, SPAN_LIT(SID), &passing, on_done, NULL);
    await_answer(RECORD_OK);
    take(a, 1, 0);
    pass_on(a, 1, 5);
    take(b, 2, 6);
}

/* The session's lease does, and no other. */
static void assert_lapses(struct instance *by)
{
    instances_run(2 * WINDOW_MS + 100);
    struct call *call = lease_lapsed(by, "/chat");
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    assert_span(call->lease.pid, "pid");
    assert_int_equal(call->lease.generation, 7);
    call = lease_lapsed(by, "/chat");
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_NONE);
}

static void one_that_nobody_asks_for(void **state)
{
    struct instance *a = instance_with_records("A"), *b = instance_with_records("B");
    session_begin(a, b);
    pass_on(b, 2, 6);
    assert_lapses(a);
}

/* B has been given it, and its client had gone before: B has no socket. */
static void one_that_has_ended(void **state)
{
    struct instance *a = instance_with_records("A"), *b = instance_with_records("B");
    session_begin(a, b);
    record_end(a->broker, SPAN_LIT(SID), 7);
    assert_lapses(a);
}

/* B does not know yet that it has ended, and writes the lease once more, as for a socket that has just connected. */
static void one_that_has_ended_before_it_is_passed_on(void **state)
{
    struct instance *a = instance_with_records("A"), *b = instance_with_records("B");
    session_begin(a, b);
    record_end(a->broker, SPAN_LIT(SID), 7);
    instances_run(200); /* the two have links of their own, and nothing says when this is done */
    lease_put(b, "pid", "@own", 6);
    pass_on_as(b, 2, 6, RECORD_NONE);
    assert_lapses(a);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(one_that_nobody_asks_for),
        BROKER_TEST(one_that_has_ended),
        BROKER_TEST(one_that_has_ended_before_it_is_passed_on),
    };
    return instances_main(argc, argv, "broker/parked", tests, sizeof tests / sizeof tests[0], NULL);
}

/* test_records: a polling session is held by one instance at a time, and passed on in the order of those who ask. */
#include <stdio.h>

#include "byte_proxy.h"
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
struct outcome {
    bool answered;
    enum record_result result;
    char record[32];
    uint64_t away_ms, pong_ms;
    bool probing, ponged;
    /* Of its leases. */
    size_t claims;
    bool claimed, superseded;
    uint64_t generation;
    char rooms[32];
    size_t kept_count, kept_bytes;
    uint64_t kept_lost, kept_after;
    char kept[64]; /* the bodies of the first few */
};
struct ear {
    struct instance *instance;
    struct heard heard[HEARD_MAX];
    size_t count;
    uint64_t taking; /* the ticket of `take` */
    struct outcome taken;
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
    struct ear *ear = arg;
    struct outcome *taken = &ear->taken;
    if (ticket != ear->taking) {
        struct heard *heard = hear(arg, 'g', sid, ticket);
        snprintf(heard->record, sizeof heard->record, SPAN_FMT, SPAN_ARG(grant->record));
        heard->detail = grant->probing;
        return;
    }
    *taken = (struct outcome){.answered = true,
                              .away_ms = grant->away_ms,
                              .probing = grant->probing,
                              .ponged = grant->ponged,
                              .pong_ms = grant->pong_ms,
                              .claims = grant->claim_count};
    snprintf(taken->record, sizeof taken->record, SPAN_FMT, SPAN_ARG(grant->record));
    taken->kept_count = grant->kept_count;
    taken->kept_lost = grant->kept_lost;
    for (size_t i = 0; i < grant->kept_count; i++) {
        const struct record_kept *kept = &grant->kept[i];
        size_t at = strlen(taken->kept);
        assert_true(kept->after >= taken->kept_after);
        taken->kept_after = kept->after;
        taken->kept_bytes += kept->body.len;
        if (kept->body.len < 16 && at + 20 < sizeof taken->kept)
            snprintf(taken->kept + at, sizeof taken->kept - at, SPAN_FMT " ", SPAN_ARG(kept->body));
    }
    if (grant->claim_count == 0)
        return;
    const struct record_claim *claim = &grant->claims[0];
    taken->claimed = claim->lease != NULL;
    taken->superseded = claim->superseded;
    if (taken->claimed) {
        taken->generation = claim->lease->generation;
        snprintf(taken->rooms, sizeof taken->rooms, SPAN_FMT, SPAN_ARG(claim->lease->rooms));
        assert_true(span_equal(claim->pid, claim->lease->pid));
    }
    if (taken->claimed && claim->lease->own.len > 0) /* as the hub does when a member joins it */
        subscribe(ear->instance, "@own");
}

static void gone(void *arg, struct span sid, uint64_t ticket)
{
    hear(arg, 'x', sid, ticket);
}

static void probed(void *arg, struct span sid, uint64_t ticket, bool probing)
{
    hear(arg, 'p', sid, ticket)->detail = probing;
}

static void ponged(void *arg, struct span sid, uint64_t ticket)
{
    hear(arg, 'o', sid, ticket);
}

static const struct record_events events = {wanted, granted, gone, probed, ponged};

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

static enum record_result open_record(struct ear *by, const char *record, uint64_t life_ms)
{
    struct outcome outcome = {.answered = false};
    struct record_passing passing = {.record = span_str(record), .life_ms = life_ms};
    record_open(by->instance->broker, SPAN_LIT(SID), &passing, on_done, &outcome);
    AWAIT(outcome.answered);
    return outcome.result;
}

static void begin(struct ear *by, const char *record)
{
    assert_int_equal(open_record(by, record, LIFE_MS), RECORD_OK);
}

static enum record_result ask(struct ear *by, uint64_t ticket, enum record_want want)
{
    struct outcome outcome = {.answered = false};
    record_ask(by->instance->broker, SPAN_LIT(SID), ticket, want, HOLD_MS, on_done, &outcome);
    AWAIT(outcome.answered);
    return outcome.result;
}

/* Asks for a session that nobody holds. */
static struct outcome take(struct ear *by, uint64_t ticket, enum record_want want)
{
    by->taking = ticket;
    by->taken.answered = false;
    assert_int_equal(ask(by, ticket, want), RECORD_WAITING);
    AWAIT(by->taken.answered);
    return by->taken;
}

static enum record_result pass_with(struct ear *by, uint64_t ticket, const struct record_passing *passing)
{
    struct outcome outcome = {.answered = false};
    record_pass(by->instance->broker, SPAN_LIT(SID), ticket, passing, on_done, &outcome);
    AWAIT(outcome.answered);
    return outcome.result;
}

static enum record_result pass(struct ear *by, uint64_t ticket, const char *record)
{
    struct record_passing passing = {.record = span_str(record), .life_ms = LIFE_MS, .hold_ms = HOLD_MS};
    return pass_with(by, ticket, &passing);
}

static enum record_result pong(struct ear *by, uint64_t life_ms)
{
    struct outcome outcome = {.answered = false};
    record_pong(by->instance->broker, SPAN_LIT(SID), life_ms, on_done, &outcome);
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
    assert_int_equal(ask(a, 1, RECORD_FOR_GET), RECORD_NONE);
    begin(a, "one");
    struct outcome outcome = take(b, 7, RECORD_FOR_POST);
    assert_string_equal(outcome.record, "one");
    assert_string_equal(take(b, 7, RECORD_FOR_POST).record, "one"); /* the answer may have been lost */
    assert_int_equal(pass(b, 7, "two"), RECORD_OK);
    assert_int_equal(pass(b, 7, "two"), RECORD_OK);
    assert_int_equal(pass(b, 8, "three"), RECORD_NONE); /* it holds nothing */
    instances_run(30);
    outcome = take(a, 9, RECORD_FOR_GET);
    assert_string_equal(outcome.record, "two");
    assert_true(outcome.away_ms >= 29 && outcome.away_ms < 5000);
    assert_false(outcome.probing);
}

static void whoever_asks_waits_for_the_holder(void **state)
{
    struct ear *a = open_ear(0, "A"), *b = open_ear(1, "B"), *c = open_ear(2, "C");
    begin(a, "one");
    take(a, 1, RECORD_FOR_GET);
    assert_int_equal(ask(b, 2, RECORD_FOR_POST), RECORD_WAITING);
    assert_heard(a, 0, 'w', 1, 'p', "");
    assert_int_equal(ask(c, 3, RECORD_FOR_WEBSOCKET), RECORD_WAITING);
    assert_int_equal(ask(b, 2, RECORD_FOR_POST), RECORD_WAITING); /* once more: still waits once */
    assert_int_equal(pass(a, 1, "two"), RECORD_OK);
    assert_heard(b, 0, 'g', 2, 0, "two");
    assert_heard(b, 1, 'w', 2, 'w', "");             /* and is not the last */
    assert_int_equal(pass(a, 1, "late"), RECORD_OK); /* a repetition changes nothing */
    assert_int_equal(pass(b, 2, "three"), RECORD_OK);
    assert_heard(c, 0, 'g', 3, 0, "three");
    assert_int_equal(c->count, 1);
    assert_int_equal(ask(a, 4, RECORD_FOR_GET), RECORD_MOVED); /* it has left polling for good */
    assert_int_equal(ask(c, 3, RECORD_FOR_WEBSOCKET), RECORD_WAITING);
    assert_heard(c, 1, 'g', 3, 0, "three"); /* the answer may have been lost */
}

static void a_second_request_of_a_kind_ends_the_session(void **state)
{
    struct ear *a = open_ear(0, "A"), *b = open_ear(1, "B"), *c = open_ear(2, "C");
    begin(a, "one");
    take(a, 1, RECORD_FOR_GET);
    assert_int_equal(ask(b, 2, RECORD_FOR_POST), RECORD_WAITING);
    assert_int_equal(ask(c, 3, RECORD_FOR_GET), RECORD_OVERLAP);
    assert_heard(a, 1, 'x', 1, 0, "");
    assert_heard(b, 0, 'x', 2, 0, "");
    assert_int_equal(pass(a, 1, "two"), RECORD_NONE);
    assert_int_equal(ask(c, 4, RECORD_FOR_GET), RECORD_NONE);
    begin(a, "one");
    take(a, 5, RECORD_FOR_GET);
    assert_int_equal(ask(b, 6, RECORD_FOR_POST), RECORD_WAITING);
    assert_int_equal(ask(c, 7, RECORD_FOR_POST), RECORD_OVERLAP); /* with one that waits, too */
}

static void a_session_that_ends_is_gone_for_all(void **state)
{
    struct ear *a = open_ear(0, "A"), *b = open_ear(1, "B");
    begin(a, "one");
    take(a, 1, RECORD_FOR_GET);
    assert_int_equal(ask(b, 2, RECORD_FOR_POST), RECORD_WAITING);
    record_end(a->instance->broker, SPAN_LIT(SID), 1);
    assert_heard(b, 0, 'x', 2, 0, "");
    assert_int_equal(ask(b, 3, RECORD_FOR_POST), RECORD_NONE);
    assert_int_equal(a->count, 1); /* that it was wanted: it has ended the session itself */
}

static void a_websocket_is_announced_to_the_holder(void **state)
{
    struct ear *a = open_ear(0, "A"), *b = open_ear(1, "B"), *c = open_ear(2, "C");
    assert_int_equal(try_probe(b, 2, 10000), RECORD_NONE);
    begin(a, "one");
    take(a, 1, RECORD_FOR_GET);
    assert_int_equal(try_probe(b, 2, 10000), RECORD_OK);
    assert_heard(a, 0, 'p', 1, 1, "");
    assert_int_equal(try_probe(c, 3, 10000), RECORD_NONE); /* one at a time */
    assert_int_equal(pass(a, 1, "two"), RECORD_OK);
    assert_true(take(c, 4, RECORD_FOR_GET).probing);
    assert_int_equal(try_probe(b, 2, 0), RECORD_OK);
    assert_heard(c, 0, 'p', 4, 0, "");
    assert_int_equal(try_probe(c, 5, 30), RECORD_OK); /* another one may try now */
    instances_run(60);
    assert_int_equal(pass(c, 4, "three"), RECORD_OK);
    assert_false(take(a, 6, RECORD_FOR_GET).probing); /* the time is over */
    assert_int_equal(pass(a, 6, "four"), RECORD_OK);
    take(b, 7, RECORD_FOR_WEBSOCKET);
    assert_int_equal(ask(a, 8, RECORD_FOR_GET), RECORD_MOVED);
    assert_int_equal(try_probe(c, 9, 10000), RECORD_NONE);
}

/* Whatever the dead instance did with the session since it got it is lost, so the session ends. */
static void a_dead_holder_takes_its_session_with_it(void **state)
{
    struct ear *a = open_ear(0, "A"), *b = open_ear(1, "B");
    begin(a, "one");
    take(a, 1, RECORD_FOR_GET);
    instance_destroy(a->instance);
    instances_run(200);
    enum record_result result = RECORD_WAITING;
    uint64_t until = now_ms() + 10000;
    while (result == RECORD_WAITING && now_ms() < until) {
        instances_run(200);
        result = ask(b, 2, RECORD_FOR_POST);
    }
    assert_int_equal(result, RECORD_NONE);
}

static void one_that_nobody_asks_for_is_forgotten(void **state)
{
    struct ear *a = open_ear(0, "A");
    assert_int_equal(open_record(a, "one", 40), RECORD_OK);
    instances_run(80);
    assert_int_equal(ask(a, 1, RECORD_FOR_GET), RECORD_NONE);
}

static void foreign_data_is_no_session(void **state)
{
    if (kind != KIND_REDIS)
        return;
    struct ear *a = open_ear(0, "A");
    redis_ask(&redis, "SET", instances_key("session:" SID), "x", NULL);
    assert_int_equal(ask(a, 1, RECORD_FOR_GET), RECORD_NONE);
    assert_true(instances_logged("session:" SID));
    redis_ask(&redis, "DEL", instances_key("session:" SID), NULL);
    redis_ask(&redis, "HSET", instances_key("session:" SID), "waiters", "nonsense\n\n5@ \n", "record", "r", "holder",
              "?", NULL);
    assert_int_equal(ask(a, 2, RECORD_FOR_GET), RECORD_NONE); /* its holder lives nowhere */
}

/* In one call the holder passes it on and goes on waiting for it. */
static void the_holder_passes_it_on_and_waits(void **state)
{
    struct ear *a = open_ear(0, "A"), *b = open_ear(1, "B");
    struct record_passing passing = {
        .record = SPAN_LIT("two"), .life_ms = LIFE_MS, .hold_ms = HOLD_MS, .again = 3, .want = RECORD_FOR_GET};
    begin(a, "one");
    take(a, 1, RECORD_FOR_GET);
    assert_int_equal(ask(b, 2, RECORD_FOR_POST), RECORD_WAITING);
    assert_int_equal(pass_with(a, 1, &passing), RECORD_OK);
    assert_int_equal(pass_with(a, 1, &passing), RECORD_OK); /* a repetition changes nothing */
    assert_heard(b, 0, 'g', 2, 0, "two");
    assert_heard(b, 1, 'w', 2, 'g', "");
    assert_int_equal(pass(b, 2, "three"), RECORD_OK);
    assert_heard(a, 1, 'g', 3, 0, "three");
    passing.again = 4; /* nobody else waits: it gets it back */
    assert_int_equal(pass_with(a, 3, &passing), RECORD_OK);
    assert_heard(a, 2, 'g', 4, 0, "two");
}

static struct broker_lease own_lease(void)
{
    return (struct broker_lease){.pid = SPAN_LIT("pid"),
                                 .sid = SPAN_LIT("sid"),
                                 .own = SPAN_LIT("@own"),
                                 .rooms = SPAN_LIT("rooms"),
                                 .generation = 5,
                                 .window_ms = 60000};
}

/* The session's leases come with it, so that its instance need not ask for them; and its socket's own room. */
static void the_leases_are_claimed_with_it(void **state)
{
    struct ear *a = open_ear(0, "A"), *b = open_ear(1, "B");
    struct broker_lease lease = own_lease();
    struct record_lease of = {.pid = lease.pid, .generation = 5};
    struct record_passing passing = {
        .record = SPAN_LIT("two"), .leases = &of, .lease_count = 1, .life_ms = LIFE_MS, .hold_ms = HOLD_MS};
    struct call *claim = lease_write(a->instance, &lease);
    AWAIT_ANSWER(claim);
    publish_now(a->instance, "@own", "for it alone");
    begin(a, "one");
    assert_int_equal(take(a, 1, RECORD_FOR_POST).claims, 0);
    assert_int_equal(pass_with(a, 1, &passing), RECORD_OK);
    if (kind == KIND_REDIS) /* its log says the same */
        redis_ask(&redis, "DEL", instances_key("room:@own"), NULL);
    struct outcome outcome = take(b, 2, RECORD_FOR_GET);
    assert_int_equal(outcome.claims, 1);
    assert_true(outcome.claimed);
    assert_int_equal(outcome.generation, 6);
    assert_string_equal(outcome.rooms, "rooms");
    AWAIT(told_count(b->instance, TOLD_SUBSCRIBED, "@own") == 1);
    assert_int_equal(told_last(b->instance, TOLD_SUBSCRIBED, "@own")->number, 1);
    /* Its answer was lost, or is late: then what the first one said must hold. */
    assert_int_equal(take(b, 2, RECORD_FOR_GET).generation, 6);
    of.generation = 6;
    assert_int_equal(pass_with(b, 2, &passing), RECORD_OK);
    /* Another session of the same client has it now, and keeps it. */
    claim = lease_claim(a->instance, "pid", a->instance->epoch, 0);
    AWAIT_ANSWER(claim);
    assert_int_equal(claim->lease.generation, 7);
    outcome = take(a, 3, RECORD_FOR_POST);
    assert_false(outcome.claimed);
    assert_true(outcome.superseded);
    lease.generation = 7;
    claim = lease_write(a->instance, &lease);
    AWAIT_ANSWER(claim);
    assert_int_equal(claim->result, BROKER_OK);
}

static void publish_unlogged(struct instance *by, const char *room, const char *body)
{
    struct broker_publish publish = {.room = span_str(room), .body = span_str(body)};
    struct call *call = publish_with(by, &publish, NOT_LOGGED);
    AWAIT_ANSWER(call);
}

/* A session with a lease that wants these rooms kept. */
static struct record_passing kept_session(struct ear *by, struct record_lease *of, const char *rooms)
{
    struct broker_lease lease = own_lease();
    lease.keep = span_str(rooms);
    lease.keep_ms = HOLD_MS;
    *of = (struct record_lease){.pid = SPAN_LIT("pid"), .generation = 5};
    struct call *call = lease_write(by->instance, &lease);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    begin(by, "one");
    take(by, 1, RECORD_FOR_POST);
    return (struct record_passing){
        .record = SPAN_LIT("two"), .leases = of, .lease_count = 1, .life_ms = LIFE_MS, .hold_ms = HOLD_MS};
}

/* Between two requests nobody is there for events that are not logged. */
static void unlogged_events_are_kept_for_it(void **state)
{
    struct ear *a = open_ear(0, "A"), *b = open_ear(1, "B");
    struct record_lease of;
    subscribe_now(b->instance, "r");
    publish_unlogged(a->instance, "r", "nobody");
    struct record_passing passing = kept_session(a, &of, "1 r4 room");
    publish_unlogged(a->instance, "r", "1");
    AWAIT(told_count(b->instance, TOLD_PUSHED, "r") == 2);
    passing.kept = told_last(b->instance, TOLD_PUSHED, "r")->second; /* that one it was sent */
    assert_int_equal(passing.kept, 1);
    assert_int_equal(pass_with(a, 1, &passing), RECORD_OK);
    publish_unlogged(a->instance, "r", "2");
    publish_unlogged(a->instance, "other", "of no room of it");
    publish_now(a->instance, "r", "logged");
    publish_unlogged(a->instance, "room", "3");
    publish_unlogged(a->instance, "r", "4");
    struct outcome outcome = take(b, 2, RECORD_FOR_GET);
    assert_string_equal(outcome.kept, "2 3 4 ");
    assert_int_equal(outcome.kept_after, 1);
    assert_int_equal(outcome.kept_lost, 0);
    AWAIT(b->instance->kept == 4);
    if (kind == KIND_REDIS) {
        assert_in_range(redis_ask_number(&redis, "PTTL", instances_key("kept:r"), NULL), 1, 60000);
        assert_in_range(redis_ask_number(&redis, "PTTL", instances_key("keeps"), NULL), 1, HOLD_MS);
        assert_int_equal(redis_ask_number(&redis, "EXISTS", instances_key("kept:other"), NULL), 0);
    }
    of.generation = 6;
    passing.kept = 4;
    assert_int_equal(pass_with(b, 2, &passing), RECORD_OK);
    outcome = take(a, 3, RECORD_FOR_GET);
    assert_int_equal(outcome.kept_count, 0);
}

static void what_is_kept_is_bounded(void **state)
{
    static char body[8001];
    struct ear *a = open_ear(0, "A");
    struct record_lease of;
    struct record_passing passing = kept_session(a, &of, "1 r");
    memset(body, 'x', sizeof body - 1);
    assert_int_equal(pass_with(a, 1, &passing), RECORD_OK);
    for (int i = 0; i < 100; i++)
        publish_unlogged(a->instance, "r", body);
    if (kind == KIND_REDIS)
        assert_in_range(redis_ask_number(&redis, "XLEN", instances_key("kept:r"), NULL), 20, 33);
    struct outcome outcome = take(a, 2, RECORD_FOR_GET);
    assert_in_range(outcome.kept_bytes, 128 << 10, 256 << 10);
    assert_true(outcome.kept_lost > 0);
}

static void a_pong_needs_no_session(void **state)
{
    struct ear *a = open_ear(0, "A"), *b = open_ear(1, "B");
    struct record_passing passing = {.record = SPAN_LIT("two"), .life_ms = 60, .hold_ms = HOLD_MS, .awaits_pong = true};
    assert_int_equal(pong(b, LIFE_MS), RECORD_NONE);
    begin(a, "one");
    take(a, 1, RECORD_FOR_GET);
    assert_int_equal(pong(b, LIFE_MS), RECORD_OK);
    assert_heard(a, 0, 'o', 1, 0, "");
    passing.awaits_pong = false; /* the holder has taken it */
    assert_int_equal(pass_with(a, 1, &passing), RECORD_OK);
    assert_false(take(b, 2, RECORD_FOR_GET).ponged);
    passing.awaits_pong = true;
    assert_int_equal(pass_with(b, 2, &passing), RECORD_OK);
    assert_int_equal(pong(b, LIFE_MS), RECORD_OK); /* and it lives on */
    instances_run(100);
    struct outcome outcome = take(a, 3, RECORD_FOR_GET);
    assert_true(outcome.ponged);
    assert_in_range(outcome.pong_ms, 90, 5000);
    assert_true(take(a, 3, RECORD_FOR_GET).ponged); /* its answer was lost */
    assert_int_equal(pass_with(a, 3, &passing), RECORD_OK);
    take(a, 4, RECORD_FOR_POST);
    assert_int_equal(pong(b, LIFE_MS), RECORD_OVERLAP); /* it is a POST, too */
    assert_heard(a, 1, 'x', 4, 0, "");
}

static struct ear *open_ear_behind(int number, const char *name, struct byte_proxy **proxy)
{
    struct ear *ear = &ears[number];
    *ear = (struct ear){.instance = instance_up_behind(name, proxy)};
    record_attach(ear->instance->broker, &events, ear);
    return ear;
}

static void cut_and_back(struct ear *ear, struct byte_proxy *proxy)
{
    byte_proxy_cut(proxy);
    AWAIT(!ear->instance->up);
    AWAIT(ear->instance->up);
}

static long long lives_count(void)
{
    if (kind == KIND_POSTGRES)
        return postgres_ask_number(&postgres, "SELECT count(*) FROM \"%s\".life", instances_prefix());
    return redis_ask_number(&redis, "ZCARD", instances_key("lives"), NULL);
}

/* The instance lives on, in another life: the session goes on where it is, however long ago the earlier life ended. */
static void a_cut_link_ends_no_session(void **state)
{
    struct byte_proxy *proxy;
    struct ear *a = open_ear_behind(0, "A", &proxy), *b = open_ear(1, "B");
    begin(b, "one");
    take(a, 1, RECORD_FOR_GET);
    cut_and_back(a, proxy);
    AWAIT(lives_count() == 2); /* the earlier one has ended */
    assert_int_equal(ask(b, 2, RECORD_FOR_POST), RECORD_WAITING);
    assert_heard(a, 0, 'w', 1, 'p', "");
    assert_string_equal(take(a, 1, RECORD_FOR_GET).record, "one"); /* what it was given may have been lost */
    cut_and_back(a, proxy);
    assert_int_equal(pass(a, 1, "two"), RECORD_OK);
    cut_and_back(a, proxy);
    assert_int_equal(pass(a, 1, "two"), RECORD_OK); /* the answer was lost */
    assert_heard(b, 0, 'g', 2, 0, "two");
    cut_and_back(a, proxy);
    record_end(a->instance->broker, SPAN_LIT(SID), 1);
    assert_heard(b, 1, 'x', 2, 0, "");
}

/* It asks again by the same ticket. */
static void one_that_waits_goes_on_waiting_behind_a_cut(void **state)
{
    struct byte_proxy *proxy;
    struct ear *a = open_ear(0, "A"), *b = open_ear_behind(1, "B", &proxy);
    begin(a, "one");
    take(a, 1, RECORD_FOR_GET);
    assert_int_equal(ask(b, 2, RECORD_FOR_POST), RECORD_WAITING);
    cut_and_back(b, proxy);
    assert_int_equal(ask(b, 2, RECORD_FOR_POST), RECORD_WAITING);
    assert_int_equal(pass(a, 1, "two"), RECORD_OK);
    assert_heard(b, 0, 'g', 2, 0, "two");
    assert_int_equal(pass(b, 2, "three"), RECORD_OK);
    assert_int_equal(b->count, 1);
    assert_string_equal(take(a, 3, RECORD_FOR_GET).record, "three"); /* nobody waits any more */
}

/* A broker that has lost writes takes a request for the holder that has passed the session on. */
static void who_does_not_hold_it_says_so(void **state)
{
    struct ear *a = open_ear(0, "A"), *b = open_ear(1, "B");
    begin(a, "one");
    take(a, 1, RECORD_FOR_GET);
    assert_int_equal(ask(b, 2, RECORD_FOR_POST), RECORD_WAITING);
    record_disown(a->instance->broker, SPAN_LIT(SID), 7);
    record_disown(b->instance->broker, SPAN_LIT(SID), 1);
    instances_run(100);
    assert_int_equal(ask(b, 2, RECORD_FOR_POST), RECORD_WAITING); /* another ticket, or of another instance */
    record_disown(a->instance->broker, SPAN_LIT(SID), 1);
    assert_heard(b, 0, 'x', 2, 0, "");
    assert_int_equal(ask(b, 3, RECORD_FOR_POST), RECORD_NONE);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(what_was_passed_is_given),
        BROKER_TEST(whoever_asks_waits_for_the_holder),
        BROKER_TEST(the_holder_passes_it_on_and_waits),
        BROKER_TEST(the_leases_are_claimed_with_it),
        BROKER_TEST(unlogged_events_are_kept_for_it),
        BROKER_TEST(what_is_kept_is_bounded),
        BROKER_TEST(a_pong_needs_no_session),
        BROKER_TEST(a_second_request_of_a_kind_ends_the_session),
        BROKER_TEST(a_session_that_ends_is_gone_for_all),
        BROKER_TEST(a_websocket_is_announced_to_the_holder),
        BROKER_TEST(a_dead_holder_takes_its_session_with_it),
        BROKER_TEST(a_cut_link_ends_no_session),
        BROKER_TEST(one_that_waits_goes_on_waiting_behind_a_cut),
        BROKER_TEST(who_does_not_hold_it_says_so),
        BROKER_TEST(one_that_nobody_asks_for_is_forgotten),
        BROKER_TEST(foreign_data_is_no_session),
    };
    return instances_main(argc, argv, "broker/records", tests, sizeof tests / sizeof tests[0], NULL);
}

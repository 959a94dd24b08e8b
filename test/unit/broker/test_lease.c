/* test_lease: a lease has one owner at a time; who claims it gets what was written, who lost it is told. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "instances.h"

enum { WINDOW_MS = 60000 };

static struct broker_lease lease_of(const char *pid, uint64_t generation)
{
    return (struct broker_lease){.pid = span_str(pid),
                                 .sid = SPAN_LIT("sid"),
                                 .own = SPAN_LIT("@sid"),
                                 .rooms = SPAN_LIT("rooms"),
                                 .data = SPAN_LIT("data"),
                                 .generation = generation,
                                 .window_ms = WINDOW_MS};
}

static enum broker_result write_now(struct instance *by, const struct broker_lease *lease)
{
    struct call *call = lease_write(by, lease);
    AWAIT_ANSWER(call);
    return call->result;
}

static struct call *claim_now(struct instance *by, const char *pid)
{
    struct call *call = lease_claim(by, pid, "", 0);
    AWAIT_ANSWER(call);
    return call;
}

static void a_claim_brings_what_was_written(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    char all[256];
    struct buf large = {0};
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    for (int i = 0; i < 400; i++)
        buf_append(&large, span_of(all, sizeof all));
    struct broker_lease lease = {.pid = span_of(&all['#'], 57),
                                 .sid = span_of(&all[']'], 20),
                                 .own = SPAN_LIT("@ own\n"),
                                 .rooms = buf_span(&large),
                                 .data = SPAN_LIT(""),
                                 .generation = 7,
                                 .window_ms = 12345};
    assert_int_equal(write_now(a, &lease), BROKER_OK);
    char pid[65];
    snprintf(pid, sizeof pid, "%.57s", &all['#']);
    struct call *claim = claim_now(b, pid);
    assert_int_equal(claim->result, BROKER_OK);
    assert_true(claim->position_ok);
    assert_int_equal(claim->lease.generation, 8);
    assert_int_equal(claim->lease.window_ms, 12345);
    assert_true(span_equal(claim->lease.pid, lease.pid) && span_equal(claim->lease.sid, lease.sid));
    assert_true(span_equal(claim->lease.own, lease.own) && span_equal(claim->lease.rooms, lease.rooms));
    assert_int_equal(claim->lease.data.len, 0);
    buf_finish(&large);
}

static void a_written_lease_can_be_written_again(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease lease = lease_of("pid", 1);
    assert_int_equal(write_now(a, &lease), BROKER_OK);
    lease.rooms = SPAN_LIT("");
    lease.data = SPAN_LIT("other");
    lease.window_ms = 777;
    assert_int_equal(write_now(a, &lease), BROKER_OK);
    lease.generation = 5;
    assert_int_equal(write_now(a, &lease), BROKER_OK);
    struct call *claim = claim_now(b, "pid");
    assert_int_equal(claim->lease.generation, 6);
    assert_int_equal(claim->lease.rooms.len, 0);
    assert_span(claim->lease.data, "other");
    assert_int_equal(claim->lease.window_ms, 777);
}

static void what_was_never_written_cannot_be_claimed(void **state)
{
    struct instance *a = instance_up("A");
    struct call *claim = claim_now(a, "pid");
    assert_int_equal(claim->result, BROKER_NONE);
    assert_false(claim->has_lease);
    struct broker_lease lease = lease_of("pid", 1);
    lease_release(a, &lease, false);
    lease_release(a, &lease, true);
    assert_int_equal(claim_now(a, "pid")->result, BROKER_NONE);
}

static void the_former_owner_is_told_once(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease lease = lease_of("pid", 3);
    write_now(a, &lease);
    assert_int_equal(claim_now(b, "pid")->lease.generation, 4);
    AWAIT(told_count(a, TOLD_SUPERSEDED, "pid") == 1);
    assert_int_equal(told_at(a, TOLD_SUPERSEDED, "pid", 0)->number, 4);
    /* Again, as if the answer had been lost: now the claimer itself is the former owner. */
    struct call *again = claim_now(b, "pid");
    assert_int_equal(again->lease.generation, 5);
    assert_span(again->lease.rooms, "rooms");
    AWAIT(told_count(b, TOLD_SUPERSEDED, "pid") == (kind_is_shared() ? 1 : 2));
    assert_int_equal(told_last(b, TOLD_SUPERSEDED, "pid")->number, 5);
    /* The first owner is nobody any more. */
    struct call *settled = probe(a);
    AWAIT_ANSWER(settled);
    assert_int_equal(told_count(a, TOLD_SUPERSEDED, ""), kind_is_shared() ? 1 : 2);
}

static void a_superseded_owner_cannot_write(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease lease = lease_of("pid", 1);
    write_now(a, &lease);
    assert_int_equal(claim_now(b, "pid")->lease.generation, 2);
    lease.data = SPAN_LIT("too late");
    assert_int_equal(write_now(a, &lease), BROKER_SUPERSEDED);
    lease.generation = 2;
    lease.data = SPAN_LIT("in time");
    assert_int_equal(write_now(b, &lease), BROKER_OK);
    assert_span(claim_now(b, "pid")->lease.data, "in time");
    /* Nor can it release. */
    lease.generation = 1;
    lease_release(a, &lease, true);
    lease_release(a, &lease, false);
    assert_int_equal(claim_now(b, "pid")->result, BROKER_OK);
}

static void claims_of_one_turn_both_count(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B"), *c = instance_up("C");
    struct broker_lease lease = lease_of("pid", 1);
    write_now(a, &lease);
    struct call *first = lease_claim(b, "pid", "", 0), *second = lease_claim(c, "pid", "", 0);
    AWAIT(first->answers > 0 && second->answers > 0);
    assert_int_equal(first->lease.generation + second->lease.generation, 2 + 3);
    bool b_is_first = first->lease.generation == 2;
    AWAIT(told_count(b_is_first ? b : c, TOLD_SUPERSEDED, "pid") > 0);
    lease.generation = 2;
    assert_int_equal(write_now(b_is_first ? b : c, &lease), BROKER_SUPERSEDED);
    lease.generation = 3;
    assert_int_equal(write_now(b_is_first ? c : b, &lease), BROKER_OK);
}

static void a_lease_that_is_released_for_good_is_gone(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease lease = lease_of("pid", 1);
    write_now(a, &lease);
    /* Whoever knows its generation may end it. */
    lease_release(b, &lease, true);
    struct call *settled = probe(b);
    AWAIT_ANSWER(settled);
    assert_int_equal(claim_now(a, "pid")->result, BROKER_NONE);
    /* It may begin anew, with the first generation. */
    lease.generation = 1;
    assert_int_equal(write_now(a, &lease), BROKER_OK);
    assert_int_equal(claim_now(b, "pid")->lease.generation, 2);
}

static struct call *publish_settled(struct instance *by, const char *room, const char *body)
{
    struct call *call = publish_now(by, room, body), *settled = probe(by);
    AWAIT_ANSWER(settled);
    return call;
}

static void an_own_room_is_its_owners(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B"), *c = instance_up("C");
    struct broker_lease lease = lease_of("pid", 1);
    write_now(a, &lease);
    publish(c, "@sid", "1");
    publish_with(c, &(struct broker_publish){.room = SPAN_LIT("@sid"), .body = SPAN_LIT("2")}, NOT_LOGGED);
    publish_settled(c, "@sid", "3");
    AWAIT(told_count(a, TOLD_PUSHED, "@sid") == 3);
    assert_int_equal(told_at(a, TOLD_PUSHED, "@sid", 1)->number, 0);
    assert_int_equal(told_at(a, TOLD_PUSHED, "@sid", 2)->second, told_at(a, TOLD_PUSHED, "@sid", 0)->number);
    /* The owner only asks where it stands. */
    subscribe_now(a, "@sid");
    assert_int_equal(told_last(a, TOLD_SUBSCRIBED, "@sid")->number, told_at(a, TOLD_PUSHED, "@sid", 2)->number);
    claim_now(b, "pid");
    subscribe_now(b, "@sid");
    publish_settled(c, "@sid", "4");
    AWAIT(told_count(b, TOLD_PUSHED, "@sid") > 0 && told_last(b, TOLD_PUSHED, "@sid")->body.data[0] == '4');
    assert_int_equal(told_count(b, TOLD_PUSHED, "@sid"), kind_is_shared() ? 1 : 4);
    struct call *settled = probe(a);
    AWAIT_ANSWER(settled);
    assert_int_equal(told_count(a, TOLD_PUSHED, "@sid"), kind_is_shared() ? 3 : 4);
    /* Nothing is lost between the two: what the former owner got and what the new one gets is one log. */
    struct call *log = read_all(b, "@sid");
    static const char *const expected[] = {"1", "3", "4"};
    assert_int_equal(log->page.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_span(log->page.entries[i].body, expected[i]);
        assert_int_equal(log->page.entries[i].prev, i > 0 ? log->page.entries[i - 1].seq : 0);
    }
    /* Leaving it changes nothing, either. */
    unsubscribe(b, "@sid");
    publish_settled(c, "@sid", "5");
    AWAIT(told_last(b, TOLD_PUSHED, "@sid")->body.data[0] == '5');
}

static void what_is_for_nobody_is_accepted(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease lease = lease_of("pid", 1);
    subscribe_now(a, "r");
    subscribe_now(a, "@sid");
    publish_settled(b, "@sid", "nobody yet");
    write_now(a, &lease);
    publish_settled(b, "@sid", "somebody");
    AWAIT(told_count(a, TOLD_PUSHED, "@sid") == 1);
    lease_release(a, &lease, true);
    struct call *settled = probe(a);
    AWAIT_ANSWER(settled);
    struct call *call = publish_settled(b, "@sid", "nobody any more");
    publish_with(b, &(struct broker_publish){.room = SPAN_LIT("@sid"), .body = SPAN_LIT("x")}, NOT_LOGGED);
    publish(b, "r", "x");
    AWAIT(told_count(a, TOLD_PUSHED, "r") == 1);
    assert_int_equal(call->result, BROKER_OK);
    assert_int_equal(told_count(a, TOLD_PUSHED, "@sid"), 1);
    struct call *log = read_all(a, "@sid");
    assert_int_equal(log->page.count, 1);
    assert_span(log->page.entries[0].body, "somebody");
    /* Nor did it take a number. */
    assert_int_equal(told_at(a, TOLD_PUSHED, "r", 0)->number, log->page.last + 1);
}

static void a_lease_need_not_own_a_room(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease lease = lease_of("pid", 1);
    lease.own = SPAN_LIT("");
    write_now(a, &lease);
    struct call *claim = claim_now(b, "pid");
    assert_int_equal(claim->lease.own.len, 0);
    lease.generation = 2;
    assert_int_equal(write_now(b, &lease), BROKER_OK);
    lease_release(b, &lease, true);
    struct call *settled = probe(b);
    AWAIT_ANSWER(settled);
    assert_int_equal(claim_now(b, "pid")->result, BROKER_NONE);
}

static bool position_is_ok(struct instance *by, const char *epoch, uint64_t seq)
{
    struct call *call = lease_claim(by, "pid", epoch, seq);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    return call->position_ok;
}

static void a_position_is_compared_with_the_counter(void **state)
{
    struct instance *a = instance_up("A");
    struct broker_lease lease = lease_of("pid", 1);
    write_now(a, &lease);
    assert_true(position_is_ok(a, a->epoch, 0));
    assert_false(position_is_ok(a, a->epoch, 1));
    for (int i = 0; i < 11; i++)
        publish_settled(a, "r", "x");
    assert_true(position_is_ok(a, "", 0));
    assert_true(position_is_ok(a, "", 1000));
    assert_true(position_is_ok(a, a->epoch, 9)); /* as numbers: "9" is not above "11" */
    assert_true(position_is_ok(a, a->epoch, 11));
    assert_false(position_is_ok(a, a->epoch, 12));
    assert_false(position_is_ok(a, a->epoch, UINT64_MAX));
    assert_false(position_is_ok(a, "unknown", 0));
    assert_false(position_is_ok(a, "unknown", 1));
}

/* A lease with a short window, in two copies, and how long it may be claimed. To claim it would prolong it, so that
 * each copy is looked at once: one shortly before its time, one shortly after. */
struct fate {
    const char *pid;
    uint64_t window_ms, write_again_ms, claim_ms, release_ms, gone_ms;
    struct broker_lease leases[2];
    char pids[2][32], owns[2][32];
    bool written_again, claimed, released, looked[2];
};
enum { MARGIN_MS = 100, STEP_MS = 25, NEVER = 1u << 30 };

static void fate_begin(struct fate *fate, struct instance *by)
{
    for (int late = 0; late < 2; late++) {
        snprintf(fate->pids[late], sizeof fate->pids[late], "%s %d", fate->pid, late);
        snprintf(fate->owns[late], sizeof fate->owns[late], "@%s %d", fate->pid, late);
        fate->leases[late] = lease_of(fate->pids[late], 1);
        fate->leases[late].own = span_str(fate->owns[late]);
        fate->leases[late].window_ms = fate->window_ms;
        lease_write(by, &fate->leases[late]);
    }
}

static void fate_look(const struct fate *fate, int late, struct instance *a, struct instance *b, uint64_t stalled)
{
    size_t pushed = told_count(a, TOLD_PUSHED, fate->owns[late]);
    uint64_t began_ms = now_ms();
    publish_settled(b, fate->owns[late], "x");
    struct call *arrived = probe(a), *claim = claim_now(b, fate->pids[late]);
    AWAIT_ANSWER(arrived);
    bool is_slow = kind == KIND_FIRESTORE && now_ms() - began_ms > MARGIN_MS / 2;
    if (instances_stalled_ms() != stalled || is_slow)
        return; /* the machine, or the emulator, had other things to do: the times mean nothing */
    assert_int_equal(claim->result, late ? BROKER_NONE : BROKER_OK);
    assert_int_equal(told_count(a, TOLD_PUSHED, fate->owns[late]) - pushed, !late);
}

static void fate_step(struct fate *fate, struct instance *a, struct instance *b, uint64_t ms, uint64_t stalled)
{
    for (int late = 0; late < 2; late++) {
        if (ms >= fate->write_again_ms && !fate->written_again)
            lease_write(a, &fate->leases[late]);
        if (ms >= fate->claim_ms && !fate->claimed)
            lease_claim(a, fate->pids[late], "", 0);
        if (ms >= fate->release_ms && !fate->released)
            lease_release(late ? a : b, &fate->leases[late], false);
        bool due = late ? ms >= fate->gone_ms + MARGIN_MS : ms + MARGIN_MS >= fate->gone_ms;
        if (due && !fate->looked[late])
            fate_look(fate, late, a, b, stalled);
        fate->looked[late] |= due;
    }
    fate->written_again |= ms >= fate->write_again_ms;
    fate->claimed |= ms >= fate->claim_ms;
    fate->released |= ms >= fate->release_ms;
}

/* It lives twice its window from each write and claim, and its window from a release, which may also prolong it. */
static void a_lease_runs_out(void **state)
{
    struct fate fates[] = {
        {.pid = "written",
         .window_ms = 300,
         .write_again_ms = NEVER,
         .claim_ms = NEVER,
         .release_ms = NEVER,
         .gone_ms = 600},
        {.pid = "written again",
         .window_ms = 300,
         .write_again_ms = 250,
         .claim_ms = NEVER,
         .release_ms = NEVER,
         .gone_ms = 850},
        {.pid = "claimed",
         .window_ms = 300,
         .write_again_ms = NEVER,
         .claim_ms = 250,
         .release_ms = NEVER,
         .gone_ms = 850},
        {.pid = "released",
         .window_ms = 400,
         .write_again_ms = NEVER,
         .claim_ms = NEVER,
         .release_ms = 150,
         .gone_ms = 550},
        {.pid = "released late",
         .window_ms = 400,
         .write_again_ms = NEVER,
         .claim_ms = NEVER,
         .release_ms = 600,
         .gone_ms = 1000},
        {.pid = "written for long",
         .window_ms = 60000,
         .write_again_ms = NEVER,
         .claim_ms = NEVER,
         .release_ms = NEVER,
         .gone_ms = NEVER},
    };
    enum { FATES = sizeof fates / sizeof fates[0] };
    struct instance *a = instance_up("A"), *b = instance_up("B");
    uint64_t stalled = instances_stalled_ms(), began = now_ms();
    for (int i = 0; i < FATES; i++)
        fate_begin(&fates[i], a);
    for (uint64_t ms = 0; ms < 1200; ms = now_ms() - began) {
        for (int i = 0; i < FATES; i++)
            fate_step(&fates[i], a, b, ms, stalled);
        if (kind == KIND_FIRESTORE && now_ms() - began - ms > MARGIN_MS / 2)
            stalled = UINT64_MAX; /* so are calls that take long */
        instances_run(STEP_MS);
    }
    assert_int_equal(claim_now(b, "written for long 0")->result, BROKER_OK);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(a_claim_brings_what_was_written),
        BROKER_TEST(a_written_lease_can_be_written_again),
        BROKER_TEST(what_was_never_written_cannot_be_claimed),
        BROKER_TEST(the_former_owner_is_told_once),
        BROKER_TEST(a_superseded_owner_cannot_write),
        BROKER_TEST(claims_of_one_turn_both_count),
        BROKER_TEST(a_lease_that_is_released_for_good_is_gone),
        BROKER_TEST(an_own_room_is_its_owners),
        BROKER_TEST(what_is_for_nobody_is_accepted),
        BROKER_TEST(a_lease_need_not_own_a_room),
        BROKER_TEST(a_position_is_compared_with_the_counter),
        BROKER_TEST(a_lease_runs_out),
    };
    return instances_main(argc, argv, "broker/lease", tests, sizeof tests / sizeof tests[0], NULL);
}

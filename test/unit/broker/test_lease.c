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
    struct broker_lease lease = {.pid = span_of(all + 1, 64),
                                 .sid = span_of(all, 20),
                                 .own = SPAN_LIT("@ own\n"),
                                 .rooms = buf_span(&large),
                                 .data = SPAN_LIT(""),
                                 .generation = 7,
                                 .window_ms = 12345};
    assert_int_equal(write_now(a, &lease), BROKER_OK);
    char pid[65];
    snprintf(pid, sizeof pid, "%.64s", all + 1);
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
    AWAIT(told_count(b, TOLD_SUPERSEDED, "pid") == (kind == KIND_REDIS ? 1 : 2));
    assert_int_equal(told_last(b, TOLD_SUPERSEDED, "pid")->number, 5);
    /* The first owner is nobody any more. */
    struct call *settled = probe(a);
    AWAIT_ANSWER(settled);
    assert_int_equal(told_count(a, TOLD_SUPERSEDED, ""), kind == KIND_REDIS ? 1 : 2);
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

static struct call *publish_now(struct instance *by, const char *room, const char *body)
{
    struct call *call = publish(by, room, body);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    struct call *settled = probe(by);
    AWAIT_ANSWER(settled);
    return call;
}

static void what_is_for_nobody_is_accepted(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease lease = lease_of("pid", 1);
    subscribe_now(a, "r");
    subscribe_now(a, "@sid");
    publish_now(b, "@sid", "nobody yet");
    write_now(a, &lease);
    publish_now(b, "@sid", "somebody");
    AWAIT(told_count(a, TOLD_PUSHED, "@sid") == 1);
    lease_release(a, &lease, true);
    struct call *settled = probe(a);
    AWAIT_ANSWER(settled);
    struct call *call = publish_now(b, "@sid", "nobody any more");
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
        publish_now(a, "r", "x");
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
    uint64_t window_ms, write_again_ms, release_ms, gone_ms;
    struct broker_lease leases[2];
    char pids[2][32], owns[2][32];
    bool written_again, released, looked[2];
};
enum { MARGIN_MS = 100, STEP_MS = 25, NEVER = 1u << 30 };

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
        BROKER_TEST(what_is_for_nobody_is_accepted),
        BROKER_TEST(a_lease_need_not_own_a_room),
        BROKER_TEST(a_position_is_compared_with_the_counter),
    };
    return instances_main(argc, argv, "broker/lease", tests, sizeof tests / sizeof tests[0], NULL);
}

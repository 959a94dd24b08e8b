/* test_lapsed: the end of a watched lease is given to one instance, once: when its life is over and nobody has claimed
 * it, also after its instance died. Who takes a lease to end it gets it only if nobody else has claimed it. */
#include <stdio.h>

#include "instances.h"

enum { WINDOW_MS = 250 };

static struct broker_lease watched(const char *pid)
{
    return (struct broker_lease){.pid = span_str(pid),
                                 .sid = SPAN_LIT("sid"),
                                 .own = SPAN_LIT("@sid"),
                                 .rooms = SPAN_LIT("rooms"),
                                 .data = SPAN_LIT("data"),
                                 .watch = SPAN_LIT("/chat"),
                                 .generation = 1,
                                 .window_ms = WINDOW_MS};
}

static enum broker_result write_now(struct instance *by, const struct broker_lease *lease)
{
    struct call *call = lease_write(by, lease);
    AWAIT_ANSWER(call);
    return call->result;
}

static struct call *lapsed_now(struct instance *by, const char *watch)
{
    struct call *call = lease_lapsed(by, watch);
    AWAIT_ANSWER(call);
    return call;
}

static struct call *take_now(struct instance *by, const char *pid, uint64_t generation)
{
    struct call *call = lease_take(by, pid, generation);
    AWAIT_ANSWER(call);
    return call;
}

static enum broker_result end_now(struct instance *by, const struct broker_lease *lease)
{
    struct call *call = lease_end(by, lease);
    AWAIT_ANSWER(call);
    return call->result;
}

/* The next lease that lapses, within 5 s. */
static struct call *await_lapsed(struct instance *by)
{
    struct call *call = lapsed_now(by, "/chat");
    for (uint64_t until = now_ms() + 5000; call->result == BROKER_NONE && now_ms() < until;
         call = lapsed_now(by, "/chat"))
        instances_run(20);
    assert_int_equal(call->result, BROKER_OK);
    return call;
}

static void a_lease_that_was_left_lapses_once(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease lease = watched("pid"), plain = watched("plain"), other = watched("other");
    plain.watch = SPAN_LIT("");
    other.watch = SPAN_LIT("/other");
    plain.own = other.own = SPAN_LIT("");
    write_now(a, &lease);
    write_now(a, &plain);
    write_now(a, &other);
    assert_int_equal(lapsed_now(b, "/chat")->result, BROKER_NONE);
    lease_release(a, &lease, false);
    lease_release(a, &plain, false);
    lease_release(a, &other, false);
    assert_int_equal(lapsed_now(b, "/chat")->result, BROKER_NONE); /* its window is not over */
    struct call *lapsed = await_lapsed(b);
    assert_span(lapsed->lease.pid, "pid");
    assert_span(lapsed->lease.sid, "sid");
    assert_span(lapsed->lease.data, "data");
    assert_int_equal(lapsed->lease.generation, 2);
    assert_int_equal(lapsed_now(a, "/chat")->result, BROKER_NONE);
    assert_int_equal(end_now(b, &lapsed->lease), BROKER_OK);
    instances_run(2 * WINDOW_MS + 50);
    assert_int_equal(lapsed_now(a, "/chat")->result, BROKER_NONE);
    lapsed = lapsed_now(a, "/other");
    assert_span(lapsed->lease.pid, "other");
    struct call *claim = lease_claim(a, "pid", "", 0);
    AWAIT_ANSWER(claim);
    assert_int_equal(claim->result, BROKER_NONE);
}

static void what_was_claimed_in_time_does_not_lapse(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease lease = watched("pid");
    write_now(a, &lease);
    lease_release(a, &lease, false);
    struct call *claim = lease_claim(b, "pid", "", 0);
    AWAIT_ANSWER(claim);
    assert_int_equal(claim->result, BROKER_OK);
    instances_run(WINDOW_MS + 100);
    assert_int_equal(lapsed_now(a, "/chat")->result, BROKER_NONE);
    /* Its owner lives, so that it does not lapse even behind its time. */
    instances_run(WINDOW_MS + 100);
    assert_int_equal(lapsed_now(a, "/chat")->result, BROKER_NONE);
    /* Written without the watch it stays watched. */
    lease.generation = 2;
    lease.watch = SPAN_LIT("");
    assert_int_equal(write_now(b, &lease), BROKER_OK);
    lease_release(b, &lease, false);
    assert_int_equal(await_lapsed(a)->lease.generation, 3);
}

static void one_of_several_gets_it(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B"), *c = instance_up("C");
    char pids[8][16];
    for (int i = 0; i < 8; i++) {
        snprintf(pids[i], sizeof pids[i], "pid %d", i);
        struct broker_lease lease = watched(pids[i]);
        lease.own = SPAN_LIT("");
        write_now(a, &lease);
        lease_release(a, &lease, false);
    }
    instances_run(WINDOW_MS + 100);
    size_t got[8] = {0};
    for (int i = 0; i < 8; i++) {
        struct call *calls[] = {lease_lapsed(b, "/chat"), lease_lapsed(c, "/chat")};
        for (size_t j = 0; j < 2; j++) {
            AWAIT_ANSWER(calls[j]);
            if (calls[j]->result == BROKER_OK)
                got[number_of(span_from(calls[j]->lease.pid, 4))]++;
        }
    }
    for (int i = 0; i < 8; i++)
        assert_int_equal(got[i], 1);
}

static void a_lease_is_taken_if_nobody_else_has_it(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease lease = watched("pid");
    assert_int_equal(take_now(a, "pid", 1)->result, BROKER_NONE);
    write_now(a, &lease);
    struct call *claim = lease_claim(b, "pid", "", 0);
    AWAIT_ANSWER(claim);
    assert_int_equal(take_now(a, "pid", 1)->result, BROKER_SUPERSEDED);
    lease.generation = 2;
    assert_int_equal(write_now(b, &lease), BROKER_OK); /* it has lost nothing */
    struct call *taken = take_now(b, "pid", 2);
    assert_int_equal(taken->result, BROKER_OK);
    assert_int_equal(taken->lease.generation, 3);
    assert_span(taken->lease.data, "data");
    lease.generation = 1;
    assert_int_equal(end_now(a, &lease), BROKER_SUPERSEDED);
    assert_int_equal(end_now(b, &taken->lease), BROKER_OK);
    assert_int_equal(end_now(b, &taken->lease), BROKER_OK); /* once more does no harm */
    /* The end is remembered where there are several instances: none takes it for lost. */
    assert_int_equal(take_now(a, "pid", 1)->result, kind_is_shared() ? BROKER_SUPERSEDED : BROKER_NONE);
    if (kind_is_shared())
        assert_int_equal(write_now(a, &lease), BROKER_SUPERSEDED);
}

/* From then on its client cannot come back with it: it would go on behind its end. */
static void a_lease_that_was_taken_is_not_claimed(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease lease = watched("pid"), left = watched("left");
    left.own = SPAN_LIT("");
    write_now(a, &lease);
    write_now(a, &left);
    lease_release(a, &left, false);
    struct call *taken = take_now(a, "pid", 1), *lapsed = await_lapsed(b);
    for (size_t i = 0; i < 2; i++) {
        struct call *claim = lease_claim(i == 0 ? b : a, i == 0 ? "pid" : "left", "", 0);
        AWAIT_ANSWER(claim);
        assert_int_equal(claim->result, BROKER_NONE);
    }
    assert_int_equal(end_now(a, &taken->lease), BROKER_OK);
    assert_int_equal(end_now(b, &lapsed->lease), BROKER_OK);
}

/* Whoever got a lapsed lease died before the end: another one gets it. So does one whose client was connected. */
static void leases_of_one_that_died_lapse(void **state)
{
    if (!kind_is_shared())
        return;
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease left = watched("left"), had = watched("had"), ended = watched("ended");
    had.own = ended.own = SPAN_LIT("");
    write_now(a, &left);
    write_now(a, &had);
    write_now(a, &ended);
    lease_release(a, &left, false);
    assert_span(await_lapsed(a)->lease.pid, "left");
    struct call *taken = take_now(a, "ended", 1);
    end_now(a, &taken->lease);
    instance_destroy(a);
    struct call *first = await_lapsed(b), *second = await_lapsed(b);
    bool left_first = span_equal(first->lease.pid, SPAN_LIT("left"));
    assert_span((left_first ? second : first)->lease.pid, "had");
    assert_span((left_first ? first : second)->lease.pid, "left");
    assert_int_equal(end_now(b, &first->lease), BROKER_OK);
    assert_int_equal(end_now(b, &second->lease), BROKER_OK);
    assert_int_equal(lapsed_now(b, "/chat")->result, BROKER_NONE);
}

/* The next process has the name of the one that died, and nothing of what it held. */
static void leases_of_one_that_was_started_again_lapse(void **state)
{
    if (!kind_is_shared())
        return;
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease lease = watched("pid");
    write_now(a, &lease);
    instance_destroy(a);
    instance_up("A");
    assert_span(await_lapsed(b)->lease.pid, "pid");
}

/* A process that ended: the next one finds its leases on the disk. */
static void leases_on_a_disk_lapse_in_the_next_process(void **state)
{
    if (kind != KIND_FILE)
        return;
    struct instance *a = instance_up("A");
    struct broker_lease lease = watched("pid"), ended = watched("ended");
    ended.own = SPAN_LIT("");
    write_now(a, &lease);
    write_now(a, &ended);
    end_now(a, &ended);
    instance_destroy(a);
    struct instance *b = instance_up("B");
    struct call *lapsed = await_lapsed(b);
    assert_span(lapsed->lease.pid, "pid");
    assert_span(lapsed->lease.data, "data");
    assert_int_equal(end_now(b, &lapsed->lease), BROKER_OK);
    assert_int_equal(lapsed_now(b, "/chat")->result, BROKER_NONE);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(a_lease_that_was_left_lapses_once),
        BROKER_TEST(what_was_claimed_in_time_does_not_lapse),
        BROKER_TEST(one_of_several_gets_it),
        BROKER_TEST(a_lease_is_taken_if_nobody_else_has_it),
        BROKER_TEST(a_lease_that_was_taken_is_not_claimed),
        BROKER_TEST(leases_of_one_that_died_lapse),
        BROKER_TEST(leases_of_one_that_was_started_again_lapse),
        BROKER_TEST(leases_on_a_disk_lapse_in_the_next_process),
    };
    return instances_main(argc, argv, "broker/lapsed", tests, sizeof tests / sizeof tests[0], NULL);
}

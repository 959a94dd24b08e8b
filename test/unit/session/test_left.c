/* test_left: the leases of clients that were cut off: which client may claim one, and the bound on all of them. */
#include <stdio.h>
#include <sys/socket.h>

#include "fixture.h"
#include "session/lease.h"

static void a_pid_of_another_nsp_is_nothing(void **state)
{
    char pid[PID_BYTES], text[160];
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    quoted(one, "40{", "\"pid\":\"", pid, sizeof pid);
    cut(one);
    struct browser *thief = dial(2);
    snprintf(text, sizeof text, "40/other,{\"pid\":\"%s\"}", pid);
    say(thief, text);
    expect(thief, "40/other,{");
    assert_int_equal(sessions.counters.resumes, 0);
    say(two, "421[\"say\",1]");
    expect(two, "42[\"say\",1");
    turn(20);
    look(thief);
    assert_int_equal(count(thief, "42"), 0);
    /* And it still belongs to the client that it was given to. */
    browsers[0].closed = false;
    assert_true(is_resumed(3, pid, ""));
}

/* A lease of before the configuration gave each socket a room of its own. */
static void a_socket_without_a_room_of_its_own_may_join(void **state)
{
    char pid[PID_BYTES];
    struct browser *one = enter(0, "40");
    quoted(one, "40{", "\"pid\":\"", pid, sizeof pid);
    cut(one);
    nsp.direct = true;
    assert_true(is_resumed(1, pid, ""));
    say(&browsers[1], "421[\"join\",\"r\"]");
    expect(&browsers[1], "431[");
    assert_int_equal(count(&browsers[1], "431[]"), 1);
}

/* A stranger connects and is cut, again and again. All browsers have one address, which may take at most as much as is
 * left. */
static void what_those_who_were_cut_off_leave_is_bounded(void **state)
{
    char first[PID_BYTES], second[PID_BYTES];
    sessions.limits.lease_bytes_max = 3000;
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    quoted(one, "40{", "\"pid\":\"", first, sizeof first);
    quoted(two, "40{", "\"pid\":\"", second, sizeof second);
    cut(one);
    assert_int_equal(sessions.refusals.counts[REFUSAL_LEASES_FULL], 0);
    cut(two);
    assert_int_equal(sessions.refusals.counts[REFUSAL_LEASES_FULL], 1);
    one->closed = two->closed = false;
    assert_false(is_resumed(2, second, ""));
    assert_true(sessions.departed.bytes > 0);
    assert_true(is_resumed(3, first, ""));
    assert_int_equal(sessions.departed.bytes, 0);
}

/* Its window has passed: nothing is left, nor counted. */
static void what_has_ended_counts_no_more(void **state)
{
    nsp.recovery_ms = 1000;
    struct browser *one = enter(0, "40");
    cut(one);
    assert_true(sessions.departed.bytes > 0);
    turn(2300);
    assert_int_equal(sessions.departed.bytes, 0);
}

/* A client that claims a lease and is cut off before the answer leaves it behind once more. */
static void who_claims_and_is_cut_off_counts(void **state)
{
    char pid[PID_BYTES], text[64];
    struct browser *one = enter(0, "40");
    quoted(one, "40{", "\"pid\":\"", pid, sizeof pid);
    cut(one);
    size_t bytes = sessions.departed.bytes;
    struct browser *two = dial(1);
    snprintf(text, sizeof text, "40{\"pid\":\"%s\"}", pid);
    say(two, text);
    shutdown(two->fd, SHUT_RDWR);
    turn(50);
    assert_true(two->closed);
    assert_int_equal(sessions.departed.bytes, bytes);
}

static const struct broker_ops *watched;
static uint64_t known; /* of the first room of the lease that was written last */

static void lease_write_watched(struct broker *asked, const struct broker_lease *lease, broker_done_fn *done, void *arg)
{
    struct span rooms = lease->rooms, room;
    struct stretch stretch;
    uint64_t floor;
    assert_true(lease_floor_decode(&rooms, &floor) && lease_room_decode(&rooms, &room, &stretch) > 0);
    known = stretch.known;
    watched->lease_write(asked, lease, done, arg);
}

/* Its room got its first entry after the lease was written. Without a trace of that entry in the lease, the loss of the
 * room's keys could not be told from a room that never had any. */
static void cut_after_the_first_entry(uint64_t ms)
{
    char pid[PID_BYTES];
    struct browser *one = enter(0, "40");
    quoted(one, "40{", "\"pid\":\"", pid, sizeof pid);
    struct broker_ops watching = *broker->ops;
    watched = broker->ops;
    watching.lease_write = lease_write_watched;
    broker->ops = &watching;
    known = 0;
    say(one, "421[\"say\",1]");
    expect(one, "42[\"say\",1");
    turn(ms);
    cut(one);
    assert_true(known > 0);
    assert_true(is_resumed(1, pid, ""));
    broker->ops = watched;
}

static void a_lease_that_is_left_knows_of_the_first_entry(void **state)
{
    cut_after_the_first_entry(0);
}

/* The write is due by then, within some seconds. */
static void also_when_a_sweep_has_seen_that_it_is_stale(void **state)
{
    cut_after_the_first_entry(1100);
}

static unsigned claims;

static void claim_lost(struct broker *asked, struct span pid, struct span epoch, uint64_t seq, broker_claim_fn *done,
                       void *arg)
{
    claims++;
    done(arg, BROKER_LOST, NULL, false);
}

/* A client leaves while its claim waits for the broker to be reached again. It may have claimed its lease elsewhere by
 * then, and a second claim here would take it away. */
static void nothing_is_claimed_for_one_that_has_left(void **state)
{
    char pid[PID_BYTES], text[64];
    struct browser *one = enter(0, "40");
    quoted(one, "40{", "\"pid\":\"", pid, sizeof pid);
    cut(one);
    struct broker_ops losing = *broker->ops;
    watched = broker->ops;
    losing.lease_claim = claim_lost;
    broker->ops = &losing;
    claims = 0;
    struct browser *two = dial(1);
    snprintf(text, sizeof text, "40{\"pid\":\"%s\"}", pid);
    say(two, text);
    turn(50);
    assert_int_equal(claims, 1);
    session_hold(two->websocket.transport.session, true); /* as that of a plain client is until it has entered */
    shutdown(two->fd, SHUT_WR);
    turn(500);
    assert_int_equal(claims, 1);
    assert_true(two->closed);
    broker->ops = watched;
    assert_true(is_resumed(2, pid, ""));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_pid_of_another_nsp_is_nothing),
        TEST(a_socket_without_a_room_of_its_own_may_join),
        TEST(what_those_who_were_cut_off_leave_is_bounded),
        TEST(what_has_ended_counts_no_more),
        TEST(who_claims_and_is_cut_off_counts),
        TEST(a_lease_that_is_left_knows_of_the_first_entry),
        TEST(also_when_a_sweep_has_seen_that_it_is_stale),
        TEST(nothing_is_claimed_for_one_that_has_left),
    };
    return cmocka_run_group_tests_name("session/left", tests, NULL, NULL);
}

/* test_session: what a client on one connection may rely on, seen from outside. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fixture.h"

enum { LARGE_BYTES = 100000, MANY = 100 };

static void a_cut_client_is_sent_what_it_missed(void **state)
{
    char pid[PID_BYTES], token[TOKEN_BYTES];
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    quoted(one, "40{", "\"pid\":\"", pid, sizeof pid);
    say(two, "421[\"say\",1]");
    expect(two, "431[]");
    expect(one, "42[\"say\",1");
    quoted(one, "42[\"say\",1", "1,\"", token, sizeof token);
    cut(one);
    say(two, "422[\"say\",2]");
    expect(two, "432[]");
    assert_true(is_resumed(2, pid, token));
    expect(&browsers[2], "42[\"say\",2");
    assert_int_equal(count(&browsers[2], "42"), 1);
}

/* A client that was shown two events, left, and connects again: under a new pid, with the offset it still has. */
static void come_again(char *pid, char *token)
{
    policy.replay = START_OLDEST;
    struct browser *one = enter(0, "40");
    quoted(one, "40{", "\"pid\":\"", pid, PID_BYTES);
    say(one, "42[\"say\",1]");
    say(one, "42[\"say\",2]");
    expect(one, "42[\"say\",2");
    quoted(one, "42[\"say\",2", "2,\"", token, TOKEN_BYTES);
    say(one, "41");
    turn(20);
    assert_false(is_resumed(1, pid, token));
    quoted(&browsers[1], "40{", "\"pid\":\"", pid, PID_BYTES);
    expect(&browsers[1], "42[\"say\",2");
    assert_int_equal(count(&browsers[1], "42[\"say\","), 2);
}

static void an_offset_of_an_earlier_session_says_nothing(void **state)
{
    char pid[PID_BYTES], token[TOKEN_BYTES];
    come_again(pid, token);
    cut(&browsers[1]); /* the event sent to it was lost, so it has the old offset */
    assert_true(is_resumed(2, pid, token));
    expect(&browsers[2], "42[\"say\",1");
    expect(&browsers[2], "42[\"say\",2");
}

static void an_offset_like_that_of_an_earlier_session_is_another(void **state)
{
    char pid[PID_BYTES], token[TOKEN_BYTES];
    come_again(pid, token);
    quoted(&browsers[1], "42[\"say\",2", "2,\"", token, sizeof token);
    cut(&browsers[1]); /* now it has got everything */
    assert_true(is_resumed(2, pid, token));
    say(&browsers[2], "42[\"say\",3]");
    expect(&browsers[2], "42[\"say\",3");
    assert_int_equal(count(&browsers[2], "42[\"say\","), 1);
}

static void what_is_for_several_rooms_comes_once(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40"), *none = enter(2, "40");
    say(one, "421[\"join\",\"a\"]");
    say(one, "422[\"join\",\"b\"]");
    say(two, "421[\"join\",\"b\"]");
    expect(one, "431[]");
    expect(one, "432[]");
    expect(two, "431[]");
    say(none, "421[\"both\"]");
    say(none, "422[\"end\"]");
    expect(one, "42[\"end\"");
    expect(two, "42[\"end\"");
    expect(none, "42[\"end\"");
    assert_int_equal(count(one, "42[\"both\""), 1);
    assert_int_equal(count(two, "42[\"both\""), 1);
    assert_int_equal(count(none, "42[\"both\""), 0);
}

/* A message that was on its way when the server began to close counts, although it can no longer be acknowledged. */
static void what_comes_before_the_peers_close_is_heard(void **state)
{
    struct browser *one = enter(0, "40"), *two = enter(1, "40");
    session_close(one->websocket.transport.session, CLOSE_ROTATED);
    say(one, "421[\"say\",1]");
    expect(two, "42[\"say\",1");
}

/* The client has asked to go: its pid is worth nothing any more. */
static void a_client_that_leaves_cannot_be_resumed(void **state)
{
    char pid[PID_BYTES];
    struct browser *one = enter(0, "40");
    quoted(one, "40{", "\"pid\":\"", pid, sizeof pid);
    say(one, "41");
    turn(20);
    assert_false(is_resumed(1, pid, ""));
}

static broker_done_fn *lease_done;
static void *lease_arg;

static void lease_write_held(struct broker *asked, const struct broker_lease *lease, broker_done_fn *done, void *arg)
{
    lease_done = done;
    lease_arg = arg;
}

/* Before that, no client could resume it. */
static void a_client_is_told_its_pid_once_there_is_a_lease(void **state)
{
    const struct broker_ops *ops = broker->ops;
    struct broker_ops slow = *ops;
    slow.lease_write = lease_write_held;
    broker->ops = &slow;
    lease_done = NULL;
    struct browser *one = dial(0);
    say(one, "40");
    turn(50);
    look(one);
    broker->ops = ops;
    assert_non_null(lease_done);
    assert_int_equal(count(one, "40{"), 0);
    lease_done(lease_arg, BROKER_LOST); /* it is written again */
    expect(one, "40{");
}

static const struct broker_ops *counted;
static size_t lease_writes;

static void lease_write_counted(struct broker *asked, const struct broker_lease *lease, broker_done_fn *done, void *arg)
{
    lease_writes++;
    counted->lease_write(asked, lease, done, arg);
}

/* It lives for two windows. At half its life, and the next look at leases, which comes each second, it is written
 * again. */
static void a_lease_is_written_again_at_half_its_life(void **state)
{
    struct broker_ops counting = *broker->ops;
    counted = broker->ops;
    counting.lease_write = lease_write_counted;
    broker->ops = &counting;
    lease_writes = 0;
    nsp.recovery_ms = 1200;
    enter(0, "40");
    turn(2500);
    broker->ops = counted;
    assert_int_equal(lease_writes, 2);
}

/* Longer than the lease lives if nobody writes it again. */
static void a_lease_is_kept_alive(void **state)
{
    char pid[PID_BYTES];
    nsp.recovery_ms = 1500;
    struct browser *one = enter(0, "40");
    quoted(one, "40{", "\"pid\":\"", pid, sizeof pid);
    turn(2 * 1500 + 300);
    cut(one);
    assert_true(is_resumed(1, pid, ""));
}

/* It is sent more than the kernel and its queue take, reads nothing meanwhile, and gets every event once, in order,
 * and the acknowledgement that waited among them. */
static void slow_client_check(struct browser *one)
{
    char *large = mem_zero(1, LARGE_BYTES + MANY), start[32];
    for (size_t i = 0; i < LARGE_BYTES + MANY; i++) /* does not shrink much */
        large[i] = (char)('A' + loop_random_below(loop, 26));
    sessions.limits.slow_queue_bytes = 4 * LARGE_BYTES;
    sessions.limits.replay_queue_bytes = LARGE_BYTES;
    static const struct broker_retention retention = {
        .entries_max = 1000, .bytes_max = 64 << 20, .age_ms_max = 3600000};
    for (int i = 0; i < MANY; i++) {
        char *text = mem_printf("[\"many\",%d,\"%.*s\"]", i, LARGE_BYTES, large + i);
        struct broker_publish publish = {.room = nsp.name, .body = span_str(text), .retention = &retention};
        if (i % 2 == 0) { /* often enough that some of them wait when the queue is dropped */
            snprintf(start, sizeof start, "42%d[\"own\",%d]", i, i);
            say(one, start);
        }
        assert_true(broker_publish(broker, &publish, NULL, NULL));
        turn(2);
        free(text);
    }
    assert_true(sessions.counters.slowed > 0);
    snprintf(start, sizeof start, "42[\"many\",%d,", MANY - 1);
    expect(one, start);
    turn(20);
    look(one);
    for (int i = 0; i < MANY; i++) {
        char *whole = mem_printf("42[\"many\",%d,\"%.*s\",", i, LARGE_BYTES, large + i);
        assert_int_equal(count(one, whole), 1);
        free(whole);
        snprintf(start, sizeof start, "43%d[]", i);
        assert_int_equal(count(one, start), i % 2 == 0);
    }
    free(large);
}

static void a_slow_client_gets_everything_when_it_reads(void **state)
{
    slow_client_check(enter(0, "40"));
}

/* No message that stayed in its queue, or came later, refers to one that was dropped. */
static void so_does_one_with_a_context_of_compression(void **state)
{
    const struct deflate_terms terms = {.server_keeps = true, .server_bits = 15, .client_bits = 15};
    struct browser *one = enter(0, "40");
    websocket_compress(&one->websocket, &terms);
    one->inflater = inflater_create(15);
    slow_client_check(one);
    assert_true(sessions.compression.counters.compressed > 0);
    inflater_destroy(one->inflater);
    one->inflater = NULL;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_cut_client_is_sent_what_it_missed),
        TEST(an_offset_of_an_earlier_session_says_nothing),
        TEST(an_offset_like_that_of_an_earlier_session_is_another),
        TEST(what_is_for_several_rooms_comes_once),
        TEST(what_comes_before_the_peers_close_is_heard),
        TEST(a_client_that_leaves_cannot_be_resumed),
        TEST(a_client_is_told_its_pid_once_there_is_a_lease),
        TEST(a_lease_is_written_again_at_half_its_life),
        TEST(a_lease_is_kept_alive),
        TEST(a_slow_client_gets_everything_when_it_reads),
        TEST(so_does_one_with_a_context_of_compression),
    };
    return cmocka_run_group_tests_name("session/session", tests, NULL, NULL);
}

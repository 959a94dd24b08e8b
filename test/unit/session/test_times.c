/* test_times: the shared times of sessions, beside a list that keeps each session's own; and pings that come by them.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "script.h"
#include "session/socket.h"
#include "session/times.h"

enum { SCRIPTS = 5, STEPS = 5000, FAR_MS = 1000000 };

static struct script scripts[SCRIPTS];

/* What is known of each: when its heartbeat and its deadline are due. */
static struct {
    struct session *session;
    uint64_t beat_us, deadline_us;
} known[SCRIPTS];

static uint64_t earliest_us(void)
{
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < SCRIPTS; i++) {
        if (known[i].session == NULL)
            continue;
        first = known[i].beat_us < first ? known[i].beat_us : first;
        first = known[i].deadline_us < first ? known[i].deadline_us : first;
    }
    return first;
}

/* Every session is walked over once. */
static void assert_walked(void)
{
    int met[SCRIPTS] = {0}, walked = 0, there = 0;
    sessions_each(session, &sessions)
    {
        for (int i = 0; i < SCRIPTS; i++)
            met[i] += known[i].session == session;
        walked++;
    }
    for (int i = 0; i < SCRIPTS; i++) {
        assert_int_equal(met[i], known[i].session != NULL);
        there += known[i].session != NULL;
    }
    assert_int_equal(walked, there);
}

static void begin(int at)
{
    known[at].session = script_begin(&scripts[at], &socket_protocol);
    known[at].beat_us = known[at].session->pinged_us + LOOP_MS(sessions.limits.ping_interval_ms);
    known[at].deadline_us = loop_now_us(loop) + LOOP_MS(sessions.limits.connect_timeout_ms);
}

static void end(int at)
{
    script_end(&scripts[at]);
    known[at].session = NULL;
}

static uint64_t later_us(void)
{
    return loop_now_us(loop) + LOOP_MS(FAR_MS) + (uint64_t)(rand() % 1000000);
}

static void step(int at, int what)
{
    struct session *session = known[at].session;
    uint64_t now = loop_now_us(loop);
    if (session == NULL) {
        begin(at);
    } else if (what == 0) {
        end(at);
    } else if (what < 3) { /* it is heard */
        session->pinged_us = now;
        times_rest(session);
        known[at].beat_us = now + LOOP_MS(sessions.limits.ping_interval_ms);
    } else if (what < 5) {
        session->pinged_us = now;
        times_ask(session);
        known[at].beat_us = now + LOOP_MS(sessions.limits.ping_timeout_ms);
    } else if (what < 7) {
        times_beat_at(session, known[at].beat_us = what == 5 ? UINT64_MAX : later_us());
    } else {
        times_deadline_at(session, known[at].deadline_us = what == 7 ? UINT64_MAX : later_us());
    }
}

static void the_timer_waits_for_what_is_due_first(void **state)
{
    sessions.limits.ping_interval_ms = FAR_MS + 500;
    sessions.limits.ping_timeout_ms = FAR_MS + 200;
    sessions.limits.connect_timeout_ms = FAR_MS;
    srand(1);
    for (int i = 0; i < STEPS; i++) {
        step(rand() % SCRIPTS, rand() % 10);
        assert_int_equal(sessions.times.due_us, earliest_us());
        assert_int_equal(timer_running(&sessions.times.timer), earliest_us() != UINT64_MAX);
        assert_walked();
        if (i % 50 == 0)
            turn(1);
    }
    for (int i = 0; i < SCRIPTS; i++)
        if (known[i].session != NULL)
            end(i);
    assert_int_equal(sessions.times.due_us, UINT64_MAX);
    assert_false(timer_running(&sessions.times.timer));
}

/* Each session by itself: one answers, one is silent, one came from elsewhere and is due sooner. */
static void pings_come_at_their_time(void **state)
{
    sessions.limits.ping_interval_ms = 60;
    sessions.limits.ping_timeout_ms = 400;
    script_begin(&scripts[0], &socket_protocol);
    script_begin(&scripts[1], &socket_protocol);
    const struct session_clock soon = {.joined = true, .heartbeat_ms = 5};
    scripts[2] = (struct script){.transport = scripts[0].transport};
    session_restore(&sessions, &scripts[2].transport, &socket_protocol, &soon, loop_now_us(loop));
    uint64_t begun = loop_now_us(loop);
    while (script_waiting(&scripts[2], "2") == 0)
        turn(1);
    assert_true(loop_now_us(loop) >= begun + LOOP_MS(5));
    assert_int_equal(script_waiting(&scripts[0], "2"), loop_now_us(loop) >= begun + LOOP_MS(60));
    script_receive(&scripts[2], "3");
    while (!scripts[1].closed) {
        script_take(&scripts[0]);
        script_take(&scripts[2]);
        turn(1);
        for (int i = 0; i < 3; i += 2)
            if (script_waiting(&scripts[i], "2") > 0)
                script_receive(&scripts[i], "3");
    }
    assert_true(loop_now_us(loop) >= begun + LOOP_MS(460));
    assert_int_equal(scripts[1].reason, CLOSE_PING_TIMEOUT);
    assert_false(scripts[0].closed);
    assert_false(scripts[2].closed);
    for (int i = 0; i < 3; i++)
        script_end(&scripts[i]);
}

/* One timer serves all, and none is left over. */
static void a_session_that_is_idle_has_nothing_of_its_own(void **state)
{
    struct session *session = script_begin(&scripts[0], &socket_protocol);
    script_receive(&scripts[0], "40");
    assert_null(session->extra);
    assert_null(session->load);
    assert_int_equal(session->deadline, 0);
    assert_int_equal(sessions.times.deadlines.count, 0);
    script_end(&scripts[0]);
}

/* Also after a test that failed in the middle. */
static int let_go(void **state)
{
    for (int i = 0; i < SCRIPTS; i++)
        script_end(&scripts[i]);
    return tear_down(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, let_go)
    const struct CMUnitTest tests[] = {
        TEST(the_timer_waits_for_what_is_due_first),
        TEST(pings_come_at_their_time),
        TEST(a_session_that_is_idle_has_nothing_of_its_own),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}

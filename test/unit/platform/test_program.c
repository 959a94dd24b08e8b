/* test_program: real processes that become ready, do not, end by themselves, are ended, and are started again. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/listener.h"
#include "platform/program.h"

static struct loop *loop;
static struct net net;
static struct programs programs;
static struct program program;
static struct listener listener; /* plays the program's port */
static struct err err;
static struct {
    int ready, late, ended, released;
    enum program_state before;
    struct child_end end;
    char line[32];
} seen;
static bool stop_when_ready;

static void on_ready(struct program *it)
{
    assert_int_equal(it->state, PROGRAM_READY);
    seen.ready++;
    if (stop_when_ready)
        program_stop(it);
}

static void on_late(struct program *it)
{
    seen.late++;
}

static void on_line(struct program *it, bool is_stderr, struct span line)
{
    snprintf(seen.line, sizeof seen.line, SPAN_FMT, SPAN_ARG(line));
}

static void on_ended(struct program *it, enum program_state before, struct child_end how)
{
    assert_int_equal(it->state, PROGRAM_ENDED);
    assert_int_equal(seen.released, 0);
    seen.ended++;
    seen.before = before;
    seen.end = how;
}

static void on_released(struct program *it)
{
    assert_int_equal(it->state, PROGRAM_OFF);
    seen.released++;
    loop_stop(loop);
}

static const struct program_events events = {
    .ready = on_ready, .late = on_late, .line = on_line, .ended = on_ended, .released = on_released};

static void on_accepted(struct listener *it, struct io *io, const struct addr *peer)
{
    /* Closed at once: that is enough of an answer where there is no question. */
}

/* Runs a shell script until it is over. */
static void run(const char *script, bool listens, const char *question, uint64_t start_ms_max)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    const struct probe_spec line = {.kind = PROBE_LINE,
                                    .question = question,
                                    .answer = "+PONG",
                                    .period_ms = 10,
                                    .timeout_ms = 1000,
                                    .successes = 1};
    struct program_spec spec = {.child = {.argv = argv, .directory = "/"},
                                .probe = question != NULL ? &line : &program_probe_default,
                                .start_ms_max = start_ms_max};
    uint16_t port;
    assert_true(programs_find_port(&programs, &port, &err));
    addr_loopback(&spec.addr, port);
    if (listens)
        assert_true(listener_open(&listener, &net, &spec.addr, on_accepted, &err));
    memset(&seen, 0, sizeof seen);
    assert_true(program_start(&program, &spec, &err));
    assert_int_equal(program.state, PROGRAM_STARTING);
    loop_run(loop);
    listener_close(&listener);
    assert_int_equal(seen.ended, 1);
    assert_int_equal(seen.released, 1);
    assert_true(list_empty(&programs.running));
}

static void test_it_ends_by_itself(void **state)
{
    run("echo the reason >&2; exit 3", false, NULL, 0);
    assert_int_equal(seen.before, PROGRAM_STARTING);
    assert_int_equal(seen.end.exit_status, 3);
    assert_string_equal(seen.line, "the reason");
    assert_int_equal(seen.ready, 0);
    program_stop(&program); /* harmless */
    program_kill(&program);
}

static void test_it_becomes_ready_and_is_stopped(void **state)
{
    stop_when_ready = true;
    for (int i = 0; i < 3; i++) { /* the same one again and again */
        run("exec sleep 100", true, NULL, 10000);
        assert_int_equal(seen.ready, 1);
        assert_int_equal(seen.before, PROGRAM_STOPPING);
        assert_int_equal(seen.end.signal, SIGTERM);
    }
    stop_when_ready = false;
}

static void test_it_is_killed_if_it_does_not_listen_in_time(void **state)
{
    run("trap '' TERM; exec sleep 100", false, NULL, 120);
    assert_int_equal(seen.late, 1);
    assert_int_equal(seen.before, PROGRAM_STARTING);
    assert_int_equal(seen.end.signal, SIGKILL);
}

static void test_a_connection_alone_is_no_answer_to_a_question(void **state)
{
    run("exec sleep 100", true, "PING\r\n", 200);
    assert_int_equal(seen.ready, 0);
    assert_int_equal(seen.late, 1);
}

static void test_what_cannot_be_executed_stays_off(void **state)
{
    const char *const argv[] = {"/no/such/program", NULL};
    const struct program_spec spec = {.child = {.argv = argv}, .probe = &program_probe_default};
    assert_false(program_start(&program, &spec, &err));
    assert_int_equal(program.state, PROGRAM_OFF);
    assert_true(list_empty(&programs.running));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_ends_by_itself),
        cmocka_unit_test(test_it_becomes_ready_and_is_stopped),
        cmocka_unit_test(test_it_is_killed_if_it_does_not_listen_in_time),
        cmocka_unit_test(test_a_connection_alone_is_no_answer_to_a_question),
        cmocka_unit_test(test_what_cannot_be_executed_stays_off),
    };
    loop = loop_create(&err);
    net_init(&net, loop);
    programs_init(&programs, &net);
    program_init(&program, &programs, &events);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    net_finish(&net);
    loop_destroy(loop);
    return failed;
}

/* test_child: processes that the loop starts: their lines, their ends, and those that behave badly. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/child.h"

enum { WAIT_MS = 10000, LINE_NS = 5000 };

static struct loop *loop;
static struct child child;
static struct child_end end;
static unsigned ended, lines;
static char last[256];
static struct timer patience;

static void on_patience(struct timer *timer)
{
    loop_stop(loop);
}

static void run_for(unsigned ms)
{
    timer_start(loop, &patience, LOOP_MS(ms));
    loop_run(loop);
    timer_stop(loop, &patience);
}

static void on_line(struct child *of, bool is_stderr, struct span line)
{
    lines++;
    snprintf(last, sizeof last, "%s" SPAN_FMT, is_stderr ? "!" : "", SPAN_ARG(line));
}

/* As slow as a log that is read. */
static void on_line_slowly(struct child *of, bool is_stderr, struct span line)
{
    struct timespec now, start;
    lines++;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < LINE_NS);
}

static void on_ended(struct child *of, struct child_end how)
{
    ended++;
    end = how;
    loop_stop(loop);
}

static bool start(const char *script, child_line_fn *line, struct err *err)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    const struct child_spec spec = {.argv = argv};
    return child_start(&child, loop, &spec, line, on_ended, err);
}

static int set_up(void **state)
{
    struct err err;
    loop = loop_create(&err);
    timer_init(&patience, on_patience);
    ended = lines = 0;
    return 0;
}

static int tear_down(void **state)
{
    signal(SIGCHLD, SIG_DFL);
    if (ended == 0 && child.pid > 0) {
        child_signal_group(&child, SIGKILL);
        run_for(WAIT_MS);
    }
    loop_destroy(loop);
    return 0;
}

static void test_lines_and_an_end(void **state)
{
    struct err err;
    assert_true(start("echo one; printf two; echo bad >&2; exit 3", on_line, &err));
    run_for(WAIT_MS);
    assert_int_equal(ended, 1);
    assert_int_equal(end.exit_status, 3);
    assert_int_equal(lines, 3);
}

static void test_a_signal(void **state)
{
    struct err err;
    assert_true(start("exec sleep 60", on_line, &err));
    child_signal(&child, SIGTERM);
    run_for(WAIT_MS);
    assert_int_equal(end.signal, SIGTERM);
}

static void test_a_program_that_is_not_there(void **state)
{
    const char *const argv[] = {"no-such-program", NULL};
    const struct child_spec spec = {.argv = argv};
    struct err err;
    assert_false(child_start(&child, loop, &spec, on_line, on_ended, &err));
    assert_string_equal(err.text, "no-such-program: not found in PATH");
    child.pid = 0;
}

/* It writes faster than its lines are handled: everybody else must have a turn all the same. */
static void test_a_child_that_never_stops_talking(void **state)
{
    struct err err;
    alarm(20); /* a loop that is not left cannot be waited for */
    assert_true(start("exec yes", on_line_slowly, &err));
    run_for(200);
    assert_true(lines > 100);
    child_signal(&child, SIGKILL);
    run_for(WAIT_MS);
    assert_int_equal(ended, 1);
    alarm(0);
}

/* Its own child holds the outputs and goes on writing when it is gone. */
static void test_a_grandchild_that_never_stops_talking(void **state)
{
    struct err err;
    alarm(20);
    assert_true(start("yes & echo $! >&2; exit 0", on_line_slowly, &err));
    run_for(WAIT_MS);
    assert_int_equal(ended, 1);
    alarm(0);
}

/* A parent that ignores SIGCHLD hands that on, and the kernel would reap our children before we learn how they ended.
 */
static void test_sigchld_was_ignored(void **state)
{
    struct err err;
    loop_destroy(loop);
    signal(SIGCHLD, SIG_IGN);
    loop = loop_create(&err);
    assert_true(start("exit 4", on_line, &err));
    run_for(2000);
    assert_int_equal(ended, 1);
    assert_int_equal(end.exit_status, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_and_an_end),
        TEST(a_signal),
        TEST(a_program_that_is_not_there),
        TEST(sigchld_was_ignored),
        TEST(a_child_that_never_stops_talking),
        TEST(a_grandchild_that_never_stops_talking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

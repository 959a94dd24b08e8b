/* test_host: the loop and its children inside a host program that has signal handlers and children of its own. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/child.h"
#include "loop/process.h"

enum { WAIT_MS = 10000 };

static struct loop *loop;
static struct child child;
static struct child_end end;
static struct timer patience;
static unsigned ended;
static volatile sig_atomic_t handled;

static void on_patience(struct timer *timer)
{
    loop_stop(loop);
}

static void on_line(struct child *of, bool is_stderr, struct span line)
{
}

static void on_ended(struct child *of, struct child_end how)
{
    ended++;
    end = how;
    loop_stop(loop);
}

static void on_signal(int number)
{
    handled++;
}

static void start(const char *script)
{
    struct err err;
    const char *const argv[] = {"sh", "-c", script, NULL};
    assert_true(child_start(&child, loop, &(struct child_spec){.argv = argv}, on_line, on_ended, &err));
}

static void run(void)
{
    timer_start(loop, &patience, LOOP_MS(WAIT_MS));
    loop_run(loop);
    timer_stop(loop, &patience);
}

static int set_up(void **state)
{
    struct err err;
    loop = loop_create(&err);
    timer_init(&patience, on_patience);
    ended = 0;
    handled = 0;
    end = (struct child_end){0};
    return loop == NULL;
}

static int tear_down(void **state)
{
    loop_destroy(loop);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    return 0;
}

/* Every disposition and the mask, as numbers that can be compared. */
struct signals {
    void (*handlers[NSIG])(int);
    bool blocked[NSIG];
};

static void signals_look(struct signals *signals)
{
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action = {0};
        sigaction(number, NULL, &action);
        signals->handlers[number] = action.sa_handler;
        signals->blocked[number] = sigismember(&mask, number) == 1;
    }
}

static void test_a_loop_and_a_child_change_no_signal(void **state)
{
    struct signals before = {0}, during = {0}, after = {0};
    struct err err;
    loop_destroy(loop);
    signal(SIGCHLD, on_signal);
    signal(SIGPIPE, on_signal);
    signals_look(&before);
    loop = loop_create(&err);
    start("exit 3");
    signals_look(&during);
    run();
    signals_look(&after);
    assert_memory_equal(&during, &before, sizeof before);
    assert_memory_equal(&after, &before, sizeof before);
    assert_int_equal(ended, 1);
    assert_int_equal(end.exit_status, 3);
    assert_true(handled > 0);
}

/* The host's handler interrupts every wait. */
static void test_a_handler_that_interrupts(void **state)
{
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART */
    sigaction(SIGCHLD, &action, NULL);
    for (int status = 1; status <= 20; status++) {
        pid_t mine = fork();
        if (mine == 0)
            _exit(0);
        char script[32];
        snprintf(script, sizeof script, "exit %d", status);
        start(script);
        run();
        assert_int_equal(ended, status);
        assert_int_equal(end.exit_status, status);
        assert_int_equal(waitpid(mine, NULL, 0), mine);
    }
}

static void test_a_child_of_the_hosts_is_left_to_it(void **state)
{
    int status;
    pid_t mine = fork();
    if (mine == 0)
        _exit(7);
    start("exit 3");
    run();
    assert_int_equal(end.exit_status, 3);
    assert_int_equal(waitpid(mine, &status, 0), mine);
    assert_int_equal(WEXITSTATUS(status), 7);
}

/* The end of the child is reported, but its status is unknown. */
static void test_a_host_that_ignores_sigchld(void **state)
{
    signal(SIGCHLD, SIG_IGN);
    start("exit 3");
    run();
    assert_int_equal(ended, 1);
    assert_int_equal(end.exit_status, CHILD_STATUS_UNKNOWN);
    assert_int_equal(end.signal, 0);
}

static void test_a_host_that_waits_for_any_child(void **state)
{
    start("exit 3");
    pid_t pid = child.pid;
    assert_int_equal(waitpid(-1, NULL, 0), pid);
    /* Its number may be another's now. */
    child_signal(&child, SIGKILL);
    child_signal_group(&child, SIGKILL);
    run();
    assert_int_equal(ended, 1);
    assert_int_equal(end.exit_status, CHILD_STATUS_UNKNOWN);
}

/* A write to a peer that has gone is an error, and no signal. */
static void test_a_peer_that_has_gone(void **state)
{
    struct io io;
    int pair[2];
    signal(SIGPIPE, on_signal);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    io_init(&io, loop, NULL);
    io.fd = pair[0];
    close(pair[1]);
    const struct iovec parts[] = {{"a", 1}, {"b", 1}};
    assert_int_equal(io_writev(&io, parts, 1), IO_ERROR);
    assert_int_equal(io_writev(&io, parts, 2), IO_ERROR);
    io_close(&io, false);
    assert_int_equal(handled, 0);
}

/* A program of ours resets the signals that a parent has set, and then learns how its children end. */
static void test_a_program_of_ours(void **state)
{
    signal(SIGCHLD, SIG_IGN);
    process_signals_set();
    assert_true(signal_is_ignored(SIGPIPE));
    start("exit 4");
    run();
    assert_int_equal(ended, 1);
    assert_int_equal(end.exit_status, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_loop_and_a_child_change_no_signal),
        TEST(a_handler_that_interrupts),
        TEST(a_child_of_the_hosts_is_left_to_it),
        TEST(a_host_that_ignores_sigchld),
        TEST(a_host_that_waits_for_any_child),
        TEST(a_peer_that_has_gone),
        TEST(a_program_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

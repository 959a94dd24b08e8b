/* test_ticks: timers and watched descriptors of a program, what it may do to them (end them from within, close what is
 * watched, block), and what each instance says by a timer under one name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kept_log.h"

enum { BLOCK_MS = 120, END_MS = 300 };

static sennit_server *server;
static sennit_timer *timer;
static sennit_watch *watch;
static unsigned calls;
static int ends[2];

static int set_up(void **state)
{
    const struct sennit_options options = {.port = "0", .broker = "memory"};
    kept_log_begin();
    unsetenv("K_SERVICE");
    calls = 0;
    server = sennit_create_with(&options);
    return 0;
}

static void stop(void *data)
{
    sennit_stop(server);
}

/* The server runs until `stop` fires. */
static void run(void)
{
    sennit_after(server, END_MS, stop, NULL);
    assert_int_equal(sennit_run(server), 0);
}

static void ends_itself(void *data)
{
    calls++;
    sennit_timer_stop(timer);
    sennit_timer_stop(timer);
}

static void test_a_timer_ends_itself(void **state)
{
    timer = sennit_every(server, 1, ends_itself, NULL);
    run();
    assert_int_equal(calls, 1);
    assert_non_null(strstr(logged, "\"call\":\"sennit_timer_stop\""));
}

static void blocks(void *data)
{
    usleep(BLOCK_MS * 1000);
}

static void blocks_ready(int fd, unsigned ready, void *data)
{
    blocks(data);
    sennit_watch_stop(watch);
}

static void test_what_blocks_is_named(void **state)
{
    assert_int_equal(pipe(ends), 0);
    sennit_after(server, 1, blocks, NULL);
    watch = sennit_watch_fd(server, ends[1], SENNIT_WRITE, blocks_ready, NULL);
    run();
    assert_non_null(strstr(logged, "\"handler\":\"sennit_after\",\"ms\":1"));
    assert_non_null(strstr(logged, "\"handler\":\"sennit_watch_fd\",\"ms\":1"));
    close(ends[0]);
    close(ends[1]);
}

static void is_ready(int fd, unsigned ready, void *data)
{
    char byte;
    assert_int_equal(read(fd, &byte, 1), 1);
    calls++;
}

static void never(int fd, unsigned ready, void *data)
{
    fail_msg("a closed descriptor is ready");
}

static int other, again[2];

/* The watched descriptor is closed. Its number is used again at once, and watched too, and somebody else still has the
 * closed pipe. Returns the watch of the closed one. */
static sennit_watch *close_while_watched(void)
{
    assert_int_equal(pipe(ends), 0);
    sennit_watch *closed = sennit_watch_fd(server, ends[0], SENNIT_READ, never, NULL);
    other = dup(ends[0]);
    close(ends[0]);
    assert_int_equal(pipe(again), 0);
    assert_int_equal(again[0], ends[0]);
    watch = sennit_watch_fd(server, again[0], SENNIT_READ, is_ready, NULL);
    return closed;
}

static void run_with_both_written(void)
{
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(write(again[1], "y", 1), 1);
    run();
    assert_int_equal(calls, 1);
}

static void all_close(void)
{
    close(other);
    close(ends[1]);
    close(again[0]);
    close(again[1]);
}

static void test_a_descriptor_is_closed_while_it_is_watched(void **state)
{
    sennit_watch *closed = close_while_watched();
    run_with_both_written();
    assert_non_null(strstr(logged, "a watch has ended"));
    assert_non_null(strstr(logged, "the descriptor was closed while it was watched"));
    assert_null(strstr(logged, "did nothing"));
    sennit_watch_stop(closed);
    all_close();
}

/* Ending the watch of a closed descriptor touches nothing that has its number now. */
static void test_a_watch_is_stopped_too_late(void **state)
{
    sennit_watch_stop(close_while_watched());
    run_with_both_written();
    all_close();
}

static void say_twice(void *data)
{
    struct sennit_target named = sennit_named(sennit_to_all(data), "tick-1");
    assert_true(sennit_emitf(named, "tick", "i", 1));
    assert_true(sennit_emitf(named, "tick", "i", 1)); /* the same message */
    assert_true(sennit_emitf(named, "tick", "i", 2)); /* another one */
    assert_true(sennit_emitf(named, "tick", "i", 3));
}

/* It is refused, which does not flood the log. */
static void test_a_name_that_is_taken(void **state)
{
    sennit_after(server, 1, say_twice, sennit_namespace(server, "/"));
    run();
    const char *line = strstr(logged, "\"reason\":\"id_taken\"");
    assert_non_null(line);
    assert_non_null(strstr(line, "\"what\":\"tick-1\""));
    assert_null(strstr(line + 1, "\"reason\":\"id_taken\""));
    assert_null(strstr(logged, "WARNING"));
}

static void fd_ready_never(int fd, unsigned ready, void *data)
{
    fail();
}

/* The program is told, and that is all: nothing is wrong with the instance. */
static void test_a_file_is_not_watched(void **state)
{
    int folder = open("/", O_RDONLY | O_CLOEXEC);
    assert_null(sennit_watch_fd(server, folder, SENNIT_READ, fd_ready_never, NULL));
    assert_non_null(strstr(logged, "the descriptor is none that can be waited for: it is closed, or of a file"));
    assert_null(strstr(logged, "\"ERROR\""));
    run();
    close(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_timer_ends_itself, set_up),
        cmocka_unit_test_setup(test_what_blocks_is_named, set_up),
        cmocka_unit_test_setup(test_a_descriptor_is_closed_while_it_is_watched, set_up),
        cmocka_unit_test_setup(test_a_watch_is_stopped_too_late, set_up),
        cmocka_unit_test_setup(test_a_name_that_is_taken, set_up),
        cmocka_unit_test_setup(test_a_file_is_not_watched, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_gather: a poll that is to begin later does so: by the time that is asked for, or by that of the turn before it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/io.h"

enum { ASKED_US = 1000, BUSY_US = 3000, VERY_BUSY_US = 60000, SLACK_US = 200 };

static struct loop *loop;
static uint64_t busy_us, done_us, waited_us;
static bool asks;

static uint64_t clock_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The first time it is busy, and asks; the second time it looks how long that took. There is always something to read.
 */
static void on_ready(struct io *io, unsigned ready)
{
    uint64_t began_us = clock_now_us();
    if (done_us != 0) {
        waited_us = began_us - done_us;
        loop_stop(loop);
        return;
    }
    while ((done_us = clock_now_us()) - began_us < busy_us)
        ;
    if (asks)
        loop_gather(loop, ASKED_US);
}

static uint64_t wait_after(uint64_t us, bool asking)
{
    struct err err;
    struct io io;
    int ends[2];
    loop = loop_create(&err);
    assert_non_null(loop);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    busy_us = us;
    asks = asking;
    done_us = 0;
    io_init(&io, loop, on_ready);
    io_borrow(&io, ends[0]);
    io_want(&io, IO_READ);
    loop_run(loop);
    io_give_back(&io);
    close(ends[0]);
    close(ends[1]);
    loop_destroy(loop);
    return waited_us;
}

/* A machine with other work makes every wait longer, now and then: the least of some tells. */
static uint64_t least_wait(uint64_t us, bool asking)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 8; i++) {
        uint64_t one = wait_after(us, asking);
        least = one < least ? one : least;
    }
    return least;
}

static void test_as_asked(void **state)
{
    assert_true(least_wait(0, false) < ASKED_US);
    assert_true(least_wait(0, true) >= ASKED_US - SLACK_US);
}

static void test_as_long_as_the_turn_took(void **state)
{
    assert_true(least_wait(BUSY_US, true) >= BUSY_US - SLACK_US);
}

static void test_within_a_bound(void **state)
{
    uint64_t us = least_wait(VERY_BUSY_US, true);
    assert_true(us >= BUSY_US && us < VERY_BUSY_US / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_asked),
        cmocka_unit_test(test_as_long_as_the_turn_took),
        cmocka_unit_test(test_within_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

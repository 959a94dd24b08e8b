/* test_worker: jobs run on another thread, one after the other, while the loop goes on. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/worker.h"

static struct loop *loop;
static struct worker *worker;
static struct timer tick;

struct work {
    struct job job;
    pthread_t on, done_on;
    unsigned us, ran, done, rounds;
    bool masked;
};

static void run(struct job *job)
{
    struct work *work = container_of(job, struct work, job);
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    work->masked = sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGINT) == 1;
    work->on = pthread_self();
    usleep(work->us);
    work->ran++;
}

static void done(struct job *job)
{
    struct work *work = container_of(job, struct work, job);
    work->done_on = pthread_self();
    work->done++;
    assert_int_equal(work->done, work->ran);
    if (work->done < work->rounds)
        worker_give(worker, job);
    else
        loop_stop(loop);
}

static unsigned ticks;

static void on_tick(struct timer *timer)
{
    ticks++;
    timer_start(loop, timer, LOOP_MS(1));
}

static int set_up(void **state)
{
    struct err err;
    loop = loop_create(&err);
    worker = worker_start(loop, &err);
    timer_init(&tick, on_tick);
    return loop == NULL || worker == NULL;
}

static int tear_down(void **state)
{
    worker_finish(worker);
    timer_stop(loop, &tick);
    loop_destroy(loop);
    return 0;
}

static void a_job_blocks_nobody(void **state)
{
    struct work work = {.job = {run, done}, .us = 100000};
    ticks = 0;
    timer_start(loop, &tick, LOOP_MS(1));
    worker_give(worker, &work.job);
    loop_run(loop);
    assert_int_equal(work.done, 1);
    assert_false(pthread_equal(work.on, pthread_self()));
    assert_true(pthread_equal(work.done_on, pthread_self()));
    assert_true(work.masked);
    assert_true(ticks > 10);
}

static void a_job_may_be_given_again_when_it_is_done(void **state)
{
    struct work work = {.job = {run, done}, .rounds = 1000};
    worker_give(worker, &work.job);
    loop_run(loop);
    assert_int_equal(work.ran, 1000);
}

static void the_end_waits_for_the_job_under_way(void **state)
{
    for (unsigned us = 0; us < 30000; us += 10000) {
        struct work work = {.job = {run, done}, .us = us};
        struct err err;
        worker_give(worker, &work.job);
        worker_finish(worker);
        assert_int_equal(work.ran, 1);
        assert_int_equal(work.done, 0);
        worker = worker_start(loop, &err);
        assert_non_null(worker);
    }
    worker_finish(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_job_blocks_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_job_may_be_given_again_when_it_is_done, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_end_waits_for_the_job_under_way, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("loop/worker", tests, NULL, NULL);
}

/* worker_sim: the worker of a simulated host, behind loop/worker.h: a job runs when it is given, and is told of a
 * little later. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "loop/worker.h"

enum { JOB_US = 300 };

struct worker {
    struct loop *loop;
    struct job *under;
    struct timer ran;
};

static void on_ran(struct timer *timer)
{
    struct worker *worker = container_of(timer, struct worker, ran);
    struct job *job = worker->under;
    worker->under = NULL;
    job->done(job);
}

struct worker *worker_start(struct loop *loop, struct err *err)
{
    struct worker *worker = mem_zero(1, sizeof *worker);
    worker->loop = loop;
    timer_init(&worker->ran, on_ran);
    return worker;
}

void worker_give(struct worker *worker, struct job *job)
{
    assert(worker->under == NULL);
    worker->under = job;
    job->run(job);
    timer_start(worker->loop, &worker->ran, JOB_US);
}

void worker_finish(struct worker *worker)
{
    if (worker == NULL)
        return;
    timer_stop(worker->loop, &worker->ran);
    free(worker);
}

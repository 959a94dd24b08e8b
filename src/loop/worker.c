/* worker: the one place with a second thread. A mutex guards the job that is handed over; an eventfd that the loop
 * watches says that it has run. */
#include "loop/worker.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/io.h"

struct worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t given;
    struct job *next;  /* guarded: handed over, not begun */
    bool ending;       /* guarded */
    struct job *under; /* of the loop's thread: handed over, `done` not called */
    struct io ran;     /* the eventfd */
};

static struct job *job_take(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    while (worker->next == NULL && !worker->ending)
        pthread_cond_wait(&worker->given, &worker->lock);
    struct job *job = worker->next;
    worker->next = NULL;
    pthread_mutex_unlock(&worker->lock);
    return job;
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct job *job;
    while ((job = job_take(worker)) != NULL) {
        job->run(job);
        uint64_t one = 1;
        ssize_t written = write(worker->ran.fd, &one, sizeof one);
        assert(written == sizeof one); /* it counts one at most */
    }
    return NULL;
}

static void on_ran(struct io *io, unsigned ready)
{
    struct worker *worker = container_of(io, struct worker, ran);
    struct job *job = worker->under;
    uint64_t count;
    if (io_read(io, &count, sizeof count) != sizeof count)
        return;
    worker->under = NULL;
    job->done(job);
}

/* A signal is for the loop's thread. */
static int thread_create(struct worker *worker)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&worker->thread, NULL, work, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

struct worker *worker_start(struct loop *loop, struct err *err)
{
    struct worker *worker = mem_zero(1, sizeof *worker);
    int error = 0;
    io_init(&worker->ran, loop, on_ran);
    worker->ran.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (worker->ran.fd < 0)
        error = errno;
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->given, NULL);
    if (error == 0)
        error = thread_create(worker);
    if (error == 0) {
        io_want(&worker->ran, IO_READ);
        return worker;
    }
    err_set(err, "a thread cannot be started: %s", strerror(error));
    io_close(&worker->ran, false);
    free(worker);
    return NULL;
}

void worker_give(struct worker *worker, struct job *job)
{
    assert(worker->under == NULL);
    worker->under = job;
    pthread_mutex_lock(&worker->lock);
    worker->next = job;
    pthread_cond_signal(&worker->given);
    pthread_mutex_unlock(&worker->lock);
}

void worker_finish(struct worker *worker)
{
    if (worker == NULL)
        return;
    pthread_mutex_lock(&worker->lock);
    worker->ending = true;
    pthread_cond_signal(&worker->given);
    pthread_mutex_unlock(&worker->lock);
    /* A job that was handed over and not begun is run first. */
    pthread_join(worker->thread, NULL);
    io_close(&worker->ran, false);
    pthread_cond_destroy(&worker->given);
    pthread_mutex_destroy(&worker->lock);
    free(worker);
}

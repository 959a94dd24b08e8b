/* worker: one thread beside the loop, for calls that block: those of a disk. It runs one job after the other, and all
 * else stays on the loop's thread.
 *
 *     loop's thread:  worker_give(job) ........................ job->done(job)
 *     worker:                      job->run(job) ---- eventfd ----^
 *
 * `run` may touch its job and what belongs to the job alone: neither the loop, nor the log, nor any object that the
 * loop's thread uses meanwhile. What one side wrote before handing a job over, the other side sees. */
#ifndef SENNIT_LOOP_WORKER_H
#define SENNIT_LOOP_WORKER_H

#include "loop/loop.h"

struct job {
    void (*run)(struct job *job);  /* on the worker */
    void (*done)(struct job *job); /* on the loop, in a later turn; may give the next job */
};

struct worker;

/* Starts the thread, with all signals blocked. NULL with `err` set when the kernel refuses. */
struct worker *worker_start(struct loop *loop, struct err *err);
/* Hands over a job, which is borrowed until `done`. One job at a time: none may be under way. */
void worker_give(struct worker *worker, struct job *job);
/* Waits until the job under way has run, without calling its `done`, and ends the thread. Accepts NULL. */
void worker_finish(struct worker *worker);

#endif

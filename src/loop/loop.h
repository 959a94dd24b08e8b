/* loop: the only door to time, randomness, descriptors and children. One process, one thread, one loop.
 *
 * A turn runs the timers that are due; polls; calls `ready` of the streams that became ready, which read, decode and
 * act; **flushes** every touched connection once; and **reaps** closed ones. Everything above this layer is pure except
 * for these calls, so that test/sim can put another loop behind the same headers: virtual time, streams that delay, cut
 * and reset, a seed that replays. */
#ifndef SENNIT_LOOP_LOOP_H
#define SENNIT_LOOP_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"

struct loop;

/* One loop; NULL with `err` set when the kernel refuses. Changes nothing of the process: no signal, no mask, no limit.
 * A write to a stream whose peer has gone raises no SIGPIPE (loop/io.h). */
struct loop *loop_create(struct err *err);
/* Accepts NULL. Every timer, io, child and task has been stopped before. */
void loop_destroy(struct loop *loop);

/* Runs turns until loop_stop; the turn in which it was called is finished, its reaping included. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* The next poll begins so much later, or as much later as this turn takes, LOOP_GATHER_TIMES as much at most; and so it
 * finds more at once: for an owner of many streams with little to say each, to whom a turn and a sleep for each of them
 * is dear. A loop that is busy half of its time at most leaves the other half to those that have something to say.
 * Once; the least that is asked for counts. */
enum { LOOP_GATHER_TIMES = 5 };
void loop_gather(struct loop *loop, uint64_t us);

/* Monotonic microseconds, read once a turn before the ready callbacks, never going back. */
uint64_t loop_now_us(const struct loop *loop);
/* Wall clock, milliseconds since 1970 UTC; may jump. */
int64_t loop_wall_ms(const struct loop *loop);
/* The same without a loop, for the log. */
int64_t loop_clock_ms(void);

/* Fills with random bytes fit for secrets. */
void loop_random(struct loop *loop, void *to, size_t size);
/* Uniform in [0, below), below > 0. */
uint64_t loop_random_below(struct loop *loop, uint64_t below);

/* Writes so many random hexadecimal digits, and a NUL behind them. */
static inline void loop_random_hex(struct loop *loop, char *to, size_t digits)
{
    for (size_t i = 0; i < digits; i++)
        to[i] = "0123456789abcdef"[loop_random_below(loop, 16)];
    to[digits] = '\0';
}

/* A task runs once, in the phase it was queued for, at the end of this turn; queued again it runs again. Queueing a
 * task that waits already does nothing. A task queued during its own phase runs in the same phase. */
struct task;
typedef void task_fn(struct task *task);
struct task {
    struct list node;
    task_fn *run;
};
void task_init(struct task *task, task_fn *run);
void loop_at_flush(struct loop *loop, struct task *task);
void loop_at_reap(struct loop *loop, struct task *task);
/* Takes a waiting task out; harmless for one that does not wait. */
void task_cancel(struct task *task);

/* A one-shot timer, accurate to 1-2 ms. Embedded; starting a running one moves it; its callback may start it again. */
struct timer;
typedef void timer_fn(struct timer *timer);
struct timer {
    timer_fn *fire;
    uint32_t place; /* in the loop's heap, counted from 1; 0: not running */
};
void timer_init(struct timer *timer, timer_fn *fire);
void timer_start(struct loop *loop, struct timer *timer, uint64_t delay_us);
void timer_stop(struct loop *loop, struct timer *timer);
static inline bool timer_running(const struct timer *timer)
{
    return timer->place != 0;
}

/* Calls `caught` from the loop, once for each batch of this signal, until a NULL function takes it away.
 *
 * This is process-wide, and only for a program that is ours: while a signal is watched, it is blocked in this thread
 * and its disposition is the default, for an ignored signal would not arrive. The end of the last watch unblocks it.
 * serve, up and load watch SIGINT, SIGTERM and SIGHUP, in the function that runs the whole command. */
struct signal_watch;
typedef void signal_fn(struct signal_watch *watch, int number);
struct signal_watch {
    struct list node;
    int number;
    signal_fn *caught;
};
void signal_watch_start(struct loop *loop, struct signal_watch *watch, int number, signal_fn *caught);
void signal_watch_stop(struct loop *loop, struct signal_watch *watch);
/* True while the signal is ignored. A parent may have set that: nohup does so with SIGHUP. */
bool signal_is_ignored(int number);

#define LOOP_MS(ms) ((uint64_t)(ms)*1000)
#define LOOP_S(s) ((uint64_t)(s)*1000000)

#endif

/* loop_epoll: the state that the parts of the real loop share. For src/loop/ only.
 *
 * An io is registered with epoll exactly while its `want` is not 0. The events of one batch are handled one after the
 * other; an io that a callback closes, or an event that it no longer wants, is taken out of the rest of the batch. */
#ifndef SENNIT_LOOP_LOOP_EPOLL_H
#define SENNIT_LOOP_LOOP_EPOLL_H

#include <signal.h>
#include <sys/epoll.h>

#include "loop/io.h"
#include "loop/timer_heap.h"

enum { LOOP_BATCH_MAX = 256, LOOP_RANDOM_POOL = 512 };

struct loop {
    int epoll_fd;
    bool stopping;
    bool firing; /* timers that are due are being called */
    bool coarse; /* the kernel knows no epoll_pwait2: sleeps are rounded up to milliseconds */
    uint64_t now_us;
    uint64_t polled_us; /* when this turn's poll returned */
    uint64_t gather_us; /* 0: the next poll begins at once */
    struct timer_heap timers;
    struct list flush, reap; /* waiting tasks */
    struct epoll_event batch[LOOP_BATCH_MAX];
    int batch_at, batch_count;
    struct list watches; /* of signals */
    struct io signals;
    sigset_t signal_set;
    unsigned char random_pool[LOOP_RANDOM_POOL];
    size_t random_left;
};

/* Drops the events of `io` from the rest of the batch. */
void loop_batch_forget(struct loop *loop, const struct io *io);

void loop_signals_init(struct loop *loop);
void loop_signals_finish(struct loop *loop);

#endif

/* patience: runs a test's loop for some time, or until something in it stops the loop. */
#ifndef SENNIT_TEST_PATIENCE_H
#define SENNIT_TEST_PATIENCE_H

#include "loop/loop.h"

struct patience {
    struct timer timer;
    struct loop *loop;
};

static inline void patience_over(struct timer *timer)
{
    loop_stop(container_of(timer, struct patience, timer)->loop);
}

static inline void run_for(struct loop *loop, unsigned ms)
{
    static struct patience patience; /* static, because a failed assertion in a callback leaves it running */
    patience.loop = loop;
    timer_init(&patience.timer, patience_over);
    timer_start(loop, &patience.timer, LOOP_MS(ms));
    loop_run(loop);
    timer_stop(loop, &patience.timer);
}

#endif

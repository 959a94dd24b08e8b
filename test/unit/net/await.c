/* await: asks the condition every half a millisecond, from a timer. */
#include "await.h"

enum { WAIT_MS = 20000, MOMENT_MS = 30, ASK_US = 500 };

static condition_fn *awaited;
static uint64_t awaited_since_us;

static void on_tick(struct timer *timer)
{
    if (awaited())
        loop_stop(loop);
    else
        timer_start(loop, timer, ASK_US);
}

static void on_patience(struct timer *timer)
{
    loop_stop(loop);
}

bool becomes(condition_fn *condition)
{
    /* Static, because a failed assertion in a callback leaves them running. */
    static struct timer tick, patience;
    timer_init(&tick, on_tick);
    timer_init(&patience, on_patience);
    awaited = condition;
    awaited_since_us = loop_now_us(loop);
    timer_start(loop, &tick, 0);
    timer_start(loop, &patience, LOOP_MS(WAIT_MS));
    loop_run(loop);
    timer_stop(loop, &tick);
    timer_stop(loop, &patience);
    return condition();
}

uint64_t await_us(void)
{
    return loop_now_us(loop) - awaited_since_us;
}

bool a_moment_passed(void)
{
    return await_us() > LOOP_MS(MOMENT_MS);
}

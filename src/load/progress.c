/* progress: the timer and the lines on standard error. */
#include "load/progress.h"

#include <stdarg.h>
#include <stdio.h>

#include "loop/file.h"

enum { TICK_S = 1, QUIET_TICKS = 10 };

static void line_end(struct progress *progress)
{
    if (progress->line_open)
        fputs("\n", stderr);
    progress->line_open = false;
}

static void on_tick(struct timer *timer)
{
    struct progress *progress = container_of(timer, struct progress, tick);
    struct run *run = container_of(progress, struct run, progress);
    timer_start(run->loop, timer, LOOP_S(TICK_S));
    if (!progress->on_terminal && ++progress->quiet_ticks % QUIET_TICKS != 0)
        return;
    uint64_t now_us = loop_now_us(run->loop), delivered = run->counters.delivered;
    double seconds = (double)(now_us - progress->at_us) / 1e6;
    fprintf(stderr, "%s%4.0f s  %u connected  %llu sent  %llu delivered (%.0f a second)  lag %.1f ms%s",
            progress->on_terminal ? "\r\033[K" : "sennit load: ", (double)(now_us - run->began_us) / 1e6, run->ready,
            (unsigned long long)run->counters.sent, (unsigned long long)delivered,
            (double)(delivered - progress->delivered) / seconds, (double)run->lag_us / 1e3,
            progress->on_terminal ? "" : "\n");
    fflush(stderr);
    progress->line_open = progress->on_terminal;
    progress->delivered = delivered;
    progress->at_us = now_us;
    run->lag_us = 0;
}

void progress_start(struct run *run)
{
    run->progress = (struct progress){.on_terminal = file_stderr_is_terminal(), .at_us = loop_now_us(run->loop)};
    timer_init(&run->progress.tick, on_tick);
    timer_start(run->loop, &run->progress.tick, LOOP_S(TICK_S));
}

void progress_stop(struct run *run)
{
    line_end(&run->progress);
    timer_stop(run->loop, &run->progress.tick);
}

void progress_say(struct run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line_end(&run->progress);
    fputs("sennit load: ", stderr);
    vfprintf(stderr, format, args);
    fputs("\n", stderr);
    va_end(args);
}

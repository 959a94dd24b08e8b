/* loop_epoll: the real loop: turns, timers, tasks, clocks and randomness, on epoll.
 *
 * The clock is read at the start of a turn, for the timers, and after the poll, for what became ready. The poll does
 * not sleep while a task waits or a stop was asked for. */
#include "loop/loop_epoll.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

static uint64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

struct loop *loop_create(struct err *err)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0) {
        err_set(err, "cannot create an epoll descriptor: %s", strerror(errno));
        return NULL;
    }
    struct loop *loop = mem_zero(1, sizeof *loop);
    loop->epoll_fd = fd;
    loop->now_us = clock_us();
    list_init(&loop->flush);
    list_init(&loop->reap);
    loop_signals_init(loop);
    return loop;
}

void loop_destroy(struct loop *loop)
{
    if (loop == NULL)
        return;
    assert(loop->timers.heap.count == 0);
    assert(list_empty(&loop->flush) && list_empty(&loop->reap));
    loop_signals_finish(loop);
    timer_heap_finish(&loop->timers);
    close(loop->epoll_fd);
    explicit_bzero(loop->random_pool, sizeof loop->random_pool);
    free(loop);
}

uint64_t loop_now_us(const struct loop *loop)
{
    return loop->now_us;
}

int64_t loop_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t loop_wall_ms(const struct loop *loop)
{
    return loop_clock_ms();
}

static void random_fill(unsigned char *to, size_t size)
{
    while (size != 0) {
        ssize_t got = getrandom(to, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        /* With no flags it waits until the kernel is seeded and cannot fail otherwise. */
        assert(got > 0);
        to += got;
        size -= (size_t)got;
    }
}

void loop_random(struct loop *loop, void *to, size_t size)
{
    if (size > sizeof loop->random_pool / 4) {
        random_fill(to, size);
        return;
    }
    if (size > loop->random_left) {
        random_fill(loop->random_pool, sizeof loop->random_pool);
        loop->random_left = sizeof loop->random_pool;
    }
    /* Bytes are wiped when they are handed out, so that no later leak of memory reveals them. */
    loop->random_left -= size;
    memcpy(to, loop->random_pool + loop->random_left, size);
    explicit_bzero(loop->random_pool + loop->random_left, size);
}

uint64_t loop_random_below(struct loop *loop, uint64_t below)
{
    assert(below > 0);
    /* The lowest 2^64 mod below values are refused: what is left is a multiple of `below`. */
    uint64_t refused = -below % below, value;
    do
        loop_random(loop, &value, sizeof value);
    while (value < refused);
    return value % below;
}

void task_init(struct task *task, task_fn *run)
{
    list_init(&task->node);
    task->run = run;
}

void loop_at_flush(struct loop *loop, struct task *task)
{
    if (list_empty(&task->node))
        list_append(&loop->flush, &task->node);
}

void loop_at_reap(struct loop *loop, struct task *task)
{
    if (list_empty(&task->node))
        list_append(&loop->reap, &task->node);
}

void task_cancel(struct task *task)
{
    list_remove(&task->node);
}

static void tasks_run(struct list *tasks)
{
    struct list *node;
    while ((node = list_take(tasks)) != NULL) {
        struct task *task = container_of(node, struct task, node);
        task->run(task);
    }
}

void timer_init(struct timer *timer, timer_fn *fire)
{
    *timer = (struct timer){.fire = fire};
}

void timer_start(struct loop *loop, struct timer *timer, uint64_t delay_us)
{
    uint64_t due_us = delay_us < UINT64_MAX - loop->now_us ? loop->now_us + delay_us : UINT64_MAX;
    /* A timer that starts itself without delay waits for the next turn, or this one would never end. */
    if (loop->firing && delay_us == 0)
        due_us++;
    timer_heap_put(&loop->timers, timer, due_us);
}

void timer_stop(struct loop *loop, struct timer *timer)
{
    timer_heap_remove(&loop->timers, timer);
}

static void timers_fire(struct loop *loop)
{
    struct timer *timer;
    loop->firing = true;
    while ((timer = timer_heap_take(&loop->timers, loop->now_us)) != NULL)
        timer->fire(timer);
    loop->firing = false;
}

/* Microseconds the poll may sleep; UINT64_MAX: until something happens. */
static uint64_t sleep_us(const struct loop *loop)
{
    uint64_t next_us = timer_heap_next_us(&loop->timers);
    if (loop->stopping || !list_empty(&loop->flush) || !list_empty(&loop->reap))
        return 0;
    if (next_us == UINT64_MAX)
        return UINT64_MAX;
    uint64_t now_us = clock_us();
    return next_us > now_us ? next_us - now_us : 0;
}

static int poll_wait(struct loop *loop, uint64_t us)
{
    enum { SLEEP_S_MAX = 3600 };
    if (us != UINT64_MAX && us > LOOP_S(SLEEP_S_MAX))
        us = LOOP_S(SLEEP_S_MAX);
    if (!loop->coarse) {
        struct timespec sleep = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
        int count = epoll_pwait2(loop->epoll_fd, loop->batch, LOOP_BATCH_MAX, us != UINT64_MAX ? &sleep : NULL, NULL);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM))
            return count;
        loop->coarse = true;
    }
    return epoll_wait(loop->epoll_fd, loop->batch, LOOP_BATCH_MAX, us != UINT64_MAX ? (int)((us + 999) / 1000) : -1);
}

void loop_batch_forget(struct loop *loop, const struct io *io)
{
    for (int i = loop->batch_at; i < loop->batch_count; i++)
        if (loop->batch[i].data.ptr == io)
            loop->batch[i].data.ptr = NULL;
}

static void batch_handle(struct loop *loop)
{
    while (loop->batch_at < loop->batch_count) {
        const struct epoll_event *event = &loop->batch[loop->batch_at++];
        struct io *io = event->data.ptr;
        unsigned ready = 0;
        if (io == NULL)
            continue;
        if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            ready |= IO_READ;
        if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
            ready |= IO_WRITE;
        if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            ready |= IO_ENDED;
        if (event->events & (EPOLLHUP | EPOLLERR))
            ready |= IO_BROKEN;
        /* An earlier callback of this batch may have changed the wanted events. */
        ready &= io->want;
        if (ready != 0)
            io->ready(io, ready);
    }
}

void loop_gather(struct loop *loop, uint64_t us)
{
    if (loop->gather_us == 0 || us < loop->gather_us)
        loop->gather_us = us;
}

/* Not while a task or a stop waits. A timer that is due meanwhile is that much late. */
static void gather(struct loop *loop)
{
    uint64_t us = loop->gather_us, took_us = loop->now_us - loop->polled_us;
    loop->gather_us = 0;
    if (us == 0 || sleep_us(loop) == 0)
        return;
    if (took_us > us)
        us = took_us < us * LOOP_GATHER_TIMES ? took_us : us * LOOP_GATHER_TIMES;
    struct timespec rest = {.tv_nsec = (long)(us % 1000000) * 1000};
    nanosleep(&rest, NULL);
}

static void turn(struct loop *loop)
{
    loop->now_us = clock_us();
    timers_fire(loop);
    gather(loop);
    int count = poll_wait(loop, sleep_us(loop));
    assert(count >= 0 || errno == EINTR);
    loop->now_us = loop->polled_us = clock_us();
    loop->batch_at = 0;
    loop->batch_count = count > 0 ? count : 0;
    batch_handle(loop);
    loop->batch_at = loop->batch_count = 0;
    tasks_run(&loop->flush);
    tasks_run(&loop->reap);
}

void loop_run(struct loop *loop)
{
    do
        turn(loop);
    while (!loop->stopping);
    loop->stopping = false;
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
}

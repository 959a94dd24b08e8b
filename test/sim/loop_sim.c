/* loop_sim: the loop of a simulated host, behind loop/loop.h, loop/io.h and loop/resolve.h. A turn has the phases of
 * the real loop: timers; streams that became ready, in random order; flush; reap. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "loop/resolve.h"
#include "sim_parts.h"

enum { FD_LISTENER = 1 << 20 };

struct loop *sim_host_create(struct sim *sim)
{
    struct loop *loop = mem_zero(1, sizeof *loop);
    loop->sim = sim;
    loop->now_us = sim->now_us;
    loop->random[0] = sim_random(sim) | 1;
    loop->random[1] = sim_random(sim);
    list_init(&loop->of_sim);
    list_init(&loop->flush);
    list_init(&loop->reap);
    list_init(&loop->watches);
    list_init(&loop->ready);
    list_append(&sim->hosts, &loop->of_sim);
    return loop;
}

void sim_host_sever(struct loop *loop)
{
    struct sim *sim = loop->sim;
    for (size_t fd = 0; fd < sim->fd_cap; fd++) {
        struct sim_end *end = sim->by_fd[fd];
        if (end != NULL && end->loop == loop && end->other != NULL)
            sim_cut(end);
    }
    for (int i = 0; i < SIM_PORTS_MAX; i++) {
        struct sim_port *port = &sim->ports[i];
        if (port->loop != loop)
            continue;
        list_each (node, &port->waiting) {
            sim_end_close(container_of(node, struct sim_end, of_sim), true);
        }
    }
}

void sim_host_destroy(struct loop *loop)
{
    timer_heap_finish(&loop->timers);
    list_remove(&loop->of_sim);
    free(loop);
}

void sim_host_pause(struct loop *loop, bool paused)
{
    loop->paused = paused;
    loop->dirty = true;
}

void sim_host_clock(struct loop *loop, int64_t offset_ms)
{
    loop->clock_ms = offset_ms;
}

void sim_host_signal(struct loop *loop, int number)
{
    loop->signal = number;
    loop->dirty = true;
}

/* The program starts its own loop; here loops belong to hosts. */
struct loop *loop_create(struct err *err)
{
    abort();
}
void loop_destroy(struct loop *loop)
{
    abort();
}
void loop_run(struct loop *loop)
{
    abort();
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

uint64_t loop_now_us(const struct loop *loop)
{
    return loop->now_us;
}

int64_t loop_wall_ms(const struct loop *loop)
{
    return (int64_t)(loop->now_us / 1000) + loop->clock_ms;
}

int64_t loop_clock_ms(void)
{
    return 0;
}

void loop_random(struct loop *loop, void *to, size_t size)
{
    char *at = to;
    while (size > 0) {
        uint64_t value = sim_random_next(loop->random);
        size_t some = size < sizeof value ? size : sizeof value;
        memcpy(at, &value, some);
        at += some;
        size -= some;
    }
}

uint64_t loop_random_below(struct loop *loop, uint64_t below)
{
    return sim_random_next(loop->random) % below;
}

void task_init(struct task *task, task_fn *run)
{
    list_init(&task->node);
    task->run = run;
}

static void task_queue(struct loop *loop, struct list *tasks, struct task *task)
{
    if (!list_empty(&task->node))
        return;
    list_append(tasks, &task->node);
    loop->dirty = true;
}

void loop_at_flush(struct loop *loop, struct task *task)
{
    task_queue(loop, &loop->flush, task);
}

void loop_at_reap(struct loop *loop, struct task *task)
{
    task_queue(loop, &loop->reap, task);
}

void task_cancel(struct task *task)
{
    list_remove(&task->node);
}

void timer_init(struct timer *timer, timer_fn *fire)
{
    *timer = (struct timer){.fire = fire};
}

void timer_start(struct loop *loop, struct timer *timer, uint64_t delay_us)
{
    timer_heap_put(&loop->timers, timer, loop->now_us + delay_us + (loop->firing && delay_us == 0));
}

void timer_stop(struct loop *loop, struct timer *timer)
{
    timer_heap_remove(&loop->timers, timer);
}

void signal_watch_start(struct loop *loop, struct signal_watch *watch, int number, signal_fn *caught)
{
    watch->number = number;
    watch->caught = caught;
    list_append(&loop->watches, &watch->node);
}

void signal_watch_stop(struct loop *loop, struct signal_watch *watch)
{
    list_remove(&watch->node);
    watch->caught = NULL;
}

struct sim_end *sim_end_of(const struct io *io)
{
    return io->loop->sim->by_fd[io->fd];
}

void io_init(struct io *io, struct loop *loop, io_ready_fn *ready)
{
    *io = (struct io){.loop = loop, .fd = -1, .ready = ready};
}

void io_want(struct io *io, unsigned events)
{
    struct sim_end *end = io->fd < FD_LISTENER ? sim_end_of(io) : NULL;
    io->want = events;
    if (end != NULL)
        sim_end_wake(end);
}

bool io_listen(struct io *io, const struct addr *addr, struct err *err)
{
    struct sim *sim = io->loop->sim;
    struct sim_port *port = sim_port_find(sim, addr_port(addr));
    if (port == NULL)
        port = sim_port_find(sim, 0);
    assert(port != NULL && port->io == NULL && port->peer == NULL);
    port->port = addr_port(addr);
    port->loop = io->loop;
    port->io = io;
    io->fd = FD_LISTENER + (int)(port - sim->ports);
    return true;
}

static struct sim_port *port_of(const struct io *io)
{
    return io->fd >= FD_LISTENER ? &io->loop->sim->ports[io->fd - FD_LISTENER] : NULL;
}

void io_local(const struct io *io, struct addr *addr)
{
    struct sim_port *port = port_of(io);
    addr_loopback(addr, port != NULL ? port->port : 0);
}

int io_accept(struct io *listener, struct io *to, struct addr *peer)
{
    struct list *node = list_take(&port_of(listener)->waiting);
    if (node == NULL)
        return IO_AGAIN;
    struct sim_end *end = container_of(node, struct sim_end, of_sim);
    list_append(&end->sim->ends, &end->of_sim);
    end->loop = listener->loop;
    end->io = to;
    end->opened = true;
    to->fd = end->fd;
    addr_loopback(peer, 1);
    return 0;
}

bool io_connect(struct io *io, const struct addr *addr)
{
    struct sim_end *end = sim_dial(io->loop->sim, addr_port(addr));
    end->loop = io->loop;
    end->io = io;
    io->fd = end->fd;
    return true;
}

int io_connected(struct io *io)
{
    const struct sim_end *end = sim_end_of(io);
    return end->in_reset || !end->opened ? ECONNREFUSED : 0;
}

ssize_t io_read(struct io *io, void *to, size_t size)
{
    struct sim_end *end = sim_end_of(io);
    /* A reset drops unread bytes. */
    if (end->in_reset)
        return IO_ERROR;
    if (end->in.len > 0) {
        size_t some = end->in.len < size ? end->in.len : size;
        if (some > 1 && sim_chance(end->sim, 20))
            some = 1 + sim_below(end->sim, some);
        memcpy(to, end->in.data + end->in.off, some);
        buf_consume(&end->in, some);
        if (end->other != NULL)
            sim_end_wake(end->other); /* it may write again */
        return (ssize_t)some;
    }
    return end->in_fin ? 0 : IO_AGAIN;
}

size_t io_unread(const struct io *io)
{
    return sim_end_of(io)->in.len;
}

ssize_t io_writev(struct io *io, const struct iovec *parts, int count)
{
    struct sim_end *end = sim_end_of(io);
    size_t bytes = 0, space = sim_end_space(end);
    if (end->in_reset || !end->opened)
        return IO_ERROR;
    for (int i = 0; i < count; i++)
        bytes += parts[i].iov_len;
    if (bytes > space)
        bytes = space;
    if (bytes > 1 && sim_chance(end->sim, 10))
        bytes = 1 + sim_below(end->sim, bytes);
    if (bytes == 0)
        return IO_AGAIN;
    sim_end_send(end, parts, count, bytes);
    return (ssize_t)bytes;
}

void io_reserve(struct io *io)
{
}

void io_unsent_max(struct io *io, uint32_t bytes)
{
}

void io_shutdown(struct io *io)
{
    if (io->fd >= 0)
        sim_end_of(io)->sent_fin = true;
    /* The end of the stream follows when it is closed; the model clients do not half-close. */
}

/* No library has a descriptor here. */
void io_lend(struct io *io, int fd, unsigned events)
{
    abort();
}
void io_take_back(struct io *io)
{
}
bool io_borrow(struct io *io, int fd)
{
    abort();
}
bool io_is_of(const struct io *io, int fd)
{
    abort();
}
void io_give_back(struct io *io)
{
    abort();
}

void io_close(struct io *io, bool reset)
{
    if (io->fd < 0)
        return;
    struct sim_port *port = port_of(io);
    if (port != NULL) {
        list_each (node, &port->waiting) {
            sim_end_close(container_of(node, struct sim_end, of_sim), true);
        }
        port->io = NULL;
        port->loop = NULL;
    } else {
        sim_end_of(io)->sent_fin = false;
        sim_end_close(sim_end_of(io), reset);
    }
    io->fd = -1;
    io->want = 0;
}

void io_move(struct io *to, struct io *from)
{
    if (from->fd < 0)
        return;
    to->fd = from->fd;
    to->want = from->want;
    sim_end_of(to)->io = to;
    sim_end_wake(sim_end_of(to));
    from->fd = -1;
    from->want = 0;
}

struct resolve {
    struct task task;
    resolve_fn *done;
    void *arg;
    struct addr addr;
};

static void resolve_answer(struct task *task)
{
    struct resolve *resolve = container_of(task, struct resolve, task);
    resolve->done(resolve->arg, &resolve->addr, 1, "");
    free(resolve);
}

struct resolve *resolve_start(struct loop *loop, const char *host, uint16_t port, resolve_fn *done, void *arg)
{
    struct resolve *resolve = mem_zero(1, sizeof *resolve);
    task_init(&resolve->task, resolve_answer);
    resolve->done = done;
    resolve->arg = arg;
    addr_loopback(&resolve->addr, port);
    loop_at_flush(loop, &resolve->task);
    return resolve;
}

void resolve_cancel(struct resolve *resolve)
{
    if (resolve == NULL)
        return;
    task_cancel(&resolve->task);
    free(resolve);
}

static unsigned ready_of(const struct sim_end *end)
{
    unsigned ready = 0;
    if (end->in.len > 0 || end->in_fin || end->in_reset)
        ready |= IO_READ;
    if (end->in_reset || (end->opened && sim_end_space(end) > 0))
        ready |= IO_WRITE;
    if (end->in_fin || end->in_reset)
        ready |= IO_ENDED;
    if (end->in_reset)
        ready |= IO_BROKEN;
    return ready & end->io->want;
}

/* Calls the streams that are ready. One that stays ready is called again in the next turn. */
static void ready_handle(struct loop *loop)
{
    struct sim *sim = loop->sim;
    struct list batch, *node;
    for (int i = 0; i < SIM_PORTS_MAX; i++) {
        struct sim_port *port = &sim->ports[i];
        if (port->loop == loop && port->io != NULL && port->io->want & IO_READ && !list_empty(&port->waiting))
            port->io->ready(port->io, IO_READ);
    }
    list_init(&batch);
    while ((node = list_take(&loop->ready)) != NULL)
        list_append(&batch, node);
    while ((node = list_take(&batch)) != NULL) {
        struct sim_end *end = container_of(node, struct sim_end, ready);
        int fd = end->fd;
        unsigned ready = ready_of(end);
        if (ready == 0)
            continue;
        end->io->ready(end->io, ready);
        if (sim->by_fd[fd] == end && ready_of(end) != 0)
            sim_end_wake(end);
    }
}

static void tasks_run(struct list *tasks)
{
    struct list *node;
    while ((node = list_take(tasks)) != NULL) {
        struct task *task = container_of(node, struct task, node);
        task->run(task);
    }
}

void loop_turn(struct loop *loop)
{
    struct timer *timer;
    loop->now_us = loop->sim->now_us;
    loop->firing = true;
    while ((timer = timer_heap_take(&loop->timers, loop->now_us)) != NULL)
        timer->fire(timer);
    loop->firing = false;
    if (loop->signal != 0) {
        int number = loop->signal;
        loop->signal = 0;
        list_each (node, &loop->watches) {
            struct signal_watch *watch = container_of(node, struct signal_watch, node);
            if (watch->number == number)
                watch->caught(watch, number);
        }
    }
    ready_handle(loop);
    tasks_run(&loop->flush);
    tasks_run(&loop->reap);
    loop->dirty = !list_empty(&loop->ready);
}

/* sim: see sim.h. Here: time, and the streams. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sim_parts.h"

/* xorshift128+ (Vigna): any loop's or the world's. */
uint64_t sim_random_next(uint64_t state[2])
{
    uint64_t a = state[0], b = state[1];
    state[0] = b;
    a ^= a << 23;
    state[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
    return state[1] + b;
}

uint64_t sim_random(struct sim *sim)
{
    return sim_random_next(sim->random);
}

uint64_t sim_below(struct sim *sim, uint64_t below)
{
    return sim_random(sim) % below; /* the bias is of no matter here */
}

struct sim *sim_create(uint64_t seed)
{
    struct sim *sim = mem_zero(1, sizeof *sim);
    sim->random[0] = seed * 0x9e3779b97f4a7c15u + 1;
    sim->random[1] = seed ^ 0xd1b54a32d192ed03u;
    for (int i = 0; i < 16; i++)
        sim_random(sim);
    sim->now_us = LOOP_S(1000);
    list_init(&sim->hosts);
    list_init(&sim->ends);
    sim->delays = (struct sim_delays){.min_us = 50, .max_us = 2000};
    for (int i = 0; i < SIM_PORTS_MAX; i++)
        list_init(&sim->ports[i].waiting);
    return sim;
}

void sim_destroy(struct sim *sim)
{
    assert(list_empty(&sim->ends) && list_empty(&sim->hosts));
    timer_heap_finish(&sim->events);
    free(sim->by_fd);
    free(sim);
}

uint64_t sim_now_us(const struct sim *sim)
{
    return sim->now_us;
}

void sim_delays_set(struct sim *sim, const struct sim_delays *delays)
{
    sim->delays = *delays;
}

void sim_timer_start(struct sim *sim, struct timer *timer, uint64_t delay_us)
{
    timer_heap_put(&sim->events, timer, sim->now_us + delay_us);
}

void sim_timer_stop(struct sim *sim, struct timer *timer)
{
    timer_heap_remove(&sim->events, timer);
}

/* When the next thing happens anywhere. */
static uint64_t next_us(struct sim *sim)
{
    uint64_t next = timer_heap_next_us(&sim->events);
    list_each (node, &sim->hosts) {
        struct loop *loop = container_of(node, struct loop, of_sim);
        if (loop->paused)
            continue;
        if (loop->dirty)
            return sim->now_us + 1;
        if (timer_heap_next_us(&loop->timers) < next)
            next = timer_heap_next_us(&loop->timers);
    }
    return next > sim->now_us ? next : sim->now_us + 1;
}

void sim_run(struct sim *sim, uint64_t until_us, void (*after)(void *arg), void *arg)
{
    for (;;) {
        struct timer *timer;
        uint64_t next = next_us(sim);
        if (next > until_us)
            break;
        sim->now_us = next;
        while ((timer = timer_heap_take(&sim->events, sim->now_us)) != NULL)
            timer->fire(timer);
        list_each (node, &sim->hosts) {
            struct loop *loop = container_of(node, struct loop, of_sim);
            if (!loop->paused && (loop->dirty || timer_heap_next_us(&loop->timers) <= sim->now_us))
                loop_turn(loop);
        }
        if (after != NULL)
            after(arg);
    }
    sim->now_us = until_us > sim->now_us ? until_us : sim->now_us;
}

struct sim_port *sim_port_find(struct sim *sim, uint16_t port)
{
    for (int i = 0; i < SIM_PORTS_MAX; i++)
        if (sim->ports[i].port == port)
            return &sim->ports[i];
    return NULL;
}

static uint64_t delay_us(struct sim *sim)
{
    const struct sim_delays *delays = &sim->delays;
    if (delays->spike_per_mille != 0 && sim_chance(sim, delays->spike_per_mille))
        return delays->min_us + sim_below(sim, delays->spike_us + 1);
    return delays->min_us + sim_below(sim, delays->max_us - delays->min_us + 1);
}

static void arrived(struct timer *timer);

static struct sim_end *end_create(struct sim *sim, uint16_t port)
{
    struct sim_end *end = mem_zero(1, sizeof *end);
    end->sim = sim;
    end->port = port;
    list_init(&end->of_sim);
    list_append(&sim->ends, &end->of_sim);
    list_init(&end->ready);
    list_init(&end->pieces);
    timer_init(&end->arrival, arrived);
    size_t fd = 0;
    while (fd < sim->fd_cap && sim->by_fd[fd] != NULL)
        fd++;
    if (fd == sim->fd_cap) {
        size_t cap = sim->fd_cap != 0 ? sim->fd_cap * 2 : 64;
        sim->by_fd = mem_resize(sim->by_fd, cap * sizeof(struct sim_end *));
        memset(sim->by_fd + sim->fd_cap, 0, (cap - sim->fd_cap) * sizeof(struct sim_end *));
        sim->fd_cap = cap;
    }
    sim->by_fd[fd] = end;
    end->fd = (int)fd;
    return end;
}

static void end_destroy(struct sim_end *end)
{
    struct list *node;
    struct sim *sim = end->sim;
    if (end->other != NULL)
        end->other->other = NULL;
    while ((node = list_take(&end->pieces)) != NULL)
        free(container_of(node, struct sim_piece, node));
    timer_heap_remove(&sim->events, &end->arrival);
    buf_finish(&end->in);
    list_remove(&end->of_sim);
    list_remove(&end->ready);
    sim->by_fd[end->fd] = NULL;
    free(end);
}

/* Sends an event to `to`, behind those that are under way already. */
static struct sim_piece *piece_send(struct sim_end *to, int kind, size_t len)
{
    struct sim *sim = to->sim;
    struct sim_piece *piece = mem_alloc(sizeof *piece + len);
    uint64_t due = sim->now_us + delay_us(sim);
    if (due <= to->last_due_us)
        due = to->last_due_us + 1;
    to->last_due_us = due;
    *piece = (struct sim_piece){.due_us = due, .kind = kind, .len = len};
    list_init(&piece->node);
    if (list_empty(&to->pieces))
        timer_heap_put(&sim->events, &to->arrival, due);
    list_append(&to->pieces, &piece->node);
    to->on_the_way += len;
    return piece;
}

size_t sim_end_space(const struct sim_end *end)
{
    const struct sim_end *to = end->other;
    if (to == NULL)
        return SIM_WINDOW_BYTES;
    size_t used = to->on_the_way + to->in.len;
    return used < SIM_WINDOW_BYTES ? SIM_WINDOW_BYTES - used : 0;
}

void sim_end_send(struct sim_end *end, const struct iovec *parts, int count, size_t bytes)
{
    struct sim_end *to = end->other;
    for (int i = 0; i < count && bytes > 0 && to != NULL; i++) {
        size_t at = 0, len = parts[i].iov_len < bytes ? parts[i].iov_len : bytes;
        bytes -= len;
        while (at < len) {
            /* Pieces end anywhere, but small writes mostly stay together. */
            size_t some = len - at;
            if (some > 1 && sim_chance(end->sim, 60))
                some = 1 + sim_below(end->sim, some);
            if (some > SIM_PIECE_MAX)
                some = SIM_PIECE_MAX;
            struct sim_piece *piece = piece_send(to, PIECE_BYTES, some);
            memcpy(piece->bytes, (const char *)parts[i].iov_base + at, some);
            at += some;
        }
    }
}

void sim_end_close(struct sim_end *end, bool reset)
{
    /* Unread bytes make a reset of a close, as in TCP. */
    if (end->other != NULL && !(end->sent_fin && !reset && end->in.len == 0))
        piece_send(end->other, reset || end->in.len > 0 ? PIECE_RESET : PIECE_FIN, 0);
    end_destroy(end);
}

void sim_end_wake(struct sim_end *end)
{
    struct loop *loop = end->loop;
    if (loop == NULL)
        return;
    loop->dirty = true;
    if (!list_empty(&end->ready))
        return;
    if (sim_chance(end->sim, 500))
        list_append(&loop->ready, &end->ready);
    else
        list_prepend(&loop->ready, &end->ready);
}

static void peer_closed(struct sim_end *end)
{
    end->peer->closed(end, end->owner);
    end_destroy(end);
}

/* A dialler's stream comes to the listener; a host accepts it later, a model at once. */
static void open_arrived(struct sim_end *end)
{
    struct sim_port *port = sim_port_find(end->sim, end->port);
    if (port == NULL || (port->io == NULL && port->peer == NULL)) {
        sim_end_close(end, true);
    } else if (port->io != NULL) {
        list_remove(&end->of_sim);
        list_append(&port->waiting, &end->of_sim);
        port->loop->dirty = true;
        if (end->other != NULL)
            piece_send(end->other, PIECE_OPEN, 0);
    } else {
        end->peer = port->peer;
        end->owner = port->accept(port->arg, end);
        if (end->owner == NULL)
            sim_end_close(end, true);
        else if (end->other != NULL)
            piece_send(end->other, PIECE_OPEN, 0);
    }
}

static void model_arrived(struct sim_end *end, struct sim_piece *piece)
{
    if (piece->kind == PIECE_OPEN && end->peer->opened != NULL)
        end->peer->opened(end, end->owner);
    else if (piece->kind == PIECE_BYTES)
        end->peer->received(end, end->owner, piece->bytes, piece->len);
    else if (piece->kind == PIECE_FIN || piece->kind == PIECE_RESET)
        peer_closed(end);
}

static void host_arrived(struct sim_end *end, struct sim_piece *piece)
{
    if (piece->kind == PIECE_OPEN)
        end->opened = true;
    else if (piece->kind == PIECE_BYTES)
        buf_append(&end->in, span_of(piece->bytes, piece->len));
    else if (piece->kind == PIECE_FIN)
        end->in_fin = true;
    else
        end->in_reset = true;
    sim_end_wake(end);
}

static void arrived(struct timer *timer)
{
    struct sim_end *end = container_of(timer, struct sim_end, arrival);
    struct sim *sim = end->sim;
    struct sim_port *port = sim_port_find(sim, end->port);
    if (end->peer != NULL && !end->dials && port != NULL && port->paused) {
        timer_heap_put(&sim->events, timer, sim->now_us + 1000);
        return;
    }
    if (end->held)
        return;
    struct sim_piece *piece = container_of(list_take(&end->pieces), struct sim_piece, node);
    bool was_full = end->on_the_way >= SIM_WINDOW_BYTES;
    end->on_the_way -= piece->len;
    if (was_full && end->peer != NULL && end->other != NULL)
        sim_end_wake(end->other); /* a model reads at once: the other side may write again */
    if (!list_empty(&end->pieces)) {
        uint64_t due = container_of(end->pieces.next, struct sim_piece, node)->due_us;
        timer_heap_put(&sim->events, timer, due > sim->now_us ? due : sim->now_us);
    }
    if (end->silent_from_us != 0 && sim->now_us >= end->silent_from_us)
        ; /* lost */
    else if (piece->kind == PIECE_OPEN && !end->dials)
        open_arrived(end);
    else if (end->peer != NULL)
        model_arrived(end, piece);
    else
        host_arrived(end, piece);
    free(piece);
}

struct sim_end *sim_dial(struct sim *sim, uint16_t port)
{
    struct sim_end *end = end_create(sim, port);
    struct sim_end *other = end_create(sim, port);
    end->dials = true;
    end->other = other;
    other->other = end;
    piece_send(other, PIECE_OPEN, 0);
    return end;
}

struct sim_end *sim_connect(struct sim *sim, uint16_t port, const struct sim_peer *peer, void *owner)
{
    struct sim_end *end = sim_dial(sim, port);
    end->peer = peer;
    end->owner = owner;
    return end;
}

void sim_listen(struct sim *sim, uint16_t port, const struct sim_peer *peer, sim_accept_fn *accept, void *arg)
{
    struct sim_port *slot = sim_port_find(sim, port);
    if (slot == NULL)
        slot = sim_port_find(sim, 0);
    assert(slot != NULL);
    slot->port = port;
    slot->peer = peer;
    slot->accept = accept;
    slot->arg = arg;
}

void sim_unlisten(struct sim *sim, uint16_t port)
{
    struct sim_port *slot = sim_port_find(sim, port);
    if (slot != NULL)
        slot->peer = NULL;
}

void sim_listen_pause(struct sim *sim, uint16_t port, bool paused)
{
    struct sim_port *slot = sim_port_find(sim, port);
    if (slot != NULL)
        slot->paused = paused;
}

void sim_hold(struct sim_end *end, bool held)
{
    end->held = held;
    if (held || list_empty(&end->pieces))
        return;
    uint64_t due = container_of(end->pieces.next, struct sim_piece, node)->due_us;
    timer_heap_put(&end->sim->events, &end->arrival, due > end->sim->now_us ? due : end->sim->now_us);
}

struct loop *sim_host_of(const struct sim_end *end)
{
    return end->other != NULL ? end->other->loop : NULL;
}

void sim_send(struct sim_end *end, const char *bytes, size_t len)
{
    struct iovec part = {(void *)bytes, len};
    sim_end_send(end, &part, 1, len);
}

void sim_close(struct sim_end *end, bool reset)
{
    sim_end_close(end, reset);
}

struct sim_end *sim_pick(struct sim *sim, uint16_t port)
{
    struct sim_end *picked = NULL;
    uint64_t seen = 0;
    list_each (node, &sim->ends) {
        struct sim_end *end = container_of(node, struct sim_end, of_sim);
        if (end->other != NULL && (port == 0 || end->port == port) && sim_below(sim, ++seen) == 0)
            picked = end;
    }
    return picked;
}

/* Bytes on their way arrive up to a random one, then the reset. */
static void cut_towards(struct sim_end *end)
{
    uint64_t keep = sim_below(end->sim, end->on_the_way + 1);
    list_each (node, &end->pieces) {
        struct sim_piece *piece = container_of(node, struct sim_piece, node);
        if (keep >= piece->len && piece->kind <= PIECE_BYTES &&
            (piece->len > 0 || keep > 0 || piece->kind == PIECE_OPEN)) {
            keep -= piece->len;
            continue;
        }
        end->on_the_way -= piece->len;
        piece->len = piece->kind == PIECE_BYTES ? keep : 0;
        end->on_the_way += piece->len;
        keep = 0;
        if (piece->len == 0)
            piece->kind = PIECE_RESET;
    }
    piece_send(end, PIECE_RESET, 0);
}

void sim_cut(struct sim_end *end)
{
    struct sim_end *other = end->other;
    if (other == NULL)
        return;
    cut_towards(end);
    cut_towards(other);
    end->other = other->other = NULL;
}

/* A silent connection stays so. */
static void silence_from(struct sim_end *end, uint64_t from_us)
{
    if (end->silent_from_us == 0 || from_us < end->silent_from_us)
        end->silent_from_us = from_us;
}

void sim_silence(struct sim_end *end, bool one_way)
{
    uint64_t now = end->sim->now_us;
    silence_from(end, now);
    /* What the end goes on sending arrives, but its acknowledgements do not come back: TCP soon sends nothing new. */
    if (end->other != NULL)
        silence_from(end->other, one_way ? now + LOOP_MS(200 + sim_below(end->sim, 800)) : now);
}

void sim_drop_loose_ends(struct sim *sim)
{
    list_each (node, &sim->ends) {
        struct sim_end *end = container_of(node, struct sim_end, of_sim);
        assert(end->loop == NULL); /* a host has closed all of its own */
        end_destroy(end);
    }
}

size_t sim_streams(const struct sim *sim)
{
    size_t count = 0;
    for (const struct list *node = sim->ends.next; node != &sim->ends; node = node->next)
        count += container_of(node, struct sim_end, of_sim)->loop != NULL;
    return count;
}

/* order: keeps `placed` in agreement with each new edge, and finds cycles. */
#include "load/order.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

enum { CAP_MIN = 64 };

void order_finish(struct order *order)
{
    free(order->placed);
    free(order->edges);
    *order = (struct order){0};
}

static void order_place(struct order *order, struct message *at, uint32_t message)
{
    if (order->count == order->cap) {
        order->cap = order->cap != 0 ? order->cap * 2 : CAP_MIN;
        order->placed = mem_resize(order->placed, order->cap * sizeof *order->placed);
    }
    at->place = order->count;
    order->placed[order->count++] = message;
}

static void edge_add(struct order *order, struct message *from, uint32_t to, uint32_t who)
{
    if (order->edge_count == order->edge_cap) {
        order->edge_cap = order->edge_cap != 0 ? order->edge_cap * 2 : CAP_MIN;
        order->edges = mem_resize(order->edges, order->edge_cap * sizeof *order->edges);
    }
    order->edges[order->edge_count] = (struct order_edge){.to = to, .next = from->edges, .who = who};
    from->edges = order->edge_count++;
}

static bool edge_exists(const struct order *order, const struct message *from, uint32_t to)
{
    for (uint32_t i = from->edges; i != MESSAGE_NONE; i = order->edges[i].next)
        if (order->edges[i].to == to)
            return true;
    return false;
}

/* Marks the messages that edges reach from the place `from`, up to the place `to`. `placed` agrees with all edges, so
 * one walk upwards finds them all. Returns the subscriber that saw the last step to `to`, or MESSAGE_NONE when `to` is
 * not reached. */
static uint32_t region_mark(struct order *order, const struct messages *messages, uint32_t from, uint32_t to)
{
    uint32_t who = MESSAGE_NONE;
    messages_at(messages, order->placed[from])->marked = true;
    for (uint32_t place = from; place < to; place++) {
        const struct message *at = messages_at(messages, order->placed[place]);
        if (!at->marked)
            continue;
        for (uint32_t i = at->edges; i != MESSAGE_NONE; i = order->edges[i].next) {
            struct message *next = messages_at(messages, order->edges[i].to);
            if (next->place > to)
                continue;
            next->marked = true;
            if (next->place == to)
                who = order->edges[i].who;
        }
    }
    return who;
}

static void region_unmark(struct order *order, const struct messages *messages, uint32_t from, uint32_t to)
{
    for (uint32_t place = from; place <= to; place++)
        messages_at(messages, order->placed[place])->marked = false;
}

/* Moves the marked messages in [from, to] behind the others there. Both groups keep their order. */
static void region_move(struct order *order, const struct messages *messages, uint32_t from, uint32_t to)
{
    uint32_t *moved = mem_alloc((to - from + 1) * sizeof *moved), moved_count = 0, at = from;
    for (uint32_t place = from; place <= to; place++) {
        uint32_t index = order->placed[place];
        if (messages_at(messages, index)->marked)
            moved[moved_count++] = index;
        else
            order->placed[at++] = index;
    }
    for (uint32_t i = 0; i < moved_count; i++)
        order->placed[at++] = moved[i];
    for (uint32_t place = from; place <= to; place++)
        messages_at(messages, order->placed[place])->place = place;
    free(moved);
}

uint32_t order_follow(struct order *order, const struct messages *messages, uint32_t last, uint32_t message,
                      uint32_t who)
{
    struct message *after = messages_at(messages, message);
    if (after->place == MESSAGE_NONE)
        order_place(order, after, message);
    if (last == MESSAGE_NONE)
        return MESSAGE_NONE;
    struct message *before = messages_at(messages, last);
    assert(before->place != MESSAGE_NONE && before->room == after->room && last != message);
    if (edge_exists(order, before, message))
        return MESSAGE_NONE;
    if (before->place > after->place) {
        uint32_t from = after->place, to = before->place;
        uint32_t other = region_mark(order, messages, from, to);
        if (other == MESSAGE_NONE)
            region_move(order, messages, from, to);
        region_unmark(order, messages, from, to);
        if (other != MESSAGE_NONE)
            return other;
    }
    edge_add(order, before, message, who);
    return MESSAGE_NONE;
}

bool order_precedes(struct order *order, const struct messages *messages, uint32_t a, uint32_t b)
{
    uint32_t from = messages_at(messages, a)->place, to = messages_at(messages, b)->place;
    if (from == MESSAGE_NONE || to == MESSAGE_NONE || from >= to)
        return false;
    bool reached = region_mark(order, messages, from, to) != MESSAGE_NONE;
    region_unmark(order, messages, from, to);
    return reached;
}

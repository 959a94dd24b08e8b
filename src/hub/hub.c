/* hub: see hub.h. Here: rooms, and what the broker tells. Members are in member.c. */
#include "hub/hub.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "hub/page.h"

enum { SWEEP_MS = 1000 };

static struct room *room_of(struct map_node *node)
{
    return container_of(node, struct room, node);
}

static struct room *room_find(struct hub *hub, struct span name)
{
    struct map_node *node = map_find(&hub->rooms, name);
    return node != NULL ? room_of(node) : NULL;
}

struct room *hub_room(struct hub *hub, struct span name)
{
    struct room *room = room_find(hub, name);
    if (room != NULL)
        return room;
    assert(name.len <= BROKER_ROOM_BYTES_MAX);
    room = mem_zero(1, sizeof *room);
    room->hub = hub;
    room->name = mem_text(name);
    room->state = ROOM_SUBSCRIBING;
    list_init(&room->pages);
    list_init(&room->empty);
    map_add(&hub->rooms, &room->node, span_of(room->name, name.len));
    if (broker_is_up(hub->broker))
        broker_subscribe(hub->broker, room->node.key);
    return room;
}

static void room_destroy(struct room *room)
{
    assert(room->member_count == 0);
    page_room_gone(room);
    list_remove(&room->empty);
    map_remove(&room->hub->rooms, &room->node);
    free(room->members);
    free(room->name);
    free(room);
}

void room_member_add(struct room *room, struct membership *membership)
{
    if (room->member_count == room->member_cap) {
        room->member_cap = room->member_cap != 0 ? room->member_cap * 2 : 4;
        room->members = mem_resize(room->members, room->member_cap * sizeof *room->members);
    }
    membership->index = room->member_count;
    room->members[room->member_count++] = membership;
    list_remove(&room->empty);
}

void room_member_remove(struct room *room, struct membership *membership)
{
    struct membership *last = room->members[--room->member_count];
    room->members[membership->index] = last;
    last->index = membership->index;
    if (room->member_count == 0) {
        room->empty_since_us = loop_now_us(room->hub->loop);
        list_append(&room->hub->empty_rooms, &room->empty);
    }
}

/* Rooms that stayed empty are given up, oldest first. */
static void sweep(struct timer *timer)
{
    struct hub *hub = container_of(timer, struct hub, sweep);
    uint64_t now = loop_now_us(hub->loop);
    list_each (node, &hub->empty_rooms) {
        struct room *room = container_of(node, struct room, empty);
        if (now - room->empty_since_us < LOOP_MS(HUB_ROOM_LINGER_MS))
            break;
        broker_unsubscribe(hub->broker, room->node.key);
        room_destroy(room);
    }
    timer_start(hub->loop, timer, LOOP_MS(SWEEP_MS));
}

void hub_token(const struct hub *hub, uint64_t seq, struct token *token)
{
    *token = (struct token){.epoch_len = hub->epoch_len, .version = '1', .seq = seq};
    memcpy(token->epoch, hub->epoch, hub->epoch_len);
}

/* What lies above `end` was lost by the broker. Whoever was sent any of it cannot go on. */
static void epoch_ended(struct hub *hub, uint64_t end)
{
    for (struct map_node *node = map_next(&hub->rooms, NULL); node != NULL; node = map_next(&hub->rooms, node)) {
        struct room *room = room_of(node);
        if (room->last > end)
            room->last = end;
    }
    if (hub->position > end)
        hub->position = end;
    page_cache_clear(hub);
    list_each (node, &hub->members) {
        struct member *member = container_of(node, struct member, of_hub);
        list_each (inner, &member->memberships) {
            struct membership *membership = container_of(inner, struct membership, of_member);
            if (membership->start > end)
                membership->start = end;
            if (membership->pos > end)
                membership->pos = end;
        }
        if (member->sent_seq > end) {
            hub->counters.lost++;
            member->events->lost(member);
        }
    }
}

static void on_up(void *arg, struct span epoch, struct span previous, uint64_t previous_end)
{
    struct hub *hub = arg;
    assert(epoch.len <= sizeof hub->epoch);
    memcpy(hub->epoch, epoch.data, epoch.len);
    hub->epoch_len = (uint8_t)epoch.len;
    if (previous.len != 0) {
        if (hub->position > previous_end)
            log_event(LOG_ERROR, "the broker lost what it had accepted; the sockets that got it start anew",
                      LOG_N("entries_lost", hub->position - previous_end));
        epoch_ended(hub, previous_end);
        if (hub->broker_lost != NULL)
            hub->broker_lost(hub);
    }
    for (struct map_node *node = map_next(&hub->rooms, NULL); node != NULL; node = map_next(&hub->rooms, node))
        broker_subscribe(hub->broker, node->key);
}

static void on_down(void *arg)
{
    struct hub *hub = arg;
    for (struct map_node *node = map_next(&hub->rooms, NULL); node != NULL; node = map_next(&hub->rooms, node))
        room_of(node)->state = ROOM_SUBSCRIBING;
    list_each (node, &hub->members) {
        member_link_lost(container_of(node, struct member, of_hub));
    }
}

static void on_subscribed(void *arg, struct span name, uint64_t last, uint64_t position)
{
    struct hub *hub = arg;
    struct room *room = room_find(hub, name);
    if (position > hub->position)
        hub->position = position;
    if (room == NULL)
        return;
    bool again = room->state == ROOM_LIVE; /* asked for once more, for the position's sake */
    room->state = ROOM_LIVE;
    if (last > room->last)
        room->last = last;
    for (size_t i = 0; i < room->member_count; i++) {
        struct member *member = room->members[i]->member;
        if (again && !member->awaits_position)
            continue;
        membership_resolve(room->members[i]);
        member_rooms_live(member);
    }
}

static void on_pushed(void *arg, const struct broker_entry *pushed)
{
    struct hub *hub = arg;
    struct room *room = room_find(hub, pushed->room);
    if (room == NULL || room->state != ROOM_LIVE)
        return;
    hub->counters.pushed++;
    bool logged = pushed->seq != 0, hole = false;
    uint64_t after = room->last;
    if (logged) {
        if (pushed->seq <= room->last)
            return;
        hole = pushed->prev > room->last;
        room->last = pushed->seq;
    }
    if (hole) {
        /* Everyone in the room reads the log, where this entry stands too. */
        hub->counters.holes++;
        log_event(LOG_WARNING, "a push was missed; reading the hole", LOG_S("room", room->node.key),
                  LOG_N("after", after), LOG_N("seq", pushed->seq));
        for (size_t i = 0; i < room->member_count; i++)
            member_hole(room->members[i], after);
    } else if (room->member_count > 0) {
        struct entry *entry = entry_create(pushed);
        if (!logged)
            entry->token_seq = hub->position;
        for (size_t i = 0; i < room->member_count; i++)
            member_entry(room->members[i], entry);
        entry_unref(entry);
    }
    if (pushed->seq > hub->position)
        hub->position = pushed->seq;
}

static void on_superseded(void *arg, struct span pid, uint64_t generation)
{
    struct hub *hub = arg;
    if (hub->superseded != NULL)
        hub->superseded(hub, pid, generation);
}

static const struct broker_events events = {
    .up = on_up,
    .down = on_down,
    .subscribed = on_subscribed,
    .pushed = on_pushed,
    .superseded = on_superseded,
};

void hub_init(struct hub *hub, struct loop *loop, struct broker *broker)
{
    uint64_t seed[2];
    *hub = (struct hub){.loop = loop, .broker = broker};
    loop_random(loop, seed, sizeof seed);
    map_init(&hub->rooms, seed);
    list_init(&hub->members);
    list_init(&hub->empty_rooms);
    list_init(&hub->pages);
    timer_init(&hub->sweep, sweep);
    timer_start(loop, &hub->sweep, LOOP_MS(SWEEP_MS));
    broker_attach(broker, &events, hub);
}

void hub_finish(struct hub *hub)
{
    assert(list_empty(&hub->members));
    timer_stop(hub->loop, &hub->sweep);
    struct map_node *node;
    while ((node = map_next(&hub->rooms, NULL)) != NULL)
        room_destroy(room_of(node));
    map_finish(&hub->rooms);
}

/* hub: rooms, and the broker's events: links, subscriptions, pushes, holes, ends of epochs. Each event is passed on to
 * the members it concerns; member.c and rounds.c decide what a member does with it. */
#include "hub/hub_parts.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "hub/audience.h"
#include "hub/page.h"

enum { SWEEP_MS = 1000, TELL_MS = 10000 };

static struct room *room_of(struct map_node *node)
{
    return container_of(node, struct room, node);
}

/* Walks the rooms, in no order; none may come or go in the body. */
#define rooms_each(name, hub) \
    for (struct map_node *name = map_next(&(hub)->rooms, NULL); name != NULL; name = map_next(&(hub)->rooms, name))

static struct room *room_find(struct hub *hub, struct span name)
{
    struct map_node *node = map_find(&hub->rooms, name);
    return node != NULL ? room_of(node) : NULL;
}

bool hub_has_room(const struct hub *hub, struct span room)
{
    return map_find(&hub->rooms, room) != NULL;
}

static struct room *room_create(struct hub *hub, struct span name)
{
    struct room *room = mem_zero(1, sizeof *room);
    assert(name.len <= BROKER_ROOM_BYTES_MAX);
    room->hub = hub;
    room->name = mem_text(name);
    room->number = ++hub->rooms_made;
    list_init(&room->pages);
    list_init(&room->empty);
    map_add(&hub->rooms, &room->node, span_of(room->name, name.len));
    return room;
}

struct room *hub_room(struct hub *hub, struct span name)
{
    struct room *room = room_find(hub, name);
    if (room != NULL && !broker_room_is_owned(name))
        return room;
    if (room == NULL)
        room = room_create(hub, name);
    /* Another instance may have owned it meanwhile; this one missed the pushes of that time. */
    room->state = ROOM_SUBSCRIBING;
    if (broker_is_up(hub->broker))
        broker_subscribe(hub->broker, room->node.key);
    return room;
}

bool hub_room_prepare(struct hub *hub, struct span name)
{
    struct room *room = hub_room(hub, name);
    if (room->member_count == 0) {
        list_remove(&room->empty);
        room->empty_since_us = loop_now_us(hub->loop);
        list_append(&hub->empty_rooms, &room->empty);
    }
    return room->state == ROOM_LIVE;
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

static void filled(const struct room *room, bool is_filled)
{
    const struct hub *hub = room->hub;
    if (hub->owner != NULL && hub->owner->room_filled != NULL)
        hub->owner->room_filled(hub->owner_arg, room->node.key, is_filled);
}

void room_member_add(struct room *room, struct membership *membership)
{
    if (room->member_count == room->member_cap) {
        room->member_cap = room->member_cap != 0 ? room->member_cap + room->member_cap / 2 : 4;
        room->members = mem_resize(room->members, room->member_cap * sizeof *room->members);
    }
    membership->index = (uint32_t)room->member_count;
    room->members[room->member_count++] = membership;
    list_remove(&room->empty);
    if (room->member_count == 1)
        filled(room, true);
}

void room_member_remove(struct room *room, struct membership *membership)
{
    struct membership *last = room->members[--room->member_count];
    room->members[membership->index] = last;
    last->index = membership->index;
    if (room->member_count == 0) {
        room->empty_since_us = loop_now_us(room->hub->loop);
        list_append(&room->hub->empty_rooms, &room->empty);
        filled(room, false);
    }
}

/* Gives up rooms that stayed empty, oldest first. */
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

/* A room unknown to the broker never had an entry, or has lost its keys. To tell the two apart, the broker must keep
 * the meta of every room with members, however quiet the room is. Subscribing again renews it. */
static void keep(struct timer *timer)
{
    struct hub *hub = container_of(timer, struct hub, keep);
    rooms_each(node, hub) broker_subscribe(hub->broker, node->key);
    timer_start(hub->loop, timer, LOOP_MS(HUB_ROOMS_KEEP_MS));
}

static void bury(struct task *task)
{
    struct hub *hub = container_of(task, struct hub, bury);
    struct list *node;
    while ((node = list_take(&hub->ended)) != NULL)
        membership_destroy(container_of(node, struct membership_round, waiter)->membership);
}

void hub_membership_ended(struct membership *membership)
{
    struct hub *hub = membership->member->hub;
    struct membership_round *round = membership_round(membership);
    if (!list_empty(&round->waiter))
        return;
    list_append(&hub->ended, &round->waiter);
    loop_at_flush(hub->loop, &hub->bury);
}

void hub_token(const struct hub *hub, uint64_t seq, struct token *token)
{
    memcpy(token->epoch, hub->epoch, sizeof token->epoch);
    token->epoch_len = hub->epoch_len;
    token->version = '1';
    token->late_count = 0;
    token->seq = seq;
}

static void stretch_clip(struct stretch *stretch, uint64_t end)
{
    if (stretch->start > end)
        stretch->start = end;
    if (stretch->since > end)
        stretch->since = end;
    if (stretch->end != STRETCH_OPEN && stretch->end > end)
        stretch->end = end;
    if (stretch->known > end)
        stretch->known = 0;
}

static void membership_epoch_ended(struct membership *membership, uint64_t end)
{
    if (membership->log == &membership_no_log)
        return;
    struct membership_log *log = membership_log(membership);
    stretch_clip(&log->stretch, end);
    if (log->pos > end)
        log->pos = end;
}

/* What is known of entries above `end` means nothing any more. */
static void room_clip(struct room *room, uint64_t end)
{
    for (size_t i = 0; i < room->member_count; i++) {
        membership_epoch_ended(room->members[i], end);
        pasts_each(past, room->members[i]->member) stretch_clip(&past->stretch, end);
    }
}

/* Its owner may finish a member that is lost: a membership that another one has replaced is not skipped. */
static void room_lose(struct room *room, uint64_t end, bool all)
{
    for (size_t i = 0; i < room->member_count;) {
        struct membership *membership = room->members[i];
        struct member *member = membership->member;
        if (member->sent_seq > end || all)
            member_lose(member);
        i += i < room->member_count && room->members[i] == membership;
    }
}

/* The broker has lost the entries above `end`. A member that was sent one of them cannot go on. If nothing of the epoch
 * is left, the broker may not know the epoch at all; then no member's position means anything. */
static void epoch_ended(struct hub *hub, uint64_t end)
{
    bool all = end == 0 && hub->position > 0;
    rooms_each(node, hub)
    {
        /* If the newest entry was lost, the one before may lie anywhere below `end`; the next confirmation says where.
         * If it was not lost, the broker must still know it. */
        if (room_of(node)->last > end)
            room_of(node)->last = 0;
    }
    if (hub->position > end)
        hub->position = end;
    page_cache_clear(hub);
    rooms_each(node, hub) room_clip(room_of(node), end);
    rooms_each(node, hub) room_lose(room_of(node), end, all);
}

static void on_up(void *arg, struct span epoch, struct span previous, uint64_t previous_end)
{
    struct hub *hub = arg;
    assert(epoch.len <= sizeof hub->epoch);
    memcpy(hub->epoch, epoch.data, epoch.len);
    hub->epoch_len = (uint8_t)epoch.len;
    if (previous.len != 0) {
        if (hub->position > previous_end)
            log_event(LOG_ERROR, "the broker lost accepted entries; sockets that were sent them start anew",
                      LOG_N("entries_lost", hub->position - previous_end));
        epoch_ended(hub, previous_end);
        hub->kept = 0; /* its numbers may have begun anew */
    }
    /* Leases come first: they say which instance owns a room, and only the owners can restore lost ones. */
    if (hub->owner != NULL && hub->owner->up != NULL)
        hub->owner->up(hub->owner_arg, previous.len != 0);
    rooms_each(node, hub) broker_subscribe(hub->broker, node->key);
}

static void on_down(void *arg)
{
    struct hub *hub = arg;
    rooms_each(node, hub) room_of(node)->state = ROOM_SUBSCRIBING;
    rooms_each(node, hub)
    {
        const struct room *room = room_of(node);
        for (size_t i = 0; i < room->member_count; i++)
            member_link_lost(room->members[i]->member); /* of a member in several rooms, again without effect */
    }
}

/* Whether a log line is due; `*times` is the number of cases since the last. */
static bool is_to_be_told(struct hub *hub, struct hub_told *told, uint64_t *times)
{
    uint64_t now = loop_now_us(hub->loop);
    *times = ++told->count;
    if (told->told_us != 0 && now - told->told_us < LOOP_MS(TELL_MS))
        return false;
    told->told_us = now != 0 ? now : 1;
    told->count = 0;
    return true;
}

/* A push was missed: all members of the room read the log behind `after`. */
static void hole_found(struct room *room, uint64_t after, uint64_t seq)
{
    struct hub *hub = room->hub;
    uint64_t times;
    hub->counters.holes++;
    if (is_to_be_told(hub, &hub->holes_told, &times))
        log_event(LOG_WARNING, "a push was missed; reading the hole", LOG_S("room", room->node.key),
                  LOG_N("after", after), LOG_N("seq", seq), LOG_N("times", times));
    for (size_t i = 0; i < room->member_count; i++)
        member_hole(room->members[i], after);
}

/* The room got its first entry: its members' leases must record that there is a log. */
static void room_begun(struct room *room)
{
    for (size_t i = 0; i < room->member_count; i++) {
        struct member *member = room->members[i]->member;
        bool stale = membership_is_noted(room->members[i]);
        member->lease_stale |= stale;
        member->stale_told &= !stale;
    }
}

static void room_last_set(struct room *room, uint64_t last)
{
    bool first = room->last == 0 && last != 0;
    room->last = last;
    if (first)
        room_begun(room);
}

static void forgotten_tell(struct room *room, uint64_t last)
{
    uint64_t times;
    room->hub->counters.forgotten++;
    if (is_to_be_told(room->hub, &room->hub->forgotten_told, &times))
        log_event(LOG_ERROR, "the broker has lost a room's keys; sockets that lack an entry of it start anew",
                  LOG_S("room", room->node.key), LOG_N("known", room->last), LOG_N("found", last),
                  LOG_N("times", times), LOG_C("cure", "delete no keys of Redis, and let it evict none"));
}

/* The broker's record of a room is older than this instance's: the room's keys are gone, and any entry up to this
 * position may be gone with them. A member below it reads there and finds that it lacks an entry. */
static void room_forgotten(struct room *room, uint64_t last, uint64_t position)
{
    forgotten_tell(room, last);
    room->last = position;
}

static void on_forgotten(void *arg, struct span name, uint64_t floor)
{
    struct hub *hub = arg;
    struct room *room = room_find(hub, name);
    if (room == NULL || floor <= room->last)
        return;
    forgotten_tell(room, floor);
    if (room->state != ROOM_LIVE)
        return; /* pushes may have been missed: the confirmation that follows makes its members read */
    room_last_set(room, floor);
    if (floor > hub->position)
        hub->position = floor;
}

static void on_subscribed(void *arg, struct span name, uint64_t last, uint64_t position)
{
    struct hub *hub = arg;
    struct room *room = room_find(hub, name);
    if (position > hub->position)
        hub->position = position;
    if (room == NULL)
        return;
    bool again = room->state == ROOM_LIVE; /* confirmed once more, to learn the position */
    uint64_t after = room->last;
    room->state = ROOM_LIVE;
    if (last > room->last)
        room_last_set(room, last);
    else if (last < room->last && !again)
        room_forgotten(room, last, position);
    if (again && last > after)
        hole_found(room, after, last);
    if (room->member_count == 0 && hub->owner != NULL && hub->owner->prepared != NULL)
        hub->owner->prepared(hub->owner_arg);
    for (size_t i = 0; i < room->member_count; i++) {
        struct member *member = room->members[i]->member;
        if (again && !member->awaits_position)
            continue;
        membership_resolve(room->members[i]);
        member_rooms_live(member);
    }
}

static void room_deliver(struct room *room, struct entry *entry)
{
    entry->room = room->number;
    if (entry->seq == 0)
        entry->token_seq = room->hub->position;
    for (size_t i = 0; i < room->member_count; i++)
        member_entry(room->members[i], entry);
}

/* Somebody in the room gets what is pushed now, at once or in its turn. */
static bool is_heard(const struct room *room)
{
    if (room == NULL || room->state != ROOM_LIVE)
        return false;
    for (size_t i = 0; i < room->member_count; i++)
        if (membership_takes(room->members[i]))
            return true;
    return false;
}

static void on_kept(void *arg, uint64_t number)
{
    struct hub *hub = arg;
    if (number > hub->kept)
        hub->kept = number;
}

static void on_pushed(void *arg, const struct broker_entry *pushed)
{
    struct hub *hub = arg;
    struct room *room = room_find(hub, pushed->room);
    if (pushed->seq == 0)
        on_kept(hub, pushed->prev);
    /* What the broker keeps, it gives to whoever opens the session next. */
    bool is_kept = pushed->prev != 0;
    if (pushed->seq == 0 && !is_kept && broker_room_is_owned(pushed->room) && !is_heard(room)) {
        if (hub->owner != NULL && hub->owner->unheard != NULL)
            hub->owner->unheard(hub->owner_arg, pushed);
    }
    if (room == NULL || room->state != ROOM_LIVE)
        return;
    hub->counters.pushed++;
    bool logged = pushed->seq != 0, hole = false;
    uint64_t after = room->last;
    if (logged) {
        if (pushed->seq <= room->last)
            return;
        hole = pushed->prev > room->last;
        room_last_set(room, pushed->seq);
    }
    if (hole) {
        hole_found(room, after, pushed->seq);
    } else if (room->member_count > 0) {
        struct entry *entry = entry_create(pushed);
        room_deliver(room, entry);
        entry_unref(entry);
    }
    if (pushed->seq > hub->position)
        hub->position = pushed->seq;
}

static void on_top(void *arg, struct span name, uint64_t last)
{
    struct hub *hub = arg;
    struct room *room = room_find(hub, name);
    if (room == NULL || room->state != ROOM_LIVE || last <= room->last)
        return;
    uint64_t after = room->last;
    room_last_set(room, last);
    hole_found(room, after, last);
    /* The members will read every entry up to it; from a lower position they would read it again. */
    if (last > hub->position)
        hub->position = last;
}

static void on_reached(void *arg, uint64_t position)
{
    struct hub *hub = arg;
    if (position > hub->position)
        hub->position = position;
}

struct entry *hub_entry_create(struct hub *hub, struct span name, struct span body)
{
    struct room *room = room_find(hub, name);
    struct entry *entry = entry_create(&(struct broker_entry){.room = name, .body = body});
    entry->token_seq = hub->position;
    entry->room = room != NULL ? room->number : 0;
    return entry;
}

void hub_room_tell_audience(struct hub *hub, struct span name, struct span body, struct span audience)
{
    struct room *room = room_find(hub, name);
    if (room == NULL || room->member_count == 0)
        return;
    struct entry *entry = entry_create(&(struct broker_entry){.room = name, .audience = audience, .body = body});
    room_deliver(room, entry);
    entry_unref(entry);
}

void hub_room_tell(struct hub *hub, struct span name, struct span body, struct span except)
{
    struct buf audience = {0};
    if (except.len != 0)
        audience_add(&audience, AUDIENCE_SENDER, except);
    hub_room_tell_audience(hub, name, body, buf_span(&audience));
    buf_finish(&audience);
}

static void on_superseded(void *arg, struct span pid, uint64_t generation)
{
    struct hub *hub = arg;
    if (hub->owner != NULL && hub->owner->superseded != NULL)
        hub->owner->superseded(hub->owner_arg, pid, generation);
}

static void on_presence(void *arg, struct span room, const struct broker_present *who, bool entered, uint64_t count)
{
    struct hub *hub = arg;
    if (hub->owner != NULL && hub->owner->presence != NULL)
        hub->owner->presence(hub->owner_arg, room, who, entered, count);
}

static const struct broker_events events = {
    .up = on_up,
    .down = on_down,
    .subscribed = on_subscribed,
    .forgotten = on_forgotten,
    .kept = on_kept,
    .pushed = on_pushed,
    .top = on_top,
    .reached = on_reached,
    .presence = on_presence,
    .superseded = on_superseded,
};

struct hub *hub_create(struct loop *loop, struct broker *broker)
{
    struct hub *hub = mem_zero(1, sizeof *hub);
    uint64_t seed[2];
    hub->loop = loop;
    hub->broker = broker;
    loop_random(loop, seed, sizeof seed);
    map_init(&hub->rooms, seed);
    pool_init(&hub->memberships, sizeof(struct membership));
    pool_init(&hub->logs, sizeof(struct membership_log));
    list_init(&hub->empty_rooms);
    list_init(&hub->pages);
    list_init(&hub->ended);
    task_init(&hub->bury, bury);
    timer_init(&hub->sweep, sweep);
    timer_start(loop, &hub->sweep, LOOP_MS(SWEEP_MS));
    timer_init(&hub->keep, keep);
    timer_start(loop, &hub->keep, LOOP_MS(HUB_ROOMS_KEEP_MS));
    broker_attach(broker, &events, hub);
    return hub;
}

void hub_destroy(struct hub *hub)
{
    if (hub == NULL)
        return;
    assert(hub->member_count == 0);
    timer_stop(hub->loop, &hub->sweep);
    timer_stop(hub->loop, &hub->keep);
    task_cancel(&hub->bury);
    struct map_node *node;
    while ((node = map_next(&hub->rooms, NULL)) != NULL)
        room_destroy(room_of(node));
    map_finish(&hub->rooms);
    pool_finish(&hub->memberships);
    pool_finish(&hub->logs);
    assert(hub->page_bytes == 0 && list_empty(&hub->pages) && list_empty(&hub->ended));
    free(hub);
}

void hub_members_set(struct hub *hub, const struct member_events *members)
{
    hub->events = members;
}

void hub_owner_set(struct hub *hub, const struct hub_owner *owner, void *arg)
{
    hub->owner = owner;
    hub->owner_arg = arg;
}

struct loop *hub_loop(const struct hub *hub)
{
    return hub->loop;
}

struct broker *hub_broker(const struct hub *hub)
{
    return hub->broker;
}

uint64_t hub_position(const struct hub *hub)
{
    return hub->position;
}

uint64_t hub_kept(const struct hub *hub)
{
    return hub->kept;
}

const struct hub_counters *hub_counters(const struct hub *hub)
{
    return &hub->counters;
}

void hub_rooms_each(const struct hub *hub, void (*each)(void *arg, struct span room, size_t members), void *arg)
{
    rooms_each(node, hub)
    {
        const struct room *room = room_of(node);
        size_t members = 0;
        for (size_t i = 0; i < room->member_count; i++)
            members += membership_is_open(room->members[i]);
        if (members > 0)
            each(arg, node->key, members);
    }
}

size_t hub_room_count(const struct hub *hub)
{
    return hub->rooms.count;
}

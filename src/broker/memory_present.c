/* memory_present: presence in the rooms of this one process: entering, leaving, listing. */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/memory_parts.h"

enum { GONE_MS = 1000 }; /* the sockets of an ended life have left so long after its end */

struct present {
    struct map_node by_sid;
    struct list of_room, of_away;
    struct channel *channel;
    uint64_t generation;
    uint64_t owner;    /* the life that entered it */
    uint64_t number;   /* rises with the order of coming: the cursor of lists */
    uint64_t leave_us; /* while away */
    char *data;
    size_t sid_len, data_len;
    char sid[];
};

static struct broker_present text_of(const struct present *present)
{
    return (struct broker_present){.sid = span_of(present->sid, present->sid_len),
                                   .data = span_of(present->data, present->data_len)};
}

static void data_set(struct present *present, struct span data)
{
    free(present->data);
    present->data = mem_text(data);
    present->data_len = data.len;
}

static void present_destroy(struct present *present)
{
    free(present->data);
    free(present);
}

static struct present *present_find(struct channel *channel, struct span sid)
{
    struct map_node *node = map_find(&channel->present_by_sid, sid);
    return node != NULL ? container_of(node, struct present, by_sid) : NULL;
}

static void notice_add(struct notice *notice, const struct broker_present *who)
{
    notice->lens = mem_resize(notice->lens, (notice->len_count + 2) * sizeof *notice->lens);
    notice->lens[notice->len_count++] = who->sid.len;
    notice->lens[notice->len_count++] = who->data.len;
    buf_append(&notice->text, who->sid);
    buf_append(&notice->text, who->data);
}

/* Takes the next one off `*rest`. */
static struct broker_present notice_take(const struct notice *notice, size_t index, struct span *rest)
{
    struct broker_present who = {.sid = span_sub(*rest, 0, notice->lens[2 * index])};
    who.data = span_sub(*rest, who.sid.len, notice->lens[2 * index + 1]);
    *rest = span_from(*rest, who.sid.len + who.data.len);
    return who;
}

static void tell_presence(struct memory *memory, struct notice *notice)
{
    struct span rest = buf_span(&notice->text);
    struct broker_present who = notice_take(notice, 0, &rest);
    if (notice->channel->subscribed)
        memory->broker.events->presence(memory->broker.hub, notice->channel->by_room.key, &who, notice->flag,
                                        notice->number);
}

static void change_tell(struct memory *memory, const struct present *present, bool entered)
{
    struct notice *notice = memory_notice_of(memory, tell_presence, present->channel);
    struct broker_present who = text_of(present);
    notice->flag = entered;
    notice->number = present->channel->present_by_sid.count;
    notice_add(notice, &who);
}

static void remove_from_room(struct present *present)
{
    map_remove(&present->channel->present_by_sid, &present->by_sid);
    list_remove(&present->of_room);
    list_remove(&present->of_away);
}

static void enter_note(struct memory *memory, const struct present *present)
{
    uint64_t room = memory_channel_number(memory, present->channel);
    journal_note(memory->journal, JOURNAL_PRESENT, (uint64_t[]){room, present->generation},
                 (struct span[]){text_of(present).sid, text_of(present).data});
}

static struct present *present_add(struct channel *channel, const struct broker_present *who)
{
    struct present *present = mem_zero(1, sizeof *present + who->sid.len);
    present->channel = channel;
    present->generation = who->generation;
    present->number = ++channel->present_number;
    present->sid_len = who->sid.len;
    memcpy(present->sid, who->sid.data, who->sid.len);
    data_set(present, who->data);
    list_init(&present->of_room);
    list_init(&present->of_away);
    list_append(&channel->present, &present->of_room);
    map_add(&channel->present_by_sid, &present->by_sid, text_of(present).sid);
    return present;
}

void memory_present_enter(struct broker *broker, struct span room, const struct broker_present *who)
{
    struct memory *memory = memory_of(broker);
    struct channel *channel = memory_channel(memory, room);
    struct present *present = present_find(channel, who->sid);
    if (present != NULL && present->generation > who->generation)
        return;
    if (present != NULL) {
        list_remove(&present->of_away);
        data_set(present, who->data);
        present->generation = who->generation;
        present->owner = memory_actor(memory);
        enter_note(memory, present);
        return;
    }
    present = present_add(channel, who);
    present->owner = memory_actor(memory);
    enter_note(memory, present);
    change_tell(memory, present, true);
}

static void left(struct memory *memory, struct present *present)
{
    struct span sid = text_of(present).sid;
    remove_from_room(present);
    journal_note(memory->journal, JOURNAL_PRESENT_DROP, &present->channel->number, &sid);
    change_tell(memory, present, false);
    present_destroy(present);
}

/* Everybody may be away for equally long, so the list is in order. */
static void leaves_start(struct memory *memory)
{
    if (list_empty(&memory->away) || memory->shared != NULL)
        return;
    uint64_t now = memory_now_us(memory);
    uint64_t due = container_of(memory->away.next, struct present, of_away)->leave_us;
    timer_start(memory->loop, &memory->leaves, due > now ? due - now : 0);
}

void memory_leaves(struct timer *timer)
{
    struct memory *memory = container_of(timer, struct memory, leaves);
    uint64_t now = memory_now_us(memory);
    list_each (node, &memory->away) {
        struct present *present = container_of(node, struct present, of_away);
        if (present->leave_us > now)
            break;
        left(memory, present);
    }
    leaves_start(memory);
}

/* Not all may be away for equally long here. */
void memory_presents_pass(struct memory *memory)
{
    list_each (node, &memory->away) {
        struct present *present = container_of(node, struct present, of_away);
        if (present->leave_us <= memory_now_us(memory))
            left(memory, present);
    }
}

void memory_presents_leave(struct memory *memory, uint64_t life)
{
    struct map_node *node = NULL;
    while ((node = map_next(&memory->channels, node)) != NULL) {
        list_each (of_room, &container_of(node, struct channel, by_room)->present) {
            struct present *present = container_of(of_room, struct present, of_room);
            if (present->owner != life || !list_empty(&present->of_away))
                continue;
            present->leave_us = memory_now_us(memory) + LOOP_MS(GONE_MS);
            list_append(&memory->away, &present->of_away);
        }
    }
}

void memory_present_restore(struct memory *memory, struct channel *channel, const struct broker_present *who)
{
    list_append(&memory->away, &present_add(channel, who)->of_away);
}

void memory_presents_await(struct memory *memory)
{
    uint64_t due = memory_now_us(memory) + LOOP_MS(MEMORY_AWAY_MS);
    list_each (node, &memory->away) {
        container_of(node, struct present, of_away)->leave_us = due;
    }
    leaves_start(memory);
}

void memory_present_leave(struct broker *broker, struct span room, struct span sid, bool may_return)
{
    struct memory *memory = memory_of(broker);
    struct present *present = present_find(memory_channel(memory, room), sid);
    if (present == NULL || (memory->shared != NULL && present->owner != memory_actor(memory)))
        return;
    if (!may_return) {
        left(memory, present);
    } else if (list_empty(&present->of_away)) {
        present->leave_us = memory_now_us(memory) + LOOP_MS(MEMORY_AWAY_MS);
        list_append(&memory->away, &present->of_away);
        leaves_start(memory);
    }
}

static void tell_list(struct memory *memory, struct notice *notice)
{
    struct broker_presence presence = {
        .count = notice->number, .member_count = notice->len_count / 2, .cursor = notice->cursor};
    struct broker_present *members = mem_zero(presence.member_count, sizeof *members);
    struct span rest = buf_span(&notice->text);
    for (size_t i = 0; i < presence.member_count; i++)
        members[i] = notice_take(notice, i, &rest);
    presence.members = members;
    notice->call.presence(notice->arg, notice->result, notice->result == BROKER_OK ? &presence : NULL);
    free(members);
}

void memory_present_list(struct broker *broker, struct span room, uint64_t cursor, uint32_t limit,
                         broker_presence_fn *done, void *arg)
{
    struct memory *memory = memory_of(broker);
    struct channel *channel = memory_channel(memory, room);
    struct notice *notice = memory_notice(memory, tell_list);
    notice->call.presence = done;
    notice->arg = arg;
    notice->number = channel->present_by_sid.count;
    list_each (node, &channel->present) {
        const struct present *present = container_of(node, struct present, of_room);
        if (present->number <= cursor)
            continue;
        if (notice->len_count / 2 == limit) {
            notice->cursor = present->number - 1;
            break;
        }
        struct broker_present who = text_of(present);
        notice_add(notice, &who);
    }
}

void memory_presents_each(struct memory *memory, memory_present_fn *each, void *arg)
{
    struct map_node *node = NULL;
    while ((node = map_next(&memory->channels, node)) != NULL) {
        list_each (of_room, &container_of(node, struct channel, by_room)->present) {
            const struct present *present = container_of(of_room, struct present, of_room);
            struct memory_present shown = {text_of(present), present->owner, 0};
            shown.who.generation = present->generation;
            shown.leave_us = list_empty(&present->of_away) ? 0 : present->leave_us;
            each(arg, node->key, &shown);
        }
    }
}

void memory_present_put(struct memory *memory, struct span room, const struct memory_present *shown)
{
    struct present *present = present_add(memory_channel(memory, room), &shown->who);
    present->owner = shown->owner;
    present->leave_us = shown->leave_us;
    if (shown->leave_us != 0)
        list_append(&memory->away, &present->of_away);
}

void memory_present_finish(struct channel *channel)
{
    struct list *node;
    while ((node = list_take(&channel->present)) != NULL) {
        struct present *present = container_of(node, struct present, of_room);
        remove_from_room(present);
        present_destroy(present);
    }
    map_finish(&channel->present_by_sid);
}

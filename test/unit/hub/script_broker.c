/* script_broker: the operations of a broker, each of which waits for the test. See script_broker.h. */
#include "script_broker.h"

#include <assert.h>
#include <stdio.h>

static struct script_broker *of(struct broker *broker)
{
    return (struct script_broker *)broker;
}

int script_room(struct span name)
{
    assert(name.len == 1 && name.data[0] >= 'a' && name.data[0] < 'a' + SCRIPT_ROOMS_MAX);
    return name.data[0] - 'a';
}

static struct span name_of(int room)
{
    return span_of(&"abcdefgh"[room], 1);
}

static void feed_add(struct script_broker *script, struct script_event event)
{
    assert(script->feed_tail < SCRIPT_QUEUE_MAX);
    script->feed[script->feed_tail++] = event;
}

static void subscribe(struct broker *broker, struct span room)
{
    struct script_broker *script = of(broker);
    int index = script_room(room);
    if (!broker->is_up)
        return;
    script->subscribed[index] = true;
    feed_add(script,
             (struct script_event){
                 .kind = SCRIPT_CONFIRM, .room = index, .last = script->room_last[index], .position = script->seq});
}

static void unsubscribe(struct broker *broker, struct span room)
{
    of(broker)->subscribed[script_room(room)] = false;
}

static void read_range(struct broker *broker, struct span room, const struct broker_range *range, broker_read_fn *done,
                       void *arg)
{
    struct script_broker *script = of(broker);
    uint32_t limit = range->back || range->limit < 3 ? range->limit : 3; /* small pages: more seams */
    assert(script->read_tail < SCRIPT_QUEUE_MAX);
    script->reads[script->read_tail++] = (struct script_read){script_room(room),
                                                              range->seq,
                                                              limit,
                                                              range->back,
                                                              script->seq,
                                                              script->room_last[script_room(room)],
                                                              done,
                                                              arg};
}

static const struct broker_ops ops = {
    .subscribe = subscribe,
    .unsubscribe = unsubscribe,
    .read = read_range,
};

void script_init(struct script_broker *script)
{
    memset(script, 0, sizeof *script);
    script->broker.ops = &ops;
    snprintf(script->epoch, sizeof script->epoch, "e1");
}

static struct broker_entry entry_of(const struct script_entry *entry)
{
    return (struct broker_entry){.room = name_of(entry->room),
                                 .seq = entry->seq,
                                 .prev = entry->prev,
                                 .audience = span_str(entry->audience),
                                 .body = span_str(entry->body)};
}

uint64_t script_publish(struct script_broker *script, int room, bool logged, const char *audience)
{
    struct script_entry entry = {.room = room};
    if (logged) {
        entry.seq = ++script->seq;
        entry.prev = script->room_last[room];
        script->room_last[room] = entry.seq;
    }
    snprintf(entry.audience, sizeof entry.audience, "%s", audience);
    snprintf(entry.body, sizeof entry.body, "[%llu]", (unsigned long long)entry.seq);
    if (logged) {
        assert(script->log_count < SCRIPT_ENTRIES_MAX);
        script->log[script->log_count++] = entry;
    }
    if (script->subscribed[room])
        feed_add(script, (struct script_event){.kind = SCRIPT_PUSH, .room = room, .entry = entry});
    return entry.seq;
}

bool script_feed_step(struct script_broker *script)
{
    if (script->feed_head == script->feed_tail)
        return false;
    struct script_event *event = &script->feed[script->feed_head++];
    if (event->kind == SCRIPT_CONFIRM) {
        script->broker.events->subscribed(script->broker.hub, name_of(event->room), event->last, event->position);
    } else if (event->kind == SCRIPT_TOP) {
        script->broker.events->top(script->broker.hub, name_of(event->room), event->last);
    } else {
        struct broker_entry entry = entry_of(&event->entry);
        script->broker.events->pushed(script->broker.hub, &entry);
    }
    if (script->feed_head == script->feed_tail)
        script->feed_head = script->feed_tail = 0;
    return true;
}

void script_tops(struct script_broker *script)
{
    for (int room = 0; room < SCRIPT_ROOMS_MAX; room++)
        if (script->subscribed[room])
            feed_add(script, (struct script_event){.kind = SCRIPT_TOP, .room = room, .last = script->room_last[room]});
}

void script_feed_drop(struct script_broker *script)
{
    assert(script->feed_head < script->feed_tail);
    script->feed_head++;
}

bool script_read_step(struct script_broker *script)
{
    static struct broker_entry entries[SCRIPT_ENTRIES_MAX];
    struct broker_page page = {.entries = entries};
    if (script->read_head == script->read_tail)
        return false;
    struct script_read read = script->reads[script->read_head++];
    if (script->read_head == script->read_tail)
        script->read_head = script->read_tail = 0;
    script->reads_answered++;
    if (!script->broker.is_up) {
        read.done(read.arg, BROKER_LOST, NULL);
        return true;
    }
    size_t skip = 0, matching = 0;
    uint64_t after = read.back ? 0 : read.from, before = read.back ? read.from : UINT64_MAX;
    if (script->reads_at_once && before > read.seq + 1)
        before = read.seq + 1;
    if (after < script->trimmed[read.room])
        after = script->trimmed[read.room];
    for (size_t i = 0; read.back && i < script->log_count; i++)
        matching += script->log[i].room == read.room && script->log[i].seq > after && script->log[i].seq < before;
    if (read.back && matching > read.limit)
        skip = matching - read.limit;
    for (size_t i = 0; i < script->log_count && page.count < read.limit; i++) {
        const struct script_entry *entry = &script->log[i];
        if (entry->room != read.room || entry->seq <= after || entry->seq >= before)
            continue;
        if (skip > 0)
            skip--;
        else
            entries[page.count++] = entry_of(entry);
    }
    page.last = script->reads_at_once ? read.last : script->room_last[read.room];
    page.position = script->reads_at_once ? read.seq : script->seq;
    read.done(read.arg, BROKER_OK, &page);
    return true;
}

void script_run(struct script_broker *script)
{
    while (script_feed_step(script) || script_read_step(script))
        ;
}

void script_down(struct script_broker *script)
{
    script->broker.is_up = false;
    script->feed_head = script->feed_tail = 0;
    memset(script->subscribed, 0, sizeof script->subscribed);
    script->broker.events->down(script->broker.hub);
    while (script_read_step(script))
        ;
}

void script_up(struct script_broker *script)
{
    bool ended = script->ended != 0;
    script->broker.is_up = true;
    if (ended)
        snprintf(script->epoch, sizeof script->epoch, "e2");
    script->broker.events->up(script->broker.hub, span_str(script->epoch), ended ? SPAN_LIT("e1") : SPAN_LIT(""),
                              script->ended_unknown ? 0 : script->ended);
}

void script_vanish(struct script_broker *script, int room, bool log, bool meta)
{
    if (log)
        script->trimmed[room] = script->seq;
    if (!meta)
        return;
    script->room_last[room] = 0;
    for (size_t i = 0; i < script->log_count; i++)
        if (script->log[i].room == room && script->log[i].seq > script->trimmed[room])
            script->room_last[room] = script->log[i].seq;
}

void script_forget(struct script_broker *script, uint64_t seq)
{
    while (script->log_count > 0 && script->log[script->log_count - 1].seq > seq)
        script->log_count--;
    memset(script->room_last, 0, sizeof script->room_last);
    for (size_t i = 0; i < script->log_count; i++)
        script->room_last[script->log[i].room] = script->log[i].seq;
    script->seq = script->ended = seq;
}

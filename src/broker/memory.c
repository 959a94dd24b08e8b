/* memory: rooms and their logs, publishing and reading, and the queue of answers and events. */
#include "broker/memory.h"

#include <stdlib.h>

#include "base/mem.h"
#include "broker/memory_parts.h"

enum { SWEEP_MS = 1000, CHANNELS_SWEEP_EVERY = 10, META_MS = 86400000 };

struct notice *memory_notice(struct memory *memory, notice_fn *tell)
{
    struct notice *notice = mem_zero(1, sizeof *notice);
    notice->tell = tell;
    notice->mark = journal_mark(memory->journal);
    list_init(&notice->queued);
    list_append(&memory->queue, &notice->queued);
    loop_at_flush(memory->loop, &memory->tell);
    return notice;
}

struct notice *memory_notice_of(struct memory *memory, notice_fn *tell, struct channel *channel)
{
    struct notice *notice = memory_notice(memory, tell);
    notice->channel = channel;
    channel->noticed++;
    return notice;
}

struct stored *memory_stored_create(const struct broker_entry *entry)
{
    struct stored *stored = mem_zero(1, sizeof *stored + entry->audience.len + entry->body.len);
    char *at = stored->bytes;
    list_init(&stored->of_log);
    stored->entry = *entry;
    if (entry->audience.len != 0)
        memcpy(at, entry->audience.data, entry->audience.len);
    stored->entry.audience.data = at;
    at += entry->audience.len;
    if (entry->body.len != 0)
        memcpy(at, entry->body.data, entry->body.len);
    stored->entry.body.data = at;
    return stored;
}

struct channel *memory_channel(struct memory *memory, struct span room)
{
    struct map_node *node = map_find(&memory->channels, room);
    if (node != NULL)
        return container_of(node, struct channel, by_room);
    struct channel *channel = mem_zero(1, sizeof *channel);
    channel->name = mem_text(room);
    list_init(&channel->log);
    list_init(&channel->names);
    list_init(&channel->present);
    map_init(&channel->ids, memory->channels.seed);
    map_init(&channel->present_by_sid, memory->channels.seed);
    map_add(&memory->channels, &channel->by_room, span_of(channel->name, room.len));
    return channel;
}

static void room_note(struct memory *memory, const struct channel *channel)
{
    journal_note(memory->journal, JOURNAL_ROOM,
                 (uint64_t[]){channel->number, channel->last, (uint64_t)channel->newest_ms, channel->age_ms_max},
                 &channel->by_room.key);
}

uint64_t memory_channel_number(struct memory *memory, struct channel *channel)
{
    if (channel->number == 0 && memory->journal != NULL) {
        channel->number = ++memory->room_number;
        room_note(memory, channel);
    }
    return channel->number;
}

bool memory_epoch_end(const struct memory *memory, struct span epoch, uint64_t *end)
{
    *end = memory->seq;
    if (epoch.len == 0 || span_equal(epoch, span_of(memory->epoch, MEMORY_EPOCH_BYTES)))
        return true;
    *end = 0;
    for (size_t i = 0; i < memory->ended_count; i++) {
        if (!span_equal(epoch, span_of(memory->ended[i].name, memory->ended[i].len)))
            continue;
        *end = memory->ended[i].end;
        return true;
    }
    return false;
}

static void tell_done(struct memory *memory, struct notice *notice)
{
    notice->call.done(notice->arg, notice->result);
}

void memory_done_later(struct memory *memory, broker_done_fn *done, void *arg, enum broker_result result)
{
    if (done == NULL)
        return;
    struct notice *notice = memory_notice(memory, tell_done);
    notice->call.done = done;
    notice->arg = arg;
    notice->result = result;
}

static size_t stored_bytes(const struct stored *stored)
{
    return stored->entry.audience.len + stored->entry.body.len;
}

static struct stored *oldest(const struct channel *channel)
{
    return container_of(channel->log.next, struct stored, of_log);
}

static void trim_oldest(struct memory *memory, struct channel *channel)
{
    struct stored *stored = oldest(channel);
    list_remove(&stored->of_log);
    channel->count--;
    channel->bytes -= stored_bytes(stored);
    memory->log_bytes -= stored_bytes(stored) + BROKER_ENTRY_BYTES;
    memory->logs -= channel->count == 0;
    /* While there are entries, they tell what the room's newest one is. */
    if (channel->count == 0)
        room_note(memory, channel);
    journal_note(memory->journal, JOURNAL_ENTRY_DROP, &stored->entry.seq, NULL);
    free(stored);
}

/* Drops entries beyond the log's age: on reads and sweeps, because a room may have no further publishes. */
static void log_age(struct memory *memory, struct channel *channel)
{
    int64_t now = memory_now_ms(memory);
    while (channel->count > 0 && now - oldest(channel)->entry.time_ms > (int64_t)channel->age_ms_max)
        trim_oldest(memory, channel);
}

void memory_log_append(struct memory *memory, struct channel *channel, struct stored *stored)
{
    memory->rooms += channel->last == 0;
    channel->last = stored->entry.seq;
    channel->newest_ms = stored->entry.time_ms;
    list_append(&channel->log, &stored->of_log);
    channel->count++;
    channel->bytes += stored_bytes(stored);
    memory->log_bytes += stored_bytes(stored) + BROKER_ENTRY_BYTES;
    memory->logs += channel->count == 1;
}

/* Also when nothing is kept: the room's log has that age from now on. */
static void entry_note(struct memory *memory, struct channel *channel, const struct broker_entry *entry,
                       uint64_t age_ms_max)
{
    bool other_age = channel->age_ms_max != age_ms_max;
    channel->age_ms_max = age_ms_max;
    if (memory->journal == NULL)
        return;
    if (channel->number != 0 && other_age)
        room_note(memory, channel);
    uint64_t room = memory_channel_number(memory, channel);
    journal_note(memory->journal, JOURNAL_ENTRY, (uint64_t[]){entry->seq, room, entry->prev, (uint64_t)entry->time_ms},
                 (struct span[]){entry->audience, entry->body});
}

static void log_trim(struct memory *memory, struct channel *channel, const struct broker_retention *retention)
{
    while (channel->count > 1 && (channel->count > retention->entries_max || channel->bytes > retention->bytes_max ||
                                  channel->newest_ms - oldest(channel)->entry.time_ms > (int64_t)retention->age_ms_max))
        trim_oldest(memory, channel);
}

/* The bound that refuses this entry, or BROKER_OK. A room has its share of the bytes even if all are used. */
static enum broker_result bounds_check(const struct memory *memory, const struct channel *channel,
                                       const struct broker_publish *publish)
{
    if (channel->last == 0 && memory->rooms >= memory->rooms_max)
        return BROKER_FULL_ROOMS;
    uint64_t bytes = publish->audience.len + publish->body.len + BROKER_ENTRY_BYTES;
    uint64_t weight = channel->bytes + channel->count * BROKER_ENTRY_BYTES + channel->ids.count * BROKER_NAME_BYTES;
    if (publish->id.len != 0)
        bytes += BROKER_NAME_BYTES;
    uint64_t share = memory->store_bytes_max / (memory->logs + 1);
    if (memory->log_bytes + bytes > memory->store_bytes_max &&
        (channel->last == 0 || weight + bytes > (share > BROKER_SHARE_BYTES_MIN ? share : BROKER_SHARE_BYTES_MIN)))
        return BROKER_FULL;
    return BROKER_OK;
}

static void tell_push(struct memory *memory, struct notice *notice)
{
    bool owned = broker_room_is_owned(notice->channel->by_room.key);
    if (owned ? notice->flag : notice->channel->subscribed)
        memory->broker.events->pushed(memory->broker.hub, &notice->copy->entry);
}

/* Logs the entry, unless its name is known. False: it must not be pushed either. */
static bool log_it(struct memory *memory, struct channel *channel, const struct broker_publish *publish,
                   struct broker_entry *entry, enum broker_result *result)
{
    *result = bounds_check(memory, channel, publish);
    if (*result != BROKER_OK || (publish->id.len != 0 && !memory_name_is_new(memory, channel, publish, result)))
        return false;
    entry->seq = ++memory->seq;
    entry->prev = channel->last;
    entry->time_ms = memory_now_ms(memory);
    entry_note(memory, channel, entry, publish->retention->age_ms_max);
    memory_log_append(memory, channel, memory_stored_create(entry));
    log_trim(memory, channel, publish->retention);
    return true;
}

bool memory_publish(struct broker *broker, const struct broker_publish *publish, broker_done_fn *done, void *arg)
{
    struct memory *memory = memory_of(broker);
    enum broker_result result = BROKER_OK;
    bool is_owner = false;
    /* Without a journal, nothing waits for longer than a turn. */
    if (memory->journal != NULL && memory->waiting_bytes > BROKER_BACKLOG_BYTES_MAX)
        return false;
    if (!broker_room_is_owned(publish->room) || memory_room_has_owner(memory, publish->room, &is_owner)) {
        struct channel *channel = memory_channel(memory, publish->room);
        struct broker_entry entry = {
            .room = channel->by_room.key, .audience = publish->audience, .body = publish->body};
        if (publish->retention == NULL || log_it(memory, channel, publish, &entry, &result)) {
            struct notice *notice = memory_notice_of(memory, tell_push, channel);
            notice->copy = memory_stored_create(&entry);
            memory->waiting_bytes += sizeof *notice + stored_bytes(notice->copy);
            notice->flag = is_owner;
        }
    }
    memory_done_later(memory, done, arg, result);
    return true;
}

static void tell_subscribed(struct memory *memory, struct notice *notice)
{
    /* Its place in the queue is its place among the pushes; later publishes wait behind it. */
    notice->channel->subscribed = notice->channel->wanted;
    memory->broker.events->subscribed(memory->broker.hub, notice->channel->by_room.key, notice->page.last,
                                      notice->number);
}

void memory_subscribe(struct broker *broker, struct span room)
{
    struct memory *memory = memory_of(broker);
    if (!broker->is_up)
        return;
    struct notice *notice = memory_notice_of(memory, tell_subscribed, memory_channel(memory, room));
    notice->channel->wanted = true;
    notice->page.last = notice->channel->last;
    notice->number = memory->seq;
}

void memory_unsubscribe(struct broker *broker, struct span room)
{
    struct map_node *node = map_find(&memory_of(broker)->channels, room);
    if (node == NULL)
        return;
    struct channel *channel = container_of(node, struct channel, by_room);
    channel->wanted = channel->subscribed = false;
}

static void tell_read(struct memory *memory, struct notice *notice)
{
    struct broker_entry *entries = mem_zero(notice->page.count, sizeof *entries);
    for (size_t i = 0; i < notice->page.count; i++)
        entries[i] = notice->copies[i]->entry;
    notice->page.entries = entries;
    notice->call.read(notice->arg, notice->result, &notice->page);
    free(entries);
}

/* The page of `limit` entries, at most, from `first` on up to where `end` stands, and whether there are more. */
static struct notice *read_from(struct memory *memory, struct channel *channel, struct list *first, struct list *end,
                                uint32_t limit, size_t bytes_max)
{
    struct notice *notice = memory_notice(memory, tell_read);
    notice->copies = mem_zero(limit, sizeof *notice->copies);
    notice->page.last = channel->last;
    notice->page.position = memory->seq;
    size_t bytes = 0;
    while (first != end && memory_is_stale(memory, channel, first))
        first = first->next;
    for (; first != end && notice->page.count < limit; first = first->next) {
        const struct stored *stored = container_of(first, struct stored, of_log);
        bytes += stored_bytes(stored);
        if (notice->page.count > 0 && bytes > bytes_max)
            break;
        notice->copies[notice->page.count++] = memory_stored_create(&stored->entry);
    }
    notice->page.more = first != end;
    return notice;
}

/* The first entry with a seq above `seq`, or the log's head. Most readers want the end of the log: look from there. */
static struct list *find_above(struct channel *channel, uint64_t seq)
{
    struct list *at = &channel->log;
    while (at->prev != &channel->log && container_of(at->prev, struct stored, of_log)->entry.seq > seq)
        at = at->prev;
    return at;
}

void memory_read(struct broker *broker, struct span room, const struct broker_range *range, broker_read_fn *done,
                 void *arg)
{
    struct memory *memory = memory_of(broker);
    struct channel *channel = memory_channel(memory, room);
    uint64_t seq = range->seq - (range->back && range->seq > 0), epoch_end;
    /* In the current epoch a position may lie ahead; behind the end of an earlier one nothing is left of it. */
    memory_epoch_end(memory, range->epoch, &epoch_end);
    bool ours = range->epoch.len == 0 || span_equal(range->epoch, span_of(memory->epoch, MEMORY_EPOCH_BYTES));
    bool clipped = !ours && seq > epoch_end;
    if (clipped)
        seq = epoch_end;
    size_t bytes_max = broker_range_bytes(range);
    if (memory->shared == NULL)
        log_age(memory, channel);
    struct list *end = &channel->log, *first;
    bool more = false;
    if (range->back) {
        size_t bytes = 0;
        end = first = find_above(channel, seq);
        for (uint32_t i = 0; i < range->limit && first->prev != &channel->log && bytes <= bytes_max; i++) {
            if (memory_is_stale(memory, channel, first->prev))
                break;
            first = first->prev;
            bytes += stored_bytes(container_of(first, struct stored, of_log));
        }
        if (bytes > bytes_max && first->next != end)
            first = first->next; /* the one that was too much */
        more = first->prev != &channel->log && !memory_is_stale(memory, channel, first->prev);
    } else {
        first = find_above(channel, seq);
    }
    struct notice *notice = read_from(memory, channel, first, end, range->limit, bytes_max);
    notice->call.read = done;
    notice->arg = arg;
    notice->page.more |= more;
    notice->page.clipped = clipped;
}

static void probe(struct broker *broker, broker_done_fn *done, void *arg)
{
    memory_done_later(memory_of(broker), done, arg, BROKER_OK);
}

static void tell_stats(struct memory *memory, struct notice *notice)
{
    struct journal_counters counters = journal_counters(memory->journal);
    struct broker_stats stats = {.memory_bytes = memory->log_bytes,
                                 .instances = 1,
                                 .commits = counters.commits,
                                 .commits_refused = counters.refused};
    notice->call.stats(notice->arg, notice->result, &stats);
}

static void stats(struct broker *broker, broker_stats_fn *done, void *arg)
{
    struct notice *notice = memory_notice(memory_of(broker), tell_stats);
    notice->call.stats = done;
    notice->arg = arg;
}

static void tell_up(struct memory *memory, struct notice *notice)
{
    memory_presents_await(memory);
    broker_went_up(&memory->broker, span_of(memory->epoch, MEMORY_EPOCH_BYTES), SPAN_LIT(""), 0);
}

static void tell_reached(struct memory *memory, struct notice *notice)
{
    memory->broker.events->reached(memory->broker.hub, notice->number);
}

static void notice_destroy(struct memory *memory, struct notice *notice)
{
    if (notice->channel != NULL)
        notice->channel->noticed--;
    if (notice->copy != NULL)
        memory->waiting_bytes -= sizeof *notice + stored_bytes(notice->copy);
    for (size_t i = 0; i < notice->page.count; i++)
        free(notice->copies[i]);
    free(notice->copies);
    free(notice->copy);
    memory_kept_destroy(notice->lease);
    buf_finish(&notice->text);
    free(notice->lens);
    free(notice);
}

/* Whether the next notice may be told: all that was noted before it is kept. */
static bool may_tell(const struct memory *memory)
{
    return !list_empty(&memory->queue) &&
           journal_passed(memory->journal, container_of(memory->queue.next, struct notice, queued)->mark);
}

/* A callback may make further calls; their answers wait for the next turn. */
void memory_tell_all(struct memory *memory)
{
    struct list *last = memory->queue.prev, *node;
    bool more = true;
    while (more && may_tell(memory)) {
        node = list_take(&memory->queue);
        struct notice *notice = container_of(node, struct notice, queued);
        more = node != last;
        notice->tell(memory, notice);
        notice_destroy(memory, notice);
    }
}

static void tell(struct task *task)
{
    memory_tell_all(container_of(task, struct memory, tell));
}

/* Nothing is left of its log. */
static void channel_forget(struct memory *memory, struct channel *channel)
{
    memory->rooms -= channel->last != 0;
    while (channel->count > 0)
        trim_oldest(memory, channel);
    memory_names_finish(memory, channel);
    channel->last = 0;
}

static void channel_destroy(struct memory *memory, struct channel *channel)
{
    map_remove(&memory->channels, &channel->by_room);
    channel_forget(memory, channel);
    if (channel->number != 0) {
        journal_note(memory->journal, JOURNAL_COUNTER, &memory->seq, NULL);
        journal_note(memory->journal, JOURNAL_ROOM_DROP, &channel->number, NULL);
    }
    memory_present_finish(channel);
    free(channel->name);
    free(channel);
}

/* Drops old entries and unused rooms. A room's newest seq is kept longer than any lease. */
static void channels_sweep(struct memory *memory)
{
    int64_t now = memory_now_ms(memory);
    struct map_node *next = map_next(&memory->channels, NULL);
    while (next != NULL) {
        struct channel *channel = container_of(next, struct channel, by_room);
        next = map_next(&memory->channels, next);
        int64_t age = now - (channel->touched_ms > channel->newest_ms ? channel->touched_ms : channel->newest_ms);
        log_age(memory, channel);
        memory_names_expire(memory, channel, now);
        bool owned = broker_room_is_owned(channel->by_room.key);
        bool over = owned ? !memory_room_has_owner(memory, channel->by_room.key, NULL)
                          : channel->last == 0 || age > (int64_t)channel->age_ms_max + META_MS;
        /* Who is subscribed here is nothing that all replicas know. */
        if (over && memory->shared != NULL)
            channel_forget(memory, channel);
        if (over && !channel->subscribed && list_empty(&channel->present) && channel->noticed == 0)
            channel_destroy(memory, channel);
    }
}

static void sweep(struct timer *timer)
{
    struct memory *memory = container_of(timer, struct memory, sweep);
    memory_leases_sweep(memory);
    if (++memory->sweeps % CHANNELS_SWEEP_EVERY == 0)
        channels_sweep(memory);
    memory_notice(memory, tell_reached)->number = memory->seq;
    timer_start(memory->loop, timer, LOOP_MS(SWEEP_MS));
}

void memory_pass(struct memory *memory)
{
    memory_presents_pass(memory);
    memory_leases_sweep(memory);
    if (++memory->sweeps % CHANNELS_SWEEP_EVERY == 0)
        channels_sweep(memory);
}

static void channels_finish(struct memory *memory)
{
    struct map_node *node;
    while ((node = map_next(&memory->channels, NULL)) != NULL)
        channel_destroy(memory, container_of(node, struct channel, by_room));
    map_finish(&memory->channels);
}

void memory_clear(struct memory *memory)
{
    memory_leases_finish(memory);
    channels_finish(memory);
    memory->seq = memory->sweeps = 0;
    memory->ended_count = 0;
}

void memory_finish(struct memory *memory)
{
    struct list *queued;
    task_cancel(&memory->tell);
    timer_stop(memory->loop, &memory->sweep);
    timer_stop(memory->loop, &memory->leaves);
    if (memory->journal != NULL)
        journal_finish_writing(memory->journal);
    while ((queued = list_take(&memory->queue)) != NULL) {
        struct notice *notice = container_of(queued, struct notice, queued);
        /* Accepted publishes stay accepted; other answers become BROKER_LOST. */
        if (notice->tell != tell_done || !journal_passed(memory->journal, notice->mark))
            notice->result = BROKER_LOST;
        if (notice->call.done != NULL)
            notice->tell(memory, notice);
        notice_destroy(memory, notice);
    }
    journal_destroy(memory->journal);
    memory->journal = NULL; /* what ends here goes on there */
    memory_leases_finish(memory);
    channels_finish(memory);
}

static void destroy(struct broker *broker)
{
    struct memory *memory = memory_of(broker);
    memory_finish(memory);
    free(memory);
}

static const struct broker_ops ops = {
    .publish = memory_publish,
    .subscribe = memory_subscribe,
    .unsubscribe = memory_unsubscribe,
    .read = memory_read,
    .lease_write = memory_lease_write,
    .lease_claim = memory_lease_claim,
    .lease_release = memory_lease_release,
    .lease_take = memory_lease_take,
    .lease_lapsed = memory_lease_lapsed,
    .lease_end = memory_lease_end,
    .present_enter = memory_present_enter,
    .present_leave = memory_present_leave,
    .present_list = memory_present_list,
    .stats = stats,
    .probe = probe,
    .destroy = destroy,
};

void memory_init(struct memory *memory, struct loop *loop, const struct broker_bounds *bounds,
                 struct memory_shared *shared)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    uint64_t seed[2];
    memory->shared = shared;
    memory->broker.ops = &ops;
    memory->broker.mail = &memory_mail_ops;
    memory->loop = loop;
    memory->rooms_max = bounds != NULL && bounds->rooms_max != 0 ? bounds->rooms_max : BROKER_ROOMS_MAX;
    memory->store_bytes_max = bounds != NULL && bounds->store_bytes_max != 0 ? bounds->store_bytes_max : 1u << 30;
    loop_random(loop, seed, sizeof seed);
    map_init(&memory->channels, seed);
    map_init(&memory->leases, seed);
    map_init(&memory->owned, seed);
    list_init(&memory->queue);
    list_init(&memory->away);
    list_init(&memory->left);
    task_init(&memory->tell, tell);
    timer_init(&memory->leaves, memory_leaves);
    timer_init(&memory->sweep, sweep);
    if (shared == NULL)
        timer_start(loop, &memory->sweep, LOOP_MS(SWEEP_MS));
    for (int i = 0; i < MEMORY_EPOCH_BYTES; i++)
        memory->epoch[i] = digits[loop_random_below(loop, sizeof digits - 1)];
}

struct memory *memory_create(struct loop *loop, const struct broker_bounds *bounds)
{
    struct memory *memory = mem_zero(1, sizeof *memory);
    memory_init(memory, loop, bounds, NULL);
    return memory;
}

void memory_start(struct memory *memory)
{
    memory_notice(memory, tell_up);
}

struct broker *broker_memory_create(struct loop *loop, const struct broker_bounds *bounds)
{
    struct memory *memory = memory_create(loop, bounds);
    memory_start(memory);
    return &memory->broker;
}

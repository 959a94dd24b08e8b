/* memory: see memory.h. Everything happens at once, everything is told later: answers and events wait in one queue, in
 * order, until the end of the turn, so that nobody is called back from within a call. */
#include "broker/memory.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

enum { EPOCH_BYTES = 10, LEASE_SWEEP_MS = 10000 };

struct memory {
    struct broker broker;
    struct loop *loop;
    struct map channels, leases;
    struct list queue;
    struct task tell;
    struct timer sweep;
    uint64_t seq;
    char epoch[EPOCH_BYTES];
};

struct stored {
    struct list of_log;
    struct map_node by_id;
    bool named;
    struct broker_entry entry; /* its spans point into `bytes` */
    char bytes[];              /* except, body, id */
};

struct channel {
    struct map_node by_room;
    char *name;
    struct list log;
    struct map ids;
    size_t count;
    uint64_t last;
    bool subscribed;
};

struct kept {
    struct map_node by_pid;
    uint64_t generation;
    int64_t until_ms;
    struct buf bytes; /* pid, sid, rooms, data */
    size_t pid_len, sid_len, rooms_len;
};

/* One thing to tell. */
struct notice;
typedef void notice_fn(struct memory *memory, struct notice *notice);
struct notice {
    struct list queued;
    notice_fn *tell;
    union {
        broker_done_fn *done;
        broker_read_fn *read;
        broker_claim_fn *claim;
    } call;
    void *arg;
    enum broker_result result;
    struct channel *channel;
    bool position_ok;
    uint64_t number; /* generation, or position */
    struct broker_page page;
    struct stored *copy; /* of what is pushed */
    struct stored **copies;
    struct kept *lease;
};

static struct memory *of(struct broker *broker)
{
    return container_of(broker, struct memory, broker);
}

static struct notice *notice_add(struct memory *memory, notice_fn *tell)
{
    struct notice *notice = mem_zero(1, sizeof *notice);
    notice->tell = tell;
    list_init(&notice->queued);
    list_append(&memory->queue, &notice->queued);
    loop_at_flush(memory->loop, &memory->tell);
    return notice;
}

static struct stored *stored_create(const struct broker_entry *entry, struct span id)
{
    struct stored *stored = mem_zero(1, sizeof *stored + entry->except.len + entry->body.len + id.len);
    char *at = stored->bytes;
    list_init(&stored->of_log);
    stored->entry = *entry;
    if (entry->except.len != 0)
        memcpy(at, entry->except.data, entry->except.len);
    stored->entry.except.data = at;
    at += entry->except.len;
    if (entry->body.len != 0)
        memcpy(at, entry->body.data, entry->body.len);
    stored->entry.body.data = at;
    at += entry->body.len;
    if (id.len != 0)
        memcpy(at, id.data, id.len);
    stored->by_id.key = span_of(at, id.len);
    return stored;
}

static struct channel *channel_get(struct memory *memory, struct span room)
{
    struct map_node *node = map_find(&memory->channels, room);
    if (node != NULL)
        return container_of(node, struct channel, by_room);
    struct channel *channel = mem_zero(1, sizeof *channel);
    channel->name = mem_text(room);
    list_init(&channel->log);
    map_init(&channel->ids, memory->channels.seed);
    map_add(&memory->channels, &channel->by_room, span_of(channel->name, room.len));
    return channel;
}

static void tell_done(struct memory *memory, struct notice *notice)
{
    if (notice->call.done != NULL)
        notice->call.done(notice->arg, notice->result);
}

static void done_later(struct memory *memory, broker_done_fn *done, void *arg, enum broker_result result)
{
    struct notice *notice = notice_add(memory, tell_done);
    notice->call.done = done;
    notice->arg = arg;
    notice->result = result;
}

static void trim_oldest(struct channel *channel)
{
    struct stored *oldest = container_of(list_take(&channel->log), struct stored, of_log);
    if (oldest->named)
        map_remove(&channel->ids, &oldest->by_id);
    free(oldest);
    channel->count--;
}

static void log_append(struct memory *memory, struct channel *channel, struct stored *stored,
                       const struct broker_retention *retention)
{
    int64_t now = stored->entry.time_ms;
    list_append(&channel->log, &stored->of_log);
    channel->count++;
    while (channel->count > retention->entries_max)
        trim_oldest(channel);
    while (channel->count > 1 &&
           now - container_of(channel->log.next, struct stored, of_log)->entry.time_ms > (int64_t)retention->age_ms_max)
        trim_oldest(channel);
}

static void tell_push(struct memory *memory, struct notice *notice)
{
    if (notice->channel->subscribed)
        memory->broker.events->pushed(memory->broker.hub, &notice->copy->entry);
}

static bool publish(struct broker *broker, const struct broker_publish *publish, broker_done_fn *done, void *arg)
{
    struct memory *memory = of(broker);
    struct channel *channel = channel_get(memory, publish->room);
    struct broker_entry entry = {.room = channel->by_room.key, .except = publish->except, .body = publish->body};
    bool logged = publish->retention != NULL;
    if (!logged || publish->id.len == 0 || map_find(&channel->ids, publish->id) == NULL) {
        if (logged) {
            entry.seq = ++memory->seq;
            entry.prev = channel->last;
            entry.time_ms = loop_wall_ms(memory->loop);
            channel->last = entry.seq;
            struct stored *stored = stored_create(&entry, publish->id);
            if (publish->id.len != 0) {
                stored->named = true;
                map_add(&channel->ids, &stored->by_id, stored->by_id.key);
            }
            log_append(memory, channel, stored, publish->retention);
        }
        struct notice *notice = notice_add(memory, tell_push);
        notice->channel = channel;
        notice->copy = stored_create(&entry, (struct span){NULL, 0});
    }
    done_later(memory, done, arg, BROKER_OK);
    return true;
}

static void tell_subscribed(struct memory *memory, struct notice *notice)
{
    /* Where it stands in the queue is where it stands among the pushes; what was published since waits behind it. */
    notice->channel->subscribed = true;
    memory->broker.events->subscribed(memory->broker.hub, notice->channel->by_room.key, notice->page.last,
                                      notice->number);
}

static void subscribe(struct broker *broker, struct span room)
{
    struct memory *memory = of(broker);
    if (!broker->is_up)
        return;
    struct notice *notice = notice_add(memory, tell_subscribed);
    notice->channel = channel_get(memory, room);
    notice->page.last = notice->channel->last;
    notice->number = memory->seq;
}

static void unsubscribe(struct broker *broker, struct span room)
{
    struct map_node *node = map_find(&of(broker)->channels, room);
    if (node != NULL)
        container_of(node, struct channel, by_room)->subscribed = false;
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

static void read_from(struct memory *memory, struct channel *channel, struct list *from, uint64_t after, uint32_t limit,
                      broker_read_fn *done, void *arg)
{
    struct notice *notice = notice_add(memory, tell_read);
    struct broker_page *page = &notice->page;
    notice->call.read = done;
    notice->arg = arg;
    notice->copies = mem_zero(limit, sizeof *notice->copies);
    page->last = channel->last;
    while (from != &channel->log && page->count < limit) {
        const struct stored *stored = container_of(from, struct stored, of_log);
        notice->copies[page->count++] = stored_create(&stored->entry, (struct span){NULL, 0});
        from = from->next;
    }
    page->complete = from == &channel->log;
    page->gap = page->count > 0 ? notice->copies[0]->entry.prev > after : channel->last > after;
}

static void read_after(struct broker *broker, struct span room, uint64_t after, uint32_t limit, broker_read_fn *done,
                       void *arg)
{
    struct channel *channel = channel_get(of(broker), room);
    /* Most readers want the end of the log: look from there. */
    struct list *from = &channel->log;
    while (from->prev != &channel->log && container_of(from->prev, struct stored, of_log)->entry.seq > after)
        from = from->prev;
    read_from(of(broker), channel, from, after, limit, done, arg);
}

static void read_newest(struct broker *broker, struct span room, uint32_t limit, broker_read_fn *done, void *arg)
{
    struct channel *channel = channel_get(of(broker), room);
    struct list *from = &channel->log;
    for (uint32_t i = 0; i < limit && from->prev != &channel->log; i++)
        from = from->prev;
    read_from(of(broker), channel, from, 0, limit, done, arg);
}

static struct span kept_part(const struct kept *kept, size_t from, size_t len)
{
    return span_sub(buf_span(&kept->bytes), from, len);
}

static struct broker_lease kept_lease(const struct kept *kept)
{
    size_t rooms_at = kept->pid_len + kept->sid_len, data_at = rooms_at + kept->rooms_len;
    return (struct broker_lease){
        .pid = kept_part(kept, 0, kept->pid_len),
        .sid = kept_part(kept, kept->pid_len, kept->sid_len),
        .rooms = kept_part(kept, rooms_at, kept->rooms_len),
        .data = kept_part(kept, data_at, SIZE_MAX),
        .generation = kept->generation,
    };
}

static void kept_destroy(struct kept *kept)
{
    if (kept == NULL)
        return;
    buf_finish(&kept->bytes);
    free(kept);
}

static struct kept *kept_create(const struct broker_lease *lease)
{
    struct kept *kept = mem_zero(1, sizeof *kept);
    kept->generation = lease->generation;
    kept->pid_len = lease->pid.len;
    kept->sid_len = lease->sid.len;
    kept->rooms_len = lease->rooms.len;
    buf_append(&kept->bytes, lease->pid);
    buf_append(&kept->bytes, lease->sid);
    buf_append(&kept->bytes, lease->rooms);
    buf_append(&kept->bytes, lease->data);
    return kept;
}

static void kept_remove(struct memory *memory, struct kept *kept)
{
    map_remove(&memory->leases, &kept->by_pid);
    kept_destroy(kept);
}

/* The lease of this pid that has not run out, or NULL. */
static struct kept *kept_find(struct memory *memory, struct span pid)
{
    struct map_node *node = map_find(&memory->leases, pid);
    struct kept *kept = node != NULL ? container_of(node, struct kept, by_pid) : NULL;
    if (kept == NULL || kept->until_ms > loop_wall_ms(memory->loop))
        return kept;
    kept_remove(memory, kept);
    return NULL;
}

static void lease_write(struct broker *broker, const struct broker_lease *lease, uint64_t life_ms, broker_done_fn *done,
                        void *arg)
{
    struct memory *memory = of(broker);
    struct kept *old = kept_find(memory, lease->pid);
    if (old != NULL && old->generation > lease->generation) {
        done_later(memory, done, arg, BROKER_SUPERSEDED);
        return;
    }
    struct kept *kept = kept_create(lease);
    kept->until_ms = loop_wall_ms(memory->loop) + (int64_t)life_ms;
    if (old != NULL)
        kept_remove(memory, old);
    map_add(&memory->leases, &kept->by_pid, kept_part(kept, 0, kept->pid_len));
    done_later(memory, done, arg, BROKER_OK);
}

static void tell_superseded(struct memory *memory, struct notice *notice)
{
    struct broker_lease lease = kept_lease(notice->lease);
    memory->broker.events->superseded(memory->broker.hub, lease.pid, lease.generation);
}

static void tell_claim(struct memory *memory, struct notice *notice)
{
    struct broker_lease lease = notice->lease != NULL ? kept_lease(notice->lease) : (struct broker_lease){0};
    notice->call.claim(notice->arg, notice->result, notice->lease != NULL ? &lease : NULL, notice->position_ok);
}

static void lease_claim(struct broker *broker, struct span pid, struct span epoch, uint64_t seq, uint64_t life_ms,
                        broker_claim_fn *done, void *arg)
{
    struct memory *memory = of(broker);
    struct kept *kept = kept_find(memory, pid);
    if (kept != NULL) {
        kept->generation++;
        kept->until_ms = loop_wall_ms(memory->loop) + (int64_t)life_ms;
        struct broker_lease lease = kept_lease(kept);
        notice_add(memory, tell_superseded)->lease = kept_create(&lease);
    }
    struct notice *notice = notice_add(memory, tell_claim);
    notice->call.claim = done;
    notice->arg = arg;
    notice->result = kept != NULL ? BROKER_OK : BROKER_NONE;
    notice->position_ok =
        epoch.len == 0 || (span_equal(epoch, span_of(memory->epoch, EPOCH_BYTES)) && seq <= memory->seq);
    if (kept != NULL) {
        struct broker_lease lease = kept_lease(kept);
        notice->lease = kept_create(&lease);
    }
}

static void lease_delete(struct broker *broker, struct span pid, uint64_t generation)
{
    struct kept *kept = kept_find(of(broker), pid);
    if (kept != NULL && kept->generation <= generation)
        kept_remove(of(broker), kept);
}

static void probe(struct broker *broker, broker_done_fn *done, void *arg)
{
    done_later(of(broker), done, arg, BROKER_OK);
}

static void tell_up(struct memory *memory, struct notice *notice)
{
    memory->broker.is_up = true;
    memory->broker.events->up(memory->broker.hub, span_of(memory->epoch, EPOCH_BYTES), SPAN_LIT(""), 0);
}

static void notice_destroy(struct notice *notice)
{
    for (size_t i = 0; i < notice->page.count; i++)
        free(notice->copies[i]);
    free(notice->copies);
    free(notice->copy);
    kept_destroy(notice->lease);
    free(notice);
}

/* What is told now may ask for more: that waits for the next turn. */
static void tell(struct task *task)
{
    struct memory *memory = container_of(task, struct memory, tell);
    struct list *last = memory->queue.prev, *node;
    bool more = true;
    while (more && (node = list_take(&memory->queue)) != NULL) {
        struct notice *notice = container_of(node, struct notice, queued);
        more = node != last;
        notice->tell(memory, notice);
        notice_destroy(notice);
    }
}

static void sweep(struct timer *timer)
{
    struct memory *memory = container_of(timer, struct memory, sweep);
    int64_t now = loop_wall_ms(memory->loop);
    struct map_node *next = map_next(&memory->leases, NULL);
    while (next != NULL) {
        struct kept *kept = container_of(next, struct kept, by_pid);
        next = map_next(&memory->leases, next);
        if (kept->until_ms <= now)
            kept_remove(memory, kept);
    }
    timer_start(memory->loop, timer, LOOP_MS(LEASE_SWEEP_MS));
}

static void destroy(struct broker *broker)
{
    struct memory *memory = of(broker);
    struct list *queued;
    struct map_node *node;
    task_cancel(&memory->tell);
    timer_stop(memory->loop, &memory->sweep);
    while ((queued = list_take(&memory->queue)) != NULL) {
        struct notice *notice = container_of(queued, struct notice, queued);
        if (notice->tell == tell_done || notice->tell == tell_read || notice->tell == tell_claim) {
            notice->result = notice->tell == tell_done ? notice->result : BROKER_LOST;
            notice->tell(memory, notice);
        }
        notice_destroy(notice);
    }
    while ((node = map_next(&memory->leases, NULL)) != NULL)
        kept_remove(memory, container_of(node, struct kept, by_pid));
    map_finish(&memory->leases);
    while ((node = map_next(&memory->channels, NULL)) != NULL) {
        struct channel *channel = container_of(node, struct channel, by_room);
        map_remove(&memory->channels, node);
        while (channel->count > 0)
            trim_oldest(channel);
        map_finish(&channel->ids);
        free(channel->name);
        free(channel);
    }
    map_finish(&memory->channels);
    free(memory);
}

static const struct broker_ops ops = {
    .publish = publish,
    .subscribe = subscribe,
    .unsubscribe = unsubscribe,
    .read = read_after,
    .read_newest = read_newest,
    .lease_write = lease_write,
    .lease_claim = lease_claim,
    .lease_delete = lease_delete,
    .probe = probe,
    .destroy = destroy,
};

struct broker *broker_memory_create(struct loop *loop)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    struct memory *memory = mem_zero(1, sizeof *memory);
    uint64_t seed[2];
    memory->broker.ops = &ops;
    memory->loop = loop;
    loop_random(loop, seed, sizeof seed);
    map_init(&memory->channels, seed);
    map_init(&memory->leases, seed);
    list_init(&memory->queue);
    task_init(&memory->tell, tell);
    timer_init(&memory->sweep, sweep);
    timer_start(loop, &memory->sweep, LOOP_MS(LEASE_SWEEP_MS));
    for (int i = 0; i < EPOCH_BYTES; i++)
        memory->epoch[i] = digits[loop_random_below(loop, sizeof digits - 1)];
    notice_add(memory, tell_up);
    return &memory->broker;
}

/* memory_lease: leases in this process: each is a copy of the last write, until it expires. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/memory_parts.h"

struct kept {
    struct map_node by_pid, by_own;
    struct list of_left; /* watched, and without an owner */
    uint64_t generation, window_ms;
    int64_t until_ms;
    bool taken;     /* to be ended: nobody claims it to go on with it */
    uint64_t owner; /* the number of who wrote or claimed it last */
    bool ended;     /* only its end is remembered */
    uint32_t pid_len, sid_len, own_len, rooms_len, data_len, watch_len;
    char bytes[]; /* pid, sid, own, rooms, data, watch */
};

static struct broker_lease kept_lease(const struct kept *kept)
{
    const char *sid = kept->bytes + kept->pid_len, *own = sid + kept->sid_len, *rooms = own + kept->own_len;
    return (struct broker_lease){
        .pid = span_of(kept->bytes, kept->pid_len),
        .sid = span_of(sid, kept->sid_len),
        .own = span_of(own, kept->own_len),
        .rooms = span_of(rooms, kept->rooms_len),
        .data = span_of(rooms + kept->rooms_len, kept->data_len),
        .watch = span_of(rooms + kept->rooms_len + kept->data_len, kept->watch_len),
        .generation = kept->generation,
        .window_ms = kept->window_ms,
    };
}

void memory_kept_destroy(struct kept *kept)
{
    free(kept);
}

static struct kept *kept_create(const struct broker_lease *lease)
{
    const struct span parts[] = {lease->pid, lease->sid, lease->own, lease->rooms, lease->data, lease->watch};
    size_t count = sizeof parts / sizeof parts[0], bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += parts[i].len;
    assert(bytes <= UINT32_MAX);
    struct kept *kept = mem_zero(1, sizeof *kept + bytes);
    kept->generation = lease->generation;
    kept->window_ms = lease->window_ms;
    kept->pid_len = (uint32_t)lease->pid.len;
    kept->sid_len = (uint32_t)lease->sid.len;
    kept->own_len = (uint32_t)lease->own.len;
    kept->rooms_len = (uint32_t)lease->rooms.len;
    kept->data_len = (uint32_t)lease->data.len;
    kept->watch_len = (uint32_t)lease->watch.len;
    list_init(&kept->of_left);
    char *at = kept->bytes;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len != 0)
            memcpy(at, parts[i].data, parts[i].len);
        at += parts[i].len;
    }
    return kept;
}

static void kept_remove(struct memory *memory, struct kept *kept)
{
    map_remove(&memory->leases, &kept->by_pid);
    list_remove(&kept->of_left);
    if (kept->own_len != 0 && !kept->ended)
        map_remove(&memory->owned, &kept->by_own);
    memory_kept_destroy(kept);
}

static void kept_forget(struct memory *memory, struct kept *kept)
{
    struct span pid = kept_lease(kept).pid;
    journal_note(memory->journal, JOURNAL_LEASE_DROP, NULL, &pid);
    kept_remove(memory, kept);
}

/* A watched one is kept beyond its life, until somebody asks for it. */
static bool kept_is_over(const struct kept *kept, int64_t now)
{
    return kept->until_ms + (kept->watch_len != 0 && !kept->ended ? BROKER_LAPSED_MS : 0) <= now;
}

/* The unexpired lease of this pid, or NULL. */
static struct kept *kept_find(struct memory *memory, struct span pid)
{
    struct map_node *node = map_find(&memory->leases, pid);
    struct kept *kept = node != NULL ? container_of(node, struct kept, by_pid) : NULL;
    if (kept == NULL || !kept_is_over(kept, memory_now_ms(memory)))
        return kept;
    kept_forget(memory, kept);
    return NULL;
}

bool memory_room_has_owner(struct memory *memory, struct span room, bool *is_self)
{
    struct map_node *node = map_find(&memory->owned, room);
    const struct kept *kept = node != NULL ? container_of(node, struct kept, by_own) : NULL;
    if (is_self != NULL)
        *is_self = kept != NULL && memory_is_self(memory, kept->owner);
    return kept != NULL && kept->until_ms > memory_now_ms(memory);
}

static void live(struct memory *memory, struct kept *kept, uint64_t ms)
{
    kept->until_ms = memory_now_ms(memory) + (int64_t)ms;
}

/* Notes the lease's generation and how long it lives, the rest being noted already. */
static void life_note(struct memory *memory, const struct kept *kept)
{
    struct span pid = kept_lease(kept).pid;
    journal_note(memory->journal, JOURNAL_LEASE_MOVE, (uint64_t[]){kept->generation, (uint64_t)kept->until_ms}, &pid);
}

/* Nobody owns it any more. */
static void left(struct memory *memory, struct kept *kept)
{
    list_remove(&kept->of_left);
    if (kept->watch_len != 0)
        list_append(&memory->left, &kept->of_left);
}

/* Among several instances the end of a watched lease is remembered, so that none takes it for lost. */
static void end(struct memory *memory, struct kept *kept)
{
    if (memory->shared == NULL || kept->watch_len == 0) {
        kept_forget(memory, kept);
        return;
    }
    list_remove(&kept->of_left);
    if (kept->own_len != 0)
        map_remove(&memory->owned, &kept->by_own);
    kept->ended = true;
    live(memory, kept, kept->window_ms * 2);
}

static void kept_add(struct memory *memory, struct kept *kept)
{
    struct broker_lease mine = kept_lease(kept);
    map_add(&memory->leases, &kept->by_pid, mine.pid);
    if (kept->own_len != 0)
        map_add(&memory->owned, &kept->by_own, mine.own);
}

void memory_lease_restore(struct memory *memory, const struct broker_lease *lease, int64_t until_ms)
{
    int64_t now = memory_now_ms(memory);
    struct kept *kept = kept_create(lease);
    live(memory, kept, lease->window_ms);
    if (until_ms < kept->until_ms)
        kept->until_ms = until_ms;
    kept_add(memory, kept);
    left(memory, kept);
    if (kept_is_over(kept, now))
        kept_forget(memory, kept);
}

void memory_lease_write(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg)
{
    struct memory *memory = memory_of(broker);
    struct kept *old = kept_find(memory, lease->pid);
    if (old != NULL && (old->ended || old->generation > lease->generation)) {
        memory_done_later(memory, done, arg, BROKER_SUPERSEDED);
        return;
    }
    struct broker_lease whole = *lease;
    if (old != NULL && lease->watch.len == 0)
        whole.watch = kept_lease(old).watch;
    struct kept *kept = kept_create(&whole);
    live(memory, kept, kept->window_ms * 2);
    kept->owner = memory_actor(memory);
    if (old != NULL)
        kept_remove(memory, old);
    kept_add(memory, kept);
    journal_note(memory->journal, JOURNAL_LEASE,
                 (uint64_t[]){lease->generation, lease->window_ms, (uint64_t)kept->until_ms},
                 (struct span[]){lease->pid, lease->sid, lease->own, lease->rooms, lease->data, lease->watch});
    memory_done_later(memory, done, arg, BROKER_OK);
}

static void tell_superseded(struct memory *memory, struct notice *notice)
{
    struct broker_lease lease = kept_lease(notice->lease);
    memory->broker.events->superseded(memory->broker.hub, lease.pid, lease.generation);
}

static void tell_claim(struct memory *memory, struct notice *notice)
{
    struct broker_lease lease = notice->lease != NULL ? kept_lease(notice->lease) : (struct broker_lease){0};
    if (notice->call.claim != NULL)
        notice->call.claim(notice->arg, notice->result, notice->lease != NULL ? &lease : NULL, notice->flag);
}

static struct notice *claim_answer(struct memory *memory, enum broker_result result, broker_claim_fn *done, void *arg)
{
    struct notice *notice = memory_notice(memory, tell_claim);
    notice->call.claim = done;
    notice->arg = arg;
    notice->result = result;
    return notice;
}

/* `kept` may be NULL: there is none. `to_end`: it is claimed to be ended. */
static struct notice *claim(struct memory *memory, struct kept *kept, bool to_end, broker_claim_fn *done, void *arg)
{
    if (kept == NULL || kept->ended)
        return claim_answer(memory, BROKER_NONE, done, arg);
    kept->taken = to_end;
    bool is_ours = memory_is_self(memory, kept->owner);
    kept->owner = memory_actor(memory);
    kept->generation++;
    list_remove(&kept->of_left);
    live(memory, kept, kept->window_ms * 2);
    life_note(memory, kept);
    struct broker_lease lease = kept_lease(kept);
    if (is_ours)
        memory_notice(memory, tell_superseded)->lease = kept_create(&lease);
    struct notice *notice = claim_answer(memory, BROKER_OK, done, arg);
    notice->lease = kept_create(&lease);
    return notice;
}

void memory_lease_claim(struct broker *broker, struct span pid, struct span epoch, uint64_t seq, broker_claim_fn *done,
                        void *arg)
{
    struct memory *memory = memory_of(broker);
    struct kept *kept = kept_find(memory, pid);
    uint64_t end;
    claim(memory, kept != NULL && !kept->taken ? kept : NULL, false, done, arg)->flag =
        epoch.len == 0 || (memory_epoch_end(memory, epoch, &end) && seq <= end);
}

void memory_lease_take(struct broker *broker, struct span pid, uint64_t generation, broker_claim_fn *done, void *arg)
{
    struct memory *memory = memory_of(broker);
    struct kept *kept = kept_find(memory, pid);
    if (kept != NULL && (kept->ended || kept->generation != generation))
        claim_answer(memory, BROKER_SUPERSEDED, done, arg);
    else
        claim(memory, kept, true, done, arg);
}

void memory_lease_lapsed(struct broker *broker, struct span watch, broker_claim_fn *done, void *arg)
{
    struct memory *memory = memory_of(broker);
    int64_t now = memory_now_ms(memory);
    list_each (node, &memory->left) {
        struct kept *kept = container_of(node, struct kept, of_left);
        if (kept->until_ms > now || kept_is_over(kept, now) || !span_equal(kept_lease(kept).watch, watch))
            continue;
        claim(memory, kept, true, done, arg);
        return;
    }
    claim(memory, NULL, true, done, arg);
}

void memory_lease_end(struct broker *broker, const struct broker_lease *lease, broker_done_fn *done, void *arg)
{
    struct memory *memory = memory_of(broker);
    struct kept *kept = kept_find(memory, lease->pid);
    bool superseded = kept != NULL && kept->generation > lease->generation;
    if (kept != NULL && !superseded && !kept->ended)
        end(memory, kept);
    memory_done_later(memory, done, arg, superseded ? BROKER_SUPERSEDED : BROKER_OK);
}

void memory_lease_release(struct broker *broker, const struct broker_lease *lease, bool for_good)
{
    struct memory *memory = memory_of(broker);
    struct kept *kept = kept_find(memory, lease->pid);
    if (kept == NULL || kept->ended || kept->generation > lease->generation)
        return;
    if (for_good) {
        end(memory, kept);
        return;
    }
    live(memory, kept, kept->window_ms);
    left(memory, kept);
    life_note(memory, kept);
}

void memory_leases_sweep(struct memory *memory)
{
    int64_t now = memory_now_ms(memory);
    struct map_node *next = map_next(&memory->leases, NULL);
    while (next != NULL) {
        struct kept *kept = container_of(next, struct kept, by_pid);
        next = map_next(&memory->leases, next);
        if (kept_is_over(kept, now))
            kept_forget(memory, kept);
    }
}

void memory_leases_leave(struct memory *memory, uint64_t life)
{
    struct map_node *node = NULL;
    int64_t now = memory_now_ms(memory);
    while ((node = map_next(&memory->leases, node)) != NULL) {
        struct kept *kept = container_of(node, struct kept, by_pid);
        if (kept->owner != life || kept->ended)
            continue;
        if (kept->until_ms > now + (int64_t)kept->window_ms)
            live(memory, kept, kept->window_ms);
        if (list_empty(&kept->of_left))
            left(memory, kept);
    }
}

static void kept_show(const struct kept *kept, memory_lease_fn *each, void *arg)
{
    struct memory_lease lease = {kept_lease(kept), kept->until_ms, kept->owner,
                                 kept->ended,      kept->taken,    !list_empty(&kept->of_left)};
    each(arg, &lease);
}

void memory_leases_each(struct memory *memory, memory_lease_fn *each, void *arg)
{
    struct map_node *node = NULL;
    while ((node = map_next(&memory->leases, node)) != NULL)
        if (list_empty(&container_of(node, struct kept, by_pid)->of_left))
            kept_show(container_of(node, struct kept, by_pid), each, arg);
    list_each (of_left, &memory->left) {
        kept_show(container_of(of_left, struct kept, of_left), each, arg);
    }
}

void memory_lease_put(struct memory *memory, const struct memory_lease *lease)
{
    struct kept *kept = kept_create(&lease->lease);
    kept->until_ms = lease->until_ms;
    kept->owner = lease->owner;
    kept->ended = lease->ended;
    kept->taken = lease->taken;
    map_add(&memory->leases, &kept->by_pid, kept_lease(kept).pid);
    if (kept->own_len != 0 && !kept->ended)
        map_add(&memory->owned, &kept->by_own, kept_lease(kept).own);
    if (lease->left)
        left(memory, kept);
}

void memory_leases_finish(struct memory *memory)
{
    struct map_node *node;
    while ((node = map_next(&memory->leases, NULL)) != NULL)
        kept_remove(memory, container_of(node, struct kept, by_pid));
    map_finish(&memory->leases);
    map_finish(&memory->owned);
}

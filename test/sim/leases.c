/* leases: reads each write of a lease into stretches of logs. See leases.h. */
#include "leases.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "check.h"
#include "session/lease.h"

enum {
    HEARD_S = 3,     /* an entry has come to its instance by then, also over a link that broke */
    REWRITTEN_S = 7, /* and the leases of its members have been written again */
};

void leases_init(struct check *check)
{
    map_init(&check->leases.by_pid, (uint64_t[2]){1, 2});
    map_init(&check->leases.by_sid, (uint64_t[2]){3, 4});
}

void leases_finish(struct check *check)
{
    struct map_node *node;
    while ((node = map_next(&check->leases.by_pid, NULL)) != NULL) {
        struct lease *lease = container_of(node, struct lease, by_pid);
        map_remove(&check->leases.by_pid, node);
        free(lease->stays);
        free(lease->excuses);
        free(lease->own.entries);
        free(lease);
    }
    map_finish(&check->leases.by_pid);
    map_finish(&check->leases.by_sid);
}

struct lease *lease_by_pid(const struct check *check, struct span pid)
{
    struct map_node *node = map_find(&check->leases.by_pid, pid);
    return node != NULL ? container_of(node, struct lease, by_pid) : NULL;
}

struct lease *lease_by_sid(const struct check *check, struct span sid)
{
    struct map_node *node = map_find(&check->leases.by_sid, sid);
    return node != NULL ? container_of(node, struct lease, by_sid) : NULL;
}

static struct lease *lease_create(struct check *check, struct span pid, struct span sid)
{
    struct lease *lease = mem_zero(1, sizeof *lease);
    snprintf(lease->pid, SID_TEXT, SPAN_FMT, SPAN_ARG(pid));
    snprintf(lease->sid, SID_TEXT, SPAN_FMT, SPAN_ARG(sid));
    lease->client = -1;
    lease->number = check->leases.count++;
    lease->born_us = sim_now_us(check->sim);
    map_add(&check->leases.by_pid, &lease->by_pid, span_str(lease->pid));
    map_add(&check->leases.by_sid, &lease->by_sid, span_str(lease->sid));
    return lease;
}

struct stay *lease_open_stay(const struct lease *lease, int log)
{
    for (size_t i = lease->stay_count; i > 0; i--) {
        struct stay *stay = &lease->stays[i - 1];
        if (stay->log == log && !stay->gone && stay->end == UINT64_MAX)
            return stay;
    }
    return NULL;
}

/* The same stretch: of a room that was left and entered again, with nothing accepted in between, two begin at the same
 * position. */
static struct stay *stay_find(const struct lease *lease, int log, const struct stretch *stretch)
{
    struct stay *found = NULL;
    bool open = stretch->end == STRETCH_OPEN;
    for (size_t i = lease->stay_count; i > 0; i--) {
        struct stay *stay = &lease->stays[i - 1];
        if (stay->log != log || stay->since != stretch->since || stay->gone || stay->merged)
            continue;
        if (open == (stay->end == UINT64_MAX))
            return stay;
        if (found == NULL && (!open || lease->outdated))
            found = stay;
    }
    return found;
}

static struct stay *stay_add(struct check *check, struct lease *lease, int log, const struct stretch *stretch)
{
    if (lease->stay_count == lease->stay_cap) {
        lease->stay_cap = lease->stay_cap != 0 ? lease->stay_cap * 2 : 8;
        lease->stays = mem_resize(lease->stays, lease->stay_cap * sizeof *lease->stays);
    }
    struct stay *stay = &lease->stays[lease->stay_count++];
    *stay = (struct stay){.log = log, .start = stretch->start, .since = stretch->since, .end = UINT64_MAX};
    stay->opened_us = sim_now_us(check->sim);
    const struct truth_log *entries = truth_log_of(check, lease, log);
    stay->next = stay->behind = truth_above(entries, stretch->start);
    if (stay->next < entries->gone && stretch->known == 0 && check->truths.unlisted)
        stay->next = stay->behind = entries->gone; /* no lease knew that there was something when it went */
    if (stretch->since > check->truths.seq)
        check_fail(check, "a lease has a room from %llu on, and the counter is at %llu",
                   (unsigned long long)stretch->since, (unsigned long long)check->truths.seq);
    return stay;
}

static void stay_set(struct check *check, struct lease *lease, struct stay *stay, const struct stretch *stretch)
{
    stay->start = stretch->start;
    stay->since = stretch->since;
    stay->joined_at = stretch->joined_at;
    if (stay->end == stretch->end)
        return;
    if (stay->end != UINT64_MAX && stretch->end == STRETCH_OPEN && lease->witness != NULL &&
        lease->witness->has_token) {
        /* The broker has forgotten that it left: what was accepted since was not for it. */
        size_t next =
            truth_above(truth_log_of(check, lease, stay->log), stay_position(lease, stay, &lease->witness->token));
        stay->next = next > stay->next ? next : stay->next;
    }
    stay->end = stretch->end;
    stay->closed_us = stretch->end != STRETCH_OPEN ? sim_now_us(check->sim) : 0;
    if (stay->begun && stay->shown > stay->end)
        check_fail(check, "a lease of %s says that log %d was left at %llu, and %llu of it was shown",
                   lease->witness->name, stay->log, (unsigned long long)stay->end, (unsigned long long)stay->shown);
    if (stay->closed_us != 0)
        stay_excuse(check, lease, stay, stay->end);
}

/* One stretch, as it stands in the lease. Returns it. */
static struct stay *stay_merge(struct check *check, struct lease *lease, int log, const struct stretch *stretch)
{
    struct stay *stay = stay_find(lease, log, stretch);
    /* What the broker lost was taken off its numbers. */
    if (stay == NULL && lease->outdated)
        stay = lease_open_stay(lease, log);
    if (stay == NULL)
        stay = stay_add(check, lease, log, stretch);
    stay->merged = true;
    stay_set(check, lease, stay, stretch);
    return stay;
}

/* All of it. `claimed`: as the broker has it; else as its owner does. */
static void rooms_merge(struct check *check, struct lease *lease, struct span rooms, bool claimed)
{
    struct span name, sid;
    struct stretch stretch;
    uint64_t floor, directed;
    int more;
    size_t known = lease->stay_count;
    for (size_t i = 0; i < known; i++)
        lease->stays[i].merged = false;
    if (!lease_floor_decode(&rooms, &floor) || !lease_directed_decode(&rooms, &directed))
        check_fail(check, "a lease that cannot be read");
    while ((more = lease_room_decode(&rooms, &name, &stretch)) > 0) {
        int log = truth_log_number(name, &sid);
        if (log < 0 && check->rules.hostile && truth_is_elsewhere(name))
            continue;
        if (log < 0 || (log == LOG_OWN && !span_equal(sid, span_str(lease->sid)))) {
            check_fail(check, "a lease of the room " SPAN_FMT, SPAN_ARG(name));
            continue;
        }
        size_t at = (size_t)(stay_merge(check, lease, log, &stretch) - lease->stays);
        if (at >= known && claimed && lease->witness != NULL && lease->witness->has_token)
            lease->stays[at].next = truth_above(truth_log_of(check, lease, log),
                                                stay_position(lease, &lease->stays[at], &lease->witness->token));
    }
    if (more < 0)
        check_fail(check, "a lease whose rooms cannot be read");
    for (size_t i = 0; i < known; i++) {
        struct stay *stay = &lease->stays[i];
        if (stay->merged || stay->gone || stay->end != UINT64_MAX)
            continue;
        /* It was left before it began. */
        if ((stay->begun || claimed) && !check->rules.loses)
            check_fail(check, "a lease has forgotten log %d of %s", stay->log,
                       lease->witness != NULL ? lease->witness->name : "nobody");
        stay->gone = true;
    }
    check_directed(check, lease, directed);
    if (lease->outdated || lease->ownerless)
        lease->renewed_us = sim_now_us(check->sim);
    lease->outdated = lease->ownerless = false;
    /* Its client may have asked for it in vain before the instance that it left wrote it once more. */
    lease->vanished = lease->vanished && !claimed && !lease->held;
    if (!claimed)
        lease->written_us = sim_now_us(check->sim);
}

void check_lease_written(struct check *check, struct span pid, struct span sid, struct span rooms)
{
    struct lease *lease = lease_by_pid(check, pid);
    if (lease == NULL)
        lease = lease_create(check, pid, sid);
    else if (!span_equal(sid, span_str(lease->sid)))
        check_fail(check, "a lease has changed its sid");
    lease->alive = true;
    rooms_merge(check, lease, rooms, false);
}

void check_lease_claimed(struct check *check, struct span pid, struct span rooms)
{
    struct lease *lease = lease_by_pid(check, pid);
    if (lease == NULL)
        check_fail(check, "a lease was claimed that was never written");
    else
        rooms_merge(check, lease, rooms, true);
}

void check_lease_vanished(struct check *check, struct span pid)
{
    struct lease *lease = lease_by_pid(check, pid);
    if (lease != NULL)
        lease->vanished = true;
}

void check_owner_vanished(struct check *check, struct span room)
{
    struct span sid;
    struct lease *lease = truth_log_number(room, &sid) == LOG_OWN ? lease_by_sid(check, sid) : NULL;
    if (lease != NULL)
        lease->ownerless = true;
}

void check_lease_ended(struct check *check, struct span pid)
{
    struct lease *lease = lease_by_pid(check, pid);
    if (lease != NULL)
        lease->alive = false;
}

static void clip(uint64_t *seq, uint64_t end)
{
    if (*seq > end && *seq != UINT64_MAX)
        *seq = end;
}

void lease_restored(struct check *check, struct lease *lease)
{
    uint64_t end = check->truths.seq;
    lease->outdated = true;
    for (size_t i = 0; i < lease->stay_count; i++) {
        struct stay *stay = &lease->stays[i];
        if (stay->begun && stay->shown > end && lease->witness != NULL && lease->witness->lease == lease)
            lease->witness->tainted = true;
        uint64_t *const seqs[] = {&stay->start, &stay->since, &stay->end, &stay->shown, &stay->order};
        for (size_t j = 0; j < sizeof seqs / sizeof seqs[0]; j++)
            clip(seqs[j], end);
    }
}

bool lease_was_in_one(const struct lease *lease, uint16_t rooms, uint64_t seq, bool open)
{
    for (size_t i = 0; i < lease->stay_count; i++) {
        const struct stay *stay = &lease->stays[i];
        if (stay->log > 0 && stay->log < ROOMS && rooms & 1 << stay->log && !stay->gone && stay->since < seq &&
            seq <= stay->end && (!open || stay->end == UINT64_MAX))
            return true;
    }
    return false;
}

enum meant lease_meant(const struct check *check, const struct lease *lease, const struct stay *stay,
                       const struct truth *entry)
{
    const struct message *message = &check->truths.messages[entry->message];
    bool several = (message->rooms & (message->rooms - 1)) != 0, replayed = entry->seq <= stay->since;
    if (entry->except[0] != '\0' && strcmp(entry->except, lease->sid) == 0)
        return MEANT_NOT;
    if (message->except_sid[0] != '\0' && strcmp(message->except_sid, lease->sid) == 0)
        return MEANT_NOT;
    if (message->excepts != 0 && lease_was_in_one(lease, message->excepts, entry->seq, replayed))
        return MEANT_NOT;
    if (several && !lease_was_in_one(lease, message->rooms, entry->seq, false))
        return MEANT_NOT;
    if (message->excepts != 0 && lease_was_in_one(lease, message->excepts, entry->seq, false))
        return MEANT_MAYBE;
    return MEANT_SURELY;
}

static bool is_excused(const struct lease *lease, int log, size_t index)
{
    for (size_t i = 0; i < lease->excuse_count; i++)
        if (lease->excuses[i].log == log && lease->excuses[i].index == index)
            return true;
    return false;
}

/* Likewise, but for what its instance does not know that it has missed. */
static bool stay_would_owe(struct check *check, struct lease *lease, const struct stay *stay, size_t index)
{
    const struct truth *entry = &truth_log_of(check, lease, stay->log)->entries[index];
    return !entry->lost && entry->seq > stay->start && entry->seq <= stay->end &&
           check->truths.messages[entry->message].directive == 0 &&
           lease_meant(check, lease, stay, entry) == MEANT_SURELY && !is_excused(lease, stay->log, index);
}

bool stay_owes(struct check *check, struct lease *lease, const struct stay *stay, size_t index)
{
    const struct truth *entry = &truth_log_of(check, lease, stay->log)->entries[index];
    return stay_would_owe(check, lease, stay, index) &&
           !(lease->witness != NULL && truth_is_unnoticed(entry, lease->witness->instance));
}

size_t stay_missing(struct check *check, struct lease *lease, const struct stay *stay, size_t to)
{
    const struct truth_log *log = truth_log_of(check, lease, stay->log);
    for (size_t i = stay->next; i < to && !stay->gone; i++) {
        if (!log->entries[i].lost && log->entries[i].seq > stay->end)
            break;
        if (stay_owes(check, lease, stay, i))
            return i;
    }
    return SIZE_MAX;
}

static void excuse(struct check *check, struct lease *lease, int log, size_t index)
{
    lease->excuses = mem_resize(lease->excuses, (lease->excuse_count + 1) * sizeof *lease->excuses);
    lease->excuses[lease->excuse_count++] = (struct excuse){log, index};
    check->counts.excused++;
}

void stay_excuse(struct check *check, struct lease *lease, const struct stay *stay, uint64_t position)
{
    const struct truth_log *log = truth_log_of(check, lease, stay->log);
    for (size_t i = stay->next; i < log->count && check->rules.swallows && lease->witness != NULL; i++)
        if (log->entries[i].seq <= position && truth_is_swallowed(&log->entries[i], lease->witness->instance) &&
            stay_would_owe(check, lease, stay, i))
            excuse(check, lease, stay->log, i);
}

/* It says that there was something in the log: it was written since, or was to be, by an instance that had it all the
 * while. */
static bool tells_of(const struct check *check, const struct lease *lease, const struct truth_log *log)
{
    if (log->count == 0)
        return false;
    uint64_t first_us = log->entries[0].time_us, until_us = lease->held ? sim_now_us(check->sim) : lease->away_us;
    return lease->written_us > first_us + LOOP_S(HEARD_S) ||
           (lease->back_us < first_us && until_us > first_us + LOOP_S(HEARD_S + REWRITTEN_S));
}

void lease_log_vanished(struct check *check, struct lease *lease, int log)
{
    const struct truth_log *entries = truth_log_of(check, lease, log);
    for (size_t i = 0; i < lease->stay_count; i++) {
        const struct stay *stay = &lease->stays[i];
        if (stay->log != log || stay->gone || tells_of(check, lease, entries))
            continue;
        for (size_t at = stay->next; at < entries->count; at++)
            if (stay_would_owe(check, lease, stay, at))
                excuse(check, lease, log, at);
    }
}

uint64_t stay_position(const struct lease *lease, const struct stay *stay, const struct token *token)
{
    return token_position(token, truth_log_name(stay->log, lease->sid), stay->since, stay->start, stay->joined_at);
}

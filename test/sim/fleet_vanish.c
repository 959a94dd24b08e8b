/* fleet_vanish: a fault: single keys of Redis are gone, as when an operator deletes them, or Redis evicts them. */
#include <stdio.h>

#include "fake_redis_parts.h"
#include "fleet_parts.h"

enum { ROOM_PER_MILLE = 300, SAME_QUESTION_MAX = 100, SAME_US = 1000000 };

static const char *const kinds[VANISH_KINDS] = {
    [VANISH_LOG] = "log:",     [VANISH_META] = "room:",    [VANISH_LEASE] = "lease:",
    [VANISH_OWNER] = "owner:", [VANISH_STATE] = "state",   [VANISH_PUBLISHER] = "publisher:",
    [VANISH_LIVES] = "lives",  [VANISH_OF] = "of:",        [VANISH_HERE] = "here:",
    [VANISH_AWAY] = "away",    [VANISH_RECENT] = "recent", [VANISH_NAMES] = "names:",
    [VANISH_ROOMS] = "rooms",  [VANISH_SIZES] = "sizes",
};

static struct span kind_prefix(int kind, char prefix[32])
{
    snprintf(prefix, 32, "sennit:{0}:%s", kinds[kind]);
    return span_str(prefix);
}

/* Tells the checker: entries that are gone are not owed to a client that is told so. */
static void told(struct fleet *fleet, int kind, struct span name)
{
    if (kind == VANISH_LOG || kind == VANISH_META)
        check_room_vanished(&fleet->check, name, redis_key(fleet, "log:", name) == NULL,
                            redis_key(fleet, "room:", name) == NULL);
    else if (kind == VANISH_ROOMS)
        check_rooms_vanished(&fleet->check);
    else if (kind == VANISH_LEASE)
        check_lease_vanished(&fleet->check, name);
    else if (kind == VANISH_OWNER)
        check_owner_vanished(&fleet->check, name);
}

static void vanish(struct fleet *fleet, int kind, struct fake_key *key)
{
    struct fake_redis_client nobody = {.redis = fleet->redis};
    struct fake_call call = {.redis = fleet->redis, .client = &nobody};
    char prefix[32], text[256];
    struct span name = span_from(key->by_name.key, kind_prefix(kind, prefix).len);
    snprintf(text, sizeof text, SPAN_FMT, SPAN_ARG(name));
    fleet_say(fleet, "the key %s%s is gone", kinds[kind], text);
    snprintf(fleet->vanished_last, sizeof fleet->vanished_last, "%s", text);
    fleet->vanished++;
    fleet->redis->watcher->expired(fleet->redis->watcher_arg, key->by_name.key);
    fake_key_delete(&call, key);
    told(fleet, kind, span_str(text));
}

/* The keys of a kind that are there: all of them vanish, or the one with this number. Returns how many there were. */
static size_t each(struct fleet *fleet, int kind, size_t which, bool all)
{
    char prefix[32];
    struct span begin = kind_prefix(kind, prefix);
    const struct map *db = &fleet->redis->dbs[0];
    struct map_node *node = map_next(db, NULL);
    size_t count = 0;
    while (node != NULL) {
        struct map_node *next = map_next(db, node);
        struct fake_key *key = container_of(node, struct fake_key, by_name);
        if (span_starts_with(key->by_name.key, begin) && (all || count++ == which))
            vanish(fleet, kind, key);
        node = next;
    }
    return count;
}

/* Of the room whose key has vanished last. */
static void other_vanish(struct fleet *fleet, int kind)
{
    struct fake_key *key = redis_key(fleet, kinds[kind], span_str(fleet->vanished_last));
    if (key != NULL && fleet->plan->vanish_kinds >> kind & 1)
        vanish(fleet, kind, key);
}

void vanish_one(struct fleet *fleet)
{
    int kind = sim_chance(fleet->sim, ROOM_PER_MILLE) ? VANISH_LOG : (int)sim_below(fleet->sim, VANISH_KINDS);
    uint32_t wanted = fleet->plan->vanish_kinds;
    while (!(wanted >> kind & 1))
        kind = (kind + 1) % VANISH_KINDS;
    fake_keys_expire(fleet->redis, 0);
    size_t count = each(fleet, kind, SIZE_MAX, false), which = count > 0 ? sim_below(fleet->sim, count) : 0;
    if (count == 0)
        return;
    each(fleet, kind, which, false);
    /* An operator may delete, or Redis evict, all keys of a room. */
    if ((kind == VANISH_LOG || kind == VANISH_META) && sim_chance(fleet->sim, 700))
        other_vanish(fleet, kind == VANISH_LOG ? VANISH_META : VANISH_LOG);
}

void vanish_all(struct fleet *fleet)
{
    fake_keys_expire(fleet->redis, 0);
    for (int kind = 0; kind < VANISH_KINDS; kind++)
        if (fleet->plan->vanish_kinds >> kind & 1)
            each(fleet, kind, 0, true);
}

void vanish_read(struct fleet *fleet, uint64_t client, const struct span *args, size_t count)
{
    uint64_t hash = 14695981039346656037u ^ client, now = sim_now_us(fleet->sim);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < args[i].len; j++)
            hash = (hash ^ (uint8_t)args[i].data[j]) * 1099511628211u;
    if (truth_is_elsewhere(args[4]))
        return; /* a hostile client may ask as often as it likes */
    struct question *question = &fleet->questions[hash % QUESTIONS];
    if (question->hash != hash || now - question->since_us > SAME_US)
        *question = (struct question){.hash = hash, .since_us = now};
    if (++question->count > SAME_QUESTION_MAX)
        check_fail(&fleet->check, "the same of a room is read again and again: " SPAN_FMT, SPAN_ARG(args[4]));
}

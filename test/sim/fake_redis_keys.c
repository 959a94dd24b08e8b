/* fake_redis_keys: commands for keys of any type. */
#include <string.h>

#include "fake_redis_parts.h"

static void del(struct fake_call *call)
{
    int64_t deleted = 0;
    for (size_t i = 1; i < call->count; i++) {
        struct fake_key *key = fake_key_find(call, call->args[i]);
        if (key == NULL)
            continue;
        fake_key_delete(call, key);
        deleted++;
    }
    fake_reply_integer(call, deleted);
}

static void exists(struct fake_call *call)
{
    int64_t found = 0;
    for (size_t i = 1; i < call->count; i++)
        found += fake_key_find(call, call->args[i]) != NULL;
    fake_reply_integer(call, found);
}

static void type(struct fake_call *call)
{
    static const char *const names[] = {
        [FAKE_STRING] = "string", [FAKE_HASH] = "hash",     [FAKE_SET] = "set",
        [FAKE_ZSET] = "zset",     [FAKE_STREAM] = "stream",
    };
    const struct fake_key *key = fake_key_find(call, call->args[1]);
    fake_reply_status(call, key != NULL ? names[key->type] : "none");
}

enum { ONLY_NEVER = 1, ONLY_ENDING = 2, ONLY_LATER = 4, ONLY_EARLIER = 8 };

static bool expire_options(struct fake_call *call, int *options)
{
    *options = 0;
    for (size_t i = 3; i < call->count; i++) {
        if (fake_arg_is(call, i, "nx"))
            *options |= ONLY_NEVER;
        else if (fake_arg_is(call, i, "xx"))
            *options |= ONLY_ENDING;
        else if (fake_arg_is(call, i, "gt"))
            *options |= ONLY_LATER;
        else if (fake_arg_is(call, i, "lt"))
            *options |= ONLY_EARLIER;
        else {
            fake_reply_error(call, "ERR Unsupported option " SPAN_FMT, SPAN_ARG(call->args[i]));
            return false;
        }
    }
    if (*options & ONLY_NEVER && *options & ~ONLY_NEVER) {
        fake_reply_error(call, "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if (*options & ONLY_LATER && *options & ONLY_EARLIER) {
        fake_reply_error(call, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

/* A key that lives for ever ends later than any other. */
static bool expire_allowed(const struct fake_key *key, int options, int64_t when)
{
    bool never = key->expires_ms == FAKE_NEVER;
    if (options & ONLY_NEVER && !never)
        return false;
    if (options & ONLY_ENDING && never)
        return false;
    if (options & ONLY_LATER && (never || when <= key->expires_ms))
        return false;
    return !(options & ONLY_EARLIER && !never && when >= key->expires_ms);
}

static void expire_in(struct fake_call *call, int64_t unit_ms, const char *name)
{
    int options;
    int64_t when, now = fake_now_ms(call->redis);
    if (!expire_options(call, &options) || !fake_arg_i64(call, 2, &when))
        return;
    if (__builtin_mul_overflow(when, unit_ms, &when) || __builtin_add_overflow(when, now, &when)) {
        fake_reply_error(call, "ERR invalid expire time in '%s' command", name);
        return;
    }
    struct fake_key *key = fake_key_find(call, call->args[1]);
    if (key == NULL || !expire_allowed(key, options, when)) {
        fake_reply_integer(call, 0);
        return;
    }
    if (when <= now)
        fake_key_delete(call, key);
    else
        key->expires_ms = when;
    fake_reply_integer(call, 1);
}

static void expire(struct fake_call *call)
{
    expire_in(call, 1000, "expire");
}

static void pexpire(struct fake_call *call)
{
    expire_in(call, 1, "pexpire");
}

static void persist(struct fake_call *call)
{
    struct fake_key *key = fake_key_find(call, call->args[1]);
    bool ends = key != NULL && key->expires_ms != FAKE_NEVER;
    if (ends)
        key->expires_ms = FAKE_NEVER;
    fake_reply_integer(call, ends);
}

/* Milliseconds left, -1: it never ends, -2: it is not there. */
static int64_t left_ms(struct fake_call *call)
{
    const struct fake_key *key = fake_key_find(call, call->args[1]);
    if (key == NULL)
        return -2;
    return key->expires_ms != FAKE_NEVER ? key->expires_ms - fake_now_ms(call->redis) : -1;
}

static void ttl(struct fake_call *call)
{
    int64_t left = left_ms(call);
    fake_reply_integer(call, left < 0 ? left : (left + 500) / 1000);
}

static void pttl(struct fake_call *call)
{
    fake_reply_integer(call, left_ms(call));
}

static void keys(struct fake_call *call)
{
    const struct map *db = &call->redis->dbs[call->client->db];
    struct buf found = {0};
    size_t count = 0;
    fake_keys_expire(call->redis, call->client->db);
    for (struct map_node *node = map_next(db, NULL); node != NULL; node = map_next(db, node)) {
        if (!fake_glob(call->args[1], node->key))
            continue;
        fake_append_bulk(&found, node->key);
        count++;
    }
    fake_reply_array(call, count);
    buf_append(call->reply, buf_span(&found));
    buf_finish(&found);
}

const struct fake_command fake_key_commands[] = {
    {"del", del, -2, FAKE_WRITE},
    {"unlink", del, -2, FAKE_WRITE},
    {"exists", exists, -2, 0},
    {"type", type, 2, 0},
    {"keys", keys, 2, 0},
    {"expire", expire, -3, FAKE_WRITE},
    {"pexpire", pexpire, -3, FAKE_WRITE},
    {"persist", persist, 2, FAKE_WRITE},
    {"ttl", ttl, 2, 0},
    {"pttl", pttl, 2, 0},
    {NULL, NULL, 0, 0},
};

/* fake_redis_data: the keyspace: keys by name, their types, their ends. */
#include <stdlib.h>

#include "base/mem.h"
#include "fake_redis_parts.h"

/* The order of a walk follows from names alone. */
void fake_map_init(struct map *map)
{
    static const uint64_t seed[2] = {0x5e2217, 0x51b};
    map_init(map, seed);
}

static void key_destroy(struct map *db, struct fake_key *key)
{
    map_remove(db, &key->by_name);
    switch (key->type) {
    case FAKE_STRING:
        buf_finish(&key->string);
        break;
    case FAKE_HASH:
    case FAKE_SET:
        fake_table_destroy(key->table);
        break;
    case FAKE_ZSET:
        fake_zset_destroy(key->zset);
        break;
    case FAKE_STREAM:
        fake_stream_destroy(key->stream);
        break;
    }
    free(key);
}

static struct fake_key *key_create(struct map *db, struct span name, enum fake_type type)
{
    struct fake_key *key = mem_zero(1, sizeof *key + name.len + 1);
    key->type = (uint8_t)type;
    memcpy(key->name, name.len != 0 ? name.data : "", name.len);
    map_add(db, &key->by_name, span_of(key->name, name.len));
    return key;
}

static bool is_over(const struct fake_redis *redis, const struct fake_key *key)
{
    return key->expires_ms != FAKE_NEVER && fake_now_ms(redis) > key->expires_ms;
}

static struct map *db_of(struct fake_call *call)
{
    return &call->redis->dbs[call->client->db];
}

struct fake_key *fake_key_find(struct fake_call *call, struct span name)
{
    struct map_node *node = map_find(db_of(call), name);
    if (node == NULL)
        return NULL;
    struct fake_key *key = container_of(node, struct fake_key, by_name);
    if (!is_over(call->redis, key))
        return key;
    call->redis->watcher->expired(call->redis->watcher_arg, key->by_name.key);
    key_destroy(db_of(call), key);
    return NULL;
}

bool fake_key_typed(struct fake_call *call, struct span name, enum fake_type type, struct fake_key **key)
{
    *key = fake_key_find(call, name);
    if (*key == NULL || (*key)->type == type)
        return true;
    fake_reply_error(call, "WRONGTYPE Operation against a key holding the wrong kind of value");
    return false;
}

struct fake_key *fake_key_create(struct fake_call *call, struct span name, enum fake_type type)
{
    struct fake_key *key = key_create(db_of(call), name, type);
    if (type == FAKE_HASH || type == FAKE_SET)
        key->table = fake_table_create();
    else if (type == FAKE_ZSET)
        key->zset = fake_zset_create();
    else if (type == FAKE_STREAM)
        key->stream = fake_stream_create();
    return key;
}

void fake_key_delete(struct fake_call *call, struct fake_key *key)
{
    key_destroy(db_of(call), key);
}

/* Destroys every key, or those that are over. */
static void keys_destroy(struct map *db, const struct fake_redis *over)
{
    struct map_node *node = map_next(db, NULL);
    while (node != NULL) {
        struct map_node *next = map_next(db, node);
        struct fake_key *key = container_of(node, struct fake_key, by_name);
        if (over == NULL) {
            key_destroy(db, key);
        } else if (is_over(over, key)) {
            over->watcher->expired(over->watcher_arg, key->by_name.key);
            key_destroy(db, key);
        }
        node = next;
    }
}

void fake_keys_expire(struct fake_redis *redis, unsigned db)
{
    keys_destroy(&redis->dbs[db], redis);
}

void fake_dbs_init(struct map dbs[FAKE_DATABASES])
{
    for (int i = 0; i < FAKE_DATABASES; i++)
        fake_map_init(&dbs[i]);
}

void fake_dbs_clear(struct map dbs[FAKE_DATABASES])
{
    for (int i = 0; i < FAKE_DATABASES; i++) {
        keys_destroy(&dbs[i], NULL);
        map_finish(&dbs[i]);
    }
}

static void key_copy(struct map *to, const struct fake_key *key)
{
    struct fake_key *copy = key_create(to, key->by_name.key, key->type);
    copy->expires_ms = key->expires_ms;
    switch (key->type) {
    case FAKE_STRING:
        buf_append(&copy->string, buf_span(&key->string));
        break;
    case FAKE_HASH:
    case FAKE_SET:
        copy->table = fake_table_copy(key->table);
        break;
    case FAKE_ZSET:
        copy->zset = fake_zset_copy(key->zset);
        break;
    case FAKE_STREAM:
        copy->stream = fake_stream_copy(key->stream);
        break;
    }
}

void fake_dbs_copy(struct map to[FAKE_DATABASES], const struct map from[FAKE_DATABASES])
{
    for (int i = 0; i < FAKE_DATABASES; i++)
        for (struct map_node *node = map_next(&from[i], NULL); node != NULL; node = map_next(&from[i], node))
            key_copy(&to[i], container_of(node, struct fake_key, by_name));
}

int fake_bytes_compare(struct span a, struct span b)
{
    size_t both = a.len < b.len ? a.len : b.len;
    int order = both != 0 ? memcmp(a.data, b.data, both) : 0;
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

/* fake_redis_hash: commands for hashes. */
#include "fake_redis_parts.h"

/* The hash, empty and new when there is none. NULL when it is something else, which was replied. */
static struct fake_key *hash_open(struct fake_call *call)
{
    struct fake_key *key;
    if (!fake_key_typed(call, call->args[1], FAKE_HASH, &key))
        return NULL;
    return key != NULL ? key : fake_key_create(call, call->args[1], FAKE_HASH);
}

static void hset(struct fake_call *call)
{
    int64_t added = 0;
    if (call->count % 2 != 0) {
        fake_reply_arity_error(call);
        return;
    }
    struct fake_key *key = hash_open(call);
    if (key == NULL)
        return;
    for (size_t i = 2; i < call->count; i += 2)
        added += fake_table_put(key->table, call->args[i], call->args[i + 1]);
    fake_reply_integer(call, added);
}

static void hsetnx(struct fake_call *call)
{
    struct fake_key *key = hash_open(call);
    if (key == NULL)
        return;
    bool there = fake_table_find(key->table, call->args[2]) != NULL;
    if (!there)
        fake_table_put(key->table, call->args[2], call->args[3]);
    fake_reply_integer(call, !there);
}

static void reply_field(struct fake_call *call, const struct fake_key *key, struct span name)
{
    const struct fake_field *field = key != NULL ? fake_table_find(key->table, name) : NULL;
    if (field != NULL)
        fake_reply_bulk(call, buf_span(&field->value));
    else
        fake_reply_nil(call);
}

static void hget(struct fake_call *call)
{
    struct fake_key *key;
    if (fake_key_typed(call, call->args[1], FAKE_HASH, &key))
        reply_field(call, key, call->args[2]);
}

static void hmget(struct fake_call *call)
{
    struct fake_key *key;
    if (!fake_key_typed(call, call->args[1], FAKE_HASH, &key))
        return;
    fake_reply_array(call, call->count - 2);
    for (size_t i = 2; i < call->count; i++)
        reply_field(call, key, call->args[i]);
}

static void reply_all(struct fake_call *call, bool names, bool values)
{
    struct fake_key *key;
    if (!fake_key_typed(call, call->args[1], FAKE_HASH, &key))
        return;
    fake_reply_array(call, key != NULL ? key->table->by_name.count * (size_t)(names + values) : 0);
    if (key == NULL)
        return;
    list_each (node, &key->table->fields) {
        const struct fake_field *field = container_of(node, struct fake_field, node);
        if (names)
            fake_reply_bulk(call, fake_field_name(field));
        if (values)
            fake_reply_bulk(call, buf_span(&field->value));
    }
}

static void hgetall(struct fake_call *call)
{
    reply_all(call, true, true);
}

static void hkeys(struct fake_call *call)
{
    reply_all(call, true, false);
}

static void hvals(struct fake_call *call)
{
    reply_all(call, false, true);
}

static void hdel(struct fake_call *call)
{
    struct fake_key *key;
    int64_t deleted = 0;
    if (!fake_key_typed(call, call->args[1], FAKE_HASH, &key))
        return;
    for (size_t i = 2; key != NULL && i < call->count; i++)
        deleted += fake_table_remove(key->table, call->args[i]);
    if (key != NULL && key->table->by_name.count == 0)
        fake_key_delete(call, key);
    fake_reply_integer(call, deleted);
}

static void hlen(struct fake_call *call)
{
    struct fake_key *key;
    if (fake_key_typed(call, call->args[1], FAKE_HASH, &key))
        fake_reply_integer(call, key != NULL ? (int64_t)key->table->by_name.count : 0);
}

static void hexists(struct fake_call *call)
{
    struct fake_key *key;
    if (fake_key_typed(call, call->args[1], FAKE_HASH, &key))
        fake_reply_integer(call, key != NULL && fake_table_find(key->table, call->args[2]) != NULL);
}

static void hincrby(struct fake_call *call)
{
    int64_t by, value = 0;
    struct fake_key *key;
    struct buf text = {0};
    if (!fake_arg_i64(call, 3, &by) || !fake_key_typed(call, call->args[1], FAKE_HASH, &key))
        return;
    const struct fake_field *field = key != NULL ? fake_table_find(key->table, call->args[2]) : NULL;
    if (field != NULL && !fake_span_i64(buf_span(&field->value), &value)) {
        fake_reply_error(call, "ERR hash value is not an integer");
        return;
    }
    if (__builtin_add_overflow(value, by, &value)) {
        fake_reply_error(call, "ERR increment or decrement would overflow");
        return;
    }
    buf_printf(&text, "%lld", (long long)value);
    fake_table_put(hash_open(call)->table, call->args[2], buf_span(&text));
    buf_finish(&text);
    fake_reply_integer(call, value);
}

/* Whatever strtoul takes whole, without spaces in front. */
static bool cursor_valid(struct span text)
{
    uint64_t number;
    bool sign = text.len > 1 && (text.data[0] == '-' || text.data[0] == '+');
    return text.len == 0 || span_to_u64(span_from(text, sign), &number);
}

/* All at once: a cursor never has to go on. */
static void hscan(struct fake_call *call)
{
    struct fake_key *key;
    struct buf found = {0};
    struct span pattern = SPAN_LIT("*");
    int64_t limit;
    size_t count = 0;
    if (!cursor_valid(call->args[2])) {
        fake_reply_error(call, "ERR invalid cursor");
        return;
    }
    if (!fake_key_typed(call, call->args[1], FAKE_HASH, &key))
        return;
    for (size_t i = 3; key != NULL && i < call->count; i += 2) {
        if (fake_arg_is(call, i, "match") && i + 1 < call->count) {
            pattern = call->args[i + 1];
        } else if (fake_arg_is(call, i, "count") && i + 1 < call->count) {
            if (!fake_arg_i64(call, i + 1, &limit))
                return;
            if (limit < 1) {
                fake_reply_syntax_error(call);
                return;
            }
        } else {
            fake_reply_syntax_error(call);
            return;
        }
    }
    for (struct list *node = key != NULL ? key->table->fields.next : NULL; node != NULL && node != &key->table->fields;
         node = node->next) {
        const struct fake_field *field = container_of(node, struct fake_field, node);
        if (!fake_glob(pattern, fake_field_name(field)))
            continue;
        fake_append_bulk(&found, fake_field_name(field));
        fake_append_bulk(&found, buf_span(&field->value));
        count += 2;
    }
    fake_reply_array(call, 2);
    fake_reply_bulk(call, SPAN_LIT("0"));
    fake_reply_array(call, count);
    buf_append(call->reply, buf_span(&found));
    buf_finish(&found);
}

const struct fake_command fake_hash_commands[] = {
    {"hset", hset, -4, FAKE_WRITE | FAKE_MEMORY},
    {"hsetnx", hsetnx, 4, FAKE_WRITE | FAKE_MEMORY},
    {"hget", hget, 3, 0},
    {"hmget", hmget, -3, 0},
    {"hgetall", hgetall, 2, 0},
    {"hkeys", hkeys, 2, 0},
    {"hvals", hvals, 2, 0},
    {"hdel", hdel, -3, FAKE_WRITE},
    {"hlen", hlen, 2, 0},
    {"hexists", hexists, 3, 0},
    {"hincrby", hincrby, 4, FAKE_WRITE | FAKE_MEMORY},
    {"hscan", hscan, -3, 0},
    {NULL, NULL, 0, 0},
};

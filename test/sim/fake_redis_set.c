/* fake_redis_set: commands for sets. */
#include "fake_redis_parts.h"

static void sadd(struct fake_call *call)
{
    struct fake_key *key;
    int64_t added = 0;
    if (!fake_key_typed(call, call->args[1], FAKE_SET, &key))
        return;
    if (key == NULL)
        key = fake_key_create(call, call->args[1], FAKE_SET);
    for (size_t i = 2; i < call->count; i++)
        added += fake_table_put(key->table, call->args[i], (struct span){NULL, 0});
    fake_reply_integer(call, added);
}

static void srem(struct fake_call *call)
{
    struct fake_key *key;
    int64_t removed = 0;
    if (!fake_key_typed(call, call->args[1], FAKE_SET, &key))
        return;
    for (size_t i = 2; key != NULL && i < call->count; i++)
        removed += fake_table_remove(key->table, call->args[i]);
    if (key != NULL && key->table->by_name.count == 0)
        fake_key_delete(call, key);
    fake_reply_integer(call, removed);
}

static void smembers(struct fake_call *call)
{
    struct fake_key *key;
    if (!fake_key_typed(call, call->args[1], FAKE_SET, &key))
        return;
    fake_reply_array(call, key != NULL ? key->table->by_name.count : 0);
    for (struct list *node = key != NULL ? key->table->fields.next : NULL; node != NULL && node != &key->table->fields;
         node = node->next)
        fake_reply_bulk(call, fake_field_name(container_of(node, struct fake_field, node)));
}

static void sismember(struct fake_call *call)
{
    struct fake_key *key;
    if (fake_key_typed(call, call->args[1], FAKE_SET, &key))
        fake_reply_integer(call, key != NULL && fake_table_find(key->table, call->args[2]) != NULL);
}

static void scard(struct fake_call *call)
{
    struct fake_key *key;
    if (fake_key_typed(call, call->args[1], FAKE_SET, &key))
        fake_reply_integer(call, key != NULL ? (int64_t)key->table->by_name.count : 0);
}

/* Those that have been there for longest, where Redis takes any. */
static void spop(struct fake_call *call)
{
    struct fake_key *key;
    int64_t wanted = 1;
    if (call->count > 3) {
        fake_reply_syntax_error(call);
        return;
    }
    if (call->count > 2 && (!fake_span_i64(call->args[2], &wanted) || wanted < 0)) {
        fake_reply_error(call, "ERR value is out of range, must be positive");
        return;
    }
    if (!fake_key_typed(call, call->args[1], FAKE_SET, &key))
        return;
    size_t count = key != NULL ? key->table->by_name.count : 0;
    if ((uint64_t)wanted < count)
        count = (size_t)wanted;
    if (call->count > 2)
        fake_reply_array(call, count);
    else if (count == 0)
        fake_reply_nil(call);
    for (size_t i = 0; i < count; i++) {
        struct fake_field *first = container_of(key->table->fields.next, struct fake_field, node);
        fake_reply_bulk(call, fake_field_name(first));
        fake_table_remove(key->table, fake_field_name(first));
    }
    if (key != NULL && key->table->by_name.count == 0)
        fake_key_delete(call, key);
}

/* With a count, which is not negative; those that have been there for longest, where Redis takes any. */
static void srandmember(struct fake_call *call)
{
    struct fake_key *key;
    int64_t wanted;
    if (call->count > 3) {
        fake_reply_syntax_error(call);
        return;
    }
    if (!fake_arg_i64(call, 2, &wanted) || !fake_key_typed(call, call->args[1], FAKE_SET, &key))
        return;
    size_t count = key != NULL ? key->table->by_name.count : 0;
    if ((uint64_t)wanted < count)
        count = (size_t)wanted;
    fake_reply_array(call, count);
    struct list *at = count > 0 ? key->table->fields.next : NULL;
    for (size_t i = 0; i < count; i++, at = at->next)
        fake_reply_bulk(call, fake_field_name(container_of(at, struct fake_field, node)));
}

const struct fake_command fake_set_commands[] = {
    {"sadd", sadd, -3, FAKE_WRITE | FAKE_MEMORY},
    {"srem", srem, -3, FAKE_WRITE},
    {"spop", spop, -2, FAKE_WRITE},
    {"srandmember", srandmember, 3, 0},
    {"smembers", smembers, 2, 0},
    {"sismember", sismember, 3, 0},
    {"scard", scard, 2, 0},
    {NULL, NULL, 0, 0},
};

/* fake_redis_string: commands for strings. */
#include "fake_redis_parts.h"

static struct fake_key *string_create(struct fake_call *call, struct span name, struct span value)
{
    struct fake_key *key = fake_key_create(call, name, FAKE_STRING);
    buf_append(&key->string, value);
    return key;
}

static void get(struct fake_call *call)
{
    struct fake_key *key;
    if (!fake_key_typed(call, call->args[1], FAKE_STRING, &key))
        return;
    if (key != NULL)
        fake_reply_bulk(call, buf_span(&key->string));
    else
        fake_reply_nil(call);
}

struct set_options {
    bool only_new, only_there, keep_end, get;
    size_t end_at; /* of EX's or PX's number; 0: none */
    int64_t unit_ms, ends_ms;
};

static bool set_options_read(struct fake_call *call, struct set_options *options)
{
    *options = (struct set_options){.ends_ms = FAKE_NEVER};
    for (size_t i = 3; i < call->count; i++) {
        int64_t unit_ms = fake_arg_is(call, i, "ex") ? 1000 : 1;
        bool ends = !options->keep_end && i + 1 < call->count && (options->end_at == 0 || options->unit_ms == unit_ms);
        if (fake_arg_is(call, i, "nx") && !options->only_there)
            options->only_new = true;
        else if (fake_arg_is(call, i, "xx") && !options->only_new)
            options->only_there = true;
        else if (fake_arg_is(call, i, "get"))
            options->get = true;
        else if (fake_arg_is(call, i, "keepttl") && options->end_at == 0)
            options->keep_end = true;
        else if ((fake_arg_is(call, i, "ex") || fake_arg_is(call, i, "px")) && ends) {
            options->unit_ms = unit_ms;
            options->end_at = ++i;
        } else {
            fake_reply_syntax_error(call);
            return false;
        }
    }
    if (options->end_at == 0)
        return true;
    int64_t in;
    if (!fake_arg_i64(call, options->end_at, &in))
        return false;
    if (in <= 0 || __builtin_mul_overflow(in, options->unit_ms, &in) ||
        __builtin_add_overflow(in, fake_now_ms(call->redis), &options->ends_ms)) {
        fake_reply_error(call, "ERR invalid expire time in 'set' command");
        return false;
    }
    return true;
}

static void set(struct fake_call *call)
{
    struct set_options options;
    if (!set_options_read(call, &options))
        return;
    size_t errors_at = call->reply->len;
    if (options.get) {
        get(call);
        if (call->reply->data[call->reply->off + errors_at] == '-')
            return;
    }
    struct fake_key *key = fake_key_find(call, call->args[1]);
    if ((options.only_new && key != NULL) || (options.only_there && key == NULL)) {
        if (!options.get)
            fake_reply_nil(call);
        return;
    }
    if (key != NULL && options.keep_end)
        options.ends_ms = key->expires_ms;
    if (key != NULL)
        fake_key_delete(call, key);
    string_create(call, call->args[1], call->args[2])->expires_ms = options.ends_ms;
    if (!options.get)
        fake_reply_status(call, "OK");
}

static void mget(struct fake_call *call)
{
    fake_reply_array(call, call->count - 1);
    for (size_t i = 1; i < call->count; i++) {
        const struct fake_key *key = fake_key_find(call, call->args[i]);
        if (key != NULL && key->type == FAKE_STRING)
            fake_reply_bulk(call, buf_span(&key->string));
        else
            fake_reply_nil(call);
    }
}

static void append(struct fake_call *call)
{
    struct fake_key *key;
    if (!fake_key_typed(call, call->args[1], FAKE_STRING, &key))
        return;
    if (key == NULL)
        key = string_create(call, call->args[1], (struct span){NULL, 0});
    buf_append(&key->string, call->args[2]);
    fake_reply_integer(call, (int64_t)key->string.len);
}

static void length(struct fake_call *call)
{
    struct fake_key *key;
    if (fake_key_typed(call, call->args[1], FAKE_STRING, &key))
        fake_reply_integer(call, key != NULL ? (int64_t)key->string.len : 0);
}

static void add(struct fake_call *call, int64_t by)
{
    struct fake_key *key;
    int64_t value = 0;
    if (!fake_key_typed(call, call->args[1], FAKE_STRING, &key))
        return;
    if (key != NULL && !fake_span_i64(buf_span(&key->string), &value)) {
        fake_reply_error(call, "ERR value is not an integer or out of range");
        return;
    }
    if (__builtin_add_overflow(value, by, &value)) {
        fake_reply_error(call, "ERR increment or decrement would overflow");
        return;
    }
    if (key == NULL)
        key = string_create(call, call->args[1], (struct span){NULL, 0});
    buf_clear(&key->string);
    buf_printf(&key->string, "%lld", (long long)value);
    fake_reply_integer(call, value);
}

static void incr(struct fake_call *call)
{
    add(call, 1);
}

static void incrby(struct fake_call *call)
{
    int64_t by;
    if (fake_arg_i64(call, 2, &by))
        add(call, by);
}

const struct fake_command fake_string_commands[] = {
    {"get", get, 2, 0},
    {"set", set, -3, FAKE_WRITE | FAKE_MEMORY},
    {"mget", mget, -2, 0},
    {"append", append, 3, FAKE_WRITE | FAKE_MEMORY},
    {"strlen", length, 2, 0},
    {"incr", incr, 2, FAKE_WRITE | FAKE_MEMORY},
    {"incrby", incrby, 3, FAKE_WRITE | FAKE_MEMORY},
    {NULL, NULL, 0, 0},
};

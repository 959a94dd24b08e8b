/* redis_eval: builds an EVALSHA: arguments are counted first and appended one by one, so that a large batch is encoded
 * once. Also makes the names of keys and channels. */
#include <assert.h>
#include <stdio.h>

#include "broker/redis_parts.h"

void eval_add(struct eval *eval, struct span arg)
{
    struct buf *to = &eval->command;
    buf_append_char(to, '$');
    buf_append_u64(to, arg.len);
    buf_append(to, SPAN_LIT("\r\n"));
    buf_append(to, arg);
    buf_append(to, SPAN_LIT("\r\n"));
    eval->args--;
}

void eval_add_u64(struct eval *eval, uint64_t number)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    eval_add(eval, span_of(digits, (size_t)len));
}

void eval_start(struct eval *eval, const struct redis_broker *redis, enum redis_script script, size_t keys, size_t args)
{
    *eval = (struct eval){.args = 3 + keys + args};
    buf_append_char(&eval->command, '*');
    buf_append_u64(&eval->command, eval->args);
    buf_append(&eval->command, SPAN_LIT("\r\n"));
    eval_add(eval, SPAN_LIT("EVALSHA"));
    eval_add(eval, redis_sharded_script(redis, script));
    eval_add_u64(eval, keys);
}

void eval_add_key(struct eval *eval, const struct redis_broker *redis, const char *kind, struct span name)
{
    struct buf key = {0};
    buf_append(&key, span_str(redis->names.prefix));
    buf_append(&key, span_str(kind));
    buf_append_char(&key, ':');
    buf_append(&key, name);
    eval_add(eval, buf_span(&key));
    buf_finish(&key);
}

void eval_send(struct eval *eval, struct redis_broker *redis, redis_reply_fn *done, void *arg)
{
    assert(eval->args == 0); /* as many as were announced */
    redis_link_send_encoded(&redis->commands, buf_span(&eval->command), done, arg);
    buf_finish(&eval->command);
}

void eval_send_within(struct eval *eval, struct redis_window *window, redis_reply_fn *done, void *arg)
{
    assert(eval->args == 0);
    redis_window_send(window, buf_span(&eval->command), done, arg);
    buf_finish(&eval->command);
}

void redis_channel(struct buf *to, const struct redis_broker *redis, struct span room)
{
    buf_append(to, span_str(redis->names.prefix));
    buf_append(to, SPAN_LIT("push:"));
    buf_append(to, room);
}

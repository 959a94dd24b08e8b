/* redis_rare: scripts that are run rarely. No instance loads them at its start: each is loaded with every call. */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/redis_parts.h"

struct rare {
    struct redis_broker *redis;
    redis_reply_fn *done;
    void *arg;
    struct eval eval; /* the arguments, until the script is loaded */
    size_t count;
};

static void rare_end(struct rare *rare)
{
    buf_finish(&rare->eval.command);
    free(rare);
}

static void loaded(void *arg, const struct resp *reply)
{
    struct rare *rare = arg;
    struct redis_broker *redis = rare->redis;
    if (reply == NULL || redis_is_error(redis, reply, "loading a script") || redis->state != REDIS_UP) {
        rare->done(rare->arg, NULL);
        rare_end(rare);
        return;
    }
    struct answer answer = answer_of_one(reply);
    struct eval eval = {.args = 3};
    buf_printf(&eval.command, "*%zu\r\n", rare->count + eval.args);
    eval_add(&eval, SPAN_LIT("EVALSHA"));
    eval_add(&eval, answer_text(&answer));
    eval_add_u64(&eval, 1);
    buf_append(&eval.command, buf_span(&rare->eval.command));
    eval_send(&eval, redis, rare->done, rare->arg);
    rare_end(rare);
}

void redis_rare_send(struct redis_broker *redis, const char *script, const struct span *args, size_t count,
                     redis_reply_fn *done, void *arg)
{
    struct rare *rare = mem_zero(1, sizeof *rare);
    *rare = (struct rare){.redis = redis, .done = done, .arg = arg, .eval = {.args = count}, .count = count};
    for (size_t i = 0; i < count; i++)
        eval_add(&rare->eval, args[i]);
    redis_link_send(&redis->commands, (struct span[]){SPAN_LIT("SCRIPT"), SPAN_LIT("LOAD"), span_str(script)}, 3,
                    loaded, rare);
}

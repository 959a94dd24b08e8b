/* redis_mail: mail between instances, to their inboxes. The script is loaded with every message to all, because those
 * are rare: mail carries an operator's questions. */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/redis_parts.h"

/* KEYS: lives. ARGV: the prefix of inboxes, the message. Returns the number of living instances and of those reached.
 * An instance may have two lives for a moment, when its link has just come back. */
static const char to_all[] =
    "local time = redis.call('TIME')\n"
    "local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))\n"
    "local living, reached, seen = 0, 0, {}\n"
    "for _, life in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf')) do\n"
    "    local instance = string.match(life, '^(.*):%d+$')\n"
    "    if instance and not seen[instance] then\n"
    "        seen[instance] = true\n"
    "        living = living + 1\n"
    "        reached = reached + redis.call('PUBLISH', ARGV[1] .. instance, ARGV[2])\n"
    "    end\n"
    "end\n"
    "return {living, reached}\n";

struct mail_call {
    struct redis_broker *redis;
    mail_sent_fn *done;
    void *arg;
    struct buf text; /* of a message to all, until the script is loaded */
};

static void finish(struct mail_call *call, const struct mail_receivers *receivers)
{
    if (call->done != NULL)
        call->done(call->arg, receivers);
    buf_finish(&call->text);
    free(call);
}

static void sent(void *arg, const struct resp *reply)
{
    struct mail_call *call = arg;
    struct redis_broker *redis = call->redis;
    if (reply == NULL || redis_is_error(redis, reply, "asking other instances") || redis->state != REDIS_UP) {
        finish(call, NULL);
        return;
    }
    struct answer answer = reply->type == RESP_INTEGER ? answer_of_one(reply) : answer_of(reply);
    struct mail_receivers receivers = {.living = answer_number(&answer)};
    receivers.reached = reply->type == RESP_INTEGER ? receivers.living : answer_number(&answer);
    if (!answer_is_good(&answer)) {
        redis_invalid(redis, "the answer to a message for other instances");
        finish(call, NULL);
        return;
    }
    finish(call, &receivers);
}

static void loaded(void *arg, const struct resp *reply)
{
    struct mail_call *call = arg;
    struct redis_broker *redis = call->redis;
    if (reply == NULL || redis_is_error(redis, reply, "asking other instances") || redis->state != REDIS_UP) {
        finish(call, NULL);
        return;
    }
    struct answer answer = answer_of_one(reply);
    struct span sha = answer_text(&answer);
    struct buf inboxes = {0};
    buf_printf(&inboxes, "%sinbox:", redis->names.prefix);
    redis_link_send(&redis->commands,
                    (struct span[]){SPAN_LIT("EVALSHA"), sha, SPAN_LIT("1"), span_str(redis->names.lives),
                                    buf_span(&inboxes), buf_span(&call->text)},
                    6, sent, call);
    buf_finish(&inboxes);
}

static void send_mail(struct broker *broker, struct span to, struct span message, mail_sent_fn *done, void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct mail_call *call = mem_zero(1, sizeof *call);
    struct buf inbox = {0};
    *call = (struct mail_call){.redis = redis, .done = done, .arg = arg};
    if (!broker->is_up) {
        redis_refuse(redis, sent, call);
        return;
    }
    buf_printf(&call->text, "mail %zu\n%s", strlen(redis->names.instance), redis->names.instance);
    buf_append(&call->text, message);
    if (to.len == 0) {
        redis_link_send(&redis->commands, (struct span[]){SPAN_LIT("SCRIPT"), SPAN_LIT("LOAD"), span_str(to_all)}, 3,
                        loaded, call);
        return;
    }
    buf_printf(&inbox, "%sinbox:" SPAN_FMT, redis->names.prefix, SPAN_ARG(to));
    redis_link_send(&redis->commands, (struct span[]){SPAN_LIT("PUBLISH"), buf_span(&inbox), buf_span(&call->text)}, 3,
                    sent, call);
    buf_finish(&inbox);
}

const struct mail_ops redis_mail_ops = {send_mail};

bool redis_mail_received(struct redis_broker *redis, struct words *words)
{
    uint64_t bytes = words_number(words, '\n');
    struct span from = words_bytes(words, bytes);
    if (!words_are_good(words) || from.len == 0)
        return false;
    mail_received(&redis->broker, from, words->rest.data != NULL ? words->rest : SPAN_LIT(""));
    return true;
}

/* redis_mail: mail between instances, to their inboxes, and who owns leases. Both are rare, because mail carries an
 * operator's questions (redis_rare.c). */
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
};

static void sent(void *arg, const struct resp *reply)
{
    struct mail_call *call = arg;
    struct redis_broker *redis = call->redis;
    struct mail_receivers receivers, *told = NULL;
    if (reply != NULL && !redis_is_error(redis, reply, "asking other instances") && redis->state == REDIS_UP) {
        struct answer answer = reply->type == RESP_INTEGER ? answer_of_one(reply) : answer_of(reply);
        receivers = (struct mail_receivers){.living = answer_number(&answer)};
        receivers.reached = reply->type == RESP_INTEGER ? receivers.living : answer_number(&answer);
        if (answer_is_good(&answer))
            told = &receivers;
        else
            redis_invalid(redis, "the answer to a message for other instances");
    }
    if (call->done != NULL)
        call->done(call->arg, told);
    free(call);
}

static void send_mail(struct broker *broker, struct span to, struct span message, mail_sent_fn *done, void *arg)
{
    struct redis_broker *redis = redis_of(broker);
    struct mail_call *call = mem_zero(1, sizeof *call);
    struct buf inbox = {0}, text = {0};
    *call = (struct mail_call){.redis = redis, .done = done, .arg = arg};
    if (!broker->is_up) {
        redis_refuse(redis, sent, call);
        return;
    }
    buf_printf(&inbox, "%sinbox:" SPAN_FMT, redis->names.prefix, SPAN_ARG(to));
    buf_printf(&text, "mail %zu\n%s", strlen(redis->names.instance), redis->names.instance);
    buf_append(&text, message);
    if (to.len == 0) {
        struct span args[] = {span_str(redis->names.lives), buf_span(&inbox), buf_span(&text)};
        redis_rare_send(redis, to_all, args, 3, sent, call);
    } else {
        redis_link_send(&redis->commands, (struct span[]){SPAN_LIT("PUBLISH"), buf_span(&inbox), buf_span(&text)}, 3,
                        sent, call);
    }
    buf_finish(&inbox);
    buf_finish(&text);
}

/* KEYS: lives. ARGV: the prefix of all keys, how many leases are looked at, instances that are left out. Returns the
 * other instances that live, each with a pid of its leases; '': there may be more. What is in the set of a life may
 * have ended, or gone to another one. */
static const char owners[] =
    "local time = redis.call('TIME')\n"
    "local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))\n"
    "local answer, left, heard = {}, tonumber(ARGV[2]), {}\n"
    "for i = 3, #ARGV do\n"
    "    heard[ARGV[i]] = true\n"
    "end\n"
    "for _, life in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf')) do\n"
    "    local instance = string.match(life, '^(.*):%d+$')\n"
    "    local names = instance and not heard[instance] and\n"
    "        redis.pcall('SRANDMEMBER', ARGV[1] .. 'of:' .. life, string.format('%d', left + 1)) or {}\n"
    "    if names.err or #names > left then\n"
    "        answer[#answer + 1] = instance\n"
    "        answer[#answer + 1] = ''\n"
    "        names = {}\n"
    "    end\n"
    "    left = left - #names\n"
    "    for _, name in ipairs(names) do\n"
    "        local pid = string.match(name, '^l(.+)$')\n"
    "        local owner = pid and redis.pcall('HGET', ARGV[1] .. 'lease:' .. pid, 'life')\n"
    "        if owner == life then\n"
    "            answer[#answer + 1] = instance\n"
    "            answer[#answer + 1] = pid\n"
    "        end\n"
    "    end\n"
    "end\n"
    "return answer\n";

struct owners_call {
    struct redis_broker *redis;
    mail_owners_fn *done;
    void *arg;
};

static void owners_told(void *arg, const struct resp *reply)
{
    struct owners_call *call = arg;
    struct mail_owner *list = NULL;
    size_t count = 0;
    bool ok = reply != NULL && !redis_is_error(call->redis, reply, "asking who owns leases");
    if (ok) {
        struct answer answer = answer_of(reply);
        list = mem_zero(reply->item_count / 2 + 1, sizeof *list);
        for (; !answer.bad && answer.at < answer.count; count++) {
            list[count].instance = answer_text(&answer);
            list[count].pid = answer_text(&answer);
        }
        ok = answer_is_good(&answer);
        if (!ok)
            redis_invalid(call->redis, "the list of who owns leases");
    }
    call->done(call->arg, ok ? list : NULL, ok ? count : 0);
    free(list);
    free(call);
}

static void ask_owners(struct broker *broker, const struct span *heard, size_t count, mail_owners_fn *done, void *arg)
{
    enum { BEFORE = 3 };
    struct redis_broker *redis = redis_of(broker);
    struct owners_call *call = mem_zero(1, sizeof *call);
    *call = (struct owners_call){redis, done, arg};
    if (!broker->is_up) {
        redis_refuse(redis, owners_told, call);
        return;
    }
    struct buf most = {0};
    struct span *args = mem_zero(BEFORE + count, sizeof *args);
    buf_append_u64(&most, MAIL_OWNERS_MAX);
    args[0] = span_str(redis->names.lives);
    args[1] = span_str(redis->names.prefix);
    args[2] = buf_span(&most);
    for (size_t i = 0; i < count; i++)
        args[BEFORE + i] = heard[i];
    redis_rare_send(redis, owners, args, BEFORE + count, owners_told, call);
    free(args);
    buf_finish(&most);
}

const struct mail_ops redis_mail_ops = {send_mail, ask_owners};

bool redis_mail_received(struct redis_broker *redis, struct words *words)
{
    uint64_t bytes = words_number(words, '\n');
    struct span from = words_bytes(words, bytes);
    if (!words_are_good(words) || from.len == 0)
        return false;
    mail_received(&redis->broker, from, words->rest.data != NULL ? words->rest : SPAN_LIT(""));
    return true;
}

/* redis_trouble: what is wrong with Redis and what follows from it: invalid answers, foreign data, errors. It writes
 * the log lines with their cures, sets broker.trouble, and breaks the links where only another greeting helps. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/redis_parts.h"

bool redis_complains(struct redis_broker *redis)
{
    bool first = !redis->trouble.told;
    redis->trouble.told = true;
    return first;
}

void redis_complaint_over(struct redis_broker *redis)
{
    redis->trouble.told = false;
}

void redis_trouble_up(struct redis_broker *redis)
{
    struct redis_trouble *trouble = &redis->trouble;
    redis_complaint_over(redis);
    trouble->proven = true;
    if (trouble->unfit && !redis->memory.evicts && !trouble->invalid_told)
        redis_trouble_set(redis, NULL);
    trouble->unfit = false;
}

void redis_trouble_good(struct redis_broker *redis)
{
    struct redis_trouble *trouble = &redis->trouble;
    trouble->invalid_count = 0;
    if (trouble->invalid_told && !redis->memory.evicts)
        redis_trouble_set(redis, NULL);
    trouble->invalid_told = false;
}

void redis_trouble_finish(struct redis_trouble *trouble)
{
    free(trouble->text);
}

void redis_trouble_set(struct redis_broker *redis, const char *why)
{
    broker_trouble_set(&redis->broker, &redis->trouble.text, why);
}

void redis_invalid(struct redis_broker *redis, const char *which)
{
    /* Logs each of the first ones, then at growing intervals. */
    if (++redis->trouble.invalid_count <= INVALID_MAX ||
        (redis->trouble.invalid_count & (redis->trouble.invalid_count - 1)) == 0)
        log_event(LOG_ERROR, "the broker sent an invalid answer: reconnecting", LOG_C("which", which),
                  LOG_N("in_a_row", redis->trouble.invalid_count));
    if (redis->trouble.invalid_count >= INVALID_MAX && !redis->trouble.invalid_told) {
        redis->trouble.invalid_told = true;
        redis_trouble_set(redis, "Redis keeps sending invalid answers: another program writes under our "
                                 "keys, or answers in its place; find it, or set another `prefix:`");
    }
    redis_break(redis, CLOSE_BROKER_INVALID);
}

void redis_spoiled(struct redis_broker *redis, const char *while_doing, struct span key)
{
    uint64_t now = loop_now_us(redis->loop);
    redis->trouble.spoiled_count++;
    redis_check_again(redis); /* a write that is not permitted looks the same */
    if (redis->trouble.spoiled_told_us != 0 && now - redis->trouble.spoiled_told_us < LOOP_MS(SPOILED_TELL_MS))
        return;
    /* A pid is a secret of its client. */
    const struct span lease = SPAN_LIT(":lease:");
    const char *pid = memmem(key.data, key.len, lease.data, lease.len);
    if (pid != NULL)
        key = span_sub(key, 0, (size_t)(pid - key.data) + lease.len);
    log_event(LOG_ERROR, "a key holds foreign or damaged data", LOG_C("while", while_doing),
              LOG_S("key", redis_quote(redis, span_sub(key, 0, 256))), LOG_N("times", redis->trouble.spoiled_count),
              LOG_C("cure", "delete that key, and find the program that writes it, or set another `prefix:`"));
    redis->trouble.spoiled_told_us = now;
    redis->trouble.spoiled_count = 0;
}

void redis_unusable(struct redis_broker *redis, const char *why)
{
    bool first = redis_complains(redis);
    if (redis->trouble.proven) {
        redis->trouble.unfit = true;
        redis_trouble_set(redis, why);
    } else if (first) {
        log_event(LOG_ERROR, "the broker cannot be used", LOG_C("why", why));
    }
    if (!redis->trouble.proven && !redis->trouble.unusable) {
        redis->trouble.unusable = true;
        broker_went_unusable(&redis->broker, why);
    }
    redis_break(redis, CLOSE_BROKER_LOST);
}

void redis_life_ended(struct redis_broker *redis)
{
    log_event(LOG_WARNING, "this instance was silent for too long, and others counted it as dead: reconnecting");
    redis_break(redis, CLOSE_BROKER_LOST);
}

bool redis_error_is(struct span error, struct span code)
{
    if (span_starts_with(error, code))
        return true;
    if (!span_starts_with(error, SPAN_LIT("ERR Error running script")))
        return false;
    for (ptrdiff_t at; (at = span_find(error, '-')) >= 0;) {
        error = span_from(error, (size_t)at + 1);
        if (span_starts_with(error, code))
            return true;
    }
    return false;
}

struct span redis_quote(const struct redis_broker *redis, struct span answer)
{
    const char *const secrets[] = {redis->url.password, redis->url.user};
    static const char *const words[] = {"AUTH", "auth", "HELLO", "hello"};
    bool shown = true;
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        shown = shown && (secrets[i] == NULL || secrets[i][0] == '\0' ||
                          memmem(answer.data, answer.len, secrets[i], strlen(secrets[i])) == NULL);
    /* Such a text may quote what was sent, cut or escaped in whatever way. */
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        shown = shown && memmem(answer.data, answer.len, words[i], strlen(words[i])) == NULL;
    if (shown)
        return answer;
    ptrdiff_t code = span_find(answer, ' ');
    static const char *const codes[] = {"ERR", "WRONGPASS", "NOAUTH", "NOPERM"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (code >= 0 && span_equal(span_sub(answer, 0, (size_t)code), span_str(codes[i])))
            return span_str(codes[i]);
    return SPAN_LIT("not shown: it may quote the password");
}

bool redis_is_about_permission(struct span error)
{
    const struct span word = SPAN_LIT("NOPERM");
    return memmem(error.data, error.len, word.data, word.len) != NULL ||
           span_starts_with(error, SPAN_LIT("ERR The user executing the script")) ||
           span_starts_with(error, SPAN_LIT("ERR ACL failure in script"));
}

/* The greeting checks permissions, and says which one is missing. What it does not find would break the links again and
 * again, so this is done once in a while. */
static bool is_denied(struct redis_broker *redis, struct span error)
{
    uint64_t now = loop_now_us(redis->loop);
    if (!redis_is_about_permission(error) ||
        (redis->trouble.denied_us != 0 && now - redis->trouble.denied_us < LOOP_MS(DENIED_MS)))
        return false;
    redis->trouble.denied_us = now;
    return true;
}

bool redis_is_error(struct redis_broker *redis, const struct resp *reply, const char *what)
{
    static const char *const greet_again[] = {"NOSCRIPT", "EPOCH",      "NOAUTH",      "READONLY",
                                              "LOADING",  "MASTERDOWN", "CLUSTERDOWN", "MOVED"};
    if (reply->type != RESP_ERROR)
        return false;
    if (redis_cluster_sends_away(redis, reply->text))
        return true;
    if (span_starts_with(reply->text, SPAN_LIT("LIFE"))) {
        if (redis->state == REDIS_UP)
            redis_life_ended(redis);
        return true;
    }
    const char *help =
        redis_is_about_permission(reply->text) ? redis_remedy(SPAN_LIT("NOPERM")) : redis_remedy(reply->text);
    if (redis_complains(redis))
        log_event(LOG_ERROR, "the broker refuses", LOG_C("what", what),
                  LOG_S("answer", redis_quote(redis, reply->text)),
                  LOG_C("cure", help != NULL ? help : redis_hint(reply->text)));
    if (is_denied(redis, reply->text))
        redis_break(redis, CLOSE_BROKER_LOST);
    for (size_t i = 0; i < sizeof greet_again / sizeof greet_again[0]; i++)
        if (redis_error_is(reply->text, span_str(greet_again[i])))
            redis_break(redis, CLOSE_BROKER_LOST);
    return true;
}

bool redis_is_spoiled(struct redis_broker *redis, const struct resp *reply, const char *while_doing)
{
    const struct span word = SPAN_LIT("SPOILED "), wrong = SPAN_LIT("WRONGTYPE");
    if (reply->type != RESP_ERROR)
        return false;
    if (span_starts_with(reply->text, word))
        redis_spoiled(redis, while_doing, span_from(reply->text, word.len));
    else if (redis_error_is(reply->text, wrong))
        redis_spoiled(redis, while_doing, SPAN_LIT("(see which of those under our prefix is of another kind)"));
    else
        return false;
    return true;
}

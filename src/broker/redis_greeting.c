/* redis_greeting: the greeting on two fresh links: login, checks of the server, scripts, epoch. It distinguishes faults
 * that the operator must correct from faults that pass by themselves. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/redis_parts.h"
#include "broker_scripts.h"

enum { EPOCH_NEW_BYTES = 8 };

static const char *const scripts[SCRIPT_COUNT] = {
    [SCRIPT_CHECK] = script_check,
    [SCRIPT_OPEN] = script_open,
    [SCRIPT_PUBLISH] = script_publish,
    [SCRIPT_READ] = script_read,
    [SCRIPT_FENCE] = script_fence,
    [SCRIPT_LEASE_WRITE] = script_lease_write,
    [SCRIPT_LEASE_CLAIM] = script_lease_claim,
    [SCRIPT_LEASE_RELEASE] = script_lease_release,
    [SCRIPT_PRESENT] = script_present,
    [SCRIPT_PRESENT_LIST] = script_present_list,
    [SCRIPT_PULSE] = script_pulse,
    [SCRIPT_RECORD_ASK] = script_record_ask,
    [SCRIPT_RECORD_PASS] = script_record_pass,
    [SCRIPT_RECORD_END] = script_record_end,
    [SCRIPT_RECORD_LIST] = script_record_list,
};

void redis_greeting_failed(struct redis_broker *redis, const char *what, struct span answer)
{
    if (redis_cluster_sends_away(redis, answer))
        return;
    const char *help = redis_remedy(answer);
    struct span shown = redis_quote(redis, answer);
    if (help != NULL) {
        char *why = mem_printf("%s: \"" SPAN_FMT "\"; %s", what, SPAN_ARG(shown), help);
        redis_unusable(redis, why);
        free(why);
        return;
    }
    if (redis_complains(redis))
        log_event(LOG_ERROR, what, LOG_S("answer", shown), LOG_C("cure", redis_hint(answer)));
    redis_break(redis, CLOSE_BROKER_LOST);
}

static void opened(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    if (reply == NULL || redis->state != REDIS_GREETING)
        return;
    if (reply->type == RESP_ERROR) {
        redis_greeting_failed(redis, "Redis does not let us begin", reply->text);
        return;
    }
    struct answer answer = answer_of(reply);
    struct span epoch = answer_text(&answer);
    uint64_t seq = answer_number(&answer), end = 0;
    struct span ended = answer_text(&answer);
    uint64_t last = answer_number(&answer);
    bool changed = ended.len > 0;
    if (answer.bad || !text_is_epoch(epoch) || (changed && (!span_to_u64(ended, &end) || end > ANSWER_NUMBER_MAX))) {
        redis_invalid(redis, "what it holds under our keys; another `prefix:` would help");
        return;
    }
    char previous[BROKER_EPOCH_BYTES_MAX];
    size_t previous_len = redis->greeting.epoch_len;
    memcpy(previous, redis->greeting.epoch, previous_len);
    memcpy(redis->greeting.epoch, epoch.data, epoch.len);
    redis->greeting.epoch_len = epoch.len;
    log_event(LOG_INFO, "the broker is up", LOG_S("epoch", epoch), LOG_N("seq", seq));
    redis_up(redis, span_of(previous, changed ? previous_len : 0), end, last, &answer);
}

static void epoch_open(struct redis_broker *redis)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    char fresh[EPOCH_NEW_BYTES];
    struct eval eval;
    for (int i = 0; i < EPOCH_NEW_BYTES; i++)
        fresh[i] = digits[loop_random_below(redis->loop, sizeof digits - 1)];
    eval_start(&eval, redis, SCRIPT_OPEN, 4, 5);
    eval_add(&eval, span_str(redis->names.state));
    eval_add(&eval, span_str(redis->names.publisher));
    eval_add(&eval, span_str(redis->names.lives));
    eval_add(&eval, span_str(redis->names.rooms));
    eval_add(&eval, span_of(redis->greeting.run_id, redis->greeting.run_id_len));
    eval_add(&eval, span_of(fresh, sizeof fresh));
    eval_add(&eval, span_of(redis->greeting.epoch, redis->greeting.epoch_len));
    eval_add(&eval, span_str(redis->names.life));
    eval_add_u64(&eval, LIFE_MS);
    eval_send(&eval, redis, opened, redis);
}

/* The check's answer `COMMAND: error`. If permissions are missing, this Redis cannot be used. `error` becomes its
 * error. */
static bool is_denied(struct redis_broker *redis, const struct resp *reply, struct span *error)
{
    struct span answer = reply->text, command;
    *error = answer;
    if (reply->type != RESP_STRING || !span_next(&answer, ':', &command) || answer.data == NULL)
        return false;
    *error = span_from(answer, 1);
    if (!redis_is_about_permission(*error))
        return false;
    char *why = mem_printf("Redis does not let its user call " SPAN_FMT
                           " on our keys and channels: give it those that docs/serve.md lists",
                           SPAN_ARG(redis_quote(redis, span_sub(command, 0, 32))));
    redis_unusable(redis, why);
    free(why);
    return true;
}

static void checked(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    if (reply == NULL || redis->state != REDIS_GREETING)
        return;
    struct span error = reply->text;
    if (span_equal(error, SPAN_LIT("ok")))
        epoch_open(redis);
    else if (is_denied(redis, reply, &error))
        return;
    else
        redis_greeting_failed(redis, "Redis refuses a command of our scripts", error);
}

/* Checks which commands the user may call. */
static void check(struct redis_broker *redis, redis_reply_fn *done)
{
    struct eval eval;
    struct buf channel = {0};
    redis_channel(&channel, redis, SPAN_LIT("check"));
    eval_start(&eval, redis, SCRIPT_CHECK, 1, 1);
    eval_add_key(&eval, redis, "check", span_str(redis->names.life));
    eval_add(&eval, buf_span(&channel));
    eval_send(&eval, redis, done, redis);
    buf_finish(&channel);
}

static void checked_again(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    struct span error;
    if (reply != NULL && redis->state == REDIS_UP && !redis_is_error(redis, reply, "checking permissions"))
        is_denied(redis, reply, &error);
}

void redis_check_again(struct redis_broker *redis)
{
    uint64_t now = loop_now_us(redis->loop);
    if (redis->state != REDIS_UP ||
        (redis->greeting.checked_us != 0 && now - redis->greeting.checked_us < LOOP_MS(CHECKED_MS)))
        return;
    redis->greeting.checked_us = now;
    check(redis, checked_again);
}

const char *redis_script_text(enum redis_script script)
{
    return scripts[script];
}

void redis_greeting_answered(struct redis_broker *redis)
{
    if (--redis->greeting.left == 0 && redis->state == REDIS_GREETING)
        check(redis, checked);
}

/* For answers that only must not be an error. */
static void greeting_ok(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    if (reply == NULL || redis->state != REDIS_GREETING)
        return;
    if (reply->type == RESP_ERROR)
        redis_greeting_failed(redis, "Redis refuses the login, the database or the subscription", reply->text);
    else if (reply->type != RESP_STATUS && reply->type != RESP_ARRAY)
        redis_invalid(redis, "the answer to the login, the database or the subscription");
    else
        redis_greeting_answered(redis);
}

static void greeting_nodes(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    if (reply == NULL || redis->state != REDIS_GREETING)
        return;
    redis_cluster_nodes(redis, reply);
    redis_greeting_answered(redis);
}

static void greeting_info(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    if (reply == NULL || redis->state != REDIS_GREETING)
        return;
    if (reply->type != RESP_STRING) {
        redis_greeting_failed(redis, "Redis does not tell about itself (INFO)", reply->text);
        return;
    }
    struct span run_id = redis_info_get(reply->text, SPAN_LIT("run_id:"));
    redis->cluster.is_one = redis_mode_is(reply->text, SPAN_LIT("cluster"));
    if (redis->url.kind == REDIS_URL_SENTINEL &&
        span_equal(redis_info_get(reply->text, SPAN_LIT("role:")), SPAN_LIT("slave"))) {
        redis_sentinel_was_wrong(&redis->sentinel);
        if (redis_complains(redis))
            log_event(LOG_WARNING, "a Sentinel names a replica, as it has not noticed a failover yet; asking again");
        redis_break(redis, CLOSE_BROKER_LOST);
        return;
    }
    char *why = redis_unfit_text(redis, reply->text);
    if (why != NULL) {
        redis_unusable(redis, why);
        free(why);
        return;
    }
    if (run_id.len == 0 || run_id.len > sizeof redis->greeting.run_id) {
        redis_unusable(redis, "this Redis does not tell its run id (INFO server), without which losses cannot be seen");
        return;
    }
    redis_memory_seen(redis, reply->text);
    memcpy(redis->greeting.run_id, run_id.data, run_id.len);
    redis->greeting.run_id_len = run_id.len;
    if (!redis->cluster.is_one) {
        redis_greeting_answered(redis);
        return;
    }
    redis_sharded_greet(redis);
    redis_cluster_greet(redis, greeting_nodes); /* then it is done */
}

struct loading {
    struct redis_broker *redis;
    enum redis_script script;
};

static void greeting_script(void *arg, const struct resp *reply)
{
    struct loading *loading = arg;
    struct redis_broker *redis = loading->redis;
    enum redis_script script = loading->script;
    free(loading);
    if (reply == NULL || redis->state != REDIS_GREETING)
        return;
    if (reply->type != RESP_STRING || reply->text.len != SHA_BYTES) {
        redis_greeting_failed(redis, "Redis does not take a script (SCRIPT LOAD)", reply->text);
        return;
    }
    memcpy(redis->greeting.sha[script], reply->text.data, SHA_BYTES);
    redis_greeting_answered(redis);
}

static void greet(struct redis_broker *redis, struct redis_link *link, const struct span *args, size_t count,
                  redis_reply_fn *answered)
{
    redis->greeting.left++;
    redis_link_send(link, args, count, answered, redis);
}

static void login(struct redis_broker *redis, struct redis_link *link)
{
    redis->greeting.left += redis_link_login(link, redis->url.user, redis->url.password, greeting_ok, redis);
    if (redis->url.db == 0)
        return;
    char *db = mem_printf("%u", redis->url.db);
    greet(redis, link, (struct span[]){SPAN_LIT("SELECT"), span_str(db)}, 2, greeting_ok);
    free(db);
}

void redis_greet(struct redis_broker *redis)
{
    redis->greeting.left = 0;
    redis_sharded_begin(redis);
    login(redis, &redis->commands);
    login(redis, &redis->feed);
    /* Without a section: server and memory are both in the default ones, and only 7 takes two names. */
    greet(redis, &redis->commands, (struct span[]){SPAN_LIT("INFO")}, 1, greeting_info);
    for (int i = 0; i < SCRIPT_COUNT; i++) {
        struct loading *loading = mem_alloc(sizeof *loading);
        *loading = (struct loading){redis, (enum redis_script)i};
        redis->greeting.left++;
        redis_link_send(&redis->commands, (struct span[]){SPAN_LIT("SCRIPT"), SPAN_LIT("LOAD"), span_str(scripts[i])},
                        3, greeting_script, loading);
    }
    /* The first SUBSCRIBE's answer counts as the feed's greeting; from then on everything there is a push. */
    greet(redis, &redis->feed, (struct span[]){SPAN_LIT("SUBSCRIBE"), span_str(redis->names.inbox)}, 2, greeting_ok);
}

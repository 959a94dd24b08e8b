/* redis_greeting: the greeting on two fresh links: login, checks of the server, scripts, epoch. It distinguishes faults
 * that the operator must correct from faults that pass by themselves. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/redis_parts.h"
#include "broker_scripts.h"

enum { EPOCH_NEW_BYTES = 8, VERSION_MIN = 602 };

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
};

/* Errors that do not pass by themselves, with the cure. */
static const char *remedy(struct span answer)
{
    static const struct {
        const char *error, *remedy;
    } table[] = {
        {"WRONGPASS", "set user and password in REDIS_URL, like redis://user:password@host"},
        {"NOAUTH", "it wants a password: REDIS_URL=redis://:password@host"},
        {"ERR invalid password", "set the password in REDIS_URL, like redis://:password@host"},
        {"ERR AUTH", "it knows no password: leave it out of REDIS_URL"},
        {"ERR Client sent AUTH", "it knows no password: leave it out of REDIS_URL"},
        {"ERR DB index", "it has no such database: take another number behind the slash of REDIS_URL"},
        {"ERR unknown command", "it does not know a command that is needed: is it a Redis, 6.2 or later?"},
        {"NOPERM", "give its user the commands, keys and channels that docs/serve.md lists"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (span_starts_with(answer, span_str(table[i].error)))
            return table[i].remedy;
    return NULL;
}

/* The greeting failed. A fault that may pass is logged once, and the greeting is tried again later. */
static void failed(struct redis_broker *redis, const char *what, struct span answer)
{
    const char *help = remedy(answer);
    struct span shown = redis_quote(redis, answer);
    if (help != NULL) {
        char *why = mem_printf("%s: \"" SPAN_FMT "\"; %s", what, SPAN_ARG(shown), help);
        redis_unusable(redis, why);
        free(why);
        return;
    }
    if (!redis->complained)
        log_event(LOG_ERROR, what, LOG_S("answer", shown));
    redis->complained = true;
    redis_break(redis, CLOSE_BROKER_LOST);
}

static void opened(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    if (reply == NULL || redis->state != REDIS_GREETING)
        return;
    if (reply->type == RESP_ERROR) {
        failed(redis, "Redis does not let us begin", reply->text);
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
    size_t previous_len = redis->epoch_len;
    memcpy(previous, redis->epoch, previous_len);
    memcpy(redis->epoch, epoch.data, epoch.len);
    redis->epoch_len = epoch.len;
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
    eval_add(&eval, span_str(redis->state_key));
    eval_add(&eval, span_str(redis->publisher_key));
    eval_add(&eval, span_str(redis->lives_key));
    eval_add(&eval, span_str(redis->rooms_key));
    eval_add(&eval, span_of(redis->run_id, redis->run_id_len));
    eval_add(&eval, span_of(fresh, sizeof fresh));
    eval_add(&eval, span_of(redis->epoch, redis->epoch_len));
    eval_add(&eval, span_str(redis->life));
    eval_add_u64(&eval, LIFE_MS);
    eval_send(&eval, redis, opened, redis);
}

/* How it is said differs: `NOPERM ...`; before Redis 7.0 `ERR ... @user_script: 12: -NOPERM ...`; as of 7.0; as of 8.0.
 */
static bool is_about_permission(struct span error)
{
    const struct span word = SPAN_LIT("NOPERM");
    return memmem(error.data, error.len, word.data, word.len) != NULL ||
           span_starts_with(error, SPAN_LIT("ERR The user executing the script")) ||
           span_starts_with(error, SPAN_LIT("ERR ACL failure in script"));
}

static void checked(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    if (reply == NULL || redis->state != REDIS_GREETING)
        return;
    struct span answer = reply->text, command;
    if (span_equal(answer, SPAN_LIT("ok"))) {
        epoch_open(redis);
        return;
    }
    if (reply->type == RESP_STRING && span_next(&answer, ':', &command) && answer.data != NULL) {
        struct span error = span_from(answer, 1);
        if (is_about_permission(error)) {
            char *why = mem_printf("Redis does not let its user call " SPAN_FMT
                                   " on our keys and channels: give it those that docs/serve.md lists",
                                   SPAN_ARG(redis_quote(redis, span_sub(command, 0, 32))));
            redis_unusable(redis, why);
            free(why);
            return;
        }
        failed(redis, "Redis refuses a command", error);
        return;
    }
    failed(redis, "Redis refuses our scripts", reply->text);
}

/* All earlier commands are answered. */
static void check(struct redis_broker *redis)
{
    struct eval eval;
    struct buf channel = {0};
    redis_channel(&channel, redis, SPAN_LIT("check"));
    eval_start(&eval, redis, SCRIPT_CHECK, 1, 1);
    eval_add_key(&eval, redis, "check", span_str(redis->life));
    eval_add(&eval, buf_span(&channel));
    eval_send(&eval, redis, checked, redis);
    buf_finish(&channel);
}

static void done(struct redis_broker *redis)
{
    if (--redis->greetings_left == 0 && redis->state == REDIS_GREETING)
        check(redis);
}

/* For answers that only must not be an error. */
static void greeting_ok(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    if (reply == NULL || redis->state != REDIS_GREETING)
        return;
    if (reply->type == RESP_ERROR)
        failed(redis, "Redis refuses the login, the database or the subscription", reply->text);
    else if (reply->type != RESP_STATUS && reply->type != RESP_ARRAY)
        redis_invalid(redis, "the answer to the login, the database or the subscription");
    else
        done(redis);
}

/* A Redis that evicts keys loses acknowledged messages. */
static bool eviction_is_off(struct redis_broker *redis, struct span info)
{
    char *why = redis_eviction_text(info);
    if (why == NULL)
        return true;
    redis_unusable(redis, why);
    free(why);
    return false;
}

static bool version_is_known(struct redis_broker *redis, struct span info)
{
    struct span version = redis_info_get(info, SPAN_LIT("redis_version:")), rest = version, major, minor;
    uint64_t high = 0, low = 0;
    if (span_next(&rest, '.', &major) && span_next(&rest, '.', &minor) && span_to_u64(major, &high))
        span_to_u64(minor, &low);
    if (high * 100 + low >= VERSION_MIN)
        return true;
    struct span shown = redis_quote(redis, span_sub(version, 0, 32));
    char *why = mem_printf("this Redis is too old: 6.2 or later is needed, it is " SPAN_FMT, SPAN_ARG(shown));
    redis_unusable(redis, why);
    free(why);
    return false;
}

static void greeting_info(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    if (reply == NULL || redis->state != REDIS_GREETING)
        return;
    if (reply->type != RESP_STRING) {
        failed(redis, "Redis does not tell about itself (INFO)", reply->text);
        return;
    }
    struct span run_id = redis_info_get(reply->text, SPAN_LIT("run_id:"));
    if (!version_is_known(redis, reply->text) || !eviction_is_off(redis, reply->text))
        return;
    if (run_id.len == 0 || run_id.len > sizeof redis->run_id) {
        redis_unusable(redis, "this Redis does not tell its run id (INFO server), without which losses cannot be seen");
        return;
    }
    redis_memory_seen(redis, reply->text);
    memcpy(redis->run_id, run_id.data, run_id.len);
    redis->run_id_len = run_id.len;
    done(redis);
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
        failed(redis, "Redis does not take a script (SCRIPT LOAD)", reply->text);
        return;
    }
    memcpy(redis->sha[script], reply->text.data, SHA_BYTES);
    done(redis);
}

static void greet(struct redis_broker *redis, struct redis_link *link, const struct span *args, size_t count,
                  redis_reply_fn *answered)
{
    redis->greetings_left++;
    redis_link_send(link, args, count, answered, redis);
}

static void login(struct redis_broker *redis, struct redis_link *link)
{
    struct span user = span_str(redis->url.user), password = span_str(redis->url.password);
    if (redis->url.user != NULL)
        greet(redis, link, (struct span[]){SPAN_LIT("AUTH"), user, password}, 3, greeting_ok);
    else if (redis->url.password != NULL)
        greet(redis, link, (struct span[]){SPAN_LIT("AUTH"), password}, 2, greeting_ok);
    if (redis->url.db == 0)
        return;
    char *db = mem_printf("%u", redis->url.db);
    greet(redis, link, (struct span[]){SPAN_LIT("SELECT"), span_str(db)}, 2, greeting_ok);
    free(db);
}

void redis_greet(struct redis_broker *redis)
{
    redis->greetings_left = 0;
    login(redis, &redis->commands);
    login(redis, &redis->feed);
    /* Without a section: server and memory are both in the default ones, and only 7 takes two names. */
    greet(redis, &redis->commands, (struct span[]){SPAN_LIT("INFO")}, 1, greeting_info);
    for (int i = 0; i < SCRIPT_COUNT; i++) {
        struct loading *loading = mem_alloc(sizeof *loading);
        *loading = (struct loading){redis, (enum redis_script)i};
        redis->greetings_left++;
        redis_link_send(&redis->commands, (struct span[]){SPAN_LIT("SCRIPT"), SPAN_LIT("LOAD"), span_str(scripts[i])},
                        3, greeting_script, loading);
    }
    /* The first SUBSCRIBE's answer counts as the feed's greeting; from then on everything there is a push. */
    greet(redis, &redis->feed, (struct span[]){SPAN_LIT("SUBSCRIBE"), span_str(redis->inbox)}, 2, greeting_ok);
}

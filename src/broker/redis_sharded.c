/* redis_sharded: sharded Pub/Sub on a cluster. PUBLISH goes to every node of a cluster, SPUBLISH stays with the nodes
 * of the channel's slot, where all instances are.
 *
 * An instance that can listens to both, under the same names, and enlists its life in the key `sharded`. The scripts
 * publish to sharded channels if as many lives are enlisted as there are. So an instance of an earlier version, or with
 * fewer permissions, misses nothing: once its life has begun, whoever publishes does so for all nodes. What an instance
 * itself publishes, probes and mail, is rare and goes to all nodes.
 *
 * All scripts run on one node, so pushes keep their order in both ways, and over a change from one to the other. The
 * scripts differ from those of other servers in that word alone, which is replaced as they are loaded. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/redis_parts.h"

/* KEYS: lives, sharded. ARGV: this life, a channel to try, 1 if the life is about to begin. Strikes off lives that have
 * ended, before a heartbeat forgets them: fewer on the list than there are do no harm, more would. */
static const char enlist_script[] = "redis.call('SPUBLISH', ARGV[2], 'check\\n')\n"
                                    "local time = redis.call('TIME')\n"
                                    "local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)\n"
                                    "for _, life in ipairs(redis.call('ZRANGE', KEYS[2], '0', '-1')) do\n"
                                    "    if (tonumber(redis.call('ZSCORE', KEYS[1], life) or '0') or 0) <= ms then\n"
                                    "        redis.call('ZREM', KEYS[2], life)\n"
                                    "    end\n"
                                    "end\n"
                                    "if ARGV[3] == '1' or redis.call('ZSCORE', KEYS[1], ARGV[1]) then\n"
                                    "    redis.call('ZADD', KEYS[2], string.format('%.0f', ms), ARGV[1])\n"
                                    "    redis.call('PEXPIRE', KEYS[2], '86400000')\n"
                                    "end\n"
                                    "return 1\n";

/* A text of Lua in quotes. */
static void quote(struct buf *to, struct span text)
{
    buf_append_char(to, '\'');
    for (size_t i = 0; i < text.len; i++)
        buf_printf(to, "\\%03u", (unsigned)(unsigned char)text.data[i]);
    buf_append_char(to, '\'');
}

static void key(struct buf *to, const struct redis_broker *redis)
{
    buf_printf(to, "%ssharded", redis->names.prefix);
}

/* The script with another word for 'PUBLISH', in the same lines. */
static char *script_make(const struct redis_broker *redis, const char *text)
{
    static const char word[] = "'PUBLISH'";
    struct buf out = {0}, enlisted = {0};
    const char *at;
    key(&enlisted, redis);
    buf_append(&out, SPAN_LIT("local publish_word = redis.pcall('ZCARD', "));
    quote(&out, span_str(redis->names.lives));
    buf_append(&out, SPAN_LIT(") == redis.pcall('ZCARD', "));
    quote(&out, buf_span(&enlisted));
    buf_append(&out, SPAN_LIT(") and 'SPUBLISH' or 'PUBLISH' "));
    while ((at = strstr(text, word)) != NULL) {
        buf_append(&out, span_of(text, (size_t)(at - text)));
        buf_append(&out, SPAN_LIT("publish_word"));
        text = at + strlen(word);
    }
    buf_append(&out, span_str(text));
    char *script = mem_text(buf_span(&out));
    buf_finish(&enlisted);
    buf_finish(&out);
    return script;
}

struct span redis_sharded_script(const struct redis_broker *redis, enum redis_script script)
{
    bool sharded = redis->sharded.listens && !redis->sharded.failed;
    return span_of(sharded ? redis->sharded.sha[script] : redis->greeting.sha[script], SHA_BYTES);
}

void redis_sharded_begin(struct redis_broker *redis)
{
    redis->sharded.listens = redis->sharded.failed = false;
}

/* It goes on without: the channels of all nodes do as well. */
static void go_without(struct redis_broker *redis, struct span answer)
{
    redis->sharded.listens = false;
    if (!redis->sharded.told)
        log_event(LOG_NOTICE, "without sharded Pub/Sub: each message goes to all nodes of the cluster",
                  LOG_S("answer", redis_quote(redis, answer)),
                  LOG_C("cure", redis_is_about_permission(answer)
                                    ? "give the user +ssubscribe +sunsubscribe +spublish, or write ?sharded=no behind "
                                      "REDIS_URL"
                                    : "Redis 7 or later has it; or write ?sharded=no behind REDIS_URL"));
    redis->sharded.told = true;
}

static void enlist(struct redis_broker *redis, bool begins, redis_reply_fn *done)
{
    struct buf enlisted = {0}, channel = {0};
    key(&enlisted, redis);
    redis_channel(&channel, redis, SPAN_LIT("check"));
    redis_link_send(&redis->commands,
                    (struct span[]){SPAN_LIT("EVALSHA"), span_of(redis->sharded.enlist, SHA_BYTES), SPAN_LIT("2"),
                                    span_str(redis->names.lives), buf_span(&enlisted), span_str(redis->names.life),
                                    buf_span(&channel), begins ? SPAN_LIT("1") : SPAN_LIT("0")},
                    8, done, redis);
    buf_finish(&enlisted);
    buf_finish(&channel);
}

static void enlisted_first(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    if (reply == NULL || redis->state != REDIS_GREETING ||
        (reply->type == RESP_ERROR && redis_cluster_sends_away(redis, reply->text)))
        return;
    if (reply->type == RESP_ERROR && redis_is_about_permission(reply->text))
        go_without(redis, reply->text);
    redis_greeting_answered(redis); /* after another error, as with full memory, a heartbeat enlists it */
}

struct loading {
    struct redis_broker *redis;
    char *sha; /* where it goes */
};

/* The last one enlists the life, before it begins. */
static void loaded(void *arg, const struct resp *reply)
{
    struct loading loading = *(struct loading *)arg;
    struct redis_broker *redis = loading.redis;
    free(arg);
    if (reply == NULL || redis->state != REDIS_GREETING)
        return;
    if (reply->type != RESP_STRING || reply->text.len != SHA_BYTES) {
        redis_greeting_failed(redis, "Redis does not take a script (SCRIPT LOAD)", reply->text);
        return;
    }
    memcpy(loading.sha, reply->text.data, SHA_BYTES);
    if (loading.sha == redis->sharded.enlist)
        enlist(redis, true, enlisted_first);
}

static void load(struct redis_broker *redis, const char *text, char *sha)
{
    struct loading *loading = mem_alloc(sizeof *loading);
    *loading = (struct loading){redis, sha};
    redis_link_send(&redis->commands, (struct span[]){SPAN_LIT("SCRIPT"), SPAN_LIT("LOAD"), span_str(text)}, 3, loaded,
                    loading);
}

static void listening(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    if (reply == NULL || redis->state != REDIS_GREETING)
        return;
    struct answer answer = answer_of(reply);
    if (reply->type == RESP_ARRAY && span_equal(answer_text(&answer), SPAN_LIT("message"))) {
        redis_link_await(&redis->feed, listening, redis);
        return;
    }
    if (reply->type == RESP_ERROR && redis_cluster_sends_away(redis, reply->text))
        return;
    if (reply->type != RESP_ARRAY) {
        go_without(redis, reply->text);
        redis_greeting_answered(redis);
        return;
    }
    redis->sharded.listens = true;
    for (int i = 0; i < SCRIPT_COUNT; i++) {
        char *text = script_make(redis, redis_script_text((enum redis_script)i));
        load(redis, text, redis->sharded.sha[i]);
        free(text);
    }
    load(redis, enlist_script, redis->sharded.enlist);
}

void redis_sharded_greet(struct redis_broker *redis)
{
    if (redis->url.sharded_off)
        return;
    redis->greeting.left++;
    redis_link_send(&redis->feed, (struct span[]){SPAN_LIT("SSUBSCRIBE"), span_str(redis->names.inbox)}, 2, listening,
                    redis);
}

/* A permission was taken away. After another error this life is not on the list, or the heartbeat fails, too. */
static void enlisted(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    if (reply != NULL && reply->type == RESP_ERROR && redis->state == REDIS_UP &&
        redis_is_about_permission(reply->text))
        redis_sharded_failed(redis);
}

void redis_sharded_pulse(struct redis_broker *redis)
{
    if (redis->sharded.listens)
        enlist(redis, false, enlisted);
}

void redis_sharded_failed(struct redis_broker *redis)
{
    if (!redis->sharded.listens || redis->sharded.failed)
        return;
    redis->sharded.failed = true;
    log_event(LOG_WARNING,
              "a heartbeat on sharded channels failed: publishing to all nodes of the cluster from now on");
}

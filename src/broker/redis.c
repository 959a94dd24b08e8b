/* redis: see redis.h. Here: the two links' life from address to epoch, and the scripts. */
#include "broker/redis.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/redis_parts.h"
#include "broker_scripts.h"

enum { BACKOFF_MS_MIN = 100, BACKOFF_MS_MAX = 2000, EPOCH_NEW_BYTES = 8, VERSION_MIN = 602 };

static const char *const scripts[SCRIPT_COUNT] = {
    [SCRIPT_OPEN] = script_open,
    [SCRIPT_PUBLISH] = script_publish,
    [SCRIPT_READ] = script_read,
    [SCRIPT_FENCE] = script_fence,
    [SCRIPT_LEASE_WRITE] = script_lease_write,
    [SCRIPT_LEASE_CLAIM] = script_lease_claim,
    [SCRIPT_LEASE_DELETE] = script_lease_delete,
};

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
    eval_add(eval, span_of(redis->sha[script], SHA_BYTES));
    eval_add_u64(eval, keys);
}

void eval_add_key(struct eval *eval, const struct redis_broker *redis, const char *kind, struct span name)
{
    struct buf key = {0};
    buf_printf(&key, "%s:{0}:%s:", redis->prefix, kind);
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

void redis_channel(struct buf *to, const struct redis_broker *redis, struct span room)
{
    buf_printf(to, "%s:{0}:push:", redis->prefix);
    buf_append(to, room);
}

struct refused {
    struct list node;
    redis_reply_fn *answer;
    void *arg;
};

void redis_refuse(struct redis_broker *redis, redis_reply_fn *answer, void *arg)
{
    struct refused *refused = mem_zero(1, sizeof *refused);
    refused->answer = answer;
    refused->arg = arg;
    list_init(&refused->node);
    list_append(&redis->refused, &refused->node);
    loop_at_flush(redis->loop, &redis->refuse);
}

static void refuse_all(struct task *task)
{
    struct redis_broker *redis = container_of(task, struct redis_broker, refuse);
    struct list *node;
    while ((node = list_take(&redis->refused)) != NULL) {
        struct refused *refused = container_of(node, struct refused, node);
        refused->answer(refused->arg, NULL);
        free(refused);
    }
}

void redis_break(struct redis_broker *redis, enum close_reason reason)
{
    bool was_up = redis->broker.is_up;
    redis->state = REDIS_DOWN;
    redis->broker.is_up = false;
    timer_stop(redis->loop, &redis->pulse);
    redis_link_close(&redis->commands, reason);
    redis_link_close(&redis->feed, reason);
    if (was_up && !redis->destroying) {
        log_event(LOG_WARNING, "the link to the broker broke", LOG_C("reason", close_reason_name(reason)));
        redis->broker.events->down(redis->broker.hub);
    }
    redis_probes_lost(redis);
}

bool redis_is_error(struct redis_broker *redis, const struct resp *reply, const char *what)
{
    static const char *const greet_again[] = {"NOSCRIPT", "EPOCH", "NOAUTH", "READONLY", "LOADING", "MASTERDOWN"};
    if (reply->type != RESP_ERROR)
        return false;
    if (!redis->complained)
        log_event(LOG_ERROR, "the broker refuses", LOG_C("what", what), LOG_S("answer", reply->text));
    redis->complained = true;
    for (size_t i = 0; i < sizeof greet_again / sizeof greet_again[0]; i++)
        if (span_starts_with(reply->text, span_str(greet_again[i])))
            redis_break(redis, CLOSE_BROKER_LOST);
    return true;
}

/* Anything wrong while greeting: say what, once, and try again later. */
static void greeting_failed(struct redis_broker *redis, const char *what, struct span answer)
{
    if (!redis->complained)
        log_event(LOG_ERROR, what, LOG_S("answer", answer));
    redis->complained = true;
    redis_break(redis, CLOSE_BROKER_LOST);
}

static void greeting_opened(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    uint64_t seq, last, end = 0;
    if (reply == NULL || redis->state != REDIS_GREETING)
        return;
    if (reply->type == RESP_ERROR) {
        greeting_failed(redis, "the broker does not let us begin", reply->text);
        return;
    }
    if (reply->type != RESP_ARRAY || reply->item_count != 4 || reply->items[0].text.len > sizeof redis->epoch ||
        !span_to_u64(reply->items[1].text, &seq) || !span_to_u64(reply->items[3].text, &last)) {
        greeting_failed(redis, "the broker's state is not ours", SPAN_LIT(""));
        return;
    }
    struct span epoch = reply->items[0].text, ended = reply->items[2].text;
    char previous[BROKER_EPOCH_BYTES_MAX];
    size_t previous_len = redis->epoch_len;
    memcpy(previous, redis->epoch, previous_len);
    bool changed = ended.len > 0 && span_to_u64(ended, &end);
    memcpy(redis->epoch, epoch.data, epoch.len);
    redis->epoch_len = epoch.len;
    redis->state = REDIS_UP;
    redis->broker.is_up = true;
    redis->backoff_ms = BACKOFF_MS_MIN;
    redis->complained = false;
    redis->troubles = 0;
    log_event(LOG_INFO, "the broker is up", LOG_S("epoch", epoch), LOG_N("seq", seq));
    redis_pulse_start(redis);
    redis->broker.events->up(redis->broker.hub, epoch, span_of(previous, changed ? previous_len : 0), end);
    if (redis->state == REDIS_UP)
        redis_publish_resume(redis, last);
}

static void epoch_open(struct redis_broker *redis)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    char fresh[EPOCH_NEW_BYTES];
    struct eval eval;
    for (int i = 0; i < EPOCH_NEW_BYTES; i++)
        fresh[i] = digits[loop_random_below(redis->loop, sizeof digits - 1)];
    eval_start(&eval, redis, SCRIPT_OPEN, 2, 3);
    eval_add(&eval, span_str(redis->state_key));
    eval_add(&eval, span_str(redis->publisher_key));
    eval_add(&eval, span_of(redis->run_id, redis->run_id_len));
    eval_add(&eval, span_of(fresh, sizeof fresh));
    eval_add(&eval, span_of(redis->epoch, redis->epoch_len));
    eval_send(&eval, redis, greeting_opened, redis);
}

static void greeting_done(struct redis_broker *redis)
{
    if (--redis->greetings_left == 0 && redis->state == REDIS_GREETING)
        epoch_open(redis);
}

/* An answer that must only not be an error. */
static void greeting_ok(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    if (reply == NULL || redis->state != REDIS_GREETING)
        return;
    if (reply->type == RESP_ERROR)
        greeting_failed(redis, "the broker refuses the login or the database", reply->text);
    else
        greeting_done(redis);
}

/* The value of `name:` in INFO's answer. */
static struct span info_get(struct span info, struct span name)
{
    struct span line;
    while (span_next(&info, '\n', &line)) {
        if (!span_starts_with(line, name))
            continue;
        line = span_from(line, name.len);
        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        return line;
    }
    return (struct span){NULL, 0};
}

static void greeting_info(void *arg, const struct resp *reply)
{
    struct redis_broker *redis = arg;
    if (reply == NULL || redis->state != REDIS_GREETING)
        return;
    if (reply->type == RESP_ERROR) {
        greeting_failed(redis, "the broker does not tell about itself (INFO server)", reply->text);
        return;
    }
    struct span run_id = info_get(reply->text, SPAN_LIT("run_id:"));
    struct span version = info_get(reply->text, SPAN_LIT("redis_version:")), rest = version, major, minor;
    uint64_t high = 0, low = 0;
    if (span_next(&rest, '.', &major) && span_next(&rest, '.', &minor) && span_to_u64(major, &high))
        span_to_u64(minor, &low);
    if (high * 100 + low < VERSION_MIN || run_id.len == 0 || run_id.len > sizeof redis->run_id) {
        greeting_failed(redis, "this Redis is too old: 6.2 or later is needed", version);
        return;
    }
    memcpy(redis->run_id, run_id.data, run_id.len);
    redis->run_id_len = run_id.len;
    greeting_done(redis);
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
        greeting_failed(redis, "the broker does not take a script (SCRIPT LOAD)", reply->text);
        return;
    }
    memcpy(redis->sha[script], reply->text.data, SHA_BYTES);
    greeting_done(redis);
}

static void greet(struct redis_broker *redis, struct redis_link *link, const struct span *args, size_t count,
                  redis_reply_fn *done)
{
    redis->greetings_left++;
    redis_link_send(link, args, count, done, redis);
}

static void login(struct redis_broker *redis, struct redis_link *link)
{
    struct span user = span_str(redis->url.user), password = span_str(redis->url.password);
    char db[16];
    if (redis->url.user != NULL)
        greet(redis, link, (struct span[]){SPAN_LIT("AUTH"), user, password}, 3, greeting_ok);
    else if (redis->url.password != NULL)
        greet(redis, link, (struct span[]){SPAN_LIT("AUTH"), password}, 2, greeting_ok);
    snprintf(db, sizeof db, "%u", redis->url.db);
    if (redis->url.db != 0)
        greet(redis, link, (struct span[]){SPAN_LIT("SELECT"), span_str(db)}, 2, greeting_ok);
}

/* Both links are connected: log in, load what we need, and open the epoch when everything is answered. */
static void greeting_begin(struct redis_broker *redis)
{
    redis->state = REDIS_GREETING;
    redis->greetings_left = 0;
    login(redis, &redis->commands);
    login(redis, &redis->feed);
    greet(redis, &redis->commands, (struct span[]){SPAN_LIT("INFO"), SPAN_LIT("server")}, 2, greeting_info);
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

static struct redis_broker *broker_of(struct redis_link *link)
{
    return link->subscriber ? container_of(link, struct redis_broker, feed)
                            : container_of(link, struct redis_broker, commands);
}

static void link_opened(struct redis_link *link)
{
    struct redis_broker *redis = broker_of(link);
    if (redis->state == REDIS_CONNECTING && conn_is_open(&redis->commands.conn) && conn_is_open(&redis->feed.conn))
        greeting_begin(redis);
}

static void link_pushed(struct redis_link *link, const struct resp *reply)
{
    struct redis_broker *redis = broker_of(link);
    if (link->subscriber && redis->state == REDIS_UP)
        redis_feed_received(redis, reply);
    else if (!link->subscriber)
        redis_break(redis, CLOSE_BROKER_INVALID);
}

static void backoff_start(struct redis_broker *redis)
{
    uint64_t half = redis->backoff_ms / 2;
    timer_start(redis->loop, &redis->backoff, LOOP_MS(half + loop_random_below(redis->loop, half + 1)));
    redis->backoff_ms = redis->backoff_ms * 2 > BACKOFF_MS_MAX ? BACKOFF_MS_MAX : redis->backoff_ms * 2;
}

/* What the operator can do about it. */
static const char *remedy(enum tls_fault fault)
{
    switch (fault) {
    case TLS_FAULT_UNTRUSTED:
        return "; give its CA with ?ca=FILE";
    case TLS_FAULT_NAME:
        return "; use a host that its certificate names, or say one with ?server_name=NAME";
    case TLS_FAULT_DATE:
        return "; the server needs a new one, or this machine the right time";
    case TLS_FAULT_NOT_TLS:
        return "; say redis://, or give the port that speaks TLS";
    case TLS_FAULT_WANTS_CERT:
        return "; give one with ?cert=FILE&key=FILE";
    default:
        return "";
    }
}

/* A link ended before the broker was up: says why, once for each reason. */
static void trouble_tell(struct redis_broker *redis, const struct redis_link *link)
{
    const struct tls_problem *problem = conn_tls_problem(&link->conn);
    enum close_reason reason = (enum close_reason)link->conn.reason;
    static_assert(CLOSE_REASON_COUNT + TLS_FAULT_OTHER < 64, "a bit for each");
    uint64_t trouble = 1ull << (problem->fault != TLS_FAULT_NONE ? CLOSE_REASON_COUNT + problem->fault : reason);
    if (redis->troubles & trouble)
        return;
    redis->troubles |= trouble;
    char *why = problem->fault != TLS_FAULT_NONE ? mem_printf("%s%s", problem->text, remedy(problem->fault))
                                                 : mem_text(span_str(close_reason_text(reason)));
    log_event(LOG_WARNING, "the broker cannot be reached; trying on",
              LOG_C("host", redis->url.host != NULL ? redis->url.host : redis->url.path), LOG_C("why", why));
    free(why);
}

static void link_closed(struct redis_link *link)
{
    struct redis_broker *redis = broker_of(link);
    if (redis->state != REDIS_DOWN) {
        if (redis->state != REDIS_UP) {
            trouble_tell(redis, link);
            redis->address++; /* a name may have others */
        }
        redis_break(redis, (enum close_reason)link->conn.reason);
    }
    if (!redis->commands.busy && !redis->feed.busy && !redis->destroying)
        backoff_start(redis);
}

static const struct redis_link_events link_events = {link_opened, link_pushed, link_closed};

static void links_open(struct redis_broker *redis, const struct addr *addr)
{
    redis->state = REDIS_CONNECTING;
    redis_link_open(&redis->commands, addr, redis->tls);
    redis_link_open(&redis->feed, addr, redis->tls);
}

static void resolved(void *arg, const struct addr *addrs, size_t count, const char *why)
{
    struct redis_broker *redis = arg;
    redis->resolve = NULL;
    if (count > 0) {
        links_open(redis, &addrs[redis->address % count]);
        return;
    }
    if (!redis->complained)
        log_event(LOG_ERROR, "the broker's name is not known", LOG_C("host", redis->url.host), LOG_C("why", why));
    redis->complained = true;
    backoff_start(redis);
}

static void connect_now(struct timer *timer)
{
    struct redis_broker *redis = container_of(timer, struct redis_broker, backoff);
    struct addr addr;
    if (redis->url.path == NULL) {
        redis->resolve = resolve_start(redis->loop, redis->url.host, redis->url.port, resolved, redis);
        return;
    }
    bool fits = addr_from_unix(&addr, span_str(redis->url.path));
    assert(fits); /* or the URL would have been refused */
    links_open(redis, &addr);
}

static void destroy(struct broker *broker)
{
    struct redis_broker *redis = redis_of(broker);
    redis->destroying = true;
    timer_stop(redis->loop, &redis->backoff);
    resolve_cancel(redis->resolve);
    redis_break(redis, CLOSE_DONE);
    if (redis->commands.busy || redis->feed.busy)
        net_reap(redis->net);
    redis_publish_finish(redis);
    refuse_all(&redis->refuse);
    task_cancel(&redis->refuse);
    redis_link_finish(&redis->commands);
    redis_link_finish(&redis->feed);
    redis_url_finish(&redis->url);
    tls_client_destroy(redis->tls);
    free(redis->prefix);
    free(redis->instance);
    free(redis->state_key);
    free(redis->publisher_key);
    free(redis->inbox);
    free(redis);
}

static const struct broker_ops ops = {
    .publish = redis_publish,
    .subscribe = redis_subscribe,
    .unsubscribe = redis_unsubscribe,
    .read = redis_read,
    .read_newest = redis_read_newest,
    .lease_write = redis_lease_write,
    .lease_claim = redis_lease_claim,
    .lease_delete = redis_lease_delete,
    .probe = redis_probe,
    .destroy = destroy,
};

/* Whom to believe and who we are, when the URL asks for TLS. */
static bool tls_prepare(struct redis_broker *redis, struct err *err)
{
    const struct redis_url *url = &redis->url;
    const struct tls_client_options options = {
        .name = url->server_name != NULL ? url->server_name : url->host,
        .ca = url->ca,
        .cert = url->cert,
        .key = url->key,
        .verify_off = url->verify_off,
    };
    if (!url->tls)
        return true;
    redis->tls = tls_client_create(&options, err);
    if (redis->tls == NULL)
        return err_prefix(err, "REDIS_URL: ");
    if (url->verify_off)
        log_event(LOG_WARNING, "REDIS_URL says verify=no: whoever answers there is believed to be the broker",
                  LOG_C("host", url->host));
    return true;
}

struct broker *broker_redis_create(struct net *net, const struct broker_redis_config *config, struct err *err)
{
    struct redis_broker *redis = mem_zero(1, sizeof *redis);
    if (!redis_url_parse(&redis->url, config->url, err) || !tls_prepare(redis, err)) {
        redis_url_finish(&redis->url);
        free(redis);
        return NULL;
    }
    redis->broker.ops = &ops;
    redis->net = net;
    redis->loop = net->loop;
    redis->prefix = mem_text(span_str(config->prefix));
    redis->instance = mem_text(span_str(config->instance));
    redis->state_key = mem_printf("%s:{0}:state", redis->prefix);
    /* One process, one publisher: an instance that is started again under its old name must not go on with its numbers.
     */
    redis->publisher_key = mem_printf("%s:{0}:publisher:%s:%016llx", redis->prefix, redis->instance,
                                      (unsigned long long)loop_random_below(redis->loop, UINT64_MAX));
    redis->inbox = mem_printf("%s:{0}:inbox:%s", redis->prefix, redis->instance);
    redis->backoff_ms = BACKOFF_MS_MIN;
    redis->feed.subscriber = true;
    redis_link_init(&redis->commands, net, &link_events);
    redis_link_init(&redis->feed, net, &link_events);
    redis_publish_init(redis);
    list_init(&redis->probes);
    list_init(&redis->refused);
    task_init(&redis->refuse, refuse_all);
    timer_init(&redis->pulse, NULL);
    timer_init(&redis->backoff, connect_now);
    timer_start(redis->loop, &redis->backoff, 0);
    return &redis->broker;
}

/* redis: the states of the broker and its two links, from resolving the address to UP and back. */
#include "broker/redis.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/redis_parts.h"

enum { BACKOFF_MS_MIN = 100, BACKOFF_MS_MAX = 2000, BACKOFF_MS_INVALID_MAX = 30000 };

struct span redis_info_get(struct span info, struct span name)
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
    redis_link_close(&redis->commands, reason);
    redis_link_close(&redis->feed, reason);
    if (was_up && !redis->destroying) {
        log_event(LOG_WARNING, "the link to the broker broke", LOG_C("reason", close_reason_name(reason)));
        redis->broker.events->down(redis->broker.hub);
    }
    redis_pulse_down(redis);
    redis_feed_down(redis);
    redis_present_down(redis);
    redis_log_down(redis);
}

void redis_is_good(struct redis_broker *redis)
{
    redis->backoff_ms = BACKOFF_MS_MIN;
    redis->invalid_count = 0;
    if (redis->invalid_told && !redis->memory.evicts)
        redis_trouble_set(redis, NULL);
    redis->invalid_told = false;
}

void redis_up(struct redis_broker *redis, struct span previous, uint64_t previous_end, uint64_t last,
              struct answer *refused)
{
    redis->state = REDIS_UP;
    if (redis->invalid_count == 0)
        redis->backoff_ms = BACKOFF_MS_MIN; /* else when it has been good for a while */
    redis->complained = false;
    memset(redis->closes_told, 0, sizeof redis->closes_told);
    memset(redis->faults_told, 0, sizeof redis->faults_told);
    redis->proven = true;
    redis_port_end(redis);
    if (redis->unfit && !redis->memory.evicts && !redis->invalid_told)
        redis_trouble_set(redis, NULL);
    redis->unfit = false;
    redis_pulse_start(redis);
    broker_went_up(&redis->broker, span_of(redis->epoch, redis->epoch_len), previous, previous_end);
    if (redis->state == REDIS_UP)
        redis_publish_resume(redis, last, refused);
}

/* Each time the links come up, this instance begins another life. The new life takes over presence and leases of the
 * one before; another instance cleans up the rest. Numbers of lives rise, so late messages of an earlier one are
 * recognized. */
static void life_begin(struct redis_broker *redis)
{
    uint64_t wall_ms = (uint64_t)loop_wall_ms(redis->loop);
    redis->life_number = wall_ms > redis->life_number ? wall_ms : redis->life_number + 1;
    snprintf(redis->life, sizeof redis->life, "%.40s:%llu", redis->instance, (unsigned long long)redis->life_number);
    for (char *c = redis->life; *c != '\0'; c++)
        if (*c <= ' ' || *c == 0x7f)
            *c = '_';
    redis->feed_number++;
    free(redis->of_key);
    redis->of_key = mem_printf("%sof:%s", redis->key_prefix, redis->life);
}

static struct redis_broker *broker_of(struct redis_link *link)
{
    return link->subscriber ? container_of(link, struct redis_broker, feed)
                            : container_of(link, struct redis_broker, commands);
}

static void link_opened(struct redis_link *link)
{
    struct redis_broker *redis = broker_of(link);
    if (redis->state != REDIS_CONNECTING || !conn_is_open(&redis->commands.conn) || !conn_is_open(&redis->feed.conn))
        return;
    redis->state = REDIS_GREETING;
    life_begin(redis);
    redis_greet(redis);
}

static void link_pushed(struct redis_link *link, const struct resp *reply)
{
    struct redis_broker *redis = broker_of(link);
    if (link->subscriber && redis->state == REDIS_UP)
        redis_feed_received(redis, reply);
    else if (reply->type == RESP_ERROR && redis->state != REDIS_UP) /* a client that it does not want */
        redis_greeting_failed(redis, "Redis refuses the connection", reply->text);
    else if (!link->subscriber)
        redis_invalid(redis, "an answer to nothing");
}

static void backoff_start(struct redis_broker *redis)
{
    uint64_t half = redis->backoff_ms / 2;
    timer_start(redis->loop, &redis->backoff, LOOP_MS(half + loop_random_below(redis->loop, half + 1)));
    uint64_t most = redis->invalid_count < INVALID_MAX ? BACKOFF_MS_MAX : BACKOFF_MS_INVALID_MAX;
    redis->backoff_ms = redis->backoff_ms * 2 > most ? most : redis->backoff_ms * 2;
}

/* The cure, for the operator. */
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

/* Whether retrying is useless. */
static bool is_for_good(enum tls_fault fault)
{
    return fault == TLS_FAULT_UNTRUSTED || fault == TLS_FAULT_NAME || fault == TLS_FAULT_NOT_TLS ||
           fault == TLS_FAULT_WANTS_CERT;
}

static const char *place_text(const struct redis_broker *redis)
{
    return redis->url.kind == REDIS_URL_UNIX ? redis->url.path : redis_cluster_place(redis).host;
}

/* A link ended before the broker was up: says why, once for each reason. */
static void trouble_tell(struct redis_broker *redis, const struct redis_link *link)
{
    const struct tls_problem *problem = conn_tls_problem(&link->conn);
    enum close_reason reason = (enum close_reason)link->conn.reason;
    bool *told = problem->fault != TLS_FAULT_NONE ? &redis->faults_told[problem->fault] : &redis->closes_told[reason];
    if (*told)
        return;
    *told = true;
    char *why = problem->fault != TLS_FAULT_NONE ? mem_printf("%s%s", problem->text, remedy(problem->fault))
                                                 : mem_text(span_str(close_reason_text(reason)));
    if (is_for_good(problem->fault) && !redis->proven)
        redis_unusable(redis, why);
    else
        log_event(LOG_WARNING, "the broker cannot be reached; retrying", LOG_C("host", place_text(redis)),
                  LOG_C("why", why));
    free(why);
}

/* It ended without a word, or with that of another protocol. */
static void stranger_look(struct redis_broker *redis, const struct redis_link *link)
{
    const char *why = redis_stranger_text(span_of(link->first, link->first_len));
    if (why != NULL)
        redis_unusable(redis, why);
    else if (redis->state == REDIS_GREETING && link->first_len == 0 &&
             (link->conn.reason == CLOSE_PEER_CLOSED || link->conn.reason == CLOSE_PEER_RESET))
        redis_port_cut(redis);
}

static void link_closed(struct redis_link *link)
{
    struct redis_broker *redis = broker_of(link);
    if (redis->state == REDIS_GREETING || redis->state == REDIS_CONNECTING)
        stranger_look(redis, link);
    if (redis->state != REDIS_DOWN) {
        if (redis->state != REDIS_UP) {
            trouble_tell(redis, link);
            redis->address++; /* a name may have others */
            redis_cluster_failed(redis);
        }
        if (link->conn.reason == CLOSE_BROKER_INVALID)
            redis_invalid(redis, "bytes that are not Redis' protocol, or beyond a bound");
        else
            redis_break(redis, (enum close_reason)link->conn.reason);
    }
    if (!redis->commands.busy && !redis->feed.busy && !redis->destroying && !redis->unusable)
        backoff_start(redis);
}

static const struct redis_link_events link_events = {link_opened, link_pushed, link_closed};

static void links_open(struct redis_broker *redis, const struct addr *addr)
{
    redis->state = REDIS_CONNECTING;
    redis->addr = *addr;
    redis_link_open(&redis->commands, addr, redis->tls);
    redis_link_open(&redis->feed, addr, redis->tls);
    redis_port_connecting(redis);
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
        log_event(LOG_ERROR, "the broker's name is not known", LOG_C("host", place_text(redis)), LOG_C("why", why));
    redis->complained = true;
    backoff_start(redis);
}

/* Another one than before is connected to at once, although the old one may still answer. */
static void primary_found(void *arg, const char *host, uint16_t port)
{
    struct redis_broker *redis = arg;
    bool is_another = redis->primary == NULL || strcmp(redis->primary, host) != 0 || redis->primary_port != port;
    char *former = redis->primary;
    redis->primary = mem_text(span_str(host));
    redis->primary_port = port;
    free(former);
    if (is_another)
        log_event(LOG_NOTICE, "the Sentinels name the primary", LOG_C("host", host), LOG_N("port", port));
    if (redis->is_asking)
        redis->resolve = resolve_start(redis->loop, host, port, resolved, redis);
    else if (is_another && redis->state != REDIS_DOWN)
        redis_break(redis, CLOSE_BROKER_LOST);
    redis->is_asking = false;
}

static void primary_unknown(void *arg, const char *why)
{
    struct redis_broker *redis = arg;
    redis->is_asking = false;
    if (!redis->complained)
        log_event(LOG_ERROR, "no Sentinel says where the primary is; retrying", LOG_C("why", why));
    redis->complained = true;
    backoff_start(redis);
}

static const struct redis_sentinel_events sentinel_events = {primary_found, primary_unknown};

static void connect_now(struct timer *timer)
{
    struct redis_broker *redis = container_of(timer, struct redis_broker, backoff);
    struct addr addr;
    if (redis->url.kind == REDIS_URL_SENTINEL) {
        redis->is_asking = true;
        redis_sentinel_ask(&redis->sentinel, redis->tls);
        return;
    }
    if (redis->url.kind != REDIS_URL_UNIX) {
        const struct redis_place place = redis_cluster_place(redis);
        redis->resolve = resolve_start(redis->loop, place.host, place.port, resolved, redis);
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
    redis_port_end(redis);
    redis_sentinel_stop(&redis->sentinel);
    if (redis->commands.busy || redis->feed.busy || redis->port.busy || redis->sentinel.link.busy)
        net_reap(redis->net);
    redis_publish_finish(redis);
    refuse_all(&redis->refuse);
    task_cancel(&redis->refuse);
    task_cancel(&redis->read_flush);
    redis_link_finish(&redis->commands);
    redis_link_finish(&redis->feed);
    redis_sentinel_finish(&redis->sentinel);
    redis_cluster_finish(redis);
    redis_url_finish(&redis->url);
    tls_client_destroy(redis->tls);
    redis_port_finish(&redis->port);
    char *const texts[] = {redis->prefix,        redis->instance,     redis->key_prefix, redis->state_key,
                           redis->publisher_key, redis->recent_key,   redis->lives_key,  redis->away_key,
                           redis->inbox,         redis->of_key,       redis->rooms_key,  redis->sizes_key,
                           redis->heres_key,     redis->trouble_text, redis->primary};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    free(redis);
}

static const struct broker_ops ops = {
    .publish = redis_publish,
    .subscribe = redis_subscribe,
    .unsubscribe = redis_unsubscribe,
    .read = redis_read,
    .lease_write = redis_lease_write,
    .lease_claim = redis_lease_claim,
    .lease_release = redis_lease_release,
    .present_enter = redis_present_enter,
    .present_leave = redis_present_leave,
    .present_list = redis_present_list,
    .stats = redis_stats,
    .probe = redis_probe,
    .destroy = destroy,
};

static void names_make(struct redis_broker *redis, const struct broker_redis_config *config)
{
    redis->prefix = mem_text(span_str(config->prefix));
    redis->instance = mem_text(span_str(config->instance));
    /* The tag puts all of the partition into one slot of a cluster. */
    redis->key_prefix = mem_printf("%s:{0}:", redis->prefix);
    redis->state_key = mem_printf("%sstate", redis->key_prefix);
    redis->recent_key = mem_printf("%srecent", redis->key_prefix);
    redis->lives_key = mem_printf("%slives", redis->key_prefix);
    redis->away_key = mem_printf("%saway", redis->key_prefix);
    redis->rooms_key = mem_printf("%srooms", redis->key_prefix);
    redis->sizes_key = mem_printf("%ssizes", redis->key_prefix);
    redis->heres_key = mem_printf("%sheres", redis->key_prefix);
    redis->inbox = mem_printf("%sinbox:%s", redis->key_prefix, redis->instance);
    /* One process, one publisher: an instance that is started again under its old name must not go on with its numbers.
     */
    redis->publisher_key = mem_printf("%spublisher:%s:%016llx", redis->key_prefix, redis->instance,
                                      (unsigned long long)loop_random_below(redis->loop, UINT64_MAX));
}

/* Creates the TLS settings if the URL asks for TLS: trusted CAs, and our certificate. */
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
        log_event(LOG_WARNING, "REDIS_URL says verify=no: any certificate is accepted", LOG_C("host", url->host));
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
    redis->broker.records = &redis_record_ops;
    redis->broker.mail = &redis_mail_ops;
    redis->net = net;
    redis->loop = net->loop;
    names_make(redis, config);
    redis->backoff_ms = BACKOFF_MS_MIN;
    /* Answers for an earlier process of this name may still arrive, so numbers begin at random. */
    redis->feed_number = loop_random_below(redis->loop, ANSWER_NUMBER_MAX / 2);
    redis->feed.subscriber = true;
    redis_link_init(&redis->commands, net, &link_events);
    redis_link_init(&redis->feed, net, &link_events);
    redis_port_init(&redis->port);
    redis_sentinel_init(&redis->sentinel, net, &redis->url, &sentinel_events, redis);
    redis_publish_init(redis);
    redis_feed_init(redis);
    redis_pulse_init(redis);
    redis_present_init(redis);
    redis_log_init(redis);
    redis->bounds = config->bounds;
    if (redis->bounds.rooms_max == 0)
        redis->bounds.rooms_max = BROKER_ROOMS_MAX;
    list_init(&redis->refused);
    task_init(&redis->refuse, refuse_all);
    timer_init(&redis->backoff, connect_now);
    timer_start(redis->loop, &redis->backoff, 0);
    return &redis->broker;
}

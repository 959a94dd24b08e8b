/* redis: the states of the broker and its two links, from CONNECTING to UP and back. */
#include "broker/redis.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/moves.h"
#include "broker/redis_parts.h"

#define REDIS_MOVES(MOVE) \
    MOVE(REDIS_DOWN, REDIS_CONNECTING) \
    MOVE(REDIS_CONNECTING, REDIS_GREETING) \
    MOVE(REDIS_GREETING, REDIS_UP) \
    MOVE(REDIS_CONNECTING, REDIS_DOWN) \
    MOVE(REDIS_GREETING, REDIS_DOWN) \
    MOVE(REDIS_UP, REDIS_DOWN)

void redis_move(struct redis_broker *redis, enum redis_state state)
{
    static const bool legal[REDIS_UP + 1][REDIS_UP + 1] = {REDIS_MOVES(MOVE_LEGAL)};
    assert(legal[redis->state][state]);
    redis->state = (uint8_t)state;
}

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
    list_append(&redis->refusals.waiting, &refused->node);
    loop_at_flush(redis->loop, &redis->refusals.flush);
}

static void refuse_all(struct task *task)
{
    struct redis_broker *redis = container_of(task, struct redis_broker, refusals.flush);
    struct list *node;
    while ((node = list_take(&redis->refusals.waiting)) != NULL) {
        struct refused *refused = container_of(node, struct refused, node);
        refused->answer(refused->arg, NULL);
        free(refused);
    }
}

void redis_break(struct redis_broker *redis, enum close_reason reason)
{
    bool was_up = redis->broker.is_up;
    if (redis->state != REDIS_DOWN)
        redis_move(redis, REDIS_DOWN);
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
    redis_dial_good(redis);
    redis_trouble_good(redis);
}

void redis_up(struct redis_broker *redis, struct span previous, uint64_t previous_end, uint64_t last,
              struct answer *refused)
{
    redis_move(redis, REDIS_UP);
    redis_dial_up(redis);
    redis_port_end(redis);
    redis_trouble_up(redis);
    redis_pulse_start(redis);
    broker_went_up(&redis->broker, span_of(redis->greeting.epoch, redis->greeting.epoch_len), previous, previous_end);
    if (redis->state == REDIS_UP)
        redis_publish_resume(redis, last, refused);
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
    redis_move(redis, REDIS_GREETING);
    redis_names_life_begin(redis);
    redis_feed_begin(redis);
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
        if (redis->state != REDIS_UP)
            redis_dial_failed(redis, link);
        if (link->conn.reason == CLOSE_BROKER_INVALID)
            redis_invalid(redis, "bytes that are not Redis' protocol, or beyond a bound");
        else
            redis_break(redis, (enum close_reason)link->conn.reason);
    }
    if (!redis->commands.busy && !redis->feed.busy && !redis->destroying && !redis->trouble.unusable)
        redis_dial_again(redis);
}

static const struct redis_link_events link_events = {link_opened, link_pushed, link_closed};

static void destroy(struct broker *broker)
{
    struct redis_broker *redis = redis_of(broker);
    redis->destroying = true;
    redis_dial_stop(redis);
    redis_break(redis, CLOSE_DONE);
    redis_port_end(redis);
    redis_sentinel_stop(&redis->sentinel);
    if (redis->commands.busy || redis->feed.busy || redis->port.busy || redis->sentinel.link.busy)
        net_reap(redis->net);
    redis_publish_finish(redis);
    refuse_all(&redis->refusals.flush);
    task_cancel(&redis->refusals.flush);
    task_cancel(&redis->reading.flush);
    redis_link_finish(&redis->commands);
    redis_link_finish(&redis->feed);
    redis_sentinel_finish(&redis->sentinel);
    redis_cluster_finish(redis);
    redis_url_finish(&redis->url);
    tls_client_destroy(redis->tls);
    redis_port_finish(&redis->port);
    redis_dial_finish(&redis->dial);
    redis_trouble_finish(&redis->trouble);
    redis_names_finish(&redis->names);
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
    .lease_take = redis_lease_take,
    .lease_lapsed = redis_lease_lapsed,
    .lease_end = redis_lease_end,
    .present_enter = redis_present_enter,
    .present_leave = redis_present_leave,
    .present_list = redis_present_list,
    .stats = redis_stats,
    .probe = redis_probe,
    .destroy = destroy,
};

/* Creates the TLS settings if the URL asks for TLS: trusted CAs, and our certificate. */
static bool tls_prepare(struct redis_broker *redis, struct err *err)
{
    const struct redis_url *url = &redis->url;
    if (!redis_url_tls(url, &redis->tls, err))
        return err_prefix(err, "REDIS_URL: ");
    if (url->tls && url->verify_off)
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
    redis_names_init(redis, config->prefix, config->instance);
    redis->feed.subscriber = true;
    redis_link_init(&redis->commands, net, &link_events);
    redis_link_init(&redis->feed, net, &link_events);
    redis_port_init(&redis->port);
    redis_publish_init(redis);
    redis_feed_init(redis);
    redis_pulse_init(redis);
    redis_present_init(redis);
    redis_log_init(redis);
    redis->bounds = config->bounds;
    if (redis->bounds.rooms_max == 0)
        redis->bounds.rooms_max = BROKER_ROOMS_MAX;
    list_init(&redis->refusals.waiting);
    task_init(&redis->refusals.flush, refuse_all);
    redis_dial_init(redis);
    return &redis->broker;
}

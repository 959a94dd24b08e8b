/* redis_pair: states of the two connections, their greeting, and their signs of life. A subscribed connection that is
 * silent may be dead, so it is asked (PING) and closed without an answer; the other one is closed by redis_link. */
#include "bridge/redis_pair.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/moves.h"

enum { BACKOFF_MS_MIN = 100, BACKOFF_MS_MAX = 2000, PULSE_MS = 5000, SILENT_MS_MAX = 12000 };

#define PAIR_MOVES(MOVE) \
    MOVE(PAIR_DOWN, PAIR_CONNECTING) \
    MOVE(PAIR_CONNECTING, PAIR_GREETING) \
    MOVE(PAIR_GREETING, PAIR_UP) \
    MOVE(PAIR_CONNECTING, PAIR_DOWN) \
    MOVE(PAIR_GREETING, PAIR_DOWN) \
    MOVE(PAIR_UP, PAIR_DOWN)

static void state_set(struct redis_pair *pair, enum pair_state state)
{
    static const bool legal[PAIR_STATES][PAIR_STATES] = {PAIR_MOVES(MOVE_LEGAL)};
    assert(legal[pair->state][state]);
    pair->state = state;
}

static struct redis_pair *pair_of(struct redis_link *link)
{
    return link->subscriber ? container_of(link, struct redis_pair, feed)
                            : container_of(link, struct redis_pair, commands);
}

static const char *place_text(const struct redis_pair *pair)
{
    return pair->url.kind == REDIS_URL_UNIX ? pair->url.path : pair->url.host;
}

/* The first fault of an outage is logged. */
static void complain(struct redis_pair *pair, const char *why)
{
    if (!pair->complained && !pair->stopped)
        log_event(LOG_WARNING, "the bridge's Redis cannot be used; retrying", LOG_C("host", place_text(pair)),
                  LOG_C("why", why));
    pair->complained = true;
}

static void break_off(struct redis_pair *pair, enum close_reason reason)
{
    bool was_up = pair->state == PAIR_UP;
    if (pair->state != PAIR_DOWN)
        state_set(pair, PAIR_DOWN);
    timer_stop(pair->net->loop, &pair->pulse);
    pair->unconfirmed = 0;
    redis_link_close(&pair->commands, reason);
    redis_link_close(&pair->feed, reason);
    if (was_up && !pair->stopped)
        pair->events->down(pair->arg);
}

/* The cure of an error that Redis answers, or NULL: see its log. */
static const char *cure(struct span error)
{
    static const struct {
        struct span error;
        const char *cure;
    } table[] = {
        {SPAN_LIT("NOAUTH"), "it wants a password: redis://:password@host"},
        {SPAN_LIT("WRONGPASS"), "set user and password in the URL: redis://user:password@host"},
        {SPAN_LIT("NOPERM"), "give its user PUBLISH, SUBSCRIBE, PSUBSCRIBE (sharded: SPUBLISH, SSUBSCRIBE) and the "
                             "channels that docs/bridge.md lists"},
        {SPAN_LIT("MOVED"), "in sharded mode the bridge needs one Redis that has all slots: see docs/bridge.md"},
        {SPAN_LIT("ERR unknown command"), "sharded Pub/Sub needs Redis 7: take `mode: classic` on both sides"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (span_starts_with(error, table[i].error))
            return table[i].cure;
    return "see its log";
}

static void refused(struct redis_pair *pair, struct span error)
{
    if (!pair->complained && !pair->stopped)
        log_event(LOG_ERROR, "the bridge's Redis refuses a command; retrying", LOG_S("answer", span_sub(error, 0, 64)),
                  LOG_C("cure", cure(error)));
    pair->complained = true;
    break_off(pair, CLOSE_BROKER_LOST);
}

static void answered(void *arg, const struct resp *reply)
{
    struct redis_pair *pair = arg;
    if (reply != NULL && reply->type == RESP_ERROR && pair->state != PAIR_DOWN)
        refused(pair, reply->text);
}

static void link_opened(struct redis_link *link)
{
    struct redis_pair *pair = pair_of(link);
    if (pair->state != PAIR_CONNECTING || !conn_is_open(&pair->commands.conn) || !conn_is_open(&pair->feed.conn))
        return;
    state_set(pair, PAIR_GREETING);
    pair->heard_us = loop_now_us(pair->net->loop);
    timer_start(pair->net->loop, &pair->pulse, LOOP_MS(PULSE_MS));
    redis_link_login(&pair->commands, pair->url.user, pair->url.password, answered, pair);
    redis_link_login(&pair->feed, pair->url.user, pair->url.password, answered, pair);
    pair->events->subscribe(pair->arg);
}

static void confirmed(struct redis_pair *pair)
{
    if (pair->unconfirmed == 0 || --pair->unconfirmed > 0)
        return;
    if (pair->state == PAIR_GREETING) {
        state_set(pair, PAIR_UP);
        pair->backoff_ms = BACKOFF_MS_MIN;
        pair->complained = false;
    }
    pair->events->confirmed(pair->arg);
}

/* What the feed brings: `[kind, channel, payload]`, for a pattern `[kind, pattern, channel, payload]`, of a
 * subscription `[kind, channel, count]`, and `[pong, ""]`. */
static bool pushed(struct redis_pair *pair, const struct resp *reply)
{
    const struct resp *items = reply->items;
    size_t count = reply->item_count;
    if (reply->type != RESP_ARRAY || count < 2 || items[0].type != RESP_STRING)
        return false;
    struct span kind = items[0].text;
    if (span_equal(kind, SPAN_LIT("pong")))
        return true;
    if (span_ends_with(kind, SPAN_LIT("subscribe"))) {
        if (!span_ends_with(kind, SPAN_LIT("unsubscribe")))
            confirmed(pair);
        return true;
    }
    size_t at = span_equal(kind, SPAN_LIT("pmessage")) ? 2 : 1;
    if (!span_ends_with(kind, SPAN_LIT("message")) || count != at + 2 || items[at].type != RESP_STRING ||
        items[at + 1].type != RESP_STRING)
        return false;
    pair->events->received(pair->arg, items[at].text, items[at + 1].text);
    return true;
}

static void link_pushed(struct redis_link *link, const struct resp *reply)
{
    struct redis_pair *pair = pair_of(link);
    if (pair->state == PAIR_DOWN || pair->state == PAIR_CONNECTING)
        return;
    pair->heard_us = loop_now_us(pair->net->loop);
    if (reply->type == RESP_ERROR) {
        refused(pair, reply->text);
    } else if (!link->subscriber || !pushed(pair, reply)) {
        complain(pair, "it answers otherwise than a Redis: is another program at this address?");
        break_off(pair, CLOSE_BROKER_INVALID);
    }
}

static void backoff_start(struct redis_pair *pair)
{
    uint64_t half = pair->backoff_ms / 2;
    timer_start(pair->net->loop, &pair->backoff, LOOP_MS(half + loop_random_below(pair->net->loop, half + 1)));
    pair->backoff_ms = pair->backoff_ms * 2 > BACKOFF_MS_MAX ? BACKOFF_MS_MAX : pair->backoff_ms * 2;
}

static void link_closed(struct redis_link *link)
{
    struct redis_pair *pair = pair_of(link);
    if (pair->state != PAIR_DOWN) {
        const struct tls_problem *problem = conn_tls_problem(&link->conn);
        complain(pair, problem->fault != TLS_FAULT_NONE ? problem->text
                                                        : close_reason_text((enum close_reason)link->conn.reason));
        pair->address++; /* a name may have others */
        break_off(pair, (enum close_reason)link->conn.reason);
    }
    if (!pair->commands.busy && !pair->feed.busy && !pair->stopped)
        backoff_start(pair);
}

static const struct redis_link_events link_events = {link_opened, link_pushed, link_closed};

static void links_open(struct redis_pair *pair, const struct addr *addr)
{
    state_set(pair, PAIR_CONNECTING);
    redis_link_open(&pair->commands, addr, pair->tls);
    redis_link_open(&pair->feed, addr, pair->tls);
}

static void resolved(void *arg, const struct addr *addrs, size_t count, const char *why)
{
    struct redis_pair *pair = arg;
    pair->resolve = NULL;
    if (count > 0) {
        links_open(pair, &addrs[pair->address % count]);
        return;
    }
    complain(pair, why);
    backoff_start(pair);
}

static void connect_now(struct timer *timer)
{
    struct redis_pair *pair = container_of(timer, struct redis_pair, backoff);
    struct addr addr;
    if (pair->url.kind != REDIS_URL_UNIX) {
        pair->resolve = resolve_start(pair->net->loop, pair->url.host, pair->url.port, resolved, pair);
        return;
    }
    bool fits = addr_from_unix(&addr, span_str(pair->url.path));
    assert(fits); /* or the URL would have been refused */
    links_open(pair, &addr);
}

static void pulse(struct timer *timer)
{
    struct redis_pair *pair = container_of(timer, struct redis_pair, pulse);
    if (loop_now_us(pair->net->loop) - pair->heard_us > LOOP_MS(SILENT_MS_MAX)) {
        complain(pair, "it is silent, although it was asked for a sign of life");
        break_off(pair, CLOSE_BROKER_LOST);
        return;
    }
    redis_link_send(&pair->feed, (struct span[]){SPAN_LIT("PING")}, 1, NULL, NULL);
    redis_link_send(&pair->commands, (struct span[]){SPAN_LIT("PING")}, 1, answered, pair);
    timer_start(pair->net->loop, timer, LOOP_MS(PULSE_MS));
}

static bool url_read(struct redis_pair *pair, const char *text, struct err *err)
{
    struct redis_url *url = &pair->url;
    if (!redis_url_parse(url, text, err))
        return false;
    if (url->kind != REDIS_URL_HOST && url->kind != REDIS_URL_UNIX)
        return err_set(err, "the adapter's Redis is named by redis://, rediss:// or unix://: give the address of one "
                            "server; in classic mode any node of a cluster will do");
    return redis_url_tls(url, &pair->tls, err);
}

bool redis_pair_init(struct redis_pair *pair, struct net *net, const char *url, const struct redis_pair_events *events,
                     void *arg, struct err *err)
{
    *pair = (struct redis_pair){.net = net, .events = events, .arg = arg, .backoff_ms = BACKOFF_MS_MIN};
    if (!url_read(pair, url, err)) {
        redis_url_finish(&pair->url);
        return false;
    }
    pair->feed.subscriber = true;
    redis_link_init(&pair->commands, net, &link_events);
    redis_link_init(&pair->feed, net, &link_events);
    timer_init(&pair->backoff, connect_now);
    timer_init(&pair->pulse, pulse);
    timer_start(net->loop, &pair->backoff, 0);
    return true;
}

void redis_pair_finish(struct redis_pair *pair)
{
    pair->stopped = true;
    timer_stop(pair->net->loop, &pair->backoff);
    resolve_cancel(pair->resolve);
    break_off(pair, CLOSE_DONE);
    if (pair->commands.busy || pair->feed.busy)
        net_reap(pair->net);
    redis_link_finish(&pair->commands);
    redis_link_finish(&pair->feed);
    redis_url_finish(&pair->url);
    tls_client_destroy(pair->tls);
}

void redis_pair_subscribe(struct redis_pair *pair, struct span command, struct span channel)
{
    if (pair->state != PAIR_GREETING && pair->state != PAIR_UP)
        return;
    pair->unconfirmed++;
    redis_link_send(&pair->feed, (struct span[]){command, channel}, 2, NULL, NULL);
}

void redis_pair_unsubscribe(struct redis_pair *pair, struct span command, struct span channel)
{
    if (pair->state == PAIR_UP)
        redis_link_send(&pair->feed, (struct span[]){command, channel}, 2, NULL, NULL);
}

bool redis_pair_publish(struct redis_pair *pair, struct span command, struct span channel, struct span payload)
{
    if (pair->state != PAIR_UP)
        return false;
    redis_link_send(&pair->commands, (struct span[]){command, channel, payload}, 3, answered, pair);
    return true;
}

bool redis_pair_count(struct redis_pair *pair, struct span word, struct span channel, redis_reply_fn *done, void *arg)
{
    if (pair->state != PAIR_UP)
        return false;
    redis_link_send(&pair->commands, (struct span[]){SPAN_LIT("PUBSUB"), word, channel}, 3, done, arg);
    return true;
}

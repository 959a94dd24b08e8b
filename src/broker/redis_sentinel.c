/* redis_sentinel: one connection to one Sentinel at a time. */
#include "broker/redis_sentinel.h"

#include <stdlib.h>

#include "base/mem.h"

enum {
    PAUSE_MS = 1000, /* before the Sentinels are asked again when the news are cut off */
    ALIVE_MS = 5000  /* a Sentinel that is silent for so long is asked for a sign of life */
};

static struct redis_sentinel *sentinel_of(struct redis_link *link)
{
    return container_of(link, struct redis_sentinel, link);
}

static const struct redis_place *place_of(const struct redis_sentinel *sentinel)
{
    return &sentinel->url->seeds[sentinel->next % sentinel->url->seed_count];
}

static void why_set(struct redis_sentinel *sentinel, char *why)
{
    free(sentinel->why);
    sentinel->why = why;
}

/* Asking. */

static void resolved(void *arg, const struct addr *addrs, size_t count, const char *why);

static void ask_one(struct redis_sentinel *sentinel)
{
    const struct redis_place *place = place_of(sentinel);
    sentinel->tried++;
    sentinel->resolve = resolve_start(sentinel->loop, place->host, place->port, resolved, sentinel);
}

static void round_begin(struct redis_sentinel *sentinel)
{
    timer_stop(sentinel->loop, &sentinel->timer);
    sentinel->state = SENTINEL_ASKING;
    sentinel->tried = 0;
    ask_one(sentinel);
}

/* None could say. Whoever only watches goes on trying. */
static void round_fail(struct redis_sentinel *sentinel)
{
    char *why = sentinel->why;
    bool wanted = sentinel->wanted;
    sentinel->why = NULL;
    sentinel->wanted = false;
    sentinel->state = SENTINEL_IDLE;
    if (wanted)
        sentinel->events->unknown(sentinel->arg, why);
    else
        timer_start(sentinel->loop, &sentinel->timer, LOOP_MS(PAUSE_MS));
    free(why);
}

static void ask_next(struct redis_sentinel *sentinel)
{
    sentinel->next++;
    if (sentinel->tried < sentinel->url->seed_count)
        ask_one(sentinel);
    else
        round_fail(sentinel);
}

static void resolved(void *arg, const struct addr *addrs, size_t count, const char *why)
{
    struct redis_sentinel *sentinel = arg;
    sentinel->resolve = NULL;
    if (count > 0) {
        redis_link_open(&sentinel->link, &addrs[0], sentinel->tls);
        return;
    }
    why_set(sentinel, mem_printf("the name of the Sentinel %s is not known: %s", place_of(sentinel)->host, why));
    ask_next(sentinel);
}

static void logged_in(void *arg, const struct resp *reply)
{
    struct redis_sentinel *sentinel = arg;
    if (reply != NULL && reply->type == RESP_ERROR)
        why_set(sentinel, mem_printf("the Sentinel %s refuses the login: correct sentinel_user and sentinel_password "
                                     "in REDIS_URL",
                                     place_of(sentinel)->host));
}

static void fault_tell(struct redis_sentinel *sentinel, const struct resp *reply)
{
    const char *host = place_of(sentinel)->host;
    if (reply->type == RESP_NIL)
        why_set(sentinel, mem_printf("the Sentinel %s knows no primary of the name %s: correct the name in REDIS_URL",
                                     host, sentinel->url->primary));
    else if (sentinel->why == NULL && reply->type == RESP_ERROR && span_starts_with(reply->text, SPAN_LIT("NOAUTH")))
        why_set(sentinel, mem_printf("the Sentinel %s asks for a password: give it with ?sentinel_password=", host));
    else if (sentinel->why == NULL)
        why_set(sentinel, mem_printf("the Sentinel %s does not answer SENTINEL GET-MASTER-ADDR-BY-NAME: is it a "
                                     "Sentinel, whose port is 26379 by default?",
                                     host));
}

static void answered(void *arg, const struct resp *reply)
{
    struct redis_sentinel *sentinel = arg;
    uint16_t port;
    if (reply == NULL)
        return; /* closed: the next one is asked */
    if (reply->type != RESP_ARRAY || reply->item_count != 2 || reply->items[0].type != RESP_STRING ||
        reply->items[0].text.len == 0 || reply->items[1].type != RESP_STRING ||
        !span_to_port(reply->items[1].text, &port)) {
        fault_tell(sentinel, reply);
        redis_link_close(&sentinel->link, CLOSE_DONE);
        return;
    }
    why_set(sentinel, NULL);
    sentinel->state = SENTINEL_WATCHING;
    sentinel->wanted = false;
    sentinel->heard = true;
    timer_start(sentinel->loop, &sentinel->timer, LOOP_MS(ALIVE_MS));
    char *host = mem_text(reply->items[0].text);
    sentinel->events->found(sentinel->arg, host, port);
    free(host);
}

/* In one pipeline, which the Sentinel handles in one piece: no news come between the answer and the subscription. */
static void link_opened(struct redis_link *link)
{
    struct redis_sentinel *sentinel = sentinel_of(link);
    const struct redis_url *url = sentinel->url;
    redis_link_login(link, url->sentinel_user, url->sentinel_password, logged_in, sentinel);
    redis_link_send(link,
                    (struct span[]){SPAN_LIT("SENTINEL"), SPAN_LIT("GET-MASTER-ADDR-BY-NAME"), span_str(url->primary)},
                    3, answered, sentinel);
    redis_link_send(link, (struct span[]){SPAN_LIT("SUBSCRIBE"), SPAN_LIT("+switch-master")}, 2, NULL, NULL);
}

/* Watching. */

/* `["message", "+switch-master", "NAME OLD-HOST OLD-PORT NEW-HOST NEW-PORT"]`; answers to SUBSCRIBE and PING are
 * arrays, too. */
static void link_pushed(struct redis_link *link, const struct resp *reply)
{
    struct redis_sentinel *sentinel = sentinel_of(link);
    struct span rest, word[5];
    uint16_t port;
    sentinel->heard = true;
    if (reply->type != RESP_ARRAY) {
        redis_link_close(link, CLOSE_BROKER_INVALID);
        return;
    }
    if (reply->item_count != 3 || !span_equal(reply->items[0].text, SPAN_LIT("message")))
        return;
    rest = reply->items[2].text;
    for (int i = 0; i < 5; i++) {
        if (!span_next(&rest, ' ', &word[i]))
            return;
    }
    if (!span_equal(word[0], span_str(sentinel->url->primary)) || !span_to_port(word[4], &port))
        return;
    char *host = mem_text(word[3]);
    sentinel->events->found(sentinel->arg, host, port);
    free(host);
}

static void timer_fired(struct timer *timer)
{
    struct redis_sentinel *sentinel = container_of(timer, struct redis_sentinel, timer);
    if (sentinel->state != SENTINEL_WATCHING) {
        round_begin(sentinel);
    } else if (sentinel->heard) {
        sentinel->heard = false;
        redis_link_send(&sentinel->link, (struct span[]){SPAN_LIT("PING")}, 1, NULL, NULL);
        timer_start(sentinel->loop, timer, LOOP_MS(ALIVE_MS));
    } else {
        redis_link_close(&sentinel->link, CLOSE_BROKER_LOST);
    }
}

static void link_closed(struct redis_link *link)
{
    struct redis_sentinel *sentinel = sentinel_of(link);
    enum close_reason reason = (enum close_reason)link->conn.reason;
    if (sentinel->events == NULL)
        return; /* stopped */
    if (sentinel->state == SENTINEL_WATCHING) {
        sentinel->state = SENTINEL_IDLE;
        if (sentinel->wanted)
            round_begin(sentinel);
        else
            timer_start(sentinel->loop, &sentinel->timer, LOOP_MS(PAUSE_MS));
        return;
    }
    if (sentinel->why == NULL)
        why_set(sentinel,
                mem_printf("the Sentinel %s cannot be asked: %s", place_of(sentinel)->host,
                           conn_tls_problem(&link->conn)->fault != TLS_FAULT_NONE ? conn_tls_problem(&link->conn)->text
                                                                                  : close_reason_text(reason)));
    ask_next(sentinel);
}

static const struct redis_link_events link_events = {link_opened, link_pushed, link_closed};

void redis_sentinel_init(struct redis_sentinel *sentinel, struct net *net, const struct redis_url *url,
                         const struct redis_sentinel_events *events, void *arg)
{
    *sentinel = (struct redis_sentinel){.events = events, .arg = arg, .url = url, .loop = net->loop};
    timer_init(&sentinel->timer, timer_fired);
    redis_link_init(&sentinel->link, net, &link_events);
}

void redis_sentinel_ask(struct redis_sentinel *sentinel, const struct tls_client *tls)
{
    sentinel->tls = tls;
    sentinel->wanted = true;
    if (sentinel->state == SENTINEL_WATCHING)
        redis_link_close(&sentinel->link, CLOSE_DONE); /* then the round begins */
    else if (sentinel->state == SENTINEL_IDLE)
        round_begin(sentinel);
}

void redis_sentinel_was_wrong(struct redis_sentinel *sentinel)
{
    sentinel->next++;
}

void redis_sentinel_stop(struct redis_sentinel *sentinel)
{
    timer_stop(sentinel->loop, &sentinel->timer);
    resolve_cancel(sentinel->resolve);
    sentinel->resolve = NULL;
    sentinel->events = NULL;
    redis_link_close(&sentinel->link, CLOSE_DONE);
}

void redis_sentinel_finish(struct redis_sentinel *sentinel)
{
    redis_link_finish(&sentinel->link);
    free(sentinel->why);
}

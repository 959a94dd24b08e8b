/* redis_dial: which Redis to connect to, and when: the name's addresses in turn, the primary that Sentinels or a
 * cluster name, and the backoff between tries. Says why a link did not come up. */
#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/redis_parts.h"

enum { BACKOFF_MS_MIN = 100, BACKOFF_MS_MAX = 2000, BACKOFF_MS_INVALID_MAX = 30000 };

void redis_dial_again(struct redis_broker *redis)
{
    uint64_t half = redis->dial.backoff_ms / 2;
    timer_start(redis->loop, &redis->dial.backoff, LOOP_MS(half + loop_random_below(redis->loop, half + 1)));
    uint64_t most = redis->trouble.invalid_count < INVALID_MAX ? BACKOFF_MS_MAX : BACKOFF_MS_INVALID_MAX;
    redis->dial.backoff_ms = redis->dial.backoff_ms * 2 > most ? most : redis->dial.backoff_ms * 2;
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
    bool *told =
        problem->fault != TLS_FAULT_NONE ? &redis->dial.faults_told[problem->fault] : &redis->dial.closes_told[reason];
    if (*told)
        return;
    *told = true;
    char *why = problem->fault != TLS_FAULT_NONE ? mem_printf("%s%s", problem->text, remedy(problem->fault))
                                                 : mem_text(span_str(close_reason_text(reason)));
    if (is_for_good(problem->fault) && !redis->trouble.proven)
        redis_unusable(redis, why);
    else
        log_event(LOG_WARNING, "the broker cannot be reached; retrying", LOG_C("host", place_text(redis)),
                  LOG_C("why", why));
    free(why);
}

void redis_dial_failed(struct redis_broker *redis, const struct redis_link *link)
{
    trouble_tell(redis, link);
    redis->dial.address++; /* a name may have others */
    redis_cluster_failed(redis);
}

void redis_dial_up(struct redis_broker *redis)
{
    struct redis_dial *dial = &redis->dial;
    if (redis->trouble.invalid_count == 0)
        redis_dial_good(redis); /* else when it has been good for a while */
    memset(dial->closes_told, 0, sizeof dial->closes_told);
    memset(dial->faults_told, 0, sizeof dial->faults_told);
}

void redis_dial_good(struct redis_broker *redis)
{
    redis->dial.backoff_ms = BACKOFF_MS_MIN;
}

void redis_dial_primary(struct redis_broker *redis, struct span host, uint16_t port)
{
    char *former = redis->dial.primary; /* the new one may be a part of it */
    redis->dial.primary = host.data != NULL ? mem_text(host) : NULL;
    redis->dial.primary_port = port;
    free(former);
}

static void links_open(struct redis_broker *redis, const struct addr *addr)
{
    redis_move(redis, REDIS_CONNECTING);
    redis->dial.addr = *addr;
    redis_link_open(&redis->commands, addr, redis->tls);
    redis_link_open(&redis->feed, addr, redis->tls);
    redis_port_connecting(redis);
}

static void resolved(void *arg, const struct addr *addrs, size_t count, const char *why)
{
    struct redis_broker *redis = arg;
    redis->dial.resolve = NULL;
    if (count > 0) {
        links_open(redis, &addrs[redis->dial.address % count]);
        return;
    }
    if (redis_complains(redis))
        log_event(LOG_ERROR, "the broker's name is not known", LOG_C("host", place_text(redis)), LOG_C("why", why));
    redis_dial_again(redis);
}

/* Another one than before is connected to at once, although the old one may still answer. */
static void primary_found(void *arg, const char *host, uint16_t port)
{
    struct redis_broker *redis = arg;
    bool is_another =
        redis->dial.primary == NULL || strcmp(redis->dial.primary, host) != 0 || redis->dial.primary_port != port;
    redis_dial_primary(redis, span_str(host), port);
    if (is_another)
        log_event(LOG_NOTICE, "the Sentinels name the primary", LOG_C("host", host), LOG_N("port", port));
    if (redis->dial.is_asking)
        redis->dial.resolve = resolve_start(redis->loop, host, port, resolved, redis);
    else if (is_another && redis->state != REDIS_DOWN)
        redis_break(redis, CLOSE_BROKER_LOST);
    redis->dial.is_asking = false;
}

static void primary_unknown(void *arg, const char *why)
{
    struct redis_broker *redis = arg;
    redis->dial.is_asking = false;
    if (redis_complains(redis))
        log_event(LOG_ERROR, "no Sentinel says where the primary is; retrying", LOG_C("why", why));
    redis_dial_again(redis);
}

static const struct redis_sentinel_events sentinel_events = {primary_found, primary_unknown};

static void connect_now(struct timer *timer)
{
    struct redis_broker *redis = container_of(timer, struct redis_broker, dial.backoff);
    struct addr addr;
    if (redis->url.kind == REDIS_URL_SENTINEL) {
        redis->dial.is_asking = true;
        redis_sentinel_ask(&redis->sentinel, redis->tls);
        return;
    }
    if (redis->url.kind != REDIS_URL_UNIX) {
        const struct redis_place place = redis_cluster_place(redis);
        redis->dial.resolve = resolve_start(redis->loop, place.host, place.port, resolved, redis);
        return;
    }
    bool fits = addr_from_unix(&addr, span_str(redis->url.path));
    assert(fits); /* or the URL would have been refused */
    links_open(redis, &addr);
}

void redis_dial_init(struct redis_broker *redis)
{
    redis->dial.backoff_ms = BACKOFF_MS_MIN;
    redis_sentinel_init(&redis->sentinel, redis->net, &redis->url, &sentinel_events, redis);
    timer_init(&redis->dial.backoff, connect_now);
    timer_start(redis->loop, &redis->dial.backoff, 0);
}

void redis_dial_stop(struct redis_broker *redis)
{
    timer_stop(redis->loop, &redis->dial.backoff);
    resolve_cancel(redis->dial.resolve);
}

void redis_dial_finish(struct redis_dial *dial)
{
    free(dial->primary);
}

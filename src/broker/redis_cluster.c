/* redis_cluster: finds the node of a Redis Cluster that has our slot, and follows the slot.
 * https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
 *
 * All keys and channels carry the hash tag {0}, so they are in one slot. A node that does not have it answers MOVED
 * with the address of the one that does. While a slot is moved, keys that have gone already are answered with ASK, and
 * scripts whose keys are on both sides with TRYAGAIN: no script has begun then, so the links are broken and tried again
 * until the slot has arrived. The other node's run id opens another epoch where the counter stands, and nothing is lost
 * by it. redis_sharded.c has what becomes of published messages. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/redis_parts.h"

/* `host:port`; an IPv6 address has colons itself. False: it is none. The host may be empty. */
static bool place_split(struct span text, struct span *host, uint16_t *port)
{
    size_t at = text.len;
    while (at > 0 && text.data[at - 1] != ':')
        at--;
    if (at == 0 || !span_to_port(span_from(text, at), port))
        return false;
    *host = span_sub(text, 0, at - 1);
    return true;
}

static size_t node_count(const struct redis_broker *redis)
{
    size_t of_url = redis->url.kind == REDIS_URL_CLUSTER ? redis->url.seed_count : 1;
    return of_url + redis->cluster.known_count;
}

struct redis_place redis_cluster_place(const struct redis_broker *redis)
{
    if (redis->dial.primary != NULL)
        return (struct redis_place){redis->dial.primary, redis->dial.primary_port};
    size_t at = redis->cluster.next % node_count(redis), known = redis->cluster.known_count;
    if (at < known)
        return redis->cluster.known[at];
    return redis->url.kind == REDIS_URL_CLUSTER ? redis->url.seeds[at - known]
                                                : (struct redis_place){redis->url.host, redis->url.port};
}

void redis_cluster_failed(struct redis_broker *redis)
{
    if (redis->url.kind == REDIS_URL_SENTINEL || (redis->dial.primary == NULL && node_count(redis) == 1))
        return;
    redis_dial_primary(redis, (struct span){NULL, 0}, 0);
    redis->cluster.next++;
}

static void known_forget(struct redis_cluster *cluster)
{
    while (cluster->known_count > 0)
        free(cluster->known[--cluster->known_count].host);
}

static void known_add(struct redis_cluster *cluster, struct span host, uint64_t port)
{
    if (host.len == 0 || port == 0 || port > 65535 || cluster->known_count == REDIS_SEEDS_MAX)
        return;
    for (size_t i = 0; i < cluster->known_count; i++) {
        if (cluster->known[i].port == port && span_equal(span_str(cluster->known[i].host), host))
            return;
    }
    cluster->known[cluster->known_count++] = (struct redis_place){mem_text(host), (uint16_t)port};
}

void redis_cluster_greet(struct redis_broker *redis, redis_reply_fn *done)
{
    redis_link_send(&redis->commands, (struct span[]){SPAN_LIT("CLUSTER"), SPAN_LIT("SLOTS")}, 2, done, redis);
}

/* `[[first slot, last slot, [host, port, id], [host, port, id]...]...]`; more may stand behind each id. */
void redis_cluster_nodes(struct redis_broker *redis, const struct resp *reply)
{
    if (reply->type != RESP_ARRAY)
        return; /* the user may not ask; MOVED is enough as long as a node of the URL answers */
    known_forget(&redis->cluster);
    for (size_t i = 0; i < reply->item_count; i++) {
        const struct resp *range = &reply->items[i];
        for (size_t k = 2; range->type == RESP_ARRAY && k < range->item_count; k++) {
            const struct resp *node = &range->items[k];
            if (node->type == RESP_ARRAY && node->item_count >= 2 && node->items[0].type == RESP_STRING &&
                node->items[1].type == RESP_INTEGER && node->items[1].integer > 0)
                known_add(&redis->cluster, node->items[0].text, (uint64_t)node->items[1].integer);
        }
    }
}

/* `MOVED slot host:port`. Without a host it is the one that answered, under another port. */
static void follow(struct redis_broker *redis, struct span error)
{
    struct span rest = error, word, slot, host;
    uint16_t port;
    if (!span_next(&rest, ' ', &word) || !span_next(&rest, ' ', &slot) || !place_split(rest, &host, &port))
        return;
    if (host.len == 0 || span_equal(host, SPAN_LIT("?")))
        host = span_str(redis_cluster_place(redis).host);
    redis_dial_primary(redis, host, port);
    log_event(LOG_NOTICE, "another node of the cluster has our slot", LOG_C("host", redis->dial.primary),
              LOG_N("port", port), LOG_S("slot", slot));
}

bool redis_cluster_sends_away(struct redis_broker *redis, struct span error)
{
    bool moved = redis_error_is(error, SPAN_LIT("MOVED "));
    if (redis->url.kind == REDIS_URL_UNIX || redis->url.kind == REDIS_URL_SENTINEL ||
        (!moved && !redis_error_is(error, SPAN_LIT("ASK ")) && !redis_error_is(error, SPAN_LIT("TRYAGAIN")) &&
         !redis_error_is(error, SPAN_LIT("CLUSTERDOWN"))))
        return false;
    if (moved && span_starts_with(error, SPAN_LIT("MOVED ")))
        follow(redis, error);
    else if (redis_complains(redis))
        log_event(LOG_WARNING, "the cluster moves our slot, or is down for now; retrying",
                  LOG_S("answer", redis_quote(redis, error)));
    redis_break(redis, CLOSE_BROKER_LOST);
    return true;
}

void redis_cluster_finish(struct redis_broker *redis)
{
    known_forget(&redis->cluster);
}

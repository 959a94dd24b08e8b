/* away: sockets that were cut off here and may come back. When one has not within its recovery time, the claim of its
 * lease decides, as it does for a client that comes back: whoever gets it is the only one. Then the socket has ended,
 * and its disconnect is told here. */
#include <stdlib.h>

#include "base/mem.h"
#include "embed/embed_parts.h"

enum { AGAIN_MS = 1000 };

struct away {
    struct map_node by_lease; /* unless the broker's answer is awaited, which is its end */
    struct timer timer;
    struct embed *embed;
    struct embed_nsp *nsp;
    char *lease, *data;
    size_t data_len;
    const char *reason;
};

static void away_destroy(struct away *away)
{
    if (away->embed->loop != NULL)
        timer_stop(away->embed->loop, &away->timer);
    free(away->lease);
    free(away->data);
    free(away);
}

static void claimed(void *arg, enum broker_result result, const struct broker_lease *lease, bool position_ok)
{
    struct away *away = arg;
    struct embed *embed = away->embed;
    if (result == BROKER_LOST && embed->is_open) {
        map_add(&embed->aways, &away->by_lease, span_str(away->lease));
        timer_start(embed->loop, &away->timer, LOOP_MS(AGAIN_MS));
        return;
    }
    if (result == BROKER_OK && embed->is_open) {
        const struct leaver leaver = {
            .nsp = &away->nsp->config->nsp, .sid = lease->sid, .data = span_of(away->data, away->data_len)};
        note_disconnect(away->nsp, &leaver, away->reason);
        broker_lease_release(hub_broker(embed->server.hub), lease, true);
    }
    away_destroy(away);
}

static void claim(struct timer *timer)
{
    struct away *away = container_of(timer, struct away, timer);
    map_remove(&away->embed->aways, &away->by_lease);
    broker_lease_claim(hub_broker(away->embed->server.hub), span_str(away->lease), SPAN_LIT(""), 0, claimed, away);
}

void away_add(struct embed_nsp *nsp, const struct leaver *leaver, enum close_reason reason)
{
    struct embed *embed = nsp->embed;
    uint64_t window_ms = leaver->nsp->recoverable ? leaver->nsp->recovery_ms - AWAY_MARGIN_MS : 0;
    if (!embed->is_open)
        return;
    away_returned(embed, leaver->lease); /* of an earlier cut */
    struct away *away = mem_zero(1, sizeof *away);
    away->embed = embed;
    away->nsp = nsp;
    away->lease = mem_text(leaver->lease);
    away->data = mem_text(leaver->data);
    away->data_len = leaver->data.len;
    away->reason = close_reason_name(reason);
    map_add(&embed->aways, &away->by_lease, span_str(away->lease));
    timer_init(&away->timer, claim);
    timer_start(embed->loop, &away->timer, LOOP_MS(window_ms));
}

void away_returned(struct embed *embed, struct span lease)
{
    struct map_node *node = map_find(&embed->aways, lease);
    if (node == NULL)
        return;
    map_remove(&embed->aways, node);
    away_destroy(container_of(node, struct away, by_lease));
}

void aways_finish(struct embed *embed)
{
    struct map_node *node;
    while ((node = map_next(&embed->aways, NULL)) != NULL) {
        map_remove(&embed->aways, node);
        away_destroy(container_of(node, struct away, by_lease));
    }
    map_finish(&embed->aways);
}

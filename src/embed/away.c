/* away: sockets that have ended, or perhaps have: their client was cut off here and has not come back in time, or their
 * instance is gone. Several instances may think so, and another one may have the socket. The lease decides: the
 * instance that takes it (broker_lease_take) or gets it (broker_lease_lapsed) is the only one, and tells the handler.
 * Then it ends the lease. If it is gone before, the lease lapses once more, and another instance tells.
 *
 * If the link breaks before the broker's answer, it is asked again.
 *
 * AWAY_MOVES:
 * WAITING --its client has not come back in time--> TAKING
 * TAKING --the link broke--> PAUSING
 * PAUSING --a moment later, before it was told--> TAKING
 * TAKING --it is ours--> TELLING
 * TELLING --the handler was told--> ENDING
 * ENDING --the link broke--> PAUSING
 * PAUSING --a moment later--> ENDING
 */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/moves.h"
#include "embed/embed_parts.h"
#include "session/lease.h"

enum away_state { AWAY_WAITING, AWAY_TAKING, AWAY_TELLING, AWAY_ENDING, AWAY_PAUSING, AWAY_STATES };
#define AWAY_MOVES(MOVE) \
    MOVE(AWAY_WAITING, AWAY_TAKING) \
    MOVE(AWAY_TAKING, AWAY_TELLING) \
    MOVE(AWAY_TAKING, AWAY_PAUSING) \
    MOVE(AWAY_PAUSING, AWAY_TAKING) \
    MOVE(AWAY_TELLING, AWAY_ENDING) \
    MOVE(AWAY_ENDING, AWAY_PAUSING) \
    MOVE(AWAY_PAUSING, AWAY_ENDING)

enum { AGAIN_MS = 1000, LOOK_MS = 1000 };
static const char lost[] = "instance_lost"; /* the reason, when nobody is left who knows it */

struct away {
    struct map_node by_lease; /* while it waits for its client */
    struct list node;
    struct timer timer;
    struct embed *embed;
    struct embed_nsp *nsp;
    struct embed_socket *socket; /* until it is told; NULL: it will get one then */
    char *lease, *sid, *data;
    size_t data_len;
    uint64_t generation;
    const char *reason;
    uint8_t state; /* enum away_state */
    bool listed, told;
};

/* The only function that changes its state. */
static void set_state(struct away *away, enum away_state state)
{
    static const bool legal[AWAY_STATES][AWAY_STATES] = {AWAY_MOVES(MOVE_LEGAL)};
    assert(legal[away->state][state]);
    away->state = (uint8_t)state;
}

static void unlist(struct away *away)
{
    if (away->listed)
        map_remove(&away->embed->aways, &away->by_lease);
    away->listed = false;
}

static void away_destroy(struct away *away)
{
    unlist(away);
    if (away->embed->loop != NULL)
        timer_stop(away->embed->loop, &away->timer);
    if (away->socket != NULL)
        note_gone(away->socket);
    list_remove(&away->node);
    embed_nsp_drop(away->nsp);
    free(away->lease);
    free(away->sid);
    free(away->data);
    free(away);
}

static void again(struct away *away)
{
    set_state(away, AWAY_PAUSING);
    timer_start(away->embed->loop, &away->timer, LOOP_MS(AGAIN_MS));
}

static void ended(void *arg, enum broker_result result)
{
    struct away *away = arg;
    if (result == BROKER_LOST && away->embed->is_open)
        again(away);
    else
        away_destroy(away);
}

static void end(struct away *away)
{
    set_state(away, AWAY_ENDING);
    struct buf own = {0};
    const struct nsp *nsp = &away->nsp->config->nsp;
    if (nsp->direct)
        subscriber_own_room_name(&own, nsp, span_str(away->sid));
    const struct broker_lease lease = {
        .pid = span_str(away->lease), .own = buf_span(&own), .generation = away->generation};
    broker_lease_end(hub_broker(away->embed->server.hub), &lease, ended, away);
    buf_finish(&own);
}

/* The handlers are told at the end of the turn. */
static void tell(struct away *away)
{
    const struct leaver leaver = {.nsp = &away->nsp->config->nsp,
                                  .sid = span_str(away->sid),
                                  .data = span_of(away->data, away->data_len),
                                  .part = away->socket};
    struct embed_socket *socket = embed_socket_left(away->nsp, &leaver);
    away->socket = NULL;
    note_disconnect(socket, away->reason, away);
}

void away_told(struct away *away)
{
    away->told = true;
    if (away->embed->is_open && away->generation != 0)
        end(away);
    else
        away_destroy(away);
}

static void taken(void *arg, enum broker_result result, const struct broker_lease *lease, bool position_ok)
{
    struct away *away = arg;
    if (!away->embed->is_open || result == BROKER_SUPERSEDED) {
        away_destroy(away);
    } else if (result == BROKER_LOST) {
        again(away);
    } else {
        away->generation = result == BROKER_OK ? lease->generation : 0; /* 0: the broker has lost it */
        set_state(away, AWAY_TELLING);
        tell(away);
    }
    (void)position_ok;
}

static void take(struct away *away)
{
    unlist(away);
    set_state(away, AWAY_TAKING);
    broker_lease_take(hub_broker(away->embed->server.hub), span_str(away->lease), away->generation, taken, away);
}

static void is_due(struct timer *timer)
{
    struct away *away = container_of(timer, struct away, timer);
    if (away->told)
        end(away);
    else
        take(away);
}

static struct away *away_create(struct embed_nsp *nsp, const struct leaver *leaver, const char *reason)
{
    struct away *away = mem_zero(1, sizeof *away);
    away->embed = nsp->embed;
    away->nsp = embed_nsp_use(nsp);
    away->lease = mem_text(leaver->lease);
    away->sid = mem_text(leaver->sid);
    away->data = mem_text(leaver->data);
    away->data_len = leaver->data.len;
    away->generation = leaver->generation;
    away->reason = reason;
    timer_init(&away->timer, is_due);
    list_init(&away->node);
    list_append(&nsp->embed->ends, &away->node);
    return away;
}

void away_cut(struct embed_nsp *nsp, const struct leaver *leaver, const char *reason)
{
    struct embed *embed = nsp->embed;
    uint64_t window_ms = leaver->nsp->recoverable ? leaver->nsp->recovery_ms - AWAY_MARGIN_MS : 0;
    if (!embed->is_open || nsp->config->nsp.watch.len == 0)
        return;
    away_returned(embed, leaver->lease); /* of an earlier cut */
    struct away *away = away_create(nsp, leaver, reason);
    away->listed = true;
    map_add(&embed->aways, &away->by_lease, span_str(away->lease));
    timer_start(embed->loop, &away->timer, LOOP_MS(window_ms));
}

void away_ended(struct embed_nsp *nsp, const struct leaver *leaver, const char *reason, struct embed_socket *socket)
{
    struct away *away = away_create(nsp, leaver, reason);
    away->socket = socket;
    if (nsp->embed->is_open)
        take(away);
    else
        away_destroy(away);
}

void away_returned(struct embed *embed, struct span lease)
{
    struct map_node *node = map_find(&embed->aways, lease);
    if (node != NULL)
        away_destroy(container_of(node, struct away, by_lease));
}

/* Whether it was told here already: its end was lost with a link. */
static bool is_told(const struct embed *embed, struct span lease)
{
    list_each (node, &embed->ends) {
        const struct away *away = container_of(node, struct away, node);
        if (away->told && span_equal(span_str(away->lease), lease))
            return true;
    }
    return false;
}

static void look(struct embed_nsp *nsp);

static void lapsed(void *arg, enum broker_result result, const struct broker_lease *lease, bool position_ok)
{
    struct embed_nsp *nsp = arg;
    struct span stale, subject;
    nsp->looking = false;
    if (result != BROKER_OK || !nsp->embed->is_open)
        return;
    struct leaver leaver = {.sid = lease->sid, .lease = lease->pid, .generation = lease->generation};
    bool told = is_told(nsp->embed, lease->pid);
    /* A pattern's leases are those of all that it has made: a lease's name ends with the namespace. */
    struct embed_nsp *of =
        embed_nsp_is_pattern(nsp) ? embed_nsp_make(nsp->embed, subscriber_lease_nsp(lease->pid)) : nsp;
    if (of == NULL)
        return; /* there are too many: the lease lapses again */
    lease_data_decode(lease->data, &stale, &subject, &leaver.data);
    struct away *away = away_create(of, &leaver, lost);
    set_state(away, AWAY_TAKING);
    set_state(away, AWAY_TELLING);
    if (told)
        away_told(away);
    else
        tell(away);
    look(nsp); /* there may be more */
    (void)position_ok;
}

static void look(struct embed_nsp *nsp)
{
    if (nsp->looking || nsp->like != nsp || nsp->config->nsp.watch.len == 0)
        return;
    nsp->looking = true;
    broker_lease_lapsed(hub_broker(nsp->embed->server.hub), nsp->config->nsp.watch, lapsed, nsp);
}

static void look_all(struct timer *timer)
{
    struct embed *embed = container_of(timer, struct embed, look);
    list_each (node, &embed->nsps)
        look(container_of(node, struct embed_nsp, node));
    embed_nsps_sweep(embed);
    timer_start(embed->loop, timer, LOOP_MS(LOOK_MS));
}

void aways_init(struct embed *embed)
{
    map_init(&embed->aways, embed->server.config.relay.namespaces.seed);
    timer_init(&embed->look, look_all);
}

void aways_look(struct embed *embed)
{
    if (!timer_running(&embed->look))
        timer_start(embed->loop, &embed->look, LOOP_MS(LOOK_MS));
}

void aways_finish(struct embed *embed)
{
    if (embed->loop != NULL)
        timer_stop(embed->loop, &embed->look);
    list_each (node, &embed->ends) {
        struct away *away = container_of(node, struct away, node);
        if (away->state == AWAY_WAITING || away->state == AWAY_PAUSING)
            away_destroy(away); /* the others are answered when the broker ends, or their notes end */
    }
    map_finish(&embed->aways);
}

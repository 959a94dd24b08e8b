/* fleet_due: what instances must have noticed after some time: a lost push, and the members of an instance that
 * died. */
#include <stdlib.h>

#include "base/mem.h"
#include "fleet_parts.h"

enum { GONE_PER_MILLE = 400, GONE_S = 9 };

/* A session that polls is where a request of it is, if it is anywhere. */
static bool is_on(const struct stock_client *client, const struct instance *instance)
{
    return engine_client_port(&client->engine) == instance->port;
}

void due_killed(struct fleet *fleet, struct instance *instance)
{
    uint64_t now = sim_now_us(fleet->sim);
    for (int i = 0; i < fleet->plan->clients; i++)
        if (fleet->clients[i].state == CLIENT_CONNECTED && is_on(&fleet->clients[i], instance))
            fleet->clients[i].witness.lease->missed_us = instance->pulsed_us + LOOP_MS(ROSTER_GONE_MS);
    if (!fleet->plan->stay_away)
        return;
    struct death *death = mem_zero(1, sizeof *death);
    death->words = fleet->check.leases.count / 64 + 1;
    death->leases = mem_zero(death->words, sizeof *death->leases);
    death->died_us = now;
    death->due_us = instance->pulsed_us + LOOP_MS(ROSTER_MISSED_MS) + fleet->slack_us;
    for (int i = 0; i < fleet->plan->clients; i++) {
        struct stock_client *client = &fleet->clients[i];
        if (client->state != CLIENT_CONNECTED || !is_on(client, instance) || !sim_chance(fleet->sim, GONE_PER_MILLE))
            continue;
        uint32_t number = client->witness.lease->number;
        stock_client_stay_away(client, now + LOOP_S(GONE_S));
        death->leases[number / 64] |= 1ull << number % 64;
    }
    list_init(&death->node);
    list_append(&fleet->deaths, &death->node);
}

static void death_destroy(struct death *death)
{
    list_remove(&death->node);
    free(death->leases);
    free(death);
}

/* Those who came back all the same (the faults ended, and nobody stays away any more) are not missed. */
static void death_due(struct fleet *fleet, struct death *death)
{
    for (int i = 0; i < fleet->plan->clients; i++) {
        const struct lease *lease = fleet->clients[i].witness.lease;
        if (lease == NULL || !(lease->number / 64 < death->words))
            continue;
        if (lease->held || lease->away_us > death->died_us + fleet->slack_us)
            death->leases[lease->number / 64] &= ~(1ull << lease->number % 64);
        else
            fleet->missed += death->leases[lease->number / 64] >> lease->number % 64 & 1;
    }
    if (fleet->world.rosters != NULL && fleet->rosters.strict)
        rosters_missed(&fleet->rosters, death->leases, death->words, death->died_us);
}

void due_swallowed(struct fleet *fleet, const struct instance *instance, const struct pushed *pushed)
{
    size_t index = check_swallowed(&fleet->check, pushed, instance->number);
    struct lease *lease = pushed->log == LOG_OWN ? lease_by_sid(&fleet->check, pushed->sid) : NULL;
    if (!fleet->check.rules.calm || index == SIZE_MAX)
        return;
    struct swallowed *swallowed = mem_zero(1, sizeof *swallowed);
    swallowed->at_us = sim_now_us(fleet->sim);
    swallowed->due_us = swallowed->at_us + LOOP_MS(REPAIRED_MS) + fleet->slack_us;
    swallowed->instance = instance->number;
    swallowed->log = pushed->log;
    swallowed->lease = lease;
    swallowed->index = index;
    list_init(&swallowed->node);
    list_append(&fleet->swallowed, &swallowed->node);
}

/* A client that was on that instance before, and still is, has been shown it by now. */
static void swallowed_due(struct fleet *fleet, const struct swallowed *swallowed)
{
    struct check *check = &fleet->check;
    for (int i = 0; i < fleet->plan->clients; i++) {
        const struct stock_client *client = &fleet->clients[i];
        struct lease *lease = client->witness.lease;
        if (client->state != CLIENT_CONNECTED || client->witness.instance != swallowed->instance ||
            client->connected_us > swallowed->at_us || (swallowed->lease != NULL && swallowed->lease != lease))
            continue;
        for (size_t j = 0; j < lease->stay_count; j++) {
            const struct stay *stay = &lease->stays[j];
            if (stay->log == swallowed->log && !stay->gone && swallowed->index >= stay->next &&
                stay->opened_us < swallowed->at_us && stay_owes(check, lease, stay, swallowed->index))
                check_fail(check, "%s: message %u of log %d, whose push was lost, did not come within %d ms",
                           client->witness.name,
                           truth_log_of(check, lease, swallowed->log)->entries[swallowed->index].message,
                           swallowed->log, REPAIRED_MS);
        }
    }
}

void due_check(struct fleet *fleet)
{
    uint64_t now = sim_now_us(fleet->sim);
    list_each (node, &fleet->deaths) {
        struct death *death = container_of(node, struct death, node);
        if (death->due_us > now)
            continue;
        death_due(fleet, death);
        death_destroy(death);
    }
    list_each (node, &fleet->swallowed) {
        struct swallowed *swallowed = container_of(node, struct swallowed, node);
        if (swallowed->due_us > now)
            continue;
        swallowed_due(fleet, swallowed);
        list_remove(node);
        free(swallowed);
    }
}

void due_finish(struct fleet *fleet)
{
    list_each (node, &fleet->deaths) {
        death_destroy(container_of(node, struct death, node));
    }
    list_each (node, &fleet->swallowed) {
        list_remove(node);
        free(container_of(node, struct swallowed, node));
    }
}

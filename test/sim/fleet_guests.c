/* fleet_guests: fleets with clients of raw rooms (raw_client.h), or with clients that ask each other (ask_client.h),
 * beside those of the other fleets. In other fleets these functions do nothing. */
#include <stdlib.h>

#include "base/mem.h"
#include "fleet_parts.h"

static bool is_calm(const struct fleet *fleet)
{
    return fleet->world.stays && fleet->plan->link_cuts == 0;
}

void guests_init(struct fleet *fleet)
{
    raw_check_init(&fleet->raw, &fleet->check, fleet->slack_us);
    ask_check_init(&fleet->asks, &fleet->check, is_calm(fleet), fleet->slack_us);
}

void guests_start(struct fleet *fleet)
{
    static const enum engine_kind kinds[] = {ENGINE_WEBSOCKET, ENGINE_DEFAULT, ENGINE_POLLING,
                                             ENGINE_POLLING,   ENGINE_PYTHON,  ENGINE_PYTHON_POLLING};
    const struct fleet_plan *plan = fleet->plan;
    fleet->raws = mem_zero((size_t)plan->raws, sizeof *fleet->raws);
    fleet->askers = mem_zero((size_t)plan->askers, sizeof *fleet->askers);
    for (int i = 0; i < plan->raws; i++)
        raw_client_init(&fleet->raws[i], &fleet->world, &fleet->raw, i);
    for (int i = 0; i < plan->askers; i++) {
        enum engine_kind kind = kinds[sim_below(fleet->sim, sizeof kinds / sizeof kinds[0])];
        ask_client_init(&fleet->askers[i], &fleet->world, &fleet->asks, fleet->askers, plan->askers, i,
                        plan->freezes && kind == ENGINE_WEBSOCKET ? ENGINE_POLLING : kind);
    }
}

void guests_quiet(struct fleet *fleet)
{
    for (int i = 0; i < fleet->plan->raws; i++)
        raw_client_quiet(&fleet->raws[i]);
    for (int i = 0; i < fleet->plan->askers; i++)
        visitor_quiet(&fleet->askers[i].visitor);
}

bool guests_are_settled(const struct fleet *fleet)
{
    bool settled = true;
    for (int i = 0; i < fleet->plan->raws; i++)
        settled = settled && (fleet->world.timeout_us != 0 || raw_client_is_settled(&fleet->raws[i]));
    for (int i = 0; i < fleet->plan->askers; i++)
        settled = settled && ask_client_is_settled(&fleet->askers[i]);
    return settled;
}

void guests_check(struct fleet *fleet)
{
    for (int i = 0; i < fleet->plan->raws; i++)
        if (fleet->world.timeout_us == 0 && !raw_client_is_settled(&fleet->raws[i]))
            check_fail(&fleet->check, "%s: is not back", fleet->raws[i].member.name);
    for (int i = 0; i < fleet->plan->askers && fleet->world.timeout_us == 0; i++)
        ask_client_check(&fleet->askers[i]);
}

void guests_due(struct fleet *fleet)
{
    if (fleet->plan->raws > 0)
        raw_check_due(&fleet->raw);
}

void guests_pushed(struct fleet *fleet, const struct pushed *pushed)
{
    if (span_starts_with(pushed->room, SPAN_LIT("raw")))
        raw_check_pushed(&fleet->raw, pushed->room, pushed->body);
}

void guests_trouble(struct fleet *fleet, int instance, uint64_t lasts_us)
{
    raw_check_trouble(&fleet->raw, instance, lasts_us);
}

void guests_leave(struct fleet *fleet)
{
    for (int i = 0; i < fleet->plan->raws; i++)
        raw_client_finish(&fleet->raws[i]);
    for (int i = 0; i < fleet->plan->askers; i++)
        ask_client_finish(&fleet->askers[i]);
}

void guests_count(const struct fleet *fleet, struct fleet_result *result)
{
    result->raw_sent = fleet->raw.counts.sent;
    result->raw_shown = fleet->raw.counts.shown;
    result->raw_owed = fleet->raw.counts.owed;
    result->asked = fleet->asks.counts.asked;
    result->ask_answered = fleet->asks.counts.answered;
    result->ask_late = fleet->asks.counts.late;
    result->ask_gone = fleet->asks.counts.gone;
    result->ask_refused = fleet->asks.counts.refused;
}

void guests_finish(struct fleet *fleet)
{
    raw_check_finish(&fleet->raw);
    ask_check_finish(&fleet->asks);
    free(fleet->raws);
    free(fleet->askers);
}

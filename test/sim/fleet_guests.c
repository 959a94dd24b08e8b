/* fleet_guests: fleets with clients of raw rooms (raw_client.h), with clients that ask each other (ask_client.h), or
 * with clients that programs and a backend ask together (survey_client.h), beside those of the other fleets. In other
 * fleets these functions do nothing. */
#include <stdlib.h>

#include "base/mem.h"
#include "fleet_parts.h"

/* So long an instance may wait for word of a polling session that was lost. */
enum { REMINDED_US = 2000000 };

static bool is_calm(const struct fleet *fleet)
{
    return fleet->world.stays && fleet->plan->link_cuts == 0;
}

void guests_init(struct fleet *fleet)
{
    raw_check_init(&fleet->raw, &fleet->check, fleet->slack_us);
    ask_check_init(&fleet->asks, &fleet->check, is_calm(fleet), fleet->slack_us);
    survey_check_init(&fleet->surveys, &fleet->check, is_calm(fleet),
                      fleet->slack_us + (fleet->plan->unheard > 0 ? REMINDED_US : 0));
}

static void surveyors_start(struct fleet *fleet, const enum engine_kind *kinds, size_t kind_count)
{
    const struct fleet_plan *plan = fleet->plan;
    fleet->surveyors = mem_zero((size_t)plan->surveyors, sizeof *fleet->surveyors);
    for (int i = 0; i < plan->surveyors; i++) {
        enum engine_kind kind = kinds[sim_below(fleet->sim, kind_count)];
        survey_client_init(&fleet->surveyors[i], &fleet->world, &fleet->surveys, i,
                           plan->freezes && kind == ENGINE_WEBSOCKET ? ENGINE_POLLING : kind);
    }
    if (plan->surveyors > 0)
        survey_caller_init(&fleet->survey_caller, &fleet->world, &fleet->surveys);
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
    surveyors_start(fleet, kinds, sizeof kinds / sizeof kinds[0]);
    if (plan->publishes)
        api_publisher_init(&fleet->publisher, &fleet->world);
}

void guests_quiet(struct fleet *fleet)
{
    for (int i = 0; i < fleet->plan->raws; i++)
        raw_client_quiet(&fleet->raws[i]);
    for (int i = 0; i < fleet->plan->askers; i++)
        visitor_quiet(&fleet->askers[i].visitor);
    for (int i = 0; i < fleet->plan->surveyors; i++)
        visitor_quiet(&fleet->surveyors[i].visitor);
    for (int i = 0; i < fleet->plan->instances; i++)
        fleet->instances[i].survey.is_quiet = true;
    survey_caller_quiet(&fleet->survey_caller);
    api_publisher_quiet(&fleet->publisher);
}

bool guests_are_settled(const struct fleet *fleet)
{
    bool settled = true;
    for (int i = 0; i < fleet->plan->raws; i++)
        settled = settled && (fleet->world.timeout_us != 0 || raw_client_is_settled(&fleet->raws[i]));
    for (int i = 0; i < fleet->plan->askers; i++)
        settled = settled && ask_client_is_settled(&fleet->askers[i]);
    for (int i = 0; i < fleet->plan->surveyors; i++)
        settled = settled && survey_client_is_settled(&fleet->surveyors[i]);
    settled = settled && survey_caller_is_settled(&fleet->survey_caller);
    settled = settled && api_publisher_is_settled(&fleet->publisher);
    return settled;
}

void guests_check(struct fleet *fleet)
{
    for (int i = 0; i < fleet->plan->raws; i++)
        if (fleet->world.timeout_us == 0 && !raw_client_is_settled(&fleet->raws[i]))
            check_fail(&fleet->check, "%s: is not back", fleet->raws[i].member.name);
    for (int i = 0; i < fleet->plan->askers && fleet->world.timeout_us == 0; i++)
        ask_client_check(&fleet->askers[i]);
    for (int i = 0; i < fleet->plan->surveyors && fleet->world.timeout_us == 0; i++)
        survey_client_check(&fleet->surveyors[i]);
    api_publisher_check(&fleet->publisher);
}

void guests_due(struct fleet *fleet)
{
    if (fleet->plan->raws > 0)
        raw_check_due(&fleet->raw);
    for (int i = 0; i < fleet->plan->surveyors; i++)
        survey_client_look(&fleet->surveyors[i]);
    survey_check_due(&fleet->surveys, false);
}

void guests_pushed(struct fleet *fleet, const struct pushed *pushed)
{
    if (span_starts_with(pushed->room, SPAN_LIT("raw")))
        raw_check_pushed(&fleet->raw, pushed->room, pushed->body);
}

void guests_trouble(struct fleet *fleet, int instance, uint64_t lasts_us)
{
    raw_check_trouble(&fleet->raw, instance, lasts_us);
    survey_check_trouble(&fleet->surveys, instance, lasts_us);
}

void guests_leave(struct fleet *fleet)
{
    for (int i = 0; i < fleet->plan->raws; i++)
        raw_client_finish(&fleet->raws[i]);
    for (int i = 0; i < fleet->plan->askers; i++)
        ask_client_finish(&fleet->askers[i]);
    for (int i = 0; i < fleet->plan->surveyors; i++)
        survey_client_finish(&fleet->surveyors[i]);
    survey_caller_finish(&fleet->survey_caller);
    api_publisher_finish(&fleet->publisher);
}

void guests_end(struct fleet *fleet)
{
    survey_check_due(&fleet->surveys, true);
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
    result->published = fleet->publisher.counts.published;
    result->published_sent = fleet->publisher.counts.sent;
    result->published_again = fleet->publisher.counts.repeated;
    result->published_refused = fleet->publisher.counts.refused;
    result->surveys = fleet->surveys.counts.asked;
    result->survey_heard = fleet->surveys.counts.heard;
    result->survey_answers = fleet->surveys.counts.answers;
    result->survey_missing = fleet->surveys.counts.missing;
    result->survey_incomplete = fleet->surveys.counts.incomplete;
    result->survey_failed = fleet->surveys.counts.failed;
    result->survey_judged = fleet->surveys.counts.judged;
}

void guests_finish(struct fleet *fleet)
{
    raw_check_finish(&fleet->raw);
    ask_check_finish(&fleet->asks);
    survey_check_finish(&fleet->surveys);
    free(fleet->raws);
    free(fleet->askers);
    free(fleet->surveyors);
}

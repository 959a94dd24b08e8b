/* fleet_program: fleets of the kind `program`: on each instance an application on sennit.h runs (program.h), with
 * clients of its own (program_client.h) beside those of the other fleets. */
#include <stdlib.h>

#include "base/mem.h"
#include "embed/embed_parts.h"
#include "embed/hosted.h"
#include "fake_redis_parts.h"
#include "fleet_parts.h"
#include "program_client.h"

/* So soon a link is up again, and so late it may be noticed that it is silent. */
enum { LINK_BACK_US = 2000000, SILENCE_US = 10000000 };

static uint64_t lease_generation(void *arg, const char *pid)
{
    const struct fake_key *key = redis_key(arg, "lease:", span_str(pid));
    const struct fake_field *field = key != NULL ? fake_table_find(key->table, SPAN_LIT("generation")) : NULL;
    uint64_t generation = 0;
    return field != NULL && span_to_u64(buf_span(&field->value), &generation) ? generation : 0;
}

/* The program does not see it. */
static uint64_t socket_generation(sennit_socket *handle)
{
    const struct embed_socket *socket = handle_peek(handle, HANDLE_SOCKET);
    return socket != NULL && socket->subscriber != NULL ? subscriber_generation(socket->subscriber) : 0;
}

bool program_open(struct instance *instance, const struct serve_options *options, struct err *err)
{
    struct fleet *fleet = instance->fleet;
    instance->embed = embed_create();
    instance->server = &instance->embed->server;
    if (!embed_open(instance->embed, instance->loop, options)) {
        *err = instance->embed->err;
        return false;
    }
    if (fleet->plan->programs > 0) {
        program_start(&instance->program, fleet->sim, &fleet->program, instance->number, instance->embed->handle);
        instance->program.generation = socket_generation;
        instance->program.is_quiet = fleet->healed;
    }
    if (fleet->plan->surveyors > 0) {
        survey_program_start(&instance->survey, fleet->sim, &fleet->surveys, instance->number, instance->embed->handle);
        instance->survey.is_quiet = fleet->healed;
    }
    return true;
}

void program_close(struct instance *instance, bool killed)
{
    instance->program.is_gone = instance->survey.is_gone = killed;
    guests_trouble(instance->fleet, instance->number, 0);
    if (killed && instance->fleet->plan->programs > 0)
        program_check_killed(&instance->fleet->program, instance->number);
    embed_close(instance->embed);
}

void program_free(struct instance *instance)
{
    program_finish(&instance->program);
    survey_program_finish(&instance->survey);
    embed_free(instance->embed);
    instance->embed = NULL;
}

void program_trouble(struct fleet *fleet, int instance)
{
    guests_trouble(fleet, instance, LINK_BACK_US);
    if (fleet->plan->programs > 0)
        program_check_trouble(&fleet->program, instance, LINK_BACK_US);
}

void program_link_trouble(struct fleet *fleet, const struct sim_end *end, bool silent)
{
    for (int i = 0; i < fleet->plan->instances; i++) {
        const struct loop *loop = fleet->instances[i].loop;
        if (loop == NULL || (end->loop != loop && sim_host_of(end) != loop))
            continue;
        guests_trouble(fleet, i, silent ? SILENCE_US : LINK_BACK_US);
        if (fleet->plan->programs > 0)
            program_check_trouble(&fleet->program, i, silent ? SILENCE_US : LINK_BACK_US);
    }
}

void programs_init(struct fleet *fleet)
{
    if (fleet->plan->programs > 0)
        program_check_init(&fleet->program, &fleet->check, LOOP_MS(PROGRAM_WINDOW_MS), fleet->slack_us);
    fleet->program.verbose = fleet->plan->verbose;
    fleet->program.lease_generation = lease_generation;
    fleet->program.arg = fleet;
}

void programs_start(struct fleet *fleet)
{
    static const enum engine_kind kinds[] = {ENGINE_WEBSOCKET, ENGINE_WEBSOCKET, ENGINE_DEFAULT,
                                             ENGINE_POLLING,   ENGINE_POLLING,   ENGINE_PYTHON};
    int count = fleet->plan->programs;
    fleet->program_clients = mem_zero((size_t)count, sizeof *fleet->program_clients);
    for (int i = 0; i < count; i++) {
        enum engine_kind kind = kinds[sim_below(fleet->sim, sizeof kinds / sizeof kinds[0])];
        program_client_init(&fleet->program_clients[i], &fleet->world, &fleet->program, i,
                            fleet->plan->freezes && kind == ENGINE_WEBSOCKET ? ENGINE_POLLING : kind);
    }
}

void programs_quiet(struct fleet *fleet)
{
    for (int i = 0; i < fleet->plan->programs; i++)
        visitor_quiet(&fleet->program_clients[i].visitor);
    for (int i = 0; i < fleet->plan->instances; i++)
        fleet->instances[i].program.is_quiet = true;
}

bool programs_are_settled(const struct fleet *fleet)
{
    bool settled = true;
    for (int i = 0; i < fleet->plan->programs; i++)
        settled = settled && program_client_is_settled(&fleet->program_clients[i]);
    return settled;
}

void programs_check(struct fleet *fleet)
{
    for (int i = 0; i < fleet->plan->programs; i++)
        program_client_check(&fleet->program_clients[i]);
}

void programs_leave(struct fleet *fleet)
{
    for (int i = 0; i < fleet->plan->programs; i++)
        program_client_finish(&fleet->program_clients[i]);
}

void programs_count(const struct fleet *fleet, struct fleet_result *result)
{
    const struct program_check *program = &fleet->program;
    result->program_sockets = program->counts.connects;
    result->program_resumed = program->counts.resumed;
    result->program_moved = program->counts.moved;
    result->program_ended = program->counts.disconnects;
    result->program_lost = program->counts.lost;
    result->program_again = program->counts.again;
    result->program_stale = program->counts.stale;
    result->program_writes = program->counts.writes;
    result->program_answered = program->counts.answered;
    result->program_unanswered = program->counts.unanswered;
}

void programs_finish(struct fleet *fleet)
{
    if (fleet->plan->programs == 0)
        return;
    program_check_finish(&fleet->program);
    free(fleet->program_clients);
}

/* survey_program: what it asks, and what it is told. See survey_program.h. */
#include "survey_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { TICK_MS = 300, TIMEOUT_MS_MAX = 3000 };

struct survey_asked {
    struct list node;
    struct survey_program *program;
    uint32_t number;
};

const char *survey_room(int room)
{
    static const char *const rooms[SURVEY_ROOMS] = {"red", "blue"};
    return rooms[room];
}

uint64_t survey_timeout_pick(struct survey_check *check)
{
    struct sim *sim = check->check->sim;
    return sim_chance(sim, 300) ? 1 + sim_below(sim, 100) : 100 + sim_below(sim, TIMEOUT_MS_MAX - 100);
}

void survey_target_pick(struct survey_check *check, struct survey_target *target)
{
    struct sim *sim = check->check->sim;
    uint64_t dice = sim_below(sim, 100);
    const struct survey_member *member = check->members[sim_below(sim, (uint64_t)check->count)];
    *target = (struct survey_target){.rooms = 0};
    if (dice < 40)
        target->rooms = 0;
    else if (dice < 65)
        target->rooms = (uint8_t)(1 + sim_below(sim, (1 << SURVEY_ROOMS) - 1));
    else if (dice < 80)
        memcpy(target->sid, member->sid, SID_TEXT);
    else if (dice < 90)
        target->excepts = (uint8_t)(1 << sim_below(sim, SURVEY_ROOMS));
    else
        memcpy(target->except_sid, member->sid, SID_TEXT);
}

static struct sennit_target target_of(const struct survey_program *program, const struct survey_target *from)
{
    struct sennit_target target = sennit_to_all(program->nsp);
    if (from->sid[0] != '\0')
        target = sennit_to_room(program->nsp, from->sid);
    if (from->except_sid[0] != '\0')
        target = sennit_except(target, from->except_sid);
    for (int room = 0; room < SURVEY_ROOMS; room++) {
        if (from->rooms & 1 << room)
            target = target.room_count > 0 ? sennit_and(target, survey_room(room))
                                           : sennit_to_room(program->nsp, survey_room(room));
        if (from->excepts & 1 << room)
            target = sennit_except(target, survey_room(room));
    }
    return target;
}

static void answer_told(struct survey_asked *asked, sennit_event *event, size_t i)
{
    char path[48];
    struct survey_answer answer;
    snprintf(path, sizeof path, "%zu.id", i);
    struct span sid = span_str(sennit_arg_string(event, 0, path));
    snprintf(path, sizeof path, "%zu.answer.0", i);
    answer.number = (uint64_t)sennit_arg_integer(event, 0, path, 0);
    snprintf(path, sizeof path, "%zu.answer.1", i);
    answer.sid = span_str(sennit_arg_string(event, 0, path));
    snprintf(path, sizeof path, "%zu.answer.2", i);
    struct sennit_blob blob = sennit_arg_bytes(event, 0, path);
    answer.bytes = span_of(blob.data, blob.bytes);
    survey_check_answer(asked->program->check, asked->number, sid, &answer);
}

static void all_answered(sennit_event *event, void *data)
{
    struct survey_asked *asked = data;
    struct survey_program *program = asked->program;
    if (program->is_gone)
        return;
    if (sennit_event_error(event) != NULL) {
        if (strcmp(sennit_event_error(event), "ended") != 0)
            check_fail(program->check->check, "survey %u: %s", asked->number, sennit_event_error(event));
        survey_check_failed(program->check, asked->number);
        return;
    }
    for (size_t i = 0; i < sennit_arg_length(event, 0, NULL); i++)
        answer_told(asked, event, i);
    for (size_t i = 0; i < sennit_arg_length(event, 1, NULL); i++) {
        char path[24];
        snprintf(path, sizeof path, "%zu", i);
        survey_check_missing(program->check, asked->number, span_str(sennit_arg_string(event, 1, path)));
    }
    survey_check_over(program->check, asked->number, sennit_arg_bool(event, 2, NULL, false));
}

static void ask(struct survey_program *program, const struct survey_target *meant, struct sennit_target target)
{
    uint64_t timeout_ms = survey_timeout_pick(program->check);
    struct survey_asked *asked = mem_zero(1, sizeof *asked);
    list_init(&asked->node);
    list_append(&program->asked, &asked->node);
    asked->program = program;
    asked->number = survey_check_asked(program->check, meant, timeout_ms, program->instance);
    if (!sennit_ask_allf(target, timeout_ms, all_answered, asked, "vote", "I", (int64_t)asked->number))
        check_fail(program->check->check, "survey %u is not sent", asked->number);
}

/* A client lets all others be asked. */
static void survey(sennit_event *event, void *data)
{
    struct survey_program *program = data;
    struct survey_target meant = {.rooms = 0};
    snprintf(meant.except_sid, sizeof meant.except_sid, "%s", sennit_socket_id(sennit_event_socket(event)));
    ask(program, &meant, sennit_to_others(event));
}

static void relay(sennit_event *event, void *data)
{
    sennit_relay(event);
}

static void tick(void *data)
{
    struct survey_program *program = data;
    struct survey_target target;
    if (program->is_quiet || program->is_gone)
        return;
    survey_target_pick(program->check, &target);
    ask(program, &target, target_of(program, &target));
}

void survey_program_start(struct survey_program *program, struct sim *sim, struct survey_check *check, int instance,
                          sennit_server *server)
{
    *program = (struct survey_program){.sim = sim, .check = check, .instance = instance};
    list_init(&program->asked);
    program->nsp = sennit_namespace(server, "/survey");
    sennit_on(program->nsp, "enter", relay, program);
    sennit_on(program->nsp, "survey", survey, program);
    sennit_every(server, TICK_MS, tick, program);
}

void survey_program_finish(struct survey_program *program)
{
    struct list *node;
    while (program->asked.next != NULL && (node = list_take(&program->asked)) != NULL) {
        struct survey_asked *asked = container_of(node, struct survey_asked, node);
        if (!survey_is_over(program->check, asked->number) && !program->is_gone)
            check_fail(program->check->check, "survey %u: its instance has ended, and its handler was never called",
                       asked->number);
        if (!survey_is_over(program->check, asked->number))
            survey_check_failed(program->check, asked->number);
        free(asked);
    }
}

/* program: its handlers, each of which tells the checker what it is told. See program.h. */
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { TICK_MS = 250, ASK_MS_MAX = 4000, LATER_MS_MAX = 400 };

/* An event that is acknowledged later. */
struct later {
    struct list node;
    struct check *check;
    sennit_event *event;
    int64_t number;
};

/* A question. It stays until the program ends, so that a second answer to it finds it. */
struct asked {
    struct list node;
    struct program *program;
    struct question_asked *question;
    sennit_socket *socket;
};

static const char *sid_of(sennit_event *event)
{
    return sennit_socket_id(sennit_event_socket(event));
}

static const char *data_of(sennit_event *event)
{
    return sennit_data(sennit_event_socket(event), NULL);
}

static void write_data(struct program *program, sennit_socket *socket)
{
    char data[PROGRAM_DATA_BYTES_MAX];
    program_check_write(program->check, program->instance, sennit_socket_id(socket), program->generation(socket), data);
    if (!sennit_data_set(socket, data, strlen(data)))
        check_fail(program->check->check, "instance %d cannot write data", program->instance);
}

static void answered(sennit_event *answer, void *data)
{
    struct asked *asked = data;
    struct program *program = asked->program;
    if (!program->is_gone)
        program_check_answered(program->check, asked->question, sennit_event_error(answer),
                               (uint32_t)sennit_arg_integer(answer, 0, NULL, 0), sennit_socket_is_here(asked->socket));
}

static void ask(struct program *program, sennit_socket *socket)
{
    struct asked *asked = mem_zero(1, sizeof *asked);
    uint64_t timeout_ms = 20 + sim_below(program->sim, ASK_MS_MAX);
    asked->program = program;
    list_init(&asked->node);
    list_append(&program->asked, &asked->node);
    asked->socket = socket;
    asked->question = program_check_asked(program->check, program->instance, sennit_socket_id(socket), timeout_ms);
    if (sennit_askf(socket, timeout_ms, answered, asked, "question", "I",
                    (int64_t)program_question_number(asked->question)))
        return;
    program_check_unasked(asked->question);
    list_remove(&asked->node);
    free(asked);
}

/* A client says whether it wants to be refused, and with which data. */
static void connecting(sennit_event *event, void *data)
{
    char text[32];
    int64_t code = sennit_arg_integer(event, 0, "refuse", 0);
    snprintf(text, sizeof text, "{\"code\":%lld}", (long long)code);
    if (code != 0)
        sennit_refuse(event, "not today", text);
}

static void keep(struct program *program, sennit_socket *socket)
{
    size_t at = program->socket_count;
    if (at < PROGRAM_SOCKETS_MAX)
        program->socket_count++;
    else
        at = sim_below(program->sim, PROGRAM_SOCKETS_MAX);
    program->sockets[at] = socket;
}

static void connected(sennit_event *event, void *data)
{
    struct program *program = data;
    sennit_socket *socket = sennit_event_socket(event);
    program_check_connect(program->check, program->instance, sid_of(event), sennit_socket_is_here(socket));
    if (!sennit_socket_is_here(socket))
        return; /* it has left in the same turn */
    keep(program, socket);
    write_data(program, socket);
    sennit_join(socket, "hall");
}

static void arrived(struct program *program, sennit_event *event, bool moved)
{
    sennit_socket *socket = sennit_event_socket(event);
    if (!program_check_arrived(program->check, program->instance, sid_of(event), program->generation(socket),
                               data_of(event), moved) ||
        !sennit_socket_is_here(socket))
        return;
    keep(program, socket);
    if (sim_chance(program->sim, 300))
        write_data(program, socket);
    if (sim_chance(program->sim, 300))
        ask(program, socket);
}

static void resumed(sennit_event *event, void *data)
{
    arrived(data, event, false);
}

static void moved(sennit_event *event, void *data)
{
    arrived(data, event, true);
}

static void gone(sennit_event *event, void *data)
{
    struct program *program = data;
    program_check_disconnect(program->check, program->instance, sid_of(event), sennit_event_reason(event),
                             data_of(event));
    sennit_emitf(sennit_to_all(program->nsp), "gone", "s,s", sid_of(event), sennit_event_reason(event));
}

static bool is_ours(struct program *program, sennit_event *event)
{
    sennit_socket *socket = sennit_event_socket(event);
    return program_check_event(program->check, program->instance, sid_of(event), program->generation(socket),
                               data_of(event)) &&
           sennit_socket_is_here(socket);
}

/* `["count", number]`: one write more, and the same number back. */
static void count(sennit_event *event, void *data)
{
    struct program *program = data;
    if (is_ours(program, event))
        write_data(program, sennit_event_socket(event));
    sennit_ackf(event, "I", sennit_arg_integer(event, 0, NULL, 0));
}

static void is_late(void *data)
{
    struct later *later = data;
    bool here = sennit_socket_is_here(sennit_event_socket(later->event));
    if (!sennit_ackf(later->event, "I", later->number) && here)
        check_fail(later->check, "an event is acknowledged in vain to a socket that is here");
    sennit_event_free(later->event);
    list_remove(&later->node);
    free(later);
}

/* `["later", number]`: the same number back, later. */
static void later(sennit_event *event, void *data)
{
    struct program *program = data;
    is_ours(program, event);
    if (!sennit_event_keep(event))
        return;
    struct later *later = mem_zero(1, sizeof *later);
    later->check = program->check->check;
    later->event = event;
    later->number = sennit_arg_integer(event, 0, NULL, 0);
    list_init(&later->node);
    list_append(&program->laters, &later->node);
    sennit_after(program->server, 1 + sim_below(program->sim, LATER_MS_MAX), is_late, later);
}

static void say(sennit_event *event, void *data)
{
    is_ours(data, event);
    sennit_emit(sennit_acknowledging(sennit_logged(sennit_to_room(sennit_event_nsp(event), "hall")), event), "said",
                sennit_event_args(event));
}

static void ask_me(sennit_event *event, void *data)
{
    if (is_ours(data, event))
        ask(data, sennit_event_socket(event));
    sennit_ackf(event, "I", sennit_arg_integer(event, 0, NULL, 0));
}

/* As the rules of the YAML file have it. */
static void relay(sennit_event *event, void *data)
{
    sennit_relay(event);
}

/* What it does by itself, with a socket that is here. */
static void tick(void *data)
{
    struct program *program = data;
    if (program->socket_count == 0 || program->is_quiet)
        return;
    sennit_socket *socket = program->sockets[sim_below(program->sim, program->socket_count)];
    uint64_t dice = sim_below(program->sim, 100);
    if (!sennit_socket_is_here(socket))
        return;
    struct sennit_target target = sennit_to_room(program->nsp, sennit_socket_id(socket));
    if (dice < 40)
        ask(program, socket);
    else if (dice < 55)
        write_data(program, socket);
    else if (dice < 70)
        sennit_make_join(target, "hall");
    else if (dice < 80)
        sennit_make_leave(target, "hall");
    else if (dice < 82)
        sennit_disconnect(socket);
    else if (dice < 84)
        sennit_make_disconnect(target);
    else
        sennit_emitf(sennit_to_all(program->nsp), "tick", "i", program->instance);
}

void program_start(struct program *program, struct sim *sim, struct program_check *check, int instance,
                   sennit_server *server)
{
    static const char *const relayed[] = {"all", "say", "dm", "hum", "join"};
    const struct sennit_nsp_options options = {.recovery_ms = PROGRAM_WINDOW_MS};
    *program = (struct program){.sim = sim, .check = check, .instance = instance, .server = server};
    list_init(&program->laters);
    list_init(&program->asked);
    program->nsp = sennit_namespace_with(server, "/program", &options);
    sennit_on_connecting(program->nsp, connecting, program);
    sennit_on_connect(program->nsp, connected, program);
    sennit_on_resumed(program->nsp, resumed, program);
    sennit_on_moved(program->nsp, moved, program);
    sennit_on_disconnect(program->nsp, gone, program);
    sennit_on(program->nsp, "count", count, program);
    sennit_on(program->nsp, "later", later, program);
    sennit_on(program->nsp, "say", say, program);
    sennit_on(program->nsp, "ask-me", ask_me, program);
    sennit_nsp *root = sennit_namespace(server, "/");
    for (size_t i = 0; i < sizeof relayed / sizeof relayed[0]; i++)
        sennit_on(root, relayed[i], relay, program);
    sennit_every(server, TICK_MS, tick, program);
}

void program_finish(struct program *program)
{
    struct list *node;
    program->server = NULL;
    while (program->laters.next != NULL && (node = list_take(&program->laters)) != NULL)
        free(container_of(node, struct later, node));
    while (program->asked.next != NULL && (node = list_take(&program->asked)) != NULL)
        free(container_of(node, struct asked, node));
}

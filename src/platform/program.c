/* program: starts the process, probes it, and ends it. The moves of its state are a table. */
#include "platform/program.h"

#include <assert.h>
#include <signal.h>
#include <string.h>

#include "base/moves.h"

#define PROGRAM_MOVES(MOVE) \
    MOVE(PROGRAM_OFF, PROGRAM_STARTING) \
    MOVE(PROGRAM_STARTING, PROGRAM_READY) \
    MOVE(PROGRAM_STARTING, PROGRAM_STOPPING) \
    MOVE(PROGRAM_STARTING, PROGRAM_ENDED) \
    MOVE(PROGRAM_READY, PROGRAM_STOPPING) \
    MOVE(PROGRAM_READY, PROGRAM_ENDED) \
    MOVE(PROGRAM_STOPPING, PROGRAM_ENDED) \
    MOVE(PROGRAM_ENDED, PROGRAM_OFF)

/* The only function that changes a program's state. program.h has the picture. */
static void set_state(struct program *program, enum program_state state)
{
    static const bool legal[PROGRAM_STATES][PROGRAM_STATES] = {PROGRAM_MOVES(MOVE_LEGAL)};
    assert(legal[program->state][state]);
    program->state = (uint8_t)state;
}

static struct loop *loop_of(const struct program *program)
{
    return program->programs->loop;
}

const struct probe_spec program_probe_default = {
    .kind = PROBE_TCP,
    .delay_ms = PROGRAM_PROBE_MS,
    .period_ms = PROGRAM_PROBE_MS,
    .timeout_ms = PROGRAM_PROBE_TIMEOUT_MS,
    .successes = 1,
};

static void too_late(struct program *program)
{
    program->events->late(program);
    probe_stop(&program->probe);
    program_kill(program);
}

static void probe_judged(struct probe *probe, bool is_well)
{
    struct program *program = container_of(probe, struct program, probe);
    if (program->state != PROGRAM_STARTING)
        return;
    if (!is_well) {
        too_late(program);
        return;
    }
    probe_stop(probe);
    set_state(program, PROGRAM_READY);
    timer_stop(loop_of(program), &program->deadline);
    program->events->ready(program);
}

/* The process may end before the connection that probes it is closed. */
static void release_if_over(struct program *program)
{
    if (program->state != PROGRAM_ENDED || !probe_is_over(&program->probe))
        return;
    set_state(program, PROGRAM_OFF);
    program->events->released(program);
}

static void probe_over(struct probe *probe)
{
    release_if_over(container_of(probe, struct program, probe));
}

static void line_received(struct child *child, bool is_stderr, struct span line)
{
    struct program *program = container_of(child, struct program, child);
    program->events->line(program, is_stderr, line);
}

static void process_ended(struct child *child, struct child_end end)
{
    struct program *program = container_of(child, struct program, child);
    enum program_state before = (enum program_state)program->state;
    timer_stop(loop_of(program), &program->deadline);
    list_remove(&program->of_programs);
    roster_forget(&program->programs->roster, program->pid);
    set_state(program, PROGRAM_ENDED);
    probe_stop(&program->probe);
    program->events->ended(program, before, end);
    release_if_over(program);
}

static void deadline_passed(struct timer *timer)
{
    struct program *program = container_of(timer, struct program, deadline);
    if (program->state == PROGRAM_STARTING)
        too_late(program);
    else
        program_kill(program);
}

void programs_init(struct programs *programs, struct net *net)
{
    programs->net = net;
    programs->loop = net->loop;
    list_init(&programs->running);
}

/* A program that is starting does not listen yet, so the kernel takes its port for a free one. */
bool programs_have_port(const struct programs *programs, uint16_t port)
{
    list_each (node, &programs->running) {
        if (addr_port(&container_of(node, struct program, of_programs)->addr) == port)
            return true;
    }
    return false;
}

static bool port_try(struct programs *programs, uint16_t *port, struct err *err)
{
    struct io io;
    struct addr addr;
    addr_loopback(&addr, 0);
    io_init(&io, programs->loop, NULL);
    if (!io_listen(&io, &addr, err))
        return false;
    io_local(&io, &addr);
    *port = addr_port(&addr);
    io_close(&io, false);
    return true;
}

bool programs_find_port(struct programs *programs, uint16_t *port, struct err *err)
{
    enum { TRIES = 1000 };
    for (int i = 0; i < TRIES; i++) {
        if (!port_try(programs, port, err))
            return false;
        if (!programs_have_port(programs, *port))
            return true;
    }
    return err_set(err, "no free port was found");
}

void program_init(struct program *program, struct programs *programs, const struct program_events *events)
{
    *program = (struct program){.programs = programs, .events = events};
    list_init(&program->of_programs);
    timer_init(&program->deadline, deadline_passed);
    probe_init(&program->probe, programs->net, probe_judged, probe_over);
}

bool program_start(struct program *program, const struct program_spec *spec, struct err *err)
{
    struct loop *loop = loop_of(program);
    assert(program->state == PROGRAM_OFF);
    program->addr = spec->addr;
    program->stop_signal = spec->stop_signal != 0 ? spec->stop_signal : SIGTERM;
    if (!child_start(&program->child, loop, &spec->child, line_received, process_ended, err))
        return false;
    program->pid = program->child.pid;
    roster_note(&program->programs->roster, program->pid, spec->variable != NULL ? spec->variable : "-");
    list_append(&program->programs->running, &program->of_programs);
    set_state(program, PROGRAM_STARTING);
    probe_start(&program->probe, spec->probe, &program->addr, spec->child.netspace);
    if (spec->start_ms_max != 0)
        timer_start(loop, &program->deadline, LOOP_MS(spec->start_ms_max));
    return true;
}

void program_stop(struct program *program)
{
    if (program->state != PROGRAM_STARTING && program->state != PROGRAM_READY)
        return;
    set_state(program, PROGRAM_STOPPING);
    probe_stop(&program->probe);
    child_signal(&program->child, program->stop_signal);
    timer_start(loop_of(program), &program->deadline, LOOP_MS(PROGRAM_STOP_MS));
}

void program_kill(struct program *program)
{
    child_signal_group(&program->child, SIGKILL);
}

/* test_tape: the commands of whole fleets to the fake Redis go to a real one, in the same order: it gives the same
 * answers, and the same messages to subscribers.
 *
 * What scripts read as TIME is what the fake one's clock was; a key whose time was over there is deleted here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "fake_redis_parts.h"
#include "fleet.h"
#include "real_redis.h"
#include "wire/resp.h"

enum { LINES_MAX = 4096, SCRIPTS_MAX = 64, CLIENTS = 40, CONTEXT = 300 };

/* A connection as the tape has it, and the real one that stands for it. */
struct line {
    bool open;
    int fd;
    struct buf due, got; /* what it is to get, and has got, not compared yet */
};

struct replay {
    struct real_redis real;
    int control;
    struct buf answer; /* of control */
    struct line lines[LINES_MAX];
    struct {
        char was[FAKE_SHA_BYTES + 1], is[FAKE_SHA_BYTES + 1];
    } scripts[SCRIPTS_MAX];
    size_t script_count, commands, heard;
};

static const char clock_key[] = "tape:clock";

static void silence(struct span line)
{
}

static void command_write(int fd, const struct span *args, size_t count)
{
    struct buf bytes = {0};
    resp_command_encode(&bytes, args, count);
    real_redis_write(fd, buf_span(&bytes));
    buf_finish(&bytes);
}

static void control(struct replay *replay, const struct span *args, size_t count)
{
    command_write(replay->control, args, count);
    buf_clear(&replay->answer);
    real_redis_read(replay->control, &replay->answer, 1);
}

static void clock_set(struct replay *replay, int64_t clock_us)
{
    char s[24], us[24];
    snprintf(s, sizeof s, "%lld", (long long)(clock_us / 1000000));
    snprintf(us, sizeof us, "%lld", (long long)(clock_us % 1000000));
    control(replay,
            (struct span[]){SPAN_LIT("HSET"), span_str(clock_key), SPAN_LIT("s"), span_str(s), SPAN_LIT("us"),
                            span_str(us)},
            6);
}

static struct line *line_of(struct replay *replay, uint64_t client)
{
    assert_true(client < LINES_MAX);
    struct line *line = &replay->lines[client];
    if (!line->open)
        *line = (struct line){.open = true, .fd = real_redis_connect(&replay->real)};
    return line;
}

/* Of errors only the code: versions word them in different ways. */
static struct span without_words(struct span reply)
{
    struct span code;
    if (reply.len > 0 && reply.data[0] == '-' && span_find(reply, ' ') > 0)
        span_next(&reply, ' ', &code), reply = code;
    return reply;
}

static void compare(const struct tape_event *event, size_t number, struct span due, struct span got)
{
    if (span_equal(without_words(due), without_words(got)))
        return;
    printf("event %zu:", number);
    for (size_t i = 0; i < event->count; i++)
        printf(" " SPAN_FMT,
               SPAN_ARG(span_sub(event->texts[i], 0, event->texts[i].len < 300 ? event->texts[i].len : 300)));
    printf("\nthe fake one: " SPAN_FMT "\nthe real one: " SPAN_FMT "\n", SPAN_ARG(due), SPAN_ARG(got));
    fail_msg("they differ");
}

/* Both begin alike, as far as both are there. */
static void compare_begin(const struct tape_event *event, size_t number, struct span due, struct span got)
{
    size_t least = due.len < got.len ? due.len : got.len, at = 0;
    while (at < least && due.data[at] == got.data[at])
        at++;
    if (at < least)
        compare(event, number, span_sub(due, at > CONTEXT ? at - CONTEXT : 0, 2 * CONTEXT),
                span_sub(got, at > CONTEXT ? at - CONTEXT : 0, 2 * CONTEXT));
}

/* Takes what the line is to have got by now. */
static void line_hear(struct line *line, const struct tape_event *event, size_t number)
{
    while (line->got.len < line->due.len) {
        real_redis_read_some(line->fd, &line->got);
        compare_begin(event, number, buf_span(&line->due), buf_span(&line->got));
    }
    compare(event, number, buf_span(&line->due), buf_span(&line->got));
    buf_clear(&line->due);
    buf_clear(&line->got);
}

static void line_close(struct line *line)
{
    if (line->open)
        close(line->fd);
    buf_finish(&line->due);
    buf_finish(&line->got);
    *line = (struct line){.open = false};
}

static void script_learn(struct replay *replay, struct span was, struct span is)
{
    assert_true(replay->script_count < SCRIPTS_MAX && was.len > FAKE_SHA_BYTES + 5 && is.len > FAKE_SHA_BYTES + 5);
    for (size_t i = 0; i < replay->script_count; i++)
        if (span_equal(span_str(replay->scripts[i].was), span_sub(was, 5, FAKE_SHA_BYTES)))
            return;
    memcpy(replay->scripts[replay->script_count].was, was.data + 5, FAKE_SHA_BYTES);
    memcpy(replay->scripts[replay->script_count++].is, is.data + 5, FAKE_SHA_BYTES);
}

static struct span script_find(const struct replay *replay, struct span was)
{
    for (size_t i = 0; i < replay->script_count; i++)
        if (span_equal(span_str(replay->scripts[i].was), was))
            return span_str(replay->scripts[i].is);
    return was;
}

/* The command, with the scripts as they are known here, and its answer. */
static void command_run(struct replay *replay, const struct tape_event *event, size_t number)
{
    size_t count = event->count - 1;
    struct span *args = mem_zero(count, sizeof *args), reply = event->texts[count];
    struct line *line = line_of(replay, event->client);
    char *text = NULL;
    memcpy(args, event->texts, count * sizeof *args);
    bool loads = span_equal(args[0], SPAN_LIT("SCRIPT")), evals = span_equal(args[0], SPAN_LIT("EVALSHA"));
    if (loads)
        args[2] = span_str(text = script_with_clock(args[2].data, clock_key));
    if (evals)
        args[1] = script_find(replay, args[1]);
    clock_set(replay, event->clock_us);
    line_hear(line, event, number);
    command_write(line->fd, args, count);
    replay->commands++;
    if (loads || span_equal(args[0], SPAN_LIT("INFO"))) {
        real_redis_read(line->fd, &line->got, 1);
        if (loads)
            script_learn(replay, reply, buf_span(&line->got));
        buf_clear(&line->got);
    } else if (reply.data[0] == '-') { /* may be shorter or longer here */
        real_redis_read(line->fd, &line->got, 1);
        compare(event, number, reply, buf_span(&line->got));
        buf_clear(&line->got);
    } else {
        buf_append(&line->due, reply);
        line_hear(line, event, number);
    }
    free(text);
    free(args);
}

/* Received bytes stand on the tape before the command that told of them. */
static void heard(struct replay *replay, const struct tape_event *events, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (events[i].kind != TAPE_HEARD)
            continue;
        struct line *line = line_of(replay, events[i].client);
        resp_command_encode(&line->due, (struct span[]){SPAN_LIT("message"), events[i].texts[0], events[i].texts[1]},
                            3);
        replay->heard++;
    }
    for (size_t i = from; i < to; i++)
        if (events[i].kind == TAPE_HEARD)
            line_hear(line_of(replay, events[i].client), &events[i], i);
}

static void event_replay(struct replay *replay, const struct tape_event *event, size_t number)
{
    switch (event->kind) {
    case TAPE_RAN:
        command_run(replay, event, number);
        break;
    case TAPE_HEARD:
        break;
    case TAPE_EXPIRED:
        control(replay, (struct span[]){SPAN_LIT("DEL"), event->texts[0]}, 2);
        break;
    case TAPE_LEFT:
        line_close(&replay->lines[event->client]);
        break;
    case TAPE_SCRIPTS:
        control(replay, (struct span[]){SPAN_LIT("SCRIPT"), SPAN_LIT("FLUSH")}, 2);
        break;
    }
}

static void tape_replay(struct replay *replay, const struct tape *tape)
{
    size_t from = 0; /* of the events since the last command */
    for (size_t i = 0; i < tape->count; i++) {
        event_replay(replay, &tape->events[i], i);
        if (tape->events[i].kind != TAPE_RAN)
            continue;
        heard(replay, tape->events, from, i);
        from = i + 1;
    }
    for (size_t i = 0; i < LINES_MAX; i++)
        line_close(&replay->lines[i]);
}

static int group_begin(void **state)
{
    struct replay *replay = mem_zero(1, sizeof *replay);
    log_init(LOG_TEXT, LOG_ERROR, NULL, silence);
    if (real_redis_start(&replay->real)) {
        replay->control = real_redis_connect(&replay->real);
        *state = replay;
    } else {
        free(replay);
    }
    return 0;
}

static int group_end(void **state)
{
    struct replay *replay = *state;
    if (replay == NULL)
        return 0;
    for (size_t i = 0; i < LINES_MAX; i++)
        line_close(&replay->lines[i]);
    close(replay->control);
    buf_finish(&replay->answer);
    real_redis_stop(&replay->real);
    free(replay);
    return 0;
}

/* A small fleet of this seed's kind. A real Redis does not refuse what it was not told to refuse, nor lose data. */
static void fleet_tape(struct tape *tape, uint64_t seed)
{
    struct fleet_plan plan;
    struct fleet_result result;
    fleet_plan_from_seed(&plan, seed);
    plan.clients = CLIENTS;
    plan.faults_us = LOOP_S(4);
    plan.refusals = plan.failovers = 0;
    plan.tape = tape;
    fleet_run(&plan, &result);
    if (result.failure != NULL)
        fail_msg("seed %llu: %s", (unsigned long long)seed, result.failure);
}

static void a_real_redis_does_the_same(void **state)
{
    /* Presence, slow clients, lost pushes, short logs, keys that vanish, hostile clients, and of the mixed ones such
     * with ends and pauses of Redis, with scripts that are forgotten, with a clock that jumps. */
    static const uint64_t seeds[] = {1, 2, 4, 5, 33, 36, 37, 49, 52, 69};
    struct replay *replay = *state;
    if (replay == NULL) {
        printf("skipped: there is no redis-server here\n");
        skip();
    }
    control(replay,
            (struct span[]){SPAN_LIT("CONFIG"), SPAN_LIT("SET"), SPAN_LIT("stream-node-max-bytes"), SPAN_LIT("0")}, 4);
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        struct tape tape = {0};
        fleet_tape(&tape, seeds[i]);
        control(replay, (struct span[]){SPAN_LIT("FLUSHALL")}, 1);
        tape_replay(replay, &tape);
        tape_finish(&tape);
    }
    assert_true(replay->commands > 10000 && replay->heard > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_real_redis_does_the_same)};
    return cmocka_run_group_tests_name("sim/tape", tests, group_begin, group_end);
}

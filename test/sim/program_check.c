/* program_check: each word of a handler, compared with what the socket's story allows next. See program_check.h. */
#include "program_check.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum {
    NOWHERE = -1,
    WRITTEN_US = 1000000, /* a lease is written so soon where nothing is wrong */
    STALE_US = 2000000,   /* so long an instance may not know that another one has its socket */
    TIMER_US = 20000,     /* a timer may fire so late, or so early */
};

static const uint64_t map_seed[2] = {1, 2};

struct story {
    struct map_node by_sid, by_pid;
    struct list node;
    char sid[SID_TEXT], pid[64];
    bool has_pid, connected, seen, polls, ended;
    bool missed;         /* the handler of `connect` did not have it */
    int at;              /* the instance that was told last that it has the socket */
    uint64_t at_us;      /* when */
    uint32_t next;       /* number of the next write */
    uint32_t value;      /* the write that is read where the socket is */
    uint32_t written;    /* the last one, by an instance that had the socket */
    int written_at;      /* that instance */
    uint64_t written_us; /* when */
    uint32_t kept;       /* the write that its lease has */
    uint64_t claimed_us; /* when an instance got the lease last */
    uint32_t returns, resumes;
    uint32_t disconnects;
    int told_at; /* by which instance, last */
    uint64_t told_us;
};

struct question_asked {
    struct list node;
    struct story *story;
    uint32_t number;
    int instance;
    uint64_t asked_us, timeout_us;
    bool replied, over;
};

static uint64_t now_us(const struct program_check *program)
{
    return sim_now_us(program->check->sim);
}

void program_check_init(struct program_check *program, struct check *check, uint64_t window_us, uint64_t slack_us)
{
    *program = (struct program_check){.check = check, .window_us = window_us, .slack_us = slack_us};
    map_init(&program->by_sid, map_seed);
    map_init(&program->by_pid, map_seed);
    list_init(&program->all);
    list_init(&program->questions);
}

void program_check_finish(struct program_check *program)
{
    struct list *node;
    map_finish(&program->by_sid);
    map_finish(&program->by_pid);
    while ((node = list_take(&program->all)) != NULL)
        free(container_of(node, struct story, node));
    while ((node = list_take(&program->questions)) != NULL)
        free(container_of(node, struct question_asked, node));
}

static struct story *story_of(struct program_check *program, struct span sid)
{
    struct map_node *node = map_find(&program->by_sid, sid);
    if (node != NULL)
        return container_of(node, struct story, by_sid);
    struct story *story = mem_zero(1, sizeof *story);
    snprintf(story->sid, sizeof story->sid, SPAN_FMT, SPAN_ARG(sid));
    story->at = story->told_at = story->written_at = NOWHERE;
    story->next = 1;
    map_add(&program->by_sid, &story->by_sid, span_str(story->sid));
    list_init(&story->node);
    list_append(&program->all, &story->node);
    return story;
}

static void told(const struct program_check *program, const char *what, int instance, const struct story *story,
                 uint32_t value)
{
    if (program->verbose)
        printf("%.6f instance %d is told %s of socket %s, with data %u (written: %u, in the lease: %u)\n",
               (double)now_us(program) / 1e6, instance, what, story->sid, value, story->written, story->kept);
}

/* Nothing has been wrong with the instance since. */
static bool was_well(const struct program_check *program, int instance, uint64_t since_us)
{
    return instance == NOWHERE || program->trouble_us[instance] < since_us;
}

/* What the program writes: the socket's id, and the number of the write. 0: nothing was written. */
static uint32_t data_read(struct program_check *program, const struct story *story, const char *data)
{
    unsigned number;
    char sid[SID_TEXT];
    if (data == NULL || data[0] == '\0')
        return 0;
    if (sscanf(data, "%23s %u", sid, &number) != 2 || strcmp(sid, story->sid) != 0) {
        check_fail(program->check, "socket %s has the data \"%s\"", story->sid, data);
        return 0;
    }
    return number;
}

/* The instance that ended a socket was lost, or lost Redis, before Redis confirmed the end: the lease is still there.
 */
static bool may_go_on(const struct program_check *program, const struct story *story)
{
    return !story->ended && !was_well(program, story->told_at, story->told_us);
}

static void check_goes_on(struct program_check *program, const struct story *story, int instance, const char *what)
{
    if (story->disconnects > 0 && !may_go_on(program, story))
        check_fail(program->check, "socket %s: instance %d is told %s %.3f s after instance %d was told `disconnect`",
                   story->sid, instance, what, (double)(now_us(program) - story->told_us) / 1e6, story->told_at);
}

/* An instance has the data from the lease: they are what the lease has; and where nothing was wrong, what was written
 * last. */
static void check_from_lease(struct program_check *program, const struct story *story, uint32_t value, bool moved,
                             const char *what)
{
    bool in_time = story->claimed_us > story->written_us + WRITTEN_US + program->slack_us * 2 &&
                   was_well(program, story->written_at, story->written_us);
    if (value != story->kept)
        check_fail(program->check, "socket %s: %s with data %u, and its lease has %u", story->sid, what, value,
                   story->kept);
    else if (value != story->written && (in_time || (moved && story->claimed_us <= story->at_us)))
        check_fail(program->check, "socket %s: %s with data %u, and %u were written before", story->sid, what, value,
                   story->written);
}

static void arrive(struct program_check *program, struct story *story, int instance, uint32_t value)
{
    story->at = instance;
    story->at_us = now_us(program);
    story->value = story->written = value;
}

void program_check_connect(struct program_check *program, int instance, const char *sid, bool here)
{
    struct story *story = story_of(program, span_str(sid));
    program->counts.connects++;
    check_digest(program->check, 'C', (uint64_t)instance, now_us(program));
    told(program, "`connect`", instance, story, 0);
    check_goes_on(program, story, instance, "`connect`");
    if (story->connected)
        check_fail(program->check, "socket %s: `connect` comes twice", sid);
    story->connected = true;
    story->missed = !here;
    arrive(program, story, instance, 0);
}

/* An instance that stood still, or was cut off from Redis, may learn late that others have its sockets, or had. */
static bool may_be_late(const struct program_check *program, int instance)
{
    uint64_t now = now_us(program);
    return !was_well(program, instance, now > program->window_us * 3 ? now - program->window_us * 3 : 0);
}

/* The instance has the lease of the socket, and nobody has claimed it since. */
static bool is_owner(const struct program_check *program, const struct story *story, uint64_t generation)
{
    return program->lease_generation(program->arg, story->pid) == generation;
}

bool program_check_arrived(struct program_check *program, int instance, const char *sid, uint64_t generation,
                           const char *data, bool moved)
{
    struct story *story = story_of(program, span_str(sid));
    uint32_t value = data_read(program, story, data);
    *(moved ? &program->counts.moved : &program->counts.resumed) += 1;
    check_digest(program->check, moved ? 'M' : 'R', (uint64_t)instance, value);
    told(program, moved ? "`moved`" : "`resumed`", instance, story, value);
    if (!is_owner(program, story, generation) && (story->disconnects == 0 || may_be_late(program, instance))) {
        program->counts.stale++;
        return false;
    }
    check_goes_on(program, story, instance, moved ? "`moved`" : "`resumed`");
    check_from_lease(program, story, value, moved, moved ? "has moved" : "has resumed");
    if (moved && story->missed)
        check_fail(program->check, "socket %s: has moved, and was gone when `connect` was told", sid);
    if (moved && story->seen && !story->polls)
        check_fail(program->check, "socket %s: has moved, and its client is on a WebSocket", sid);
    if (!moved && ++story->resumes > story->returns)
        check_fail(program->check, "socket %s: has resumed %u times, and its client has asked %u times", sid,
                   story->resumes, story->returns);
    arrive(program, story, instance, value);
    return true;
}

/* An event comes to an instance, and another one was told last that it has the socket. */
static void check_is_late(struct program_check *program, const struct story *story, int instance)
{
    if (!may_be_late(program, instance) && now_us(program) - story->at_us > STALE_US)
        check_fail(program->check, "socket %s: an event comes to instance %d, and instance %d was told that it has it",
                   story->sid, instance, story->at);
}

bool program_check_event(struct program_check *program, int instance, const char *sid, uint64_t generation,
                         const char *data)
{
    struct story *story = story_of(program, span_str(sid));
    if (!is_owner(program, story, generation)) {
        if (story->disconnects > 0 && !may_be_late(program, instance))
            check_goes_on(program, story, instance, "an event");
        else if (story->at != instance)
            check_is_late(program, story, instance);
        program->counts.stale++;
        return false;
    }
    check_goes_on(program, story, instance, "an event");
    uint32_t value = data_read(program, story, data);
    if (story->at != instance)
        check_fail(program->check, "socket %s: an event comes to instance %d, which was not told that it has it", sid,
                   instance);
    else if (value != story->value)
        check_fail(program->check, "socket %s: an event finds data %u, and %u are there", sid, value, story->value);
    return true;
}

void program_check_disconnect(struct program_check *program, int instance, const char *sid, const char *reason,
                              const char *data)
{
    struct story *story = story_of(program, span_str(sid));
    uint32_t value = data_read(program, story, data);
    bool lost = strcmp(reason, "instance_lost") == 0;
    program->counts.disconnects++;
    program->counts.lost += lost;
    program->counts.again += story->disconnects > 0;
    check_digest(program->check, 'D', (uint64_t)instance, now_us(program));
    told(program, reason, instance, story, value);
    check_goes_on(program, story, instance, "`disconnect`");
    /* An instance that stood still may have written what was refused, and have got the socket once more since. */
    bool refused = value == story->kept && may_be_late(program, instance);
    if (!lost && story->at == instance && value != story->value && !refused)
        check_fail(program->check, "socket %s: ends with data %u, and %u are there", sid, value, story->value);
    else if (lost || story->at != instance)
        check_from_lease(program, story, value, false, "ends");
    if (!lost && !story->connected)
        check_fail(program->check, "socket %s: ends (%s) on instance %d, which was not told `connect`", sid, reason,
                   instance);
    story->disconnects++;
    story->told_at = instance;
    story->told_us = now_us(program);
}

void program_check_write(struct program_check *program, int instance, const char *sid, uint64_t generation,
                         char data[PROGRAM_DATA_BYTES_MAX])
{
    struct story *story = story_of(program, span_str(sid));
    snprintf(data, PROGRAM_DATA_BYTES_MAX, "%s %u", sid, story->next);
    if (!is_owner(program, story, generation)) { /* its write is refused */
        story->next++;
        program->counts.stale++;
        return;
    }
    program->counts.writes++;
    story->value = story->written = story->next++;
    story->written_at = instance;
    story->written_us = now_us(program);
}

struct question_asked *program_check_asked(struct program_check *program, int instance, const char *sid,
                                           uint64_t timeout_ms)
{
    struct question_asked *question = mem_zero(1, sizeof *question);
    question->story = story_of(program, span_str(sid));
    question->number = ++program->next_question;
    question->instance = instance;
    question->asked_us = now_us(program);
    question->timeout_us = LOOP_MS(timeout_ms);
    list_init(&question->node);
    list_append(&program->questions, &question->node);
    return question;
}

uint32_t program_question_number(const struct question_asked *question)
{
    return question->number;
}

void program_check_unasked(struct question_asked *question)
{
    list_remove(&question->node);
    free(question);
}

void program_check_answered(struct program_check *program, struct question_asked *question, const char *error,
                            uint32_t value, bool here)
{
    uint64_t took = now_us(program) - question->asked_us;
    const char *sid = question->story->sid;
    bool well = was_well(program, question->instance, question->asked_us);
    *(error == NULL ? &program->counts.answered : &program->counts.unanswered) += 1;
    check_digest(program->check, 'A', question->number, error != NULL);
    if (question->over)
        check_fail(program->check, "socket %s: question %u is answered twice", sid, question->number);
    question->over = true;
    if (error == NULL && (!question->replied || value != question->number))
        check_fail(program->check, "socket %s: question %u is answered with %u, and its client has not", sid,
                   question->number, value);
    if (error != NULL && strcmp(error, "timeout") == 0 && took + TIMER_US < question->timeout_us)
        check_fail(program->check, "socket %s: question %u ends by its timeout after %.3f s", sid, question->number,
                   (double)took / 1e6);
    if (error != NULL && strcmp(error, "gone") == 0 && here)
        check_fail(program->check, "socket %s: is gone, question %u is told, and is there", sid, question->number);
    if (well && took > question->timeout_us + TIMER_US)
        check_fail(program->check, "socket %s: question %u is over after %.3f s", sid, question->number,
                   (double)took / 1e6);
}

void program_check_seen(struct program_check *program, struct span sid, bool polls)
{
    struct story *story = story_of(program, sid);
    story->seen = true;
    story->polls |= polls;
}

void program_check_returns(struct program_check *program, const char *sid)
{
    story_of(program, span_str(sid))->returns++;
}

void program_check_replied(struct program_check *program, uint32_t number)
{
    list_each (node, &program->questions) {
        struct question_asked *question = container_of(node, struct question_asked, node);
        if (question->number == number)
            question->replied = true;
    }
}

static struct story *story_by_pid(struct program_check *program, struct span pid)
{
    struct map_node *node = map_find(&program->by_pid, pid);
    return node != NULL ? container_of(node, struct story, by_pid) : NULL;
}

void program_check_lease_written(struct program_check *program, struct span pid, struct span sid, struct span data)
{
    struct story *story = story_of(program, sid);
    char text[PROGRAM_DATA_BYTES_MAX];
    if (!story->has_pid) {
        story->has_pid = true;
        snprintf(story->pid, sizeof story->pid, SPAN_FMT, SPAN_ARG(pid));
        map_add(&program->by_pid, &story->by_pid, span_str(story->pid));
    }
    snprintf(text, sizeof text, SPAN_FMT, SPAN_ARG(data));
    story->kept = data_read(program, story, text);
}

void program_check_lease_claimed(struct program_check *program, struct span pid)
{
    struct story *story = story_by_pid(program, pid);
    if (story != NULL)
        story->claimed_us = now_us(program);
}

void program_check_lease_ended(struct program_check *program, struct span pid)
{
    struct story *story = story_by_pid(program, pid);
    if (story != NULL)
        story->ended = true;
}

void program_check_trouble(struct program_check *program, int instance, uint64_t lasts_us)
{
    uint64_t until_us = now_us(program) + lasts_us;
    for (int i = 0; i < PROGRAM_INSTANCES_MAX; i++)
        if ((instance == NOWHERE || instance == i) && program->trouble_us[i] < until_us)
            program->trouble_us[i] = until_us;
}

void program_check_killed(struct program_check *program, int instance)
{
    program_check_trouble(program, instance, 0);
    list_each (node, &program->questions) {
        struct question_asked *question = container_of(node, struct question_asked, node);
        if (question->instance == instance)
            question->over = true;
    }
}

void program_check_end(struct program_check *program)
{
    list_each (node, &program->all) {
        const struct story *story = container_of(node, struct story, node);
        if ((story->connected || story->seen) && story->disconnects == 0)
            check_fail(program->check, "socket %s: its end was never told; instance %d had it last", story->sid,
                       story->at);
    }
    list_each (node, &program->questions) {
        const struct question_asked *question = container_of(node, struct question_asked, node);
        if (!question->over)
            check_fail(program->check, "socket %s: question %u was never over", question->story->sid, question->number);
    }
}

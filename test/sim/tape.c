/* tape: notes each command, message, expiry and end, in their order. See tape.h. */
#include "tape.h"

#include <stdlib.h>

#include "base/mem.h"

static struct tape_event *add(struct tape *tape, enum tape_kind kind, uint64_t client, size_t count)
{
    if (tape->count == tape->cap) {
        tape->cap = tape->cap != 0 ? tape->cap * 2 : 1024;
        tape->events = mem_resize(tape->events, tape->cap * sizeof *tape->events);
    }
    struct tape_event *event = &tape->events[tape->count++];
    *event = (struct tape_event){.kind = kind, .client = client};
    event->texts = count > 0 ? mem_zero(count, sizeof *event->texts) : NULL;
    return event;
}

static void text_add(struct tape_event *event, struct span text)
{
    event->texts[event->count++] = span_of(mem_text(text), text.len);
}

void tape_finish(struct tape *tape)
{
    for (size_t i = 0; i < tape->count; i++) {
        for (size_t j = 0; j < tape->events[i].count; j++)
            free((char *)(uintptr_t)tape->events[i].texts[j].data);
        free(tape->events[i].texts);
    }
    free(tape->events);
    *tape = (struct tape){0};
}

void tape_ran(struct tape *tape, uint64_t client, int64_t clock_us, const struct span *args, size_t count,
              struct span reply)
{
    struct tape_event *event = add(tape, TAPE_RAN, client, count + 1);
    event->clock_us = clock_us;
    for (size_t i = 0; i < count; i++)
        text_add(event, args[i]);
    text_add(event, reply);
}

void tape_heard(struct tape *tape, uint64_t client, struct span channel, struct span message)
{
    struct tape_event *event = add(tape, TAPE_HEARD, client, 2);
    text_add(event, channel);
    text_add(event, message);
}

void tape_expired(struct tape *tape, struct span key)
{
    text_add(add(tape, TAPE_EXPIRED, 0, 1), key);
}

void tape_left(struct tape *tape, uint64_t client)
{
    add(tape, TAPE_LEFT, client, 0);
}

void tape_scripts_forgotten(struct tape *tape)
{
    add(tape, TAPE_SCRIPTS, 0, 0);
}

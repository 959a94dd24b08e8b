/* slow_broker: keeps the calls that a test holds, in their order, and answers them from the front. */
#include "slow_broker.h"

#include "fixture.h"

enum { HELD_MAX = 256 };

const struct broker_ops *real;
struct broker_ops slow;
static struct {
    broker_done_fn *done;
    broker_read_fn *read;
    void *arg;
} held[HELD_MAX];
size_t held_count;
static size_t held_answered;

bool publish_held(struct broker *asked, const struct broker_publish *publish, broker_done_fn *done, void *arg)
{
    assert_true(held_count < HELD_MAX);
    held[held_count].done = done;
    held[held_count++].arg = arg;
    return true;
}

void lease_write_held(struct broker *asked, const struct broker_lease *lease, broker_done_fn *done, void *arg)
{
    publish_held(asked, NULL, done, arg);
}

void read_held(struct broker *asked, struct span room, const struct broker_range *range, broker_read_fn *done,
               void *arg)
{
    assert_true(held_count < HELD_MAX);
    held[held_count].done = NULL;
    held[held_count].read = done;
    held[held_count++].arg = arg;
}

void hold(void)
{
    real = broker->ops;
    slow = *real;
    held_count = held_answered = 0;
    broker->ops = &slow;
}

void answer_one(enum broker_result result)
{
    size_t at = held_answered++;
    if (held[at].done != NULL)
        held[at].done(held[at].arg, result);
    else
        held[at].read(held[at].arg, result, &(struct broker_page){0});
}

void answer(enum broker_result result)
{
    while (held_answered < held_count)
        answer_one(result);
}

void answer_all(void)
{
    for (int i = 0; i < 50 && held_answered < held_count; i++) {
        answer(BROKER_OK);
        turn(5);
    }
}

void release(void)
{
    answer(BROKER_LOST);
    broker->ops = real;
}

int let_go(void **state)
{
    if (broker->ops == &slow)
        release();
    return tear_down(state);
}

/* waiting: makes, answers and weighs publishes that wait. */
#include "broker/waiting.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct waiting_publish *waiting_create(const struct broker_publish *publish, broker_done_fn *done, void *arg,
                                       size_t *backlog_bytes)
{
    size_t bytes = publish->room.len + publish->audience.len + publish->body.len + publish->id.len;
    if (bytes > WAITING_ENTRY_BYTES_MAX || *backlog_bytes + bytes > BROKER_BACKLOG_BYTES_MAX)
        return NULL;
    struct waiting_publish *waiting = mem_zero(1, sizeof *waiting + bytes);
    waiting->done = done;
    waiting->arg = arg;
    if (publish->retention != NULL)
        waiting->retention = *publish->retention;
    const struct span parts[] = {publish->room, publish->audience, publish->body, publish->id};
    char *at = waiting->bytes;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].len != 0)
            memcpy(at, parts[i].data, parts[i].len);
        at += parts[i].len;
    }
    waiting->room_len = publish->room.len;
    waiting->audience_len = publish->audience.len;
    waiting->body_len = publish->body.len;
    waiting->id_len = publish->id.len;
    list_init(&waiting->node);
    *backlog_bytes += waiting_bytes(waiting);
    return waiting;
}

void waiting_answer(struct waiting_publish *publish, enum broker_result result)
{
    if (publish->done != NULL)
        publish->done(publish->arg, result);
    free(publish);
}

void waiting_lose_all(struct list *publishes)
{
    struct list *node;
    while ((node = list_take(publishes)) != NULL)
        waiting_answer(waiting_of(node), BROKER_LOST);
}

size_t waiting_bytes(const struct waiting_publish *publish)
{
    return sizeof *publish + publish->room_len + publish->audience_len + publish->body_len + publish->id_len;
}

bool waiting_is_kept_alike(const struct waiting_publish *a, const struct waiting_publish *b)
{
    return a->retention.entries_max == b->retention.entries_max && a->retention.bytes_max == b->retention.bytes_max &&
           a->retention.age_ms_max == b->retention.age_ms_max;
}

/* outbox: adds published messages, and drops acknowledged ones from the front. */
#include "load/outbox.h"

#include <stdlib.h>

#include "base/mem.h"

enum { CAP_MIN = 16 };

void outbox_finish(struct outbox *outbox)
{
    free(outbox->ring);
    *outbox = (struct outbox){0};
}

void outbox_add(struct outbox *outbox, uint32_t message)
{
    if (outbox->count == outbox->cap) {
        uint32_t cap = outbox->cap != 0 ? outbox->cap * 2 : CAP_MIN;
        uint32_t *ring = mem_alloc(cap * sizeof *ring);
        for (uint32_t i = 0; i < outbox->count; i++)
            ring[i] = outbox_at(outbox, i);
        free(outbox->ring);
        outbox->ring = ring;
        outbox->cap = cap;
        outbox->at = 0;
    }
    outbox->ring[(outbox->at + outbox->count++) & (outbox->cap - 1)] = message;
}

void outbox_trim(struct outbox *outbox, const struct messages *messages)
{
    while (outbox->count > 0) {
        const struct message *first = messages_at(messages, outbox_at(outbox, 0));
        if (!first->acknowledged && !first->refused)
            break;
        outbox->at = (outbox->at + 1) & (outbox->cap - 1);
        outbox->count--;
    }
}

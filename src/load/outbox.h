/* outbox: the messages of one publisher that the server has not acknowledged, oldest first. After a reconnect they are
 * sent again, under the same ids. */
#ifndef SENNIT_LOAD_OUTBOX_H
#define SENNIT_LOAD_OUTBOX_H

#include "load/messages.h"

/* Zeroed: empty, no memory. */
struct outbox {
    uint32_t *ring;
    uint32_t at, count, cap; /* cap: 0 or a power of two */
};

void outbox_finish(struct outbox *outbox); /* accepts zeroed, and leaves it so */
void outbox_add(struct outbox *outbox, uint32_t message);
/* Drops acknowledged messages from the front. */
void outbox_trim(struct outbox *outbox, const struct messages *messages);

/* `index` is below `count`. Messages behind the first may be acknowledged already. */
static inline uint32_t outbox_at(const struct outbox *outbox, uint32_t index)
{
    return outbox->ring[(outbox->at + index) & (outbox->cap - 1)];
}

#endif

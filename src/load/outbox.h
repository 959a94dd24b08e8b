/* outbox: what a publisher has published and the server has not acknowledged, oldest first. After a reconnect it is
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
/* Drops what has been acknowledged meanwhile from the front. */
void outbox_trim(struct outbox *outbox, const struct messages *messages);

/* `index` is below `count`; some of what is not in front may be acknowledged. */
static inline uint32_t outbox_at(const struct outbox *outbox, uint32_t index)
{
    return outbox->ring[(outbox->at + index) & (outbox->cap - 1)];
}

#endif

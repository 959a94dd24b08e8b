/* unfinished: messages and events of which a part has come, of all clients of one instance. Together they have a bound
 * (session_limits.unfinished_bytes_max). Beyond it, the one that was begun first is dropped with its connection,
 * because it has had the longest time. */
#ifndef SENNIT_SESSION_UNFINISHED_H
#define SENNIT_SESSION_UNFINISHED_H

#include "base/list.h"

struct unfinished_all {
    struct list in_order; /* the one begun first in front */
    size_t bytes;
};

/* Embedded in what holds the part. */
struct unfinished {
    struct list in_order;
    size_t bytes;
    void (*drop)(struct unfinished *unfinished); /* ends its connection; unfinished_end follows later */
};

void unfinished_begin(struct unfinished_all *all, struct unfinished *unfinished,
                      void (*drop)(struct unfinished *unfinished));
/* It takes so many bytes now; all of them together may take `bytes_max`. It may be the one that is dropped. */
void unfinished_resize(struct unfinished_all *all, struct unfinished *unfinished, size_t bytes, size_t bytes_max);
/* It is complete or given up. */
void unfinished_end(struct unfinished_all *all, struct unfinished *unfinished);

#endif

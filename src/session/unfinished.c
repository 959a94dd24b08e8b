/* unfinished: keeps the order and the sum. */
#include "session/unfinished.h"

void unfinished_begin(struct unfinished_all *all, struct unfinished *unfinished,
                      void (*drop)(struct unfinished *unfinished))
{
    *unfinished = (struct unfinished){.drop = drop};
    list_init(&unfinished->in_order);
    list_append(&all->in_order, &unfinished->in_order);
}

void unfinished_resize(struct unfinished_all *all, struct unfinished *unfinished, size_t bytes, size_t bytes_max)
{
    all->bytes += bytes - unfinished->bytes;
    unfinished->bytes = bytes;
    if (all->bytes <= bytes_max)
        return;
    struct unfinished *first = container_of(all->in_order.next, struct unfinished, in_order);
    first->drop(first);
}

void unfinished_end(struct unfinished_all *all, struct unfinished *unfinished)
{
    all->bytes -= unfinished->bytes;
    list_remove(&unfinished->in_order);
}

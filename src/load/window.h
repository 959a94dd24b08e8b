/* window: which numbers of an endless sequence have come, one bit for each.
 *
 *     0 ......... all have come ......... | 1 1 0 1 1 1 0 ... | none has come yet ...
 *                                         ^ base              ^ base + cap
 *
 * Full words in front are dropped, so memory follows the numbers that are missing or out of order, not all that have
 * come. Zeroed: nothing has come, and no memory is held. */
#ifndef SENNIT_LOAD_WINDOW_H
#define SENNIT_LOAD_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct window {
    uint64_t *words; /* a ring */
    uint32_t cap;    /* words in it: 0 or a power of two */
    uint32_t base;   /* the word in front; all bits below it are set */
};

void window_finish(struct window *window); /* accepts zeroed, and leaves it so */

/* Sets it; false when it was set before. */
bool window_add(struct window *window, uint32_t number);
bool window_has(const struct window *window, uint32_t number);
/* The first number from `from` on that has not come. */
uint32_t window_missing(const struct window *window, uint32_t from);

#endif

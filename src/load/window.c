/* window: sets and reads bits, moves the base, and counts missing numbers. */
#include "load/window.h"

#include <stdlib.h>

#include "base/mem.h"

enum { WORD_BITS = 64, CAP_MIN = 4 };

void window_finish(struct window *window)
{
    free(window->words);
    *window = (struct window){0};
}

/* Room for the word `at`. */
static void window_grow(struct window *window, uint32_t at)
{
    uint32_t cap = window->cap != 0 ? window->cap : CAP_MIN;
    while (at - window->base >= cap)
        cap *= 2;
    if (cap == window->cap)
        return;
    uint64_t *words = mem_zero(cap, sizeof *words);
    for (uint32_t i = window->base; i - window->base < window->cap; i++)
        words[i & (cap - 1)] = window->words[i & (window->cap - 1)];
    free(window->words);
    window->words = words;
    window->cap = cap;
}

bool window_add(struct window *window, uint32_t number)
{
    uint32_t at = number / WORD_BITS;
    uint64_t bit = UINT64_C(1) << number % WORD_BITS;
    if (at < window->base)
        return false;
    if (at - window->base >= window->cap)
        window_grow(window, at);
    uint64_t *word = &window->words[at & (window->cap - 1)];
    if (*word & bit)
        return false;
    *word |= bit;
    while (window->words[window->base & (window->cap - 1)] == UINT64_MAX)
        window->words[window->base++ & (window->cap - 1)] = 0;
    return true;
}

bool window_has(const struct window *window, uint32_t number)
{
    uint32_t at = number / WORD_BITS;
    if (at < window->base)
        return true;
    if (at - window->base >= window->cap)
        return false;
    return window->words[at & (window->cap - 1)] >> number % WORD_BITS & 1;
}

uint32_t window_missing(const struct window *window, uint32_t from)
{
    if (from / WORD_BITS < window->base)
        from = window->base * WORD_BITS;
    while (window_has(window, from)) {
        uint64_t word = window->words[from / WORD_BITS & (window->cap - 1)];
        if (word == UINT64_MAX) {
            from = (from / WORD_BITS + 1) * WORD_BITS;
            continue;
        }
        /* The bits above `from` in its word. Shifting brings in zeros, which are no numbers of this word. */
        uint64_t absent = ~word >> from % WORD_BITS;
        if (absent == 0)
            from = (from / WORD_BITS + 1) * WORD_BITS;
        else
            return from + (uint32_t)__builtin_ctzll(absent);
    }
    return from;
}

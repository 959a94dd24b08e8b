/* bits: a set of small numbers, which grows; zeroed memory is empty. */
#ifndef SENNIT_SIM_BITS_H
#define SENNIT_SIM_BITS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct bits {
    uint64_t *list;
    size_t words;
};

static inline bool bits_have(const struct bits *bits, uint32_t number)
{
    return number / 64 < bits->words && bits->list[number / 64] >> number % 64 & 1;
}

static inline void bits_put(struct bits *bits, uint32_t number, bool there)
{
    size_t word = number / 64;
    if (word >= bits->words) {
        bits->list = mem_resize(bits->list, (word + 16) * sizeof *bits->list);
        memset(bits->list + bits->words, 0, (word + 16 - bits->words) * sizeof *bits->list);
        bits->words = word + 16;
    }
    if (there)
        bits->list[word] |= 1ull << number % 64;
    else
        bits->list[word] &= ~(1ull << number % 64);
}

/* Empties it, and frees its memory. */
static inline void bits_finish(struct bits *bits)
{
    free(bits->list);
    *bits = (struct bits){NULL, 0};
}

#endif

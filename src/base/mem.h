/* mem: allocation of small things.
 *
 * A small allocation that fails ends the process: there is nothing sensible to do without it. Sizes that a peer chose
 * are checked against a bound before they come here. Free with free(). */
#ifndef SENNIT_BASE_MEM_H
#define SENNIT_BASE_MEM_H

#include <stddef.h>

#include "base/span.h"

/* `size` bytes, uninitialised; never NULL (size 0 gives a unique pointer). */
void *mem_alloc(size_t size);

/* `count` * `size` bytes, zeroed; aborts when the product overflows. */
void *mem_zero(size_t count, size_t size);

/* Resizes; `old` may be NULL. */
void *mem_resize(void *old, size_t size);

/* A NUL-terminated copy of `s`. */
char *mem_text(struct span s);

/* A NUL-terminated formatted text. */
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

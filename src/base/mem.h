/* mem: allocation of small things.
 *
 * An allocation that fails ends the process (abort, with one line on standard error), and so does a program that embeds
 * this code: no function returns NULL, and none has a path for it. In exchange, everything that a peer can make grow
 * has a bound, and a size that a peer chose is checked against it before memory is taken. Free with free(). */
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

/* Ends the process as an allocation that failed does. */
void mem_gone(void) __attribute__((noreturn));

/* A NUL-terminated copy of `s`. */
char *mem_text(struct span s);

/* A NUL-terminated formatted text. */
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

/* confine: this process gives up what it does not need to read one file and write to one pipe, before it reads bytes
 * that mean harm. From then on it can open, start, reach and signal nothing; it has no user, little memory and no
 * other descriptors, and it ends with the process that started it. For a program that does nothing else. */
#ifndef SENNIT_LOOP_CONFINE_H
#define SENNIT_LOOP_CONFINE_H

#include <stddef.h>

/* For good. What the kernel lacks is left out: a container may have no seccomp, and the rest holds there. */
void confine(size_t memory_bytes_max);

#endif

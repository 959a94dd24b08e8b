/* append: a file that only grows, by whole lines. Written lines are there after `kill -9`; after a power failure all
 * that was synced is. Blocking. */
#ifndef SENNIT_LOOP_APPEND_H
#define SENNIT_LOOP_APPEND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct append {
    int fd;         /* -1: closed */
    uint64_t bytes; /* its length */
};

/* Opens it for this user alone, and makes it if it is missing. A last line that a crash has torn is cut off: `*torn` is
 * its length. False with `err` set, and it is closed. The caller makes sure that one process at a time does so. */
bool append_open(struct append *append, const char *path, uint64_t *torn, struct err *err);
/* Writes all of the lines, or nothing. False with `err` set. */
bool append_lines(struct append *append, struct span lines, struct err *err);
bool append_sync(struct append *append, struct err *err);
void append_close(struct append *append); /* harmless when closed */

#endif

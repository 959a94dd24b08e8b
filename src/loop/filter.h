/* filter: a program of ours that reads one file and whose output this process reads, blocking. For a worker, or for a
 * moment.
 *
 *     file --stdin--> program --stdout--> filter_read
 */
#ifndef SENNIT_LOOP_FILTER_H
#define SENNIT_LOOP_FILTER_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* Where a program of ours is that is no command: beside this one, as in the build tree, or in the folder for such
 * programs. The caller frees it. NULL with `err` set: in neither. */
char *filter_program(const char *name, struct err *err);

/* Zeroed memory runs nothing. */
struct filter {
    pid_t pid;
    int output;
    bool is_over; /* it has closed its output */
};

enum filter_result {
    FILTER_GOT,
    FILTER_OVER,    /* it has closed its output */
    FILTER_STOPPED, /* `stop` was set */
    FILTER_SILENT,  /* it wrote nothing for so long */
};

/* argv[0] is a path. False with `err` set: the file, or the program, cannot be opened. */
bool filter_start(struct filter *filter, const char *const *argv, const char *file, struct err *err);
/* `stop` may be NULL. */
enum filter_result filter_read(struct filter *filter, char *to, size_t room, size_t *got, uint32_t silent_ms_max,
                               atomic_bool *stop);
/* Ends it wherever it is, and waits for that. Returns the signal that ended it before, or 0. Harmless when nothing
 * runs. */
int filter_end(struct filter *filter);

#endif

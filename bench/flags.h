/* flags: `--name value` on the command line of the bench's load programs, which only bench/log.mjs starts. */
#ifndef SENNIT_BENCH_FLAGS_H
#define SENNIT_BENCH_FLAGS_H

#include "net/net.h"

struct flag {
    const char *name;
    const char **text; /* one of these two */
    uint64_t *number;
};

/* Takes every argument into its flag; ends the process with status 2 and a line that says why when one is wrong. */
void flags_read(int argc, char **argv, const struct flag *flags, size_t count);

/* The start of every such program, once its flags are read: the log writes warnings to standard output; creates a loop,
 * and `net` on it. */
struct loop *bench_begin(struct net *net);

/* Ends the process with status 1 and this line. */
void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif

/* load: many clients on one server, in one process: connects them, publishes, cuts them off, and reports the cost and
 * whether every accepted message was delivered. */
#ifndef SENNIT_LOAD_LOAD_H
#define SENNIT_LOAD_LOAD_H

#include "load/options.h"

/* Also the exit status. */
enum load_outcome { LOAD_GOOD = 0, LOAD_CHECK_FAILED = 1, LOAD_WRONG = 2, LOAD_ABORTED = 3 };

/* Runs, and prints the report on standard output. With any outcome but LOAD_GOOD `err` has the reason. The caller has
 * checked the options (options_check). */
enum load_outcome load_run(const struct load_options *options, struct err *err);

#endif

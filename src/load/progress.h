/* progress: the progress of a run on standard error: on a terminal one line, rewritten every second; elsewhere a line
 * for each phase, and one every ten seconds. */
#ifndef SENNIT_LOAD_PROGRESS_H
#define SENNIT_LOAD_PROGRESS_H

#include "load/run.h"

void progress_start(struct run *run);
void progress_stop(struct run *run);
/* A phase has begun. */
void progress_say(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

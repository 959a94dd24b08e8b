/* duration: a length of time on a command line, as gcloud takes it: 10m5s, 90s, 1h, 2d; a bare number is seconds. */
#ifndef SENNIT_CLI_DURATION_H
#define SENNIT_CLI_DURATION_H

#include <stdbool.h>
#include <stdint.h>

enum { DURATION_S_MAX = 400 * 86400 };

/* False: it is none, or longer than DURATION_S_MAX. */
bool duration_parse(const char *text, uint64_t *seconds);

#endif

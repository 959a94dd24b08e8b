/* control_query: reads the values in a target of the control socket: /path?name=value&name=value, percent-encoded.
 * `control` and `control_logs` call it. */
#ifndef SENNIT_PLATFORM_CONTROL_QUERY_H
#define SENNIT_PLATFORM_CONTROL_QUERY_H

#include "base/buf.h"

/* Undoes percent-encoding; a stray % stays, and NUL is left out. */
void control_decoded_append(struct buf *to, struct span text);
/* The value of `name`, decoded; NULL: it is not there. The caller frees it. */
char *control_value_get(struct span query, const char *name);

#endif

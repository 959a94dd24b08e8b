/* headers: the fields that every answer carries, pages, files and refusals alike: what a browser may do with it. */
#ifndef SENNIT_SERVE_HEADERS_H
#define SENNIT_SERVE_HEADERS_H

#include "base/span.h"
#include "wire/yaml.h"

/* What `headers: {csp: TEXT, referrer_policy: TEXT}` makes of the defaults (`none` leaves a field out), as complete
 * lines for the caller to free. NULL with `err` set. */
char *headers_read(const struct yaml_node *node, struct err *err);

#endif

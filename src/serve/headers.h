/* headers: the fields of every response (pages, files, refusals) that restrict browsers. */
#ifndef SENNIT_SERVE_HEADERS_H
#define SENNIT_SERVE_HEADERS_H

#include "base/span.h"
#include "wire/yaml.h"

/* Applies `headers: {csp: TEXT, referrer_policy: TEXT}` to the defaults (`none` leaves a field out). Returns complete
 * header lines; the caller frees them. NULL with `err` set. */
char *headers_read(const struct yaml_node *node, struct err *err);

#endif

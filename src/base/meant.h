/* meant: which of some names a mistyped one was probably meant to be. */
#ifndef SENNIT_BASE_MEANT_H
#define SENNIT_BASE_MEANT_H

#include "base/span.h"

/* The one of these (NULL-terminated) that is closest to `name`, case aside: up to two letters off, one if `name` is
 * shorter than four. NULL: none. */
const char *name_meant(struct span name, const char *const *allowed);

#endif

/* pattern: matches names against a pattern, in which `*` stands for any run of bytes, an empty one too, and every other
 * byte for itself. Both are spans, and a NUL is a byte like any other. */
#ifndef SENNIT_BASE_PATTERN_H
#define SENNIT_BASE_PATTERN_H

#include "base/span.h"

/* Takes at most pattern.len * text.len steps. */
bool pattern_matches(struct span pattern, struct span text);

#endif

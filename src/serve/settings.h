/* settings: one table of the flags, variables and fields of `sennit serve`, for the manual. The readers of the
 * configuration decide what is valid. test/unit/tools/manual_test.py asks them: a field that they know and the table
 * does not, or a range that differs, fails it. Bounds are in the table of limits.h. */
#ifndef SENNIT_SERVE_SETTINGS_H
#define SENNIT_SERVE_SETTINGS_H

#include <stddef.h>

/* A flag and its variable; NULL: there is none. */
struct setting_flag {
    const char *flag, *variable, *fallback, *what;
};
extern const struct setting_flag setting_flags[];
extern const size_t setting_flags_count;

/* A field. `place`: the keys of the mapping that it is in, with capital letters for those that the user chooses:
 * "namespaces.NAMESPACE.log"; "" is the configuration itself. */
struct setting {
    const char *place, *name, *fallback;
    const char *takes; /* "1s to 12h" for numbers, sizes and durations, or words */
    const char *what;
    const char *counted; /* reasons under which refusals that it causes or cures are counted, in backticks; "": none */
};
extern const struct setting settings[];
extern const size_t settings_count;

#endif

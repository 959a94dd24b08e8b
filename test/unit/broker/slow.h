/* slow: what takes seconds, told as stories: each has a beginning, steps at their times, and tests that look at what
 * was told in the end. All are played at the same time, on one loop, before the first test. */
#ifndef SENNIT_TEST_SLOW_H
#define SENNIT_TEST_SLOW_H

#include "instances.h"

/* The schedule, in milliseconds from the beginning. */
struct step {
    uint64_t at_ms;
    void (*act)(void);
};

struct story {
    void (*begin)(void);
    const struct step *steps; /* in their order */
    size_t step_count;
    void (*often)(void); /* every 50 ms or so; may be NULL */
    const struct CMUnitTest *tests;
    size_t test_count;
};

extern const struct story slow_present, slow_faults;
extern uint64_t slow_began_ms;

#endif

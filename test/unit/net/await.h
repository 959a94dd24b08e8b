/* await: runs the loop until a condition holds; for the tests of net, each of which owns `loop`. */
#ifndef SENNIT_TEST_AWAIT_H
#define SENNIT_TEST_AWAIT_H

#include <stdbool.h>

#include "loop/loop.h"

extern struct loop *loop; /* the test's */

/* Runs the loop until the condition holds; fails the test when that takes longer than 20 seconds. */
typedef bool condition_fn(void);
#define await(condition) assert_true(becomes(condition))
bool becomes(condition_fn *condition);

/* How long becomes() has waited by now. */
uint64_t await_us(void);
/* A condition: 30 ms have passed since the wait began. */
bool a_moment_passed(void);

#endif

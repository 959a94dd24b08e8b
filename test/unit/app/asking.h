/* asking: events that ask for an acknowledgement, for the tests of the relay and of its rules. */
#ifndef TEST_APP_ASKING_H
#define TEST_APP_ASKING_H

#include "../session/fixture.h"

/* Sends an event with the acknowledgement 1, and returns the answer. */
const char *asked(struct browser *browser, const char *args);
void accepted(struct browser *browser, const char *args);
/* The answer names the refusal, which is counted, and the connection goes on. */
void refused(struct browser *browser, const char *args, enum refusal refusal);

#endif

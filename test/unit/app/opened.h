/* opened: a relay from a text, for the tests of the relay and of plain clients. */
#ifndef TEST_APP_OPENED_H
#define TEST_APP_OPENED_H

#include "app/relay.h"

/* Makes a relay that has these `namespaces:`, and opens the fixture with it. */
void relay_open_with(struct relay *relay, const char *config);

#endif

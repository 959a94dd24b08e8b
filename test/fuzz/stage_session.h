/* stage_session: whole sessions of polling clients on the stage, beside its WebSocket clients: handshakes, GETs, POSTs,
 * upgrades, plain messages, and bytes cut anywhere, on a few connections.
 *
 * Whatever answers a GET must be a payload of valid packets, attachments behind their text, and within one session
 * positions only rise. When all has been quiet for as long as a session may live, none is left. */
#ifndef SENNIT_FUZZ_STAGE_SESSION_H
#define SENNIT_FUZZ_STAGE_SESSION_H

#include "base/span.h"

struct stage;

/* Takes the steps of `input`, to its end or up to a maximum, and closes the connections. */
void stage_session_play(struct stage *stage, struct span input);
/* In peace: asserts that nobody's session is left. */
void stage_session_check_quiet(const struct stage *stage);

#endif

/* script: a transport without a connection and without a WebSocket, which does what a test says. It keeps what is sent
 * until it is taken. A session on it is driven by hand. */
#ifndef SENNIT_TEST_SESSION_SCRIPT_H
#define SENNIT_TEST_SESSION_SCRIPT_H

#include "fixture.h"

enum { SENT_MAX = 64 };

struct script {
    struct transport transport;
    struct {
        struct frame *frame; /* parts of a message behind the first one have a newline in front */
        struct frame_tag tag;
    } sent[SENT_MAX];
    size_t count, bytes;
    bool awaited, paused, closed, aborted;
    enum close_reason reason;
    uint32_t pings, ping_number;
    struct addr_ip peer;
};

/* Begins a session of this protocol on a script, whatever was in it. */
struct session *script_begin(struct script *script, const struct protocol *protocol);
/* A message of the client comes, and the loop runs for a moment. */
void script_receive(struct script *script, const char *text);
/* Number of waiting messages that begin so. */
size_t script_waiting(const struct script *script, const char *start);
/* The last waiting message that begins so, as a text that the next call overwrites; fails the test if there is none. */
const char *script_last(const struct script *script, const char *start);
/* Everything that waits has gone out. */
void script_take(struct script *script);
/* The connection is gone; accepts one that has ended. */
void script_end(struct script *script);

#endif

/* fixture: a whole instance on a loop of its own, and clients that are bare sockets. */
#ifndef SENNIT_TEST_SERVE_FIXTURE_H
#define SENNIT_TEST_SERVE_FIXTURE_H

#include "serve/serve.h"

enum { PEERS = 4 };

#define POLL "/socket.io/?EIO=4&transport=polling"
#define UPGRADE \
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " \
    "dGhlIHNhbXBsZSBub25jZQ==\r\n"

/* A client's connection. */
struct peer {
    int fd; /* -1: none */
    struct buf got;
    bool ended; /* by the instance */
};

extern struct server *server;
extern struct peer peers[PEERS];
extern char sid[ENGINEIO_SID_BYTES + 1]; /* of the session that begin_session began last */

/* Starts an instance with these lines in its configuration, beside the namespaces, and ends it. */
void start(const char *config);
void stop(void);
/* Lets it work for so long, or until the peer's connection has ended. */
void pass_ms(uint32_t ms);
void await_end(struct peer *peer);
/* The same until the peer has got this; fails when it does not. */
void await(struct peer *peer, const char *text);
bool has(const struct peer *peer, const char *text);
/* Sends this on the peer's connection, a new one if it has none, and forgets what it had got. */
void say(struct peer *peer, const char *text);
/* Ends the peer's connection. */
void leave(struct peer *peer);
/* A request, in memory of its own until the next one. A body is announced by its length. */
const char *request(const char *method, const char *target, const char *fields, const char *body);
/* `%s` in a target is the session's id. */
const char *of_session(const char *target);
/* Asks, and fails unless the answer begins with `expected`. */
void answers(struct peer *peer, const char *asked, const char *expected);
void begin_session(struct peer *peer);
/* Fails unless the session is unknown, or takes a POST. */
void is_gone(struct peer *peer);
void lives(struct peer *peer);

#endif

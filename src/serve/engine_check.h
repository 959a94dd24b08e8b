/* engine_check: what a request below the engine's path asks for, or why it is refused: the checks of Engine.IO's own
 * server in their order, with its codes. It looks and changes nothing.
 * https://socket.io/docs/v4/engine-io-protocol/ */
#ifndef SENNIT_SERVE_ENGINE_CHECK_H
#define SENNIT_SERVE_ENGINE_CHECK_H

#include "net/refusals.h"
#include "serve/engine_config.h"
#include "wire/engineio.h"

struct sessions;

enum engine_use {
    ENGINE_REFUSED,
    ENGINE_HANDSHAKE, /* begins a polling session */
    ENGINE_GET,       /* of a polling session */
    ENGINE_POST,
    ENGINE_OTHER,     /* a method that no transport has */
    ENGINE_WEBSOCKET, /* begins a session on a WebSocket */
    ENGINE_PROBE,     /* a WebSocket that is to take over a polling session */
};

struct engine_ask {
    enum engine_use use;
    struct span sid;           /* as it came */
    uint64_t mark;             /* see struct polling_exchange */
    enum engineio_error error; /* for REFUSED: the code, */
    enum refusal refusal;      /* the reason in our words, */
    const char *message;       /* and the answer's text; NULL: the code's documented one */
};

/* `sessions` is asked about a sid. */
void engine_check(struct engine_ask *ask, const struct engine_config *config, const struct sessions *sessions,
                  const struct http1_head *head, struct span query);

#endif

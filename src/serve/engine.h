/* engine: the requests below the engine's path: polls, handshakes, WebSocket upgrades, preflights, and the client
 * library. Everything that Engine.IO fixes about their answers is here: statuses, bodies, fields and their order.
 *
 * A request to a polling session may be answered later. Until then the client owns a struct engine_request, and the
 * session an exchange inside it. */
#ifndef SENNIT_SERVE_ENGINE_H
#define SENNIT_SERVE_ENGINE_H

#include "serve/client.h"

/* Acts on one request. `rest`: its path behind the engine's; `query`: behind the question mark. */
void engine_request(struct client *client, const struct http1_head *head, struct span rest, struct span query);
/* The body of a POST, whole. */
void engine_body(struct client *client, struct span body);
/* The client has gone before it was answered: the session ends at once. Harmless without a request. */
void engine_aborted(struct client *client);
/* `http` refuses the request for this fault. Returns true if it has been answered here. Harmless without a request. */
bool engine_refused(struct client *client, enum http_fault fault);

#endif

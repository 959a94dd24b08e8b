/* api: the HTTP API under /api/v1/, for backends and operators: publishing, and questions and directives about sockets
 * (docs/api.md). `routes` passes a request on, `client` its body and its end.
 *
 * Access is as for /metrics (admin.h), with a token of its own. Errors are JSON: `{"error", "reason", "field",
 * "cure"}`. */
#ifndef SENNIT_SERVE_API_H
#define SENNIT_SERVE_API_H

#include "serve/client.h"

/* The path is one of the API's. */
bool api_has(struct span path);
/* A request to such a path, or any request on the API's own port. */
void api_request(struct client *client, const struct http1_head *head, struct span path, struct span query);
/* The whole body of the request under way. */
void api_body(struct client *client, struct span body);
/* The client is gone: its request goes on without it. Harmless without one. */
void api_aborted(struct client *client);
/* The request is refused for a fault, with this status. False: none of the API is under way. */
bool api_refused(struct client *client, enum http_fault fault, int status);

#endif

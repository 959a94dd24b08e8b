/* cors: which pages of other origins may read what the engine answers over HTTP, and what a browser is told of it (the
 * Fetch standard, section "HTTP-CORS protocol"). It means what the npm module `cors` means, which Socket.IO's own
 * server uses: off unless it is configured, and then for every answer below the engine's path, errors and the client
 * library included.
 *
 * (origin.h decides which pages may open a WebSocket: that is not CORS, because a browser applies none there. A page
 * that CORS lets read may open one, too.) */
#ifndef SENNIT_SERVE_CORS_H
#define SENNIT_SERVE_CORS_H

#include "base/buf.h"
#include "wire/http1.h"
#include "wire/yaml.h"

enum cors_origin {
    CORS_OFF,
    CORS_ANY,     /* `*`: every page, without credentials */
    CORS_REFLECT, /* every page, named */
    CORS_FIXED,   /* one origin, always named */
    CORS_LISTED,  /* origins and patterns of a list */
};

struct cors {
    enum cors_origin origin;
    char **listed; /* origins, and patterns with `*` in place of a label; for FIXED the one */
    size_t listed_count;
    bool credentials;
    char *methods, *allowed_headers, *exposed_headers; /* NULL: the default */
    char *max_age;                                     /* seconds; NULL: none is told */
};

/* Reads `cors: {origin, credentials, methods, allowed_headers, exposed_headers, max_age}`; NULL: off. False with `err`
 * set. */
bool cors_read(struct cors *cors, const struct yaml_node *node, struct err *err);
void cors_finish(struct cors *cors); /* accepts zeroed memory */

/* Appends the lines of an answer to this request; none when it is off. */
void cors_encode(struct buf *to, const struct cors *cors, const struct http1_head *head);
/* The same for the answer to a preflight (OPTIONS). */
void cors_preflight_encode(struct buf *to, const struct cors *cors, const struct http1_head *head);
/* Whether the page that sent this request may read its answer. Without Origin: false. */
bool cors_allows(const struct cors *cors, const struct http1_head *head);

#endif

/* origin: decides which pages may open a WebSocket here. A browser sends the cookies of our site with the handshake of
 * any page and applies no CORS to it, so the server must check Origin (RFC 6455 section 10.2).
 *
 * A page of our own site may connect: its Origin names the host and port of the request. Other origins must be listed
 * under `origins:`. A request without Origin does not come from a browser. */
#ifndef SENNIT_SERVE_ORIGIN_H
#define SENNIT_SERVE_ORIGIN_H

#include "wire/http1.h"
#include "wire/yaml.h"

struct origins {
    char **allowed; /* "https://board.example.com", "null" */
    size_t count;
    bool any; /* "*" */
};

/* Reads the list under `origins:`; NULL: our own site alone. False with `err` set. */
bool origins_read(struct origins *origins, const struct yaml_node *node, struct err *err);
void origins_finish(struct origins *origins); /* accepts zeroed memory */
bool origins_allow(const struct origins *origins, const struct http1_head *head);
/* Whether the one Origin of this request is our own site's. */
bool origin_is_ours(const struct http1_head *head);

#endif

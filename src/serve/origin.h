/* origin: which pages may open a WebSocket here. A browser sends the cookies of our site with the handshake of any
 * page, and applies no CORS to it, so that the server has to look at Origin (RFC 6455 section 10.2).
 *
 * A page of our own site may: its Origin names the host and port that the request is for. Others are listed under
 * `origins:`. Requests without Origin are no browser's. */
#ifndef SENNIT_SERVE_ORIGIN_H
#define SENNIT_SERVE_ORIGIN_H

#include "wire/http1.h"
#include "wire/yaml.h"

struct origins {
    char **allowed; /* "https://board.example.com", "null" */
    size_t count;
    bool any; /* "*" */
};

/* The list under `origins:`; NULL: our own site alone. False with `err` set. */
bool origins_read(struct origins *origins, const struct yaml_node *node, struct err *err);
void origins_finish(struct origins *origins); /* accepts zeroed */
bool origins_allow(const struct origins *origins, const struct http1_head *head);

#endif

/* cookie: the cookie that a long-polling handshake sets, for load balancers with affinity by cookie (RFC 6265). It
 * holds the session's id. This server never reads it, and needs no affinity. */
#ifndef SENNIT_SERVE_COOKIE_H
#define SENNIT_SERVE_COOKIE_H

#include "base/buf.h"
#include "wire/yaml.h"

struct cookie {
    char *name;       /* NULL: none is set */
    char *attributes; /* "; Path=/; HttpOnly; SameSite=Lax" */
};

/* Reads `cookie: true` or `cookie: {name, max_age, domain, path, http_only, secure, same_site}`; NULL, `false`: none.
 * False with `err` set. */
bool cookie_read(struct cookie *cookie, const struct yaml_node *node, struct err *err);
void cookie_finish(struct cookie *cookie); /* accepts zeroed memory */
/* Appends the line Set-Cookie, if there is a cookie to set. */
void cookie_encode(struct buf *to, const struct cookie *cookie, struct span sid);

#endif

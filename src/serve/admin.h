/* admin: access to the operator's paths, such as /metrics: from this machine, or with the token.
 *
 * Behind a proxy on the same machine, every peer has this machine's address. A proxy adds X-Forwarded-For or Forwarded,
 * so a request with such a field does not count as this machine's. Nor does a request whose Host is not a name of this
 * machine: a web page in a local browser could send it (DNS rebinding). */
#ifndef SENNIT_SERVE_ADMIN_H
#define SENNIT_SERVE_ADMIN_H

#include "loop/io.h"
#include "wire/http1.h"
#include "wire/yaml.h"

enum { ADMIN_TOKEN_BYTES_MIN = 16, ADMIN_TOKEN_BYTES_MAX = 1024 };

struct admin {
    char *token;       /* NULL: none */
    bool not_loopback; /* the token alone counts */
};

/* Reads `admin: {token_file: PATH, loopback: false}`; `node` may be NULL. A relative path starts at the directory of
 * the configuration file. `environment`: the token from the environment, which takes precedence, or NULL. False with
 * `err` set. */
bool admin_read(struct admin *admin, const struct yaml_node *node, const char *environment, struct err *err);
void admin_finish(struct admin *admin); /* accepts zeroed memory */
bool admin_allows(const struct admin *admin, const struct addr_ip *peer, const struct http1_head *head);

#endif

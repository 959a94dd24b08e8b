/* admin: who may read what is for the operator, such as /metrics: this machine, and whoever has the token.
 *
 * Behind a proxy on the same machine every peer is this machine. Proxies say for whom they ask, in X-Forwarded-For or
 * Forwarded, so a request that has one of these is not this machine's; nor is one for a Host with a name of the web,
 * which is how a page in a browser here could ask (DNS rebinding). */
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

/* `admin: {token_file: PATH, loopback: false}`, or NULL; a path is seen from the directory of the file it stands in.
 * `environment`: the token that the environment has, or NULL, which wins. False with `err` set. */
bool admin_read(struct admin *admin, const struct yaml_node *node, const char *environment, struct err *err);
void admin_finish(struct admin *admin); /* accepts zeroed */
bool admin_allows(const struct admin *admin, const struct addr_ip *peer, const struct http1_head *head);

#endif

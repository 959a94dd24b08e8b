/* api_config: who may use the HTTP API, and on which port it is served:
 *
 *     api: {token_file: PATH, loopback: false, listen: 127.0.0.1:9090}
 *
 * Without `listen` it is served on the instance's own port. With it, it is served there alone. */
#ifndef SENNIT_SERVE_API_CONFIG_H
#define SENNIT_SERVE_API_CONFIG_H

#include "serve/admin.h"

struct api_config {
    struct admin access;
    bool has_port; /* a port of its own: */
    struct addr listen;
};

/* `node` may be NULL; `environment` is the token from SENNIT_API_TOKEN, or NULL. False with `err` set. */
bool api_config_read(struct api_config *config, const struct yaml_node *node, const char *environment, struct err *err);

#endif

/* plain_config: the paths of clients that speak no Socket.IO, from these fields of the configuration:
 *
 *     plain: {path: /ws}       sennit.v1, on by default
 *     raw: {path: /raw}        /raw/ROOM without any protocol, off by default
 *
 * Instead of a mapping, each may be `on` or `off`. */
#ifndef SENNIT_SERVE_PLAIN_CONFIG_H
#define SENNIT_SERVE_PLAIN_CONFIG_H

#include "base/err.h"
#include "wire/yaml.h"

/* Paths without a slash at their end; NULL: off. */
struct plain_config {
    char *path;
    char *raw_path;
};

/* Reads the fields of the root mapping. False with `err` set. */
bool plain_config_read(struct plain_config *config, const struct yaml_node *root, struct err *err);
void plain_config_finish(struct plain_config *config); /* accepts zeroed memory */

#endif

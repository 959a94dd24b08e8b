/* path_config: places in the URL space that the configuration gives to a protocol. */
#ifndef SENNIT_SERVE_PATH_CONFIG_H
#define SENNIT_SERVE_PATH_CONFIG_H

#include "wire/yaml.h"

/* Reads a path, without a slash at its end, into a copy that the caller frees. `usual` stands for a node that is NULL.
 */
bool path_config_read(const struct yaml_node *node, const char *usual, char **to, struct err *err);

#endif

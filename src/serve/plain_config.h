/* plain_config: the path of clients that speak sennit.v1, from `plain:` of the configuration:
 *
 *     plain: {path: /ws}       the default
 *     plain: off
 */
#ifndef SENNIT_SERVE_PLAIN_CONFIG_H
#define SENNIT_SERVE_PLAIN_CONFIG_H

#include "base/err.h"
#include "wire/yaml.h"

struct plain_config {
    char *path; /* of sennit.v1, without a slash at its end; NULL: off */
};

/* Reads the fields of the root mapping. False with `err` set. */
bool plain_config_read(struct plain_config *config, const struct yaml_node *root, struct err *err);
void plain_config_finish(struct plain_config *config); /* accepts zeroed memory */

#endif

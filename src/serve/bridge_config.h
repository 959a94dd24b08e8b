/* bridge_config: reads `bridge:` of the configuration, which says with whose servers rooms are shared. */
#ifndef SENNIT_SERVE_BRIDGE_CONFIG_H
#define SENNIT_SERVE_BRIDGE_CONFIG_H

#include "bridge/bridge.h"
#include "wire/yaml.h"

/* Reads the mapping; NULL: there is no bridge. `url` (NULL: none) is that of the environment, and counts more than the
 * file's. `relay` has the namespaces already. False with `err` set. */
bool bridge_config_read(struct bridge_config *config, struct relay *relay, const struct yaml_node *node,
                        const char *url, struct err *err);

#endif

/* compression_config: reads `compression:` of the configuration, which says when messages and responses are compressed.
 */
#ifndef SENNIT_SERVE_COMPRESSION_CONFIG_H
#define SENNIT_SERVE_COMPRESSION_CONFIG_H

#include "base/err.h"
#include "session/compression.h"
#include "wire/yaml.h"

/* Reads the mapping, NULL for none, over the defaults. False with `err` set. */
bool compression_config_read(struct compression_settings *settings, const struct yaml_node *node, struct err *err);

#endif

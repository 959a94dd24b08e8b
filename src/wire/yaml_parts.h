/* yaml_parts: declarations that the files of the yaml module share. No other file includes it. */
#ifndef SENNIT_WIRE_YAML_PARTS_H
#define SENNIT_WIRE_YAML_PARTS_H

#include <yaml.h>

#include "wire/yaml.h"

/* Says in plain words why libyaml could not read `text`: `file:line:column: ...`. */
void yaml_problem_describe(const char *file, struct span text, const yaml_parser_t *parser, struct err *err);

#endif

/* spec_probe: the probes of a container as the file describes them. Ranges and defaults are Cloud Run's. Pure.
 * https://cloud.google.com/run/docs/configuring/healthchecks */
#ifndef SENNIT_PLATFORM_SPEC_PROBE_H
#define SENNIT_PLATFORM_SPEC_PROBE_H

#include "platform/probe.h"
#include "wire/yaml.h"

enum spec_probe_use { SPEC_PROBE_STARTUP, SPEC_PROBE_LIVENESS, SPEC_PROBE_READINESS, SPEC_PROBES };

/* Reads one. `question` becomes its text, for the caller to free after the probe is no longer used. `container_port`:
 * the port that the file names, which stands for the one that an instance gets. An empty mapping, and a gRPC probe,
 * which is not run here, leave the kind at PROBE_NONE. */
bool spec_probe_read(struct probe_spec *probe, char **question, enum spec_probe_use use, const struct yaml_node *node,
                     uint16_t container_port, struct err *err);

#endif

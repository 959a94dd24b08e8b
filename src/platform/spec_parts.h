/* spec_parts: functions that the files of spec call in each other. For them only. */
#ifndef SENNIT_PLATFORM_SPEC_PARTS_H
#define SENNIT_PLATFORM_SPEC_PARTS_H

#include "platform/spec.h"
#include "wire/yaml.h"

/* spec.c */

/* The value of `key` in a mapping. NULL: there is none, or nothing behind its colon (`env:`, `env: null`), which is the
 * same to the platforms. */
struct yaml_node *spec_get(const struct yaml_node *mapping, const char *key);

/* Notes a field that Cloud Run or Knative knows, and that has no effect here; and what happens instead ("": nothing
 * that anybody would miss). */
void spec_inert(struct service_spec *spec, const char *name, const char *consequence);
struct spec_no_effect {
    const char *name, *consequence;
};
/* The same for those of a mapping's fields that are there and say something (`resources: {}` does not); up to one
 * without a name. */
void spec_inert_fields(struct service_spec *spec, const struct yaml_node *mapping, const struct spec_no_effect *fields);
/* Reads a text that becomes a C string (wire/yaml lets no NUL through) and must fit into an argument or a variable. */
bool spec_text_get(struct service_spec *spec, const struct yaml_node *node, struct span *text, struct err *err);
/* The same into `*to`, which is freed before. */
bool spec_text_set(struct service_spec *spec, const struct yaml_node *node, char **to, struct err *err);
/* Reads a field of a mapping, if it is there. */
bool spec_text_read(struct service_spec *spec, const struct yaml_node *mapping, const char *key, char **to,
                    struct err *err);
bool spec_number_read(const struct yaml_node *mapping, const char *key, uint64_t min, uint64_t max, uint32_t *to,
                      struct err *err);

/* spec_annotations.c: one annotation, of the service or of its template */
bool spec_annotation_read(struct service_spec *spec, const struct yaml_pair *pair, struct err *err);

/* spec_traffic.c: `spec.traffic`; NULL: there is none */
bool spec_traffic_read(struct service_spec *spec, const struct yaml_node *traffic, struct err *err);
/* Appends what makes a revision: the template, and the service's annotations. Comments, indentation and
 * lines make no difference. */
void spec_shape_print(struct buf *to, const struct yaml_node *root);

/* spec_volumes.c: `volumes`, then the container's `volumeMounts`; NULL: there are none */
bool spec_volumes_read(struct service_spec *spec, const struct yaml_node *volumes, struct err *err);
bool spec_mounts_read(struct service_spec *spec, const struct yaml_node *mounts, struct err *err);

/* spec_limits.c: `resources` and `securityContext` of a container; NULL: there is none */
bool spec_resources_read(struct service_spec *spec, const struct yaml_node *resources, struct err *err);
bool spec_security_read(struct service_spec *spec, const struct yaml_node *context, struct err *err);
/* A quantity of memory, from `min` (`least`, for the message) to Cloud Run's most. */
bool spec_bytes_read(const struct yaml_node *node, uint64_t min, const char *least, uint64_t *bytes, struct err *err);

/* spec_container.c: `spec.template.spec.containers` */
bool spec_container_read(struct service_spec *spec, const struct yaml_node *containers, struct err *err);

#endif

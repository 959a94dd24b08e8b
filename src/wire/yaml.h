/* yaml: a YAML document with positions, and getters whose errors tell the operator the place, the fault and the cure.
 *
 * libyaml does the parsing. (libcyaml, which fits structs to schemas, has no mappings with keys of the user's choice in
 * Debian's version: annotations, namespaces and events are such.) One document a text. Refused are duplicate keys, keys
 * that are no text, tags beyond the core schema, anchors that hold themselves, nesting beyond YAML_DEPTH_MAX and more
 * than 100,000 values (aliases spelled out) or 1,000 anchors. Errors read `board.yaml:12:
 * spec.template.spec.timeoutSeconds: expected a whole number from 1 to 3600, found 0.5`; where the text is no YAML,
 * `board.yaml:12:5: ...`. */
#ifndef SENNIT_WIRE_YAML_H
#define SENNIT_WIRE_YAML_H

#include "base/err.h"
#include "base/span.h"

enum { YAML_DEPTH_MAX = 32, YAML_BYTES_MAX = 1 << 20 };

enum yaml_type { YAML_SCALAR, YAML_LIST, YAML_MAPPING };

struct yaml_pair;
struct yaml_node {
    enum yaml_type type;
    bool secret;              /* its texts may be secrets: no error repeats them */
    bool quoted;              /* scalar: was in quotes, so a string whatever it looks like */
    unsigned line;            /* from 1 */
    const char *file;         /* as given, borrowed */
    char *path;               /* "spec.template.spec.containers[0].image" */
    struct span text;         /* scalar, NUL-terminated behind */
    struct yaml_node **items; /* list */
    struct yaml_pair *pairs;  /* mapping, in the order of the file */
    size_t count;             /* of items or pairs */
};
struct yaml_pair {
    struct span key;
    unsigned key_line;
    struct yaml_node *value;
};

/* Parses the one document of `text`; NULL with `err` set. An empty document is an error. `file` is for messages and
 * lives as long as the tree. */
struct yaml_node *yaml_parse(const char *file, struct span text, struct err *err);
void yaml_destroy(struct yaml_node *root); /* the whole tree; accepts NULL */

/* Errors about the node, or about a node in it, do not repeat its texts. Accepts NULL. */
void yaml_keep_secret(struct yaml_node *node);

/* The value of `key` in a mapping, or NULL. */
struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key);
/* err_set with `file:line: path: ` before the message. Returns false. */
bool yaml_error(struct err *err, const struct yaml_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Fails unless `mapping` is one and every key of it is in `allowed` (NULL-terminated): the error names the key's line,
 * and the field that was probably meant or else all that are allowed. */
bool yaml_only(const struct yaml_node *mapping, const char *const *allowed, struct err *err);

/* Typed reads. Each error names the expected and the found value, and leaves the result alone. Bounds are inclusive. */

bool yaml_expect(const struct yaml_node *node, enum yaml_type type, struct err *err);
/* Any scalar but nothing at all (`key:`); "" is a text. */
bool yaml_string(const struct yaml_node *node, struct span *value, struct err *err);
/* Decimal digits, without a leading zero, without quotes. */
bool yaml_u64(const struct yaml_node *node, uint64_t min, uint64_t max, uint64_t *value, struct err *err);
/* The same, quoted or not: annotations are strings that hold numbers. */
bool yaml_u64_text(const struct yaml_node *node, uint64_t min, uint64_t max, uint64_t *value, struct err *err);
/* `true` or `false` without quotes. */
bool yaml_bool(const struct yaml_node *node, bool *value, struct err *err);
/* A duration: "500ms", "90s", "10m", "24h", "7d"; milliseconds. A bare number is seconds. */
bool yaml_duration_parse(struct span text, uint64_t *ms); /* the same from a flag or a variable */
bool yaml_duration_ms(const struct yaml_node *node, uint64_t min_ms, uint64_t max_ms, uint64_t *ms, struct err *err);
/* A size: "64KiB", "10MiB", "1GiB", "10MB"; also "512Mi" as Kubernetes writes it. A bare number is bytes. */
bool yaml_bytes(const struct yaml_node *node, uint64_t min, uint64_t max, uint64_t *bytes, struct err *err);

#endif

/* spec: reads service.yaml but for its annotations (spec_annotations.c) and its container (spec_container.c), and what
 * all of its readers need. */
#include "platform/spec.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/shown.h"
#include "platform/spec_parts.h"
#include "wire/yaml.h"

enum { REVISION_BYTES_MAX = 63 };

struct yaml_node *spec_get(const struct yaml_node *mapping, const char *key)
{
    struct yaml_node *node = yaml_get(mapping, key);
    static const char *const nothing[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; node != NULL && i < sizeof nothing / sizeof nothing[0]; i++)
        if (node->type == YAML_SCALAR && !node->quoted && span_equal(node->text, span_str(nothing[i])))
            return NULL;
    return node;
}

void spec_inert(struct service_spec *spec, const char *name, const char *consequence)
{
    if (consequence[0] != '\0') {
        words_add(&spec->lacking, mem_printf("%s: %s", name, consequence));
        return;
    }
    if (spec->inert.len != 0)
        buf_append(&spec->inert, SPAN_LIT(", "));
    buf_append(&spec->inert, span_str(name));
}

void spec_inert_fields(struct service_spec *spec, const struct yaml_node *mapping, const struct spec_no_effect *fields)
{
    for (; fields->name != NULL; fields++) {
        const struct yaml_node *node = spec_get(mapping, fields->name);
        if (node != NULL && (node->type == YAML_SCALAR ? node->text.len != 0 : node->count != 0))
            spec_inert(spec, fields->name, fields->consequence);
    }
}

bool spec_text_get(struct service_spec *spec, const struct yaml_node *node, struct span *text, struct err *err)
{
    if (!yaml_string(node, text, err))
        return false;
    if (text->len > SPEC_TEXT_BYTES_MAX)
        return yaml_error(err, node, "a text of %zu bytes; a program can be passed %d: give it in a file", text->len,
                          SPEC_TEXT_BYTES_MAX);
    spec->bytes += text->len;
    if (spec->bytes > SPEC_BYTES_MAX)
        return yaml_error(err, node, "more than %d bytes of texts in all, with this one: give them in a file",
                          SPEC_BYTES_MAX);
    return true;
}

bool spec_text_set(struct service_spec *spec, const struct yaml_node *node, char **to, struct err *err)
{
    struct span text;
    if (!spec_text_get(spec, node, &text, err))
        return false;
    free(*to);
    *to = mem_text(text);
    return true;
}

bool spec_text_read(struct service_spec *spec, const struct yaml_node *mapping, const char *key, char **to,
                    struct err *err)
{
    const struct yaml_node *node = spec_get(mapping, key);
    return node == NULL || spec_text_set(spec, node, to, err);
}

bool spec_number_read(const struct yaml_node *mapping, const char *key, uint64_t min, uint64_t max, uint32_t *to,
                      struct err *err)
{
    const struct yaml_node *node = spec_get(mapping, key);
    uint64_t value;
    if (node == NULL)
        return true;
    if (!yaml_u64(node, min, max, &value, err))
        return false;
    *to = (uint32_t)value;
    return true;
}

/* A DNS label (RFC 1035) in lower case, of the length that Cloud Run allows. */
static bool name_is_valid(struct span name, size_t bytes_max)
{
    if (name.len == 0 || name.len > bytes_max || name.data[0] < 'a' || name.data[0] > 'z' ||
        name.data[name.len - 1] == '-')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

bool service_name_is_valid(struct span name)
{
    return name_is_valid(name, SERVICE_NAME_BYTES_MAX);
}

bool revision_name_is_valid(struct span name, struct span service)
{
    return span_starts_with(name, service) && name.len > service.len + 1 && name.data[service.len] == '-' &&
           name_is_valid(name, REVISION_BYTES_MAX);
}

static bool metadata_read(struct service_spec *spec, const struct yaml_node *metadata, char **name, struct err *err)
{
    static const char *const keys[] = {
        "name",     "namespace",       "annotations",       "labels",     "generation",      "uid",
        "selfLink", "resourceVersion", "creationTimestamp", "finalizers", "ownerReferences", "managedFields",
        NULL};
    if (!yaml_expect(metadata, YAML_MAPPING, err) || !yaml_only(metadata, keys, err) ||
        !spec_text_read(spec, metadata, "name", name, err))
        return false;
    const struct yaml_node *annotations = spec_get(metadata, "annotations");
    if (annotations == NULL)
        return true;
    if (!yaml_expect(annotations, YAML_MAPPING, err))
        return false;
    for (size_t i = 0; i < annotations->count; i++)
        if (!spec_annotation_read(spec, &annotations->pairs[i], err))
            return false;
    return true;
}

static bool template_read(struct service_spec *spec, const struct yaml_node *template, struct err *err)
{
    static const char *const keys[] = {"metadata", "spec", NULL};
    static const char *const spec_keys[] = {"containerConcurrency",
                                            "timeoutSeconds",
                                            "containers",
                                            "serviceAccountName",
                                            "volumes",
                                            "responseStartTimeoutSeconds",
                                            "idleTimeoutSeconds",
                                            "enableServiceLinks",
                                            "nodeSelector",
                                            "imagePullSecrets",
                                            "automountServiceAccountToken",
                                            NULL};
    static const struct spec_no_effect no_effect[] = {
        {"responseStartTimeoutSeconds", "only timeoutSeconds bounds a request"},
        {"idleTimeoutSeconds", "only timeoutSeconds bounds a request"},
        {"nodeSelector", ""},
        {"imagePullSecrets", ""},
        {NULL, NULL},
    };
    uint32_t ignored;
    if (!yaml_expect(template, YAML_MAPPING, err) || !yaml_only(template, keys, err))
        return false;
    const struct yaml_node *metadata = spec_get(template, "metadata"), *inside = spec_get(template, "spec");
    if (metadata != NULL && !metadata_read(spec, metadata, &spec->revision, err))
        return false;
    if (inside == NULL)
        return yaml_error(err, template, "needs spec.template.spec");
    if (!yaml_expect(inside, YAML_MAPPING, err) || !yaml_only(inside, spec_keys, err))
        return false;
    if (!spec_number_read(inside, "containerConcurrency", 0, SPEC_CONCURRENCY_MAX, &spec->concurrency, err) ||
        !spec_number_read(inside, "timeoutSeconds", 1, SPEC_TIMEOUT_S_MAX, &spec->timeout_s, err) ||
        !spec_number_read(inside, "responseStartTimeoutSeconds", 0, spec->timeout_s, &ignored, err) ||
        !spec_number_read(inside, "idleTimeoutSeconds", 0, spec->timeout_s, &ignored, err))
        return false;
    if (spec->concurrency == 0)
        spec->concurrency = SPEC_CONCURRENCY_DEFAULT;
    if (!spec_text_read(spec, inside, "serviceAccountName", &spec->service_account, err))
        return false;
    spec_inert_fields(spec, inside, no_effect);
    if (!spec_volumes_read(spec, spec_get(inside, "volumes"), err))
        return false;
    if (spec_get(inside, "containers") == NULL)
        return yaml_error(err, inside, "needs containers");
    return spec_container_read(spec, spec_get(inside, "containers"), err);
}

static bool fixed(const struct yaml_node *root, const char *key, const char *expected, struct err *err)
{
    const struct yaml_node *node = spec_get(root, key);
    struct span text;
    if (node == NULL)
        return yaml_error(err, root, "needs %s: %s", key, expected);
    if (!yaml_string(node, &text, err))
        return false;
    if (!span_equal(text, span_str(expected)))
        return yaml_error(err, node, "expected %s, found %s", expected, SHOWN_FOUND(text));
    return true;
}

static bool root_read(struct service_spec *spec, const struct yaml_node *root, struct err *err)
{
    static const char *const keys[] = {"apiVersion", "kind", "metadata", "spec", "status", NULL};
    static const char *const spec_keys[] = {"template", "traffic", NULL};
    if (!yaml_expect(root, YAML_MAPPING, err) || !yaml_only(root, keys, err) ||
        !fixed(root, "apiVersion", "serving.knative.dev/v1", err) || !fixed(root, "kind", "Service", err))
        return false;
    const struct yaml_node *metadata = spec_get(root, "metadata"), *inside = spec_get(root, "spec");
    if (metadata == NULL || spec_get(metadata, "name") == NULL)
        return yaml_error(err, metadata != NULL ? metadata : root, "needs metadata.name");
    if (!metadata_read(spec, metadata, &spec->name, err))
        return false;
    if (!service_name_is_valid(span_str(spec->name)))
        return yaml_error(
            err, spec_get(metadata, "name"),
            "expected a name of at most %d lower-case letters, digits and hyphens that begins with a letter, "
            "found %s",
            SERVICE_NAME_BYTES_MAX, SHOWN_FOUND(span_str(spec->name)));
    if (inside == NULL || !yaml_expect(inside, YAML_MAPPING, err))
        return inside == NULL ? yaml_error(err, root, "needs spec.template") : false;
    if (!yaml_only(inside, spec_keys, err))
        return false;
    if (!spec_traffic_read(spec, spec_get(inside, "traffic"), err))
        return false;
    if (spec_get(inside, "template") == NULL)
        return yaml_error(err, inside, "needs spec.template");
    return template_read(spec, spec_get(inside, "template"), err);
}

/* Finds the annotation that sets minScale or maxScale, for an error text; the root if there is none. */
static const struct yaml_node *scale_node(const struct yaml_node *root, const char *prefix, const char *other)
{
    const struct yaml_node *template = spec_get(spec_get(root, "spec"), "template");
    const struct yaml_node *const places[] = {template, root};
    for (size_t i = 0; i < 2; i++) {
        const struct yaml_node *metadata = spec_get(places[i], "metadata");
        const struct yaml_node *notes = metadata != NULL ? spec_get(metadata, "annotations") : NULL;
        for (size_t j = 0; notes != NULL && j < notes->count; j++)
            if (span_starts_with(notes->pairs[j].key, span_str(prefix)) ||
                span_starts_with(notes->pairs[j].key, span_str(other)))
                return notes->pairs[j].value;
    }
    return root;
}

static bool spec_check(struct service_spec *spec, const struct yaml_node *root, struct err *err)
{
    struct scaling *scaling = &spec->scaling;
    if (spec->cpu_milli != 0 && spec->cpu_milli < 1000)
        spec->concurrency = 1; /* as on Cloud Run */
    scaling->kpa.concurrency = spec->concurrency;
    scaling->kpa.instances_min = spec->instances_min;
    scaling->kpa.instances_max = spec->instances_max;
    if (spec->cpu_milli != 0 && spec->cpu_milli < 1000 && !spec->throttled)
        return yaml_error(
            err, root,
            "run.googleapis.com/cpu-throttling \"false\" needs at least one CPU (resources.limits.cpu: 1), "
            "as on Cloud Run");
    if (scaling->concurrency_target <= 0 && scaling->cpu_target <= 0)
        return yaml_error(err, root, "scaling-cpu-target and scaling-concurrency-target cannot both be disabled");
    if (scaling->is_manual && scaling->instances_manual > spec->instances_max)
        spec->instances_max = scaling->instances_manual;
    if (spec->instances_min > spec->instances_max) {
        const struct yaml_node *max = scale_node(root, "autoscaling.knative.dev/max", "run.googleapis.com/max");
        return yaml_error(err,
                          max != root ? max : scale_node(root, "autoscaling.knative.dev/min", "run.googleapis.com/min"),
                          "minScale (%u) is above maxScale (%u)", spec->instances_min, spec->instances_max);
    }
    spec->revision_given = spec->revision != NULL;
    if (!spec->revision_given) {
        spec->revision = mem_printf("%s-00001", spec->name);
    } else if (!revision_name_is_valid(span_str(spec->revision), span_str(spec->name))) {
        return yaml_error(err, spec_get(spec_get(spec_get(spec_get(root, "spec"), "template"), "metadata"), "name"),
                          "a revision's name begins with \"%s-\" and has at most %d lower-case letters, digits and "
                          "hyphens, found %s",
                          spec->name, REVISION_BYTES_MAX, SHOWN_FOUND(span_str(spec->revision)));
    }
    return true;
}

bool service_spec_parse(struct service_spec *spec, const char *path, struct span text, struct err *err)
{
    const char *slash = strrchr(path, '/');
    *spec = (struct service_spec){
        .concurrency = SPEC_CONCURRENCY_DEFAULT,
        .timeout_s = SPEC_TIMEOUT_S_DEFAULT,
        .instances_max = SPEC_INSTANCES_DEFAULT,
        .container_port = SPEC_PORT_DEFAULT,
        .throttled = true,
        .scaling = {.concurrency_target = SPEC_TARGET_DEFAULT,
                    .cpu_target = SPEC_TARGET_DEFAULT,
                    .kpa = kpa_policy_default},
        .redis_memory_bytes_max = SPEC_REDIS_MEMORY_DEFAULT,
        .directory = slash == NULL ? mem_text(SPAN_LIT(".")) : mem_text(span_of(path, (size_t)(slash - path) + 1)),
    };
    spec->path = mem_text(span_str(path));
    buf_append(&spec->document, text);
    struct yaml_node *root = yaml_parse(path, text, err);
    bool ok = root != NULL && root_read(spec, root, err) && spec_check(spec, root, err);
    if (ok)
        spec_shape_print(&spec->shape, root);
    yaml_destroy(root);
    return ok;
}

void service_spec_finish(struct service_spec *spec)
{
    free(spec->path);
    buf_finish(&spec->document);
    buf_finish(&spec->shape);
    traffic_finish(&spec->traffic);
    free(spec->name);
    free(spec->revision);
    free(spec->image);
    words_finish(&spec->command);
    words_finish(&spec->args);
    words_finish(&spec->env);
    words_finish(&spec->secrets);
    volumes_finish(&spec->volumes);
    free(spec->working_dir);
    free(spec->run);
    free(spec->hint);
    free(spec->directory);
    for (int i = 0; i < SPEC_PROBES; i++)
        free(spec->questions[i]);
    words_finish(&spec->audiences);
    words_finish(&spec->invokers);
    free(spec->service_account);
    words_finish(&spec->lacking);
    buf_finish(&spec->inert);
}

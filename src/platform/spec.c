/* spec: reads the fields and annotations of service.yaml, with their ranges, and collects inert fields. */
#include "platform/spec.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/shown.h"
#include "loop/file.h"
#include "platform/annotations.h"
#include "platform/environment.h"
#include "wire/yaml.h"

enum { NAME_BYTES_MAX = 49, REVISION_BYTES_MAX = 63 };

/* Notes a field that Cloud Run or Knative knows, and that has no effect here. */
static void inert(struct service_spec *spec, const char *name, const char *consequence)
{
    if (consequence[0] != '\0') {
        words_add(&spec->lacking, mem_printf("%s: %s", name, consequence));
        return;
    }
    if (spec->inert.len != 0)
        buf_append(&spec->inert, SPAN_LIT(", "));
    buf_append(&spec->inert, span_str(name));
}

/* Fields without an effect, and what happens instead. */
struct no_effect {
    const char *name, *consequence;
};

/* One that is there and says nothing (`resources: {}`) asks for nothing. */
static void inert_if_there(struct service_spec *spec, const struct yaml_node *mapping, const struct no_effect *fields)
{
    for (; fields->name != NULL; fields++) {
        const struct yaml_node *node = yaml_get(mapping, fields->name);
        if (node != NULL && (node->type == YAML_SCALAR ? node->text.len != 0 : node->count != 0))
            inert(spec, fields->name, fields->consequence);
    }
}

/* Reads a text that becomes a C string (wire/yaml lets no NUL through) and must fit into an argument or a variable. */
static bool text_get(struct service_spec *spec, const struct yaml_node *node, struct span *text, struct err *err)
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

static bool text_set(struct service_spec *spec, const struct yaml_node *node, char **to, struct err *err)
{
    struct span text;
    if (!text_get(spec, node, &text, err))
        return false;
    free(*to);
    *to = mem_text(text);
    return true;
}

static bool text_read(struct service_spec *spec, const struct yaml_node *mapping, const char *key, char **to,
                      struct err *err)
{
    const struct yaml_node *node = yaml_get(mapping, key);
    return node == NULL || text_set(spec, node, to, err);
}

static bool number_read(const struct yaml_node *mapping, const char *key, uint64_t min, uint64_t max, uint32_t *to,
                        struct err *err)
{
    const struct yaml_node *node = yaml_get(mapping, key);
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

static bool redis_read(struct service_spec *spec, const struct yaml_node *node, struct err *err)
{
    struct span text;
    if (!yaml_string(node, &text, err))
        return false;
    if (!span_equal(text, SPAN_LIT("managed")))
        return yaml_error(err, node,
                          "expected managed, found %s; for a Redis of your own, set REDIS_URL under env instead",
                          SHOWN_FOUND(text));
    spec->redis = true;
    return true;
}

static bool instances_read(const struct yaml_node *node, uint64_t min, uint32_t *to, struct err *err)
{
    uint64_t value;
    if (!yaml_u64_text(node, min, SPEC_INSTANCES_MAX, &value, err))
        return false;
    *to = (uint32_t)value;
    return true;
}

/* Takes the value of an annotation about scaling. */
static void scaling_set(struct scaling *scaling, const struct annotation *found)
{
    static const struct {
        const char *name;
        size_t offset;
        double scale;
    } decimals[] = {
        {"run.googleapis.com/scaling-concurrency-target", offsetof(struct scaling, concurrency_target), 1},
        {"run.googleapis.com/scaling-cpu-target", offsetof(struct scaling, cpu_target), 1},
        {"autoscaling.knative.dev/target", offsetof(struct scaling, kpa.target), 1},
        {"autoscaling.knative.dev/target-utilization-percentage", offsetof(struct scaling, kpa.utilization), 0.01},
        {"autoscaling.knative.dev/panic-window-percentage", offsetof(struct scaling, kpa.panic_window), 0.01},
        {"autoscaling.knative.dev/panic-threshold-percentage", offsetof(struct scaling, kpa.panic_threshold), 0.01},
    };
    struct span name = span_str(found->name);
    for (size_t i = 0; i < sizeof decimals / sizeof decimals[0]; i++)
        if (span_equal(name, span_str(decimals[i].name)))
            *(double *)((char *)scaling + decimals[i].offset) =
                found->is_word ? (span_equal(found->text, SPAN_LIT("disabled")) ? 0 : SPEC_TARGET_DEFAULT)
                               : (double)found->number / 1000 * decimals[i].scale;
    if (span_equal(name, SPAN_LIT("run.googleapis.com/scalingMode")))
        scaling->is_manual = span_equal(found->text, SPAN_LIT("manual"));
    else if (span_equal(name, SPAN_LIT("run.googleapis.com/manualInstanceCount")))
        scaling->instances_manual = (uint32_t)found->number;
    else if (span_equal(name, SPAN_LIT("autoscaling.knative.dev/class")))
        scaling->is_kpa = span_starts_with(found->text, SPAN_LIT("kpa."));
    else if (span_equal(name, SPAN_LIT("autoscaling.knative.dev/window")))
        scaling->kpa.window_s = (uint32_t)(found->number / 1000);
    else if (span_equal(name, SPAN_LIT("autoscaling.knative.dev/activation-scale")))
        scaling->kpa.activation = (uint32_t)found->number;
    else if (span_equal(name, SPAN_LIT("autoscaling.knative.dev/scale-down-delay")))
        scaling->kpa.down_delay_us = found->number * 1000;
    else if (span_equal(name, SPAN_LIT("autoscaling.knative.dev/scale-to-zero-pod-retention-period")))
        scaling->kpa.retention_us = found->number * 1000;
}

static bool platforms_annotation_read(struct service_spec *spec, const struct yaml_pair *pair, struct err *err)
{
    struct annotation found;
    struct span text;
    if (!annotation_check(pair, &found, err))
        return false;
    if (span_equal(pair->key, SPAN_LIT("run.googleapis.com/sessionAffinity")))
        spec->affinity = yaml_string(pair->value, &text, err) && span_equal_nocase(text, SPAN_LIT("true"));
    if (found.name != NULL)
        scaling_set(&spec->scaling, &found);
    if (found.name != NULL && found.consequence != NULL)
        inert(spec, found.name, found.consequence);
    return true;
}

static bool annotation_read(struct service_spec *spec, const struct yaml_pair *pair, struct err *err)
{
    struct span key = pair->key, text;
    if (annotation_is(key, "autoscaling.knative.dev/min-scale") ||
        span_equal(key, SPAN_LIT("run.googleapis.com/minScale")))
        return instances_read(pair->value, 0, &spec->instances_min, err);
    if (annotation_is(key, "autoscaling.knative.dev/max-scale") ||
        span_equal(key, SPAN_LIT("run.googleapis.com/maxScale")))
        return instances_read(pair->value, 1, &spec->instances_max, err);
    if (!span_starts_with(key, SPAN_LIT("sennit.dev/")))
        return platforms_annotation_read(spec, pair, err);
    if (!yaml_string(pair->value, &text, err))
        return false;
    if (span_equal(key, SPAN_LIT("sennit.dev/run"))) {
        return text_set(spec, pair->value, &spec->run, err);
    } else if (span_equal(key, SPAN_LIT("sennit.dev/hint"))) {
        return text_set(spec, pair->value, &spec->hint, err);
    } else if (span_equal(key, SPAN_LIT("sennit.dev/redis"))) {
        return redis_read(spec, pair->value, err);
    } else if (span_equal(key, SPAN_LIT("sennit.dev/redis-restart-delay"))) {
        return yaml_duration_ms(pair->value, 0, 3600000, &spec->redis_restart_delay_ms, err);
    } else if (span_equal(key, SPAN_LIT("sennit.dev/redis-memory"))) {
        return yaml_bytes(pair->value, SPEC_REDIS_MEMORY_MIN, SPEC_REDIS_MEMORY_MAX, &spec->redis_memory_bytes_max,
                          err);
    }
    return yaml_error(err, pair->value,
                      "unknown annotation; known: sennit.dev/run, sennit.dev/hint, sennit.dev/redis, "
                      "sennit.dev/redis-memory, sennit.dev/redis-restart-delay");
}

static bool metadata_read(struct service_spec *spec, const struct yaml_node *metadata, char **name, struct err *err)
{
    static const char *const keys[] = {
        "name",     "namespace",       "annotations",       "labels", "generation", "uid",
        "selfLink", "resourceVersion", "creationTimestamp", NULL};
    if (!yaml_expect(metadata, YAML_MAPPING, err) || !yaml_only(metadata, keys, err) ||
        !text_read(spec, metadata, "name", name, err))
        return false;
    const struct yaml_node *annotations = yaml_get(metadata, "annotations");
    if (annotations == NULL)
        return true;
    if (!yaml_expect(annotations, YAML_MAPPING, err))
        return false;
    for (size_t i = 0; i < annotations->count; i++)
        if (!annotation_read(spec, &annotations->pairs[i], err))
            return false;
    return true;
}

static bool words_read(struct service_spec *spec, const struct yaml_node *mapping, const char *key, struct words *words,
                       struct err *err)
{
    const struct yaml_node *node = yaml_get(mapping, key);
    struct span text;
    if (node == NULL)
        return true;
    if (!yaml_expect(node, YAML_LIST, err))
        return false;
    if (node->count > WORDS_MAX)
        return yaml_error(err, node, "more than %d words", WORDS_MAX);
    for (size_t i = 0; i < node->count; i++) {
        if (!text_get(spec, node->items[i], &text, err))
            return false;
        words_add(words, mem_text(text));
    }
    return true;
}

static bool variable_name_check(struct service_spec *spec, const struct yaml_node *node, struct span name,
                                struct err *err)
{
    if (!environment_name_is_valid(name))
        return yaml_error(err, node,
                          "cannot be the name of a variable: at most %d letters, digits, _ - and ., and no digit in "
                          "front",
                          ENVIRONMENT_NAME_BYTES_MAX);
    if (environment_is_reserved(name, spec->redis))
        return yaml_error(err, node, SPAN_FMT " is set by the platform and cannot be set here", SPAN_ARG(name));
    return true;
}

static bool variable_read(struct service_spec *spec, const struct yaml_node *node, struct err *err)
{
    static const char *const keys[] = {"name", "value", "valueFrom", NULL};
    if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, keys, err))
        return false;
    const struct yaml_node *name = yaml_get(node, "name"), *value = yaml_get(node, "value"),
                           *from = yaml_get(node, "valueFrom");
    struct span name_text, value_text = SPAN_LIT("");
    if (name == NULL)
        return yaml_error(err, node, "needs a name");
    if (!yaml_string(name, &name_text, err) || !variable_name_check(spec, name, name_text, err) ||
        (value != NULL && !text_get(spec, value, &value_text, err)))
        return false;
    if (from != NULL)
        return yaml_error(err, from,
                          "secrets are not available here: give " SPAN_FMT " a `value:` in a copy of the file, or "
                          "leave it out and pass it on with --env " SPAN_FMT,
                          SPAN_ARG(name_text), SPAN_ARG(name_text));
    /* Of two with one name the last counts, as on the platforms. */
    environment_set(&spec->env, mem_printf(SPAN_FMT "=" SPAN_FMT, SPAN_ARG(name_text), SPAN_ARG(value_text)));
    return true;
}

static bool env_read(struct service_spec *spec, const struct yaml_node *env, struct err *err)
{
    if (env == NULL)
        return true;
    if (!yaml_expect(env, YAML_LIST, err))
        return false;
    if (env->count > WORDS_MAX)
        return yaml_error(err, env, "more than %d variables", WORDS_MAX);
    for (size_t i = 0; i < env->count; i++)
        if (!variable_read(spec, env->items[i], err))
            return false;
    return true;
}

static bool ports_read(struct service_spec *spec, const struct yaml_node *ports, struct err *err)
{
    static const char *const keys[] = {"name", "containerPort", "protocol", NULL};
    struct span text;
    if (ports == NULL)
        return true;
    if (!yaml_expect(ports, YAML_LIST, err))
        return false;
    if (ports->count > 1)
        return yaml_error(err, ports->items[1], "a container has one port");
    for (size_t i = 0; i < ports->count; i++) {
        const struct yaml_node *node = ports->items[i], *name;
        if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, keys, err) ||
            !number_read(node, "containerPort", 1, 65535, &spec->container_port, err))
            return false;
        name = yaml_get(node, "name");
        if (name == NULL)
            continue;
        if (!yaml_string(name, &text, err))
            return false;
        if (span_equal(text, SPAN_LIT("h2c")))
            return yaml_error(err, name,
                              "h2c is not served here, and WebSockets need http1: use http1 or leave it out");
        if (!span_equal(text, SPAN_LIT("http1")) && text.len != 0)
            return yaml_error(err, name, "expected http1, found %s", SHOWN_FOUND(text));
    }
    return true;
}

static bool probes_read(struct service_spec *spec, const struct yaml_node *container, struct err *err)
{
    static const char *const names[] = {[SPEC_PROBE_STARTUP] = "startupProbe",
                                        [SPEC_PROBE_LIVENESS] = "livenessProbe",
                                        [SPEC_PROBE_READINESS] = "readinessProbe"};
    for (int use = 0; use < SPEC_PROBES; use++) {
        const struct yaml_node *node = yaml_get(container, names[use]);
        if (node == NULL)
            continue;
        if (!spec_probe_read(&spec->probes[use], &spec->questions[use], (enum spec_probe_use)use, node,
                             (uint16_t)spec->container_port, err))
            return false;
        if (yaml_get(node, "grpc") != NULL)
            inert(spec, names[use], "gRPC probes are not run here");
    }
    return true;
}

static bool container_read(struct service_spec *spec, const struct yaml_node *containers, struct err *err)
{
    static const char *const keys[] = {"name",
                                       "image",
                                       "command",
                                       "args",
                                       "env",
                                       "ports",
                                       "workingDir",
                                       "resources",
                                       "volumeMounts",
                                       "startupProbe",
                                       "livenessProbe",
                                       "readinessProbe",
                                       "imagePullPolicy",
                                       "securityContext",
                                       NULL};
    static const struct no_effect no_effect[] = {
        {"resources", "an instance may use all CPU and memory of this machine"},
        {"volumeMounts", "the paths are this machine's own"},
        {"securityContext", "programs run as the user of sennit up (--user)"},
        {"imagePullPolicy", ""},
        {NULL, NULL},
    };
    if (!yaml_expect(containers, YAML_LIST, err))
        return false;
    if (containers->count != 1)
        return yaml_error(err, containers, "expected one container, found %zu (sidecars are not run here)",
                          containers->count);
    const struct yaml_node *container = containers->items[0];
    if (!yaml_expect(container, YAML_MAPPING, err) || !yaml_only(container, keys, err))
        return false;
    if (yaml_get(container, "image") == NULL)
        return yaml_error(err, container, "needs an image");
    yaml_keep_secret(yaml_get(container, "env"));
    yaml_keep_secret(yaml_get(container, "command"));
    yaml_keep_secret(yaml_get(container, "args"));
    inert_if_there(spec, container, no_effect);
    return text_read(spec, container, "image", &spec->image, err) &&
           text_read(spec, container, "workingDir", &spec->working_dir, err) &&
           words_read(spec, container, "command", &spec->command, err) &&
           words_read(spec, container, "args", &spec->args, err) && env_read(spec, yaml_get(container, "env"), err) &&
           ports_read(spec, yaml_get(container, "ports"), err) && probes_read(spec, container, err);
}

static bool template_read(struct service_spec *spec, const struct yaml_node *template, struct err *err)
{
    static const char *const keys[] = {"metadata", "spec", NULL};
    static const char *const spec_keys[] = {
        "containerConcurrency",        "timeoutSeconds",     "containers",         "serviceAccountName", "volumes",
        "responseStartTimeoutSeconds", "idleTimeoutSeconds", "enableServiceLinks", "nodeSelector",       NULL};
    static const struct no_effect no_effect[] = {
        {"responseStartTimeoutSeconds", "only timeoutSeconds bounds a request"},
        {"idleTimeoutSeconds", "only timeoutSeconds bounds a request"},
        {"volumes", "there are none"},
        {"serviceAccountName", ""},
        {"nodeSelector", ""},
        {NULL, NULL},
    };
    if (!yaml_expect(template, YAML_MAPPING, err) || !yaml_only(template, keys, err))
        return false;
    const struct yaml_node *metadata = yaml_get(template, "metadata"), *inside = yaml_get(template, "spec");
    if (metadata != NULL && !metadata_read(spec, metadata, &spec->revision, err))
        return false;
    if (inside == NULL)
        return yaml_error(err, template, "needs spec.template.spec");
    if (!yaml_expect(inside, YAML_MAPPING, err) || !yaml_only(inside, spec_keys, err))
        return false;
    if (!number_read(inside, "containerConcurrency", 0, SPEC_CONCURRENCY_MAX, &spec->concurrency, err) ||
        !number_read(inside, "timeoutSeconds", 1, SPEC_TIMEOUT_S_MAX, &spec->timeout_s, err))
        return false;
    if (spec->concurrency == 0)
        spec->concurrency = SPEC_CONCURRENCY_DEFAULT;
    inert_if_there(spec, inside, no_effect);
    if (yaml_get(inside, "containers") == NULL)
        return yaml_error(err, inside, "needs containers");
    return container_read(spec, yaml_get(inside, "containers"), err);
}

static bool target_read(const struct yaml_node *node, uint64_t *sum, bool *latest, struct err *err)
{
    static const char *const keys[] = {"percent", "revisionName", "latestRevision", "tag", "url", "configurationName",
                                       NULL};
    uint32_t percent = 0;
    bool is_latest = false;
    if (!yaml_only(node, keys, err) || !number_read(node, "percent", 0, 100, &percent, err))
        return false;
    const struct yaml_node *flag = yaml_get(node, "latestRevision"), *name = yaml_get(node, "revisionName");
    if (flag != NULL && !yaml_bool(flag, &is_latest, err))
        return false;
    if (is_latest && name != NULL)
        return yaml_error(err, name, "a target is either a revision or the latest one, not both");
    if (!is_latest && name == NULL)
        return yaml_error(err, node, "a target needs revisionName, or latestRevision: true");
    *sum += percent;
    *latest = *latest && (is_latest || percent == 0);
    return true;
}

/* How requests are divided. There is one revision here, so only what asks for another one is told. */
static bool traffic_read(struct service_spec *spec, const struct yaml_node *traffic, struct err *err)
{
    uint64_t sum = 0;
    bool latest = true;
    if (traffic == NULL)
        return true;
    if (!yaml_expect(traffic, YAML_LIST, err))
        return false;
    for (size_t i = 0; i < traffic->count; i++)
        if (!target_read(traffic->items[i], &sum, &latest, err))
            return false;
    if (traffic->count > 0 && sum != 100)
        return yaml_error(err, traffic, "the percentages add up to %llu, expected 100", (unsigned long long)sum);
    if (!latest)
        inert(spec, "traffic", "all requests go to this one revision");
    return true;
}

static bool fixed(const struct yaml_node *root, const char *key, const char *expected, struct err *err)
{
    const struct yaml_node *node = yaml_get(root, key);
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
    const struct yaml_node *metadata = yaml_get(root, "metadata"), *inside = yaml_get(root, "spec");
    if (metadata == NULL || yaml_get(metadata, "name") == NULL)
        return yaml_error(err, metadata != NULL ? metadata : root, "needs metadata.name");
    if (!metadata_read(spec, metadata, &spec->name, err))
        return false;
    if (!name_is_valid(span_str(spec->name), NAME_BYTES_MAX))
        return yaml_error(
            err, yaml_get(metadata, "name"),
            "expected a name of at most %d lower-case letters, digits and hyphens that begins with a letter, "
            "found %s",
            NAME_BYTES_MAX, SHOWN_FOUND(span_str(spec->name)));
    if (inside == NULL || !yaml_expect(inside, YAML_MAPPING, err))
        return inside == NULL ? yaml_error(err, root, "needs spec.template") : false;
    if (!yaml_only(inside, spec_keys, err))
        return false;
    if (!traffic_read(spec, yaml_get(inside, "traffic"), err))
        return false;
    if (yaml_get(inside, "template") == NULL)
        return yaml_error(err, inside, "needs spec.template");
    return template_read(spec, yaml_get(inside, "template"), err);
}

/* Finds the annotation that sets minScale or maxScale, for an error text; the root if there is none. */
static const struct yaml_node *scale_node(const struct yaml_node *root, const char *prefix, const char *other)
{
    const struct yaml_node *template = yaml_get(yaml_get(root, "spec"), "template");
    const struct yaml_node *const places[] = {template, root};
    for (size_t i = 0; i < 2; i++) {
        const struct yaml_node *metadata = yaml_get(places[i], "metadata");
        const struct yaml_node *notes = metadata != NULL ? yaml_get(metadata, "annotations") : NULL;
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
    scaling->kpa.concurrency = spec->concurrency;
    scaling->kpa.instances_min = spec->instances_min;
    scaling->kpa.instances_max = spec->instances_max;
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
    if (spec->revision == NULL) {
        spec->revision = mem_printf("%s-00001", spec->name);
    } else {
        struct span name = span_str(spec->name), revision = span_str(spec->revision);
        if (!span_starts_with(revision, name) || revision.len <= name.len + 1 || revision.data[name.len] != '-' ||
            !name_is_valid(revision, REVISION_BYTES_MAX))
            return yaml_error(err, yaml_get(yaml_get(yaml_get(yaml_get(root, "spec"), "template"), "metadata"), "name"),
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
    yaml_destroy(root);
    return ok;
}

bool service_spec_read(struct service_spec *spec, const char *path, struct err *err)
{
    struct buf text = {0};
    *spec = (struct service_spec){0};
    bool ok = file_read(path, YAML_BYTES_MAX, &text, err) && service_spec_parse(spec, path, buf_span(&text), err);
    buf_finish(&text);
    return ok;
}

void service_spec_finish(struct service_spec *spec)
{
    free(spec->path);
    buf_finish(&spec->document);
    free(spec->name);
    free(spec->revision);
    free(spec->image);
    words_finish(&spec->command);
    words_finish(&spec->args);
    words_finish(&spec->env);
    free(spec->working_dir);
    free(spec->run);
    free(spec->hint);
    free(spec->directory);
    for (int i = 0; i < SPEC_PROBES; i++)
        free(spec->questions[i]);
    words_finish(&spec->lacking);
    buf_finish(&spec->inert);
}

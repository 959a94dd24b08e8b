/* spec_container: the one container: its program, variables, port and probes. Its resources and its user:
 * spec_limits.c. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/shown.h"
#include "platform/environment.h"
#include "platform/secrets.h"
#include "platform/spec_parts.h"

static bool words_read(struct service_spec *spec, const struct yaml_node *mapping, const char *key, struct words *words,
                       struct err *err)
{
    const struct yaml_node *node = spec_get(mapping, key);
    struct span text;
    if (node == NULL)
        return true;
    if (!yaml_expect(node, YAML_LIST, err))
        return false;
    if (node->count > WORDS_MAX)
        return yaml_error(err, node, "more than %d words", WORDS_MAX);
    for (size_t i = 0; i < node->count; i++) {
        if (!spec_text_get(spec, node->items[i], &text, err))
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
    if (environment_is_reserved(name, spec->redis, spec->postgres))
        return yaml_error(err, node, SPAN_FMT " is set by the platform and cannot be set here", SPAN_ARG(name));
    return true;
}

/* The last of two variables with one name counts, also where one is a secret. */
static void secret_forget(struct service_spec *spec, struct span name)
{
    struct words kept = {0};
    for (size_t i = 0; i + 2 < spec->secrets.count; i += 3)
        for (size_t k = 0; k < 3 && !span_equal(span_str(spec->secrets.list[i]), name); k++)
            words_add(&kept, mem_text(span_str(spec->secrets.list[i + k])));
    words_finish(&spec->secrets);
    spec->secrets = kept;
}

/* `secretKeyRef: {name: SECRET, key: VERSION}`, as Cloud Run has it. */
static bool secret_take(struct service_spec *spec, const struct yaml_node *from, struct span variable, struct err *err)
{
    static const char *const keys[] = {"secretKeyRef", NULL}, *const inner[] = {"name", "key", NULL};
    if (!yaml_expect(from, YAML_MAPPING, err) || !yaml_only(from, keys, err))
        return false;
    const struct yaml_node *ref = spec_get(from, "secretKeyRef"), *name, *key;
    if (ref == NULL)
        return yaml_error(err, from, "needs a secretKeyRef");
    if (!yaml_expect(ref, YAML_MAPPING, err) || !yaml_only(ref, inner, err))
        return false;
    name = spec_get(ref, "name");
    key = spec_get(ref, "key");
    struct span name_text, key_text;
    if (name == NULL || key == NULL)
        return yaml_error(err, ref, "needs name (of the secret) and key (its version: latest, or a number)");
    if (!yaml_string(name, &name_text, err) || !yaml_string(key, &key_text, err))
        return false;
    if (!secret_name_is_valid(name_text))
        return yaml_error(err, name, "a secret's name is at most %d letters, digits, - and _", SECRET_NAME_BYTES_MAX);
    if (!secret_version_is_valid(key_text))
        return yaml_error(err, key, "expected the version of the secret, latest or a number from 1, found %s",
                          SHOWN_FOUND(key_text));
    words_add(&spec->secrets, mem_text(variable));
    words_add(&spec->secrets, mem_text(name_text));
    words_add(&spec->secrets, mem_text(key_text));
    return true;
}

static bool variable_read(struct service_spec *spec, const struct yaml_node *node, struct err *err)
{
    static const char *const keys[] = {"name", "value", "valueFrom", NULL};
    if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, keys, err))
        return false;
    const struct yaml_node *name = spec_get(node, "name"), *value = spec_get(node, "value"),
                           *from = spec_get(node, "valueFrom");
    struct span name_text, value_text = SPAN_LIT("");
    if (name == NULL)
        return yaml_error(err, node, "needs a name");
    if (!yaml_string(name, &name_text, err) || !variable_name_check(spec, name, name_text, err) ||
        (value != NULL && !spec_text_get(spec, value, &value_text, err)))
        return false;
    secret_forget(spec, name_text);
    if (value != NULL && from != NULL)
        return yaml_error(err, from, "a variable has either a value or a valueFrom");
    if (from != NULL) {
        environment_unset(&spec->env, name_text);
        return secret_take(spec, from, name_text, err);
    }
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
            !spec_number_read(node, "containerPort", 1, 65535, &spec->container_port, err))
            return false;
        name = spec_get(node, "name");
        const struct yaml_node *protocol = spec_get(node, "protocol");
        if (protocol != NULL && !yaml_string(protocol, &text, err))
            return false;
        if (protocol != NULL && text.len != 0 && !span_equal(text, SPAN_LIT("TCP")))
            return yaml_error(err, protocol, "expected TCP, found %s", SHOWN_FOUND(text));
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
        const struct yaml_node *node = spec_get(container, names[use]);
        if (node == NULL)
            continue;
        if (!spec_probe_read(&spec->probes[use], &spec->questions[use], (enum spec_probe_use)use, node,
                             (uint16_t)spec->container_port, err))
            return false;
        if (spec_get(node, "grpc") != NULL)
            spec_inert(spec, names[use], "gRPC probes are not run here");
    }
    return true;
}

bool spec_container_read(struct service_spec *spec, const struct yaml_node *containers, struct err *err)
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
    static const struct spec_no_effect no_effect[] = {
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
    if (spec_get(container, "image") == NULL)
        return yaml_error(err, container, "needs an image");
    yaml_keep_secret(spec_get(container, "env"));
    yaml_keep_secret(spec_get(container, "command"));
    yaml_keep_secret(spec_get(container, "args"));
    spec_inert_fields(spec, container, no_effect);
    return spec_text_read(spec, container, "image", &spec->image, err) &&
           spec_text_read(spec, container, "workingDir", &spec->working_dir, err) &&
           words_read(spec, container, "command", &spec->command, err) &&
           words_read(spec, container, "args", &spec->args, err) && env_read(spec, spec_get(container, "env"), err) &&
           spec_mounts_read(spec, spec_get(container, "volumeMounts"), err) &&
           spec_resources_read(spec, spec_get(container, "resources"), err) &&
           spec_security_read(spec, spec_get(container, "securityContext"), err) &&
           ports_read(spec, spec_get(container, "ports"), err) && probes_read(spec, container, err);
}

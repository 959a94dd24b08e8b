/* deployment: reads the file's own fields back, and writes all of it anew. Each text is a double-quoted scalar; JSON's
 * are YAML's, too (YAML 1.2.2 section 7.3.1). */
#include "platform/deployment.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/shown.h"
#include "loop/file.h"
#include "platform/environment.h"
#include "platform/secrets.h"
#include "wire/yaml.h"

static const char *const keys[] = {
#define X(name, key) key,
    DEPLOYMENT_TEXTS(X)
#undef X
};

void deployment_set(struct deployment *deployment, enum deployment_text which, const char *text)
{
    free(deployment->texts[which]);
    deployment->texts[which] = strcmp(text, "default") != 0 ? mem_text(span_str(text)) : NULL;
}

static void env_set(struct deployment *deployment, struct span name, struct span value)
{
    environment_unset(&deployment->secrets, name);
    environment_set(&deployment->env, mem_printf(SPAN_FMT "=" SPAN_FMT, SPAN_ARG(name), SPAN_ARG(value)));
}

/* Of a variable, or of a path. */
static void secret_set(struct deployment *deployment, struct span variable, struct span name, struct span version)
{
    environment_unset(&deployment->env, variable);
    environment_set(&deployment->secrets, mem_printf(SPAN_FMT "=" SPAN_FMT ":" SPAN_FMT, SPAN_ARG(variable),
                                                     SPAN_ARG(name), SPAN_ARG(version)));
}

/* /FOLDER/FILE; the rest is checked with the file. */
static bool path_is_valid(struct span path)
{
    size_t slashes = 0;
    for (size_t i = 0; i < path.len; i++)
        slashes += path.data[i] == '/';
    return slashes >= 2 && path.data[path.len - 1] != '/';
}

bool deployment_secrets_add(struct deployment *deployment, const char *pairs, struct err *err)
{
    struct span rest = span_str(pairs), pair, variable, name;
    while (span_next(&rest, ',', &pair)) {
        if (pair.len == 0)
            continue;
        if (span_find(pair, '=') < 0 || span_find(pair, ':') < 0 || !span_next(&pair, '=', &variable) ||
            !span_next(&pair, ':', &name) || !secret_name_is_valid(name) || !secret_version_is_valid(pair) ||
            !(variable.len > 0 && variable.data[0] == '/' ? path_is_valid(variable)
                                                          : environment_name_is_valid(variable)))
            return err_set(err, "expected VARIABLE=SECRET:VERSION or /FOLDER/FILE=SECRET:VERSION, with the version "
                                "latest or a number");
        secret_set(deployment, variable, name, pair);
    }
    return true;
}

bool deployment_env_add(struct deployment *deployment, const char *pairs, struct err *err)
{
    char separator = ',';
    struct span rest = span_str(pairs), pair, name;
    if (rest.len >= 3 && rest.data[0] == '^' && rest.data[2] == '^') {
        separator = rest.data[1];
        rest = span_from(rest, 3);
    }
    while (span_next(&rest, separator, &pair)) {
        if (pair.len == 0)
            continue;
        if (span_find(pair, '=') < 0 || !span_next(&pair, '=', &name) || !environment_name_is_valid(name))
            return err_set(err, "expected NAME=VALUE,NAME=VALUE; a value with a comma needs ^@^NAME=VALUE@NAME=VALUE");
        env_set(deployment, name, pair);
    }
    return true;
}

static bool env_pair_take(struct deployment *deployment, const struct yaml_pair *pair, struct err *err)
{
    struct span value;
    if (!environment_name_is_valid(pair->key))
        return yaml_error(err, pair->value, "%s cannot be the name of a variable", SHOWN_FOUND(pair->key));
    if (!yaml_string(pair->value, &value, err))
        return false;
    env_set(deployment, pair->key, value);
    return true;
}

bool deployment_env_file_add(struct deployment *deployment, const char *path, struct err *err)
{
    struct buf text = {0};
    struct yaml_node *root =
        file_read(path, YAML_BYTES_MAX, &text, err) ? yaml_parse(path, buf_span(&text), err) : NULL;
    yaml_keep_secret(root);
    bool ok = root != NULL && yaml_expect(root, YAML_MAPPING, err);
    for (size_t i = 0; ok && i < root->count; i++)
        ok = env_pair_take(deployment, &root->pairs[i], err);
    yaml_destroy(root);
    buf_finish(&text);
    return ok;
}

static bool is_in_list(struct span list, struct span wanted)
{
    struct span name;
    while (span_next(&list, ',', &name))
        if (span_equal(name, wanted))
            return true;
    return false;
}

static void names_remove(struct words *words, const char *names)
{
    struct words kept = {0};
    for (size_t i = 0; i < words->count; i++) {
        struct span rest = span_str(words->list[i]), name;
        span_next(&rest, '=', &name);
        if (!is_in_list(span_str(names), name))
            words_add(&kept, mem_text(span_str(words->list[i])));
    }
    words_finish(words);
    *words = kept;
}

void deployment_env_remove(struct deployment *deployment, const char *names)
{
    names_remove(&deployment->env, names);
    names_remove(&deployment->secrets, names);
}

void deployment_secrets_remove(struct deployment *deployment, const char *names)
{
    names_remove(&deployment->secrets, names);
}

/* The scalar `key` anywhere below `node`: each is in one place of our file. */
static const struct yaml_node *find(const struct yaml_node *node, const char *key)
{
    const struct yaml_node *found = NULL;
    for (size_t i = 0; found == NULL && i < node->count; i++) {
        const struct yaml_node *inner = node->type == YAML_LIST ? node->items[i] : node->pairs[i].value;
        if (node->type == YAML_MAPPING && inner->type == YAML_SCALAR && span_equal(node->pairs[i].key, span_str(key)))
            return inner;
        if (inner->type != YAML_SCALAR)
            found = find(inner, key);
    }
    return found;
}

static const struct yaml_node *template_of_file(const struct yaml_node *root)
{
    static const char *const path[] = {"spec", "template", "spec"};
    for (size_t i = 0; root != NULL && i < sizeof path / sizeof path[0]; i++)
        root = root->type == YAML_MAPPING ? yaml_get(root, path[i]) : NULL;
    return root != NULL && root->type == YAML_MAPPING ? root : NULL;
}

static const struct yaml_node *container_of_file(const struct yaml_node *template)
{
    const struct yaml_node *root = template != NULL ? yaml_get(template, "containers") : NULL;
    return root != NULL && root->type == YAML_LIST && root->count > 0 && root->items[0]->type == YAML_MAPPING
               ? root->items[0]
               : NULL;
}

static void env_take(struct deployment *deployment, const struct yaml_node *env)
{
    for (size_t i = 0; env != NULL && env->type == YAML_LIST && i < env->count; i++) {
        const struct yaml_node *one = env->items[i];
        const struct yaml_node *name = one->type == YAML_MAPPING ? yaml_get(one, "name") : NULL,
                               *value = one->type == YAML_MAPPING ? yaml_get(one, "value") : NULL;
        const struct yaml_node *secret = one->type == YAML_MAPPING ? find(one, "key") : NULL;
        if (name != NULL && value != NULL)
            env_set(deployment, name->text, value->text);
        else if (name != NULL && secret != NULL)
            secret_set(deployment, name->text, find(yaml_get(one, "valueFrom"), "name")->text, secret->text);
    }
}

bool deployment_read(struct deployment *deployment, const char *path, struct err *err)
{
    struct buf text = {0};
    if (!file_exists(path))
        return true;
    struct yaml_node *root =
        file_read(path, YAML_BYTES_MAX, &text, err) ? yaml_parse(path, buf_span(&text), err) : NULL;
    for (int i = 0; root != NULL && i < DEPLOYMENT_TEXTS_COUNT; i++) {
        const struct yaml_node *found = find(root, keys[i]);
        if (found != NULL)
            deployment->texts[i] = mem_text(found->text);
    }
    const struct yaml_node *template = template_of_file(root), *container = container_of_file(template);
    if (container != NULL) {
        env_take(deployment, yaml_get(container, "env"));
        deployment_volumes_take(deployment, template, container);
        deployment_probes_take(deployment, container);
    }
    bool ok = root != NULL;
    yaml_destroy(root);
    buf_finish(&text);
    return ok;
}

static void quoted(struct buf *to, const char *before, const char *text, const char *after)
{
    buf_append(to, span_str(before));
    buf_append_char(to, '"');
    buf_append_json(to, span_str(text));
    buf_append_char(to, '"');
    buf_append(to, span_str(after));
}

static void text_encode(struct buf *to, const struct deployment *deployment, enum deployment_text which,
                        const char *indent)
{
    if (deployment->texts[which] == NULL)
        return;
    buf_printf(to, "%s%s: ", indent, keys[which]);
    quoted(to, "", deployment->texts[which], "\n");
}

/* Those from `first` to `last`. */
static void annotations_encode(struct buf *to, const struct deployment *deployment, enum deployment_text first,
                               enum deployment_text last, const char *indent)
{
    bool begun = false;
    for (int i = (int)first; i <= (int)last; i++) {
        if (deployment->texts[i] == NULL)
            continue;
        if (!begun)
            buf_printf(to, "%sannotations:\n", indent);
        begun = true;
        buf_append(to, SPAN_LIT("  "));
        text_encode(to, deployment, (enum deployment_text)i, indent);
    }
}

static void words_encode(struct buf *to, const char *key, const struct words *words)
{
    if (words->count == 0)
        return;
    buf_printf(to, "          %s: [", key);
    for (size_t i = 0; i < words->count; i++)
        quoted(to, i > 0 ? ", " : "", words->list[i], "");
    buf_append(to, SPAN_LIT("]\n"));
}

static void traffic_encode(struct buf *to, const struct traffic *traffic)
{
    if (traffic->count > 0)
        buf_append(to, SPAN_LIT("  traffic:\n"));
    for (size_t i = 0; i < traffic->count; i++) {
        const struct traffic_target *target = &traffic->list[i];
        buf_printf(to, "    - percent: %u\n", target->percent);
        if (target->revision != NULL)
            quoted(to, "      revisionName: ", target->revision, "\n");
        else
            buf_append(to, SPAN_LIT("      latestRevision: true\n"));
        if (target->tag != NULL)
            quoted(to, "      tag: ", target->tag, "\n");
    }
}

/* The head of the variables comes with the first one. */
static void variables_encode(struct buf *to, const struct deployment *deployment)
{
    const char *head = "          env:\n";
    for (size_t i = 0; i < deployment->secrets.count; i++) {
        if (deployment->secrets.list[i][0] == '/')
            continue;
        struct span version = span_str(deployment->secrets.list[i]), name, secret;
        span_next(&version, '=', &name);
        span_next(&version, ':', &secret);
        buf_printf(to,
                   "%s            - name: " SPAN_FMT "\n              valueFrom:\n                secretKeyRef:\n"
                   "                  name: \"" SPAN_FMT "\"\n                  key: \"" SPAN_FMT "\"\n",
                   head, SPAN_ARG(name), SPAN_ARG(secret), SPAN_ARG(version));
        head = "";
    }
    for (size_t i = 0; i < deployment->env.count; i++) {
        struct span rest = span_str(deployment->env.list[i]), name;
        span_next(&rest, '=', &name);
        buf_printf(to, "%s            - name: " SPAN_FMT "\n              value: \"", head, SPAN_ARG(name));
        buf_append_json(to, rest);
        buf_append(to, SPAN_LIT("\"\n"));
        head = "";
    }
}

static void container_encode(struct buf *to, const struct deployment *deployment)
{
    bool has_image = deployment->image != NULL;
    quoted(to, "      containers:\n        - image: ", has_image ? deployment->image : deployment->revision, "\n");
    if (!has_image)
        quoted(to, "          workingDir: ", deployment->directory, "\n");
    words_encode(to, "command", &deployment->command);
    words_encode(to, "args", &deployment->args);
    if (deployment->texts[DEPLOYMENT_port] != NULL)
        buf_printf(to, "          ports:\n            - containerPort: %s\n", deployment->texts[DEPLOYMENT_port]);
    if (deployment->texts[DEPLOYMENT_cpu] != NULL || deployment->texts[DEPLOYMENT_memory] != NULL)
        buf_append(to, SPAN_LIT("          resources:\n            limits:\n"));
    text_encode(to, deployment, DEPLOYMENT_cpu, "              ");
    text_encode(to, deployment, DEPLOYMENT_memory, "              ");
    deployment_probes_encode(to, deployment);
    deployment_mounts_encode(to, deployment);
    variables_encode(to, deployment);
}

void deployment_encode(struct buf *to, const struct deployment *deployment)
{
    buf_append(to,
               SPAN_LIT("# Written by sennit deploy.\napiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n"));
    quoted(to, "  name: ", deployment->service, "\n");
    annotations_encode(to, deployment, DEPLOYMENT_service_min, DEPLOYMENT_audiences, "  ");
    buf_append(to, SPAN_LIT("spec:\n"));
    traffic_encode(to, &deployment->traffic);
    quoted(to, "  template:\n    metadata:\n      name: ", deployment->revision, "\n");
    annotations_encode(to, deployment, DEPLOYMENT_min, DEPLOYMENT_postgres, "      ");
    buf_append(to, SPAN_LIT("    spec:\n"));
    if (deployment->texts[DEPLOYMENT_concurrency] != NULL)
        buf_printf(to, "      containerConcurrency: %s\n", deployment->texts[DEPLOYMENT_concurrency]);
    if (deployment->texts[DEPLOYMENT_timeout] != NULL)
        buf_printf(to, "      timeoutSeconds: %s\n", deployment->texts[DEPLOYMENT_timeout]);
    text_encode(to, deployment, DEPLOYMENT_account, "      ");
    deployment_volumes_encode(to, deployment);
    container_encode(to, deployment);
}

void deployment_finish(struct deployment *deployment)
{
    free(deployment->service);
    free(deployment->revision);
    free(deployment->directory);
    free(deployment->image);
    for (int i = 0; i < DEPLOYMENT_TEXTS_COUNT; i++)
        free(deployment->texts[i]);
    words_finish(&deployment->env);
    words_finish(&deployment->secrets);
    words_finish(&deployment->command);
    words_finish(&deployment->args);
    traffic_finish(&deployment->traffic);
}

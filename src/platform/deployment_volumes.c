/* deployment_volumes: secrets that `sennit deploy` mounts: /FOLDER/FILE=NAME:VERSION. As gcloud does, each folder is a
 * volume; so it shows one secret, whose versions are its files. */
#include <string.h>

#include "base/mem.h"
#include "platform/deployment.h"
#include "platform/environment.h"

/* A word of `secrets` in its parts. False: it is a variable's. */
struct mounted {
    struct span folder, file, name, version;
};

static bool mounted_read(struct mounted *mounted, const char *word)
{
    struct span rest = span_str(word), path;
    if (word[0] != '/' || !span_next(&rest, '=', &path) || !span_next(&rest, ':', &mounted->name))
        return false;
    size_t slash = path.len;
    while (slash > 0 && path.data[slash - 1] != '/')
        slash--;
    mounted->folder = span_sub(path, 0, slash > 0 ? slash - 1 : 0);
    mounted->file = span_from(path, slash);
    mounted->version = rest;
    return true;
}

/* Two files of one volume. A second secret in a folder is a volume of its own, which the file's reader refuses. */
static bool is_same_volume(const struct mounted *a, const struct mounted *b)
{
    return span_equal(a->folder, b->folder) && span_equal(a->name, b->name);
}

/* Whether the word at `at` is the first one of a volume; reads it. */
static bool begins_volume(const struct deployment *deployment, size_t at, struct mounted *mounted)
{
    struct mounted other;
    if (!mounted_read(mounted, deployment->secrets.list[at]))
        return false;
    for (size_t i = 0; i < at; i++)
        if (mounted_read(&other, deployment->secrets.list[i]) && is_same_volume(&other, mounted))
            return false;
    return true;
}

static void text_append(struct buf *to, const char *before, struct span text)
{
    buf_append(to, span_str(before));
    buf_append_char(to, '"');
    buf_append_json(to, text);
    buf_append(to, SPAN_LIT("\"\n"));
}

void deployment_volumes_encode(struct buf *to, const struct deployment *deployment)
{
    bool begun = false;
    struct mounted mounted, other;
    for (size_t i = 0; i < deployment->secrets.count; i++) {
        if (!begins_volume(deployment, i, &mounted))
            continue;
        buf_printf(to, "%s        - name: secret-%zu\n          secret:\n", begun ? "" : "      volumes:\n", i + 1);
        begun = true;
        text_append(to, "            secretName: ", mounted.name);
        buf_append(to, SPAN_LIT("            items:\n"));
        for (size_t k = i; k < deployment->secrets.count; k++) {
            if (!mounted_read(&other, deployment->secrets.list[k]) || !is_same_volume(&other, &mounted))
                continue;
            text_append(to, "              - key: ", other.version);
            text_append(to, "                path: ", other.file);
        }
    }
}

void deployment_mounts_encode(struct buf *to, const struct deployment *deployment)
{
    bool begun = false;
    struct mounted mounted;
    for (size_t i = 0; i < deployment->secrets.count; i++) {
        if (!begins_volume(deployment, i, &mounted))
            continue;
        buf_printf(to, "%s            - name: secret-%zu\n", begun ? "" : "          volumeMounts:\n", i + 1);
        begun = true;
        text_append(to, "              mountPath: ", mounted.folder);
    }
}

/* The member of this type; NULL: there is none. */
static const struct yaml_node *member(const struct yaml_node *mapping, const char *key, enum yaml_type type)
{
    const struct yaml_node *node = mapping != NULL && mapping->type == YAML_MAPPING ? yaml_get(mapping, key) : NULL;
    return node != NULL && node->type == type ? node : NULL;
}

static struct span text_of(const struct yaml_node *mapping, const char *key)
{
    const struct yaml_node *node = member(mapping, key, YAML_SCALAR);
    return node != NULL ? node->text : SPAN_LIT("");
}

static const struct yaml_node *list_of(const struct yaml_node *mapping, const char *key)
{
    return member(mapping, key, YAML_LIST);
}

/* The secret of the volume of this name; NULL: it has none. */
static const struct yaml_node *secret_find_in(const struct yaml_node *volumes, struct span name)
{
    for (size_t i = 0; volumes != NULL && i < volumes->count; i++)
        if (span_equal(text_of(volumes->items[i], "name"), name))
            return yaml_get(volumes->items[i], "secret");
    return NULL;
}

void deployment_volumes_take(struct deployment *deployment, const struct yaml_node *inside,
                             const struct yaml_node *container)
{
    const struct yaml_node *volumes = list_of(inside, "volumes"), *mounts = list_of(container, "volumeMounts");
    for (size_t i = 0; mounts != NULL && i < mounts->count; i++) {
        struct span folder = text_of(mounts->items[i], "mountPath");
        const struct yaml_node *secret = secret_find_in(volumes, text_of(mounts->items[i], "name"));
        const struct yaml_node *items = list_of(secret, "items");
        for (size_t k = 0; items != NULL && k < items->count; k++)
            environment_set(&deployment->secrets,
                            mem_printf(SPAN_FMT "/" SPAN_FMT "=" SPAN_FMT ":" SPAN_FMT, SPAN_ARG(folder),
                                       SPAN_ARG(text_of(items->items[k], "path")),
                                       SPAN_ARG(text_of(secret, "secretName")),
                                       SPAN_ARG(text_of(items->items[k], "key"))));
    }
}

/* spec_volumes: `volumes` of the template and `volumeMounts` of its container. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/shown.h"
#include "platform/secrets.h"
#include "platform/spec_parts.h"

/* Modes are octal with a zero in front (YAML 1.1), as `0400`, else decimal. */
static bool mode_parse(struct span text, uint32_t *mode)
{
    uint64_t number = 0;
    bool octal = text.len > 1 && text.data[0] == '0';
    if (!octal) {
        if (!span_to_u64(text, &number) || number > 0777)
            return false;
    } else {
        struct span digits = span_from(text, text.data[1] == 'o' ? 2 : 1);
        for (size_t i = 0; i < digits.len; i++) {
            if (digits.data[i] < '0' || digits.data[i] > '7' || number > 0777)
                return false;
            number = number * 8 + (uint64_t)(digits.data[i] - '0');
        }
        if (digits.len == 0 || number > 0777)
            return false;
    }
    *mode = (uint32_t)number;
    return true;
}

/* 0, or a field that is not there, leaves the default. */
static bool mode_read(const struct yaml_node *mapping, const char *key, uint32_t *mode, struct err *err)
{
    const struct yaml_node *node = spec_get(mapping, key);
    struct span text;
    uint32_t number;
    if (node == NULL)
        return true;
    if (!yaml_string(node, &text, err))
        return false;
    if (!mode_parse(text, &number))
        return yaml_error(err, node, "expected a mode from 0 to 0777 (octal), or 511 (decimal), found %s",
                          SHOWN_FOUND(text));
    if (number != 0)
        *mode = number & VOLUME_MODE_MASK;
    return true;
}

/* Each part of a path has a name: none is empty, `.` or `..`. */
static bool parts_are_names(struct span path)
{
    struct span part;
    if (path.len == 0 || path.data[path.len - 1] == '/')
        return false;
    while (span_next(&path, '/', &part))
        if (part.len == 0 || span_equal(part, SPAN_LIT(".")) || span_equal(part, SPAN_LIT("..")))
            return false;
    return true;
}

static struct volume_item *item_add(struct service_spec *spec, struct volume *volume, struct span version,
                                    struct span path, uint32_t mode)
{
    volume->items = mem_resize(volume->items, (volume->item_count + 1) * sizeof *volume->items);
    struct volume_item *item = &volume->items[volume->item_count++];
    *item = (struct volume_item){mem_text(version), mem_text(path), mode};
    spec->volumes.item_count++;
    return item;
}

static bool item_read(struct service_spec *spec, struct volume *volume, const struct yaml_node *node, uint32_t mode,
                      struct err *err)
{
    static const char *const keys[] = {"key", "path", "mode", NULL};
    struct span version, file;
    if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, keys, err))
        return false;
    const struct yaml_node *key = spec_get(node, "key"), *path = spec_get(node, "path");
    if (key == NULL || path == NULL)
        return yaml_error(err, node, "needs key (the version of the secret: latest, or a number) and path");
    if (!yaml_string(key, &version, err) || !yaml_string(path, &file, err) || !mode_read(node, "mode", &mode, err))
        return false;
    if (!secret_version_is_valid(version))
        return yaml_error(err, key, "expected the version of the secret, latest or a number from 1, found %s",
                          SHOWN_FOUND(version));
    if (!parts_are_names(file) || file.len > MOUNTS_PATH_BYTES_MAX / 2)
        return yaml_error(err, path,
                          "expected the name of a file, or a path below the mountPath without . and .., found %s",
                          SHOWN_FOUND(file));
    for (size_t i = 0; i < volume->item_count; i++)
        if (span_equal(file, span_str(volume->items[i].path)))
            return yaml_error(err, path, "another item has this path");
    if (spec->volumes.item_count == VOLUME_ITEMS_MAX)
        return yaml_error(err, node, "more than %d files of secrets", VOLUME_ITEMS_MAX);
    item_add(spec, volume, version, file, mode);
    return true;
}

static bool secret_read(struct service_spec *spec, struct volume *volume, const struct yaml_node *node, struct err *err)
{
    static const char *const keys[] = {"secretName", "items", "defaultMode", "optional", NULL};
    uint32_t mode = VOLUME_MODE_DEFAULT;
    struct span text;
    if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, keys, err))
        return false;
    const struct yaml_node *name = spec_get(node, "secretName"), *items = spec_get(node, "items");
    if (name == NULL)
        return yaml_error(err, node, "needs a secretName");
    if (!yaml_string(name, &text, err) || !mode_read(node, "defaultMode", &mode, err))
        return false;
    if (!secret_name_is_valid(text))
        return yaml_error(err, name, "a secret's name is at most %d letters, digits, - and _", SECRET_NAME_BYTES_MAX);
    if (spec_get(node, "optional") != NULL)
        spec_inert(spec, "optional", "a secret that is mounted must be there");
    volume->kind = VOLUME_SECRET;
    volume->secret = mem_text(text);
    if (items == NULL) {
        item_add(spec, volume, SPAN_LIT("latest"), text, mode);
        return true;
    }
    if (!yaml_expect(items, YAML_LIST, err))
        return false;
    for (size_t i = 0; i < items->count; i++)
        if (!item_read(spec, volume, items->items[i], mode, err))
            return false;
    return items->count > 0 || yaml_error(err, items, "needs an item, or leave items out");
}

static bool memory_read(struct volume *volume, const struct yaml_node *node, struct err *err)
{
    static const char *const keys[] = {"medium", "sizeLimit", NULL};
    struct span text;
    if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, keys, err))
        return false;
    const struct yaml_node *medium = spec_get(node, "medium"), *size = spec_get(node, "sizeLimit");
    if (medium != NULL && !yaml_string(medium, &text, err))
        return false;
    if (medium != NULL && text.len > 0 && !span_equal(text, SPAN_LIT("Memory")))
        return yaml_error(err, medium, "expected Memory, found %s", SHOWN_FOUND(text));
    volume->kind = VOLUME_MEMORY;
    return size == NULL || spec_bytes_read(size, 1, "1", &volume->bytes_max, err);
}

static bool volume_read(struct service_spec *spec, struct volume *volume, const struct yaml_node *node, struct err *err)
{
    static const char *const keys[] = {"name", "secret", "emptyDir", "csi", "nfs", "cloudSqlInstance", NULL};
    struct span text;
    if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, keys, err))
        return false;
    const struct yaml_node *name = spec_get(node, "name"), *secret = spec_get(node, "secret"),
                           *memory = spec_get(node, "emptyDir");
    if (name == NULL)
        return yaml_error(err, node, "needs a name");
    if (!yaml_string(name, &text, err))
        return false;
    if (!service_name_is_valid(text))
        return yaml_error(err, name, "expected a name of lower-case letters, digits and hyphens, found %s",
                          SHOWN_FOUND(text));
    for (size_t i = 0; i + 1 < spec->volumes.count; i++)
        if (span_equal(text, span_str(spec->volumes.list[i].name)))
            return yaml_error(err, name, "another volume has this name");
    volume->name = mem_text(text);
    if (node->count != 2)
        return yaml_error(err, node, "needs one of secret, emptyDir, csi and nfs");
    if (secret != NULL)
        return secret_read(spec, volume, secret, err);
    if (memory != NULL)
        return memory_read(volume, memory, err);
    spec_inert(spec, "volumes of the kinds csi, nfs and cloudSqlInstance",
               "the program sees at their mountPath what this machine has there");
    return true;
}

bool spec_volumes_read(struct service_spec *spec, const struct yaml_node *volumes, struct err *err)
{
    if (volumes == NULL)
        return true;
    if (!yaml_expect(volumes, YAML_LIST, err))
        return false;
    if (volumes->count > VOLUMES_MAX)
        return yaml_error(err, volumes, "more than %d volumes", VOLUMES_MAX);
    spec->volumes.list = mem_zero(volumes->count + 1, sizeof *spec->volumes.list);
    for (size_t i = 0; i < volumes->count; i++)
        if (!volume_read(spec, &spec->volumes.list[spec->volumes.count++], volumes->items[i], err))
            return false;
    return true;
}

/* Neither is in the other. */
static bool paths_are_apart(struct span a, struct span b)
{
    struct span shorter = a.len < b.len ? a : b, longer = a.len < b.len ? b : a;
    return !span_starts_with(longer, shorter) || (longer.len > shorter.len && longer.data[shorter.len] != '/');
}

static bool path_check(const struct service_spec *spec, const struct yaml_node *node, struct span path, struct err *err)
{
    static const char *const taken[] = {"/dev", "/proc", "/sys"};
    if (path.len < 2 || path.data[0] != '/' || !parts_are_names(span_from(path, 1)) || span_find(path, ':') >= 0)
        return yaml_error(err, node,
                          "expected a path that begins with /, without : and without parts . and .., found %s",
                          SHOWN_FOUND(path));
    if (path.len > MOUNTS_PATH_BYTES_MAX / 2)
        return yaml_error(err, node, "a path of more than %d bytes", MOUNTS_PATH_BYTES_MAX / 2);
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (!paths_are_apart(path, span_str(taken[i])))
            return yaml_error(err, node, "nothing can be mounted in /dev, /proc and /sys, as on Cloud Run");
    for (size_t i = 0; i < spec->volumes.mount_count; i++)
        if (!paths_are_apart(path, span_str(spec->volumes.mounts[i].path)))
            return yaml_error(err, node,
                              "it is the same as another mountPath, or one is in the other: choose paths side "
                              "by side");
    return true;
}

static bool mount_read(struct service_spec *spec, struct volume_mount *mount, const struct yaml_node *node,
                       struct err *err)
{
    static const char *const keys[] = {"name", "mountPath", "readOnly", NULL};
    struct span text, name_text;
    if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, keys, err))
        return false;
    const struct yaml_node *name = spec_get(node, "name"), *path = spec_get(node, "mountPath"),
                           *read_only = spec_get(node, "readOnly");
    if (name == NULL || path == NULL)
        return yaml_error(err, node, "needs name (of a volume) and mountPath");
    if (!yaml_string(name, &name_text, err) || !yaml_string(path, &text, err) ||
        (read_only != NULL && !yaml_bool(read_only, &mount->read_only, err)))
        return false;
    while (text.len > 1 && text.data[text.len - 1] == '/')
        text.len--;
    if (!path_check(spec, path, text, err))
        return false;
    while (mount->volume < spec->volumes.count &&
           !span_equal(name_text, span_str(spec->volumes.list[mount->volume].name)))
        mount->volume++;
    if (mount->volume == spec->volumes.count)
        return yaml_error(err, name, "there is no volume of this name in spec.template.spec.volumes");
    mount->path = mem_text(text);
    spec->volumes.mount_count++;
    return true;
}

bool spec_mounts_read(struct service_spec *spec, const struct yaml_node *mounts, struct err *err)
{
    if (mounts == NULL)
        return true;
    if (!yaml_expect(mounts, YAML_LIST, err))
        return false;
    if (mounts->count > VOLUMES_MAX)
        return yaml_error(err, mounts, "more than %d mounts", VOLUMES_MAX);
    spec->volumes.mounts = mem_zero(mounts->count + 1, sizeof *spec->volumes.mounts);
    for (size_t i = 0; i < mounts->count; i++)
        if (!mount_read(spec, &spec->volumes.mounts[i], mounts->items[i], err))
            return false;
    return true;
}

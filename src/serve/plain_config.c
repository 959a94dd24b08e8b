/* plain_config: reading and checking. */
#include "serve/plain_config.h"

#include <stdlib.h>

#include "base/mem.h"

enum { PATH_BYTES_MAX = 256 };

static bool path_is_valid(struct span path)
{
    bool valid = path.len > 1 && path.len <= PATH_BYTES_MAX && path.data[0] == '/';
    for (size_t i = 0; i < path.len; i++)
        valid = valid && path.data[i] > ' ' && path.data[i] < 0x7f && path.data[i] != '?' && path.data[i] != '#';
    return valid;
}

static bool path_read(const struct yaml_node *node, char **to, struct err *err)
{
    struct span path;
    if (!yaml_string(node, &path, err))
        return false;
    if (path.len > 1 && span_ends_with(path, SPAN_LIT("/")))
        path.len--;
    if (!path_is_valid(path))
        return yaml_error(err, node, "expected a path like /ws, of 2 to %d visible ASCII characters without ? and #",
                          PATH_BYTES_MAX);
    *to = mem_text(path);
    return true;
}

bool plain_config_read(struct plain_config *config, const struct yaml_node *root, struct err *err)
{
    static const char *const keys[] = {"path", NULL};
    const struct yaml_node *plain = yaml_get(root, "plain"), *path = NULL;
    if (plain != NULL && plain->type == YAML_SCALAR)
        return span_equal(plain->text, SPAN_LIT("off")) ||
               yaml_error(err, plain, "expected off, or a mapping like {path: /ws}");
    if (plain != NULL && (!yaml_expect(plain, YAML_MAPPING, err) || !yaml_only(plain, keys, err)))
        return false;
    path = plain != NULL ? yaml_get(plain, "path") : NULL;
    if (path != NULL)
        return path_read(path, &config->path, err);
    config->path = mem_text(SPAN_LIT("/ws"));
    return true;
}

void plain_config_finish(struct plain_config *config)
{
    free(config->path);
    *config = (struct plain_config){0};
}

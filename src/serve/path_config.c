/* path_config: reading and checking. */
#include "serve/path_config.h"

#include "base/mem.h"

enum { PATH_BYTES_MAX = 256 };

static bool path_is_valid(struct span path)
{
    bool valid = path.len > 1 && path.len <= PATH_BYTES_MAX && path.data[0] == '/';
    for (size_t i = 0; i < path.len; i++)
        valid = valid && path.data[i] > ' ' && path.data[i] < 0x7f && path.data[i] != '?' && path.data[i] != '#';
    return valid;
}

bool path_config_read(const struct yaml_node *node, const char *usual, char **to, struct err *err)
{
    struct span path = span_str(usual);
    if (node != NULL && !yaml_string(node, &path, err))
        return false;
    if (path.len > 1 && span_ends_with(path, SPAN_LIT("/")))
        path.len--;
    if (!path_is_valid(path))
        return yaml_error(err, node, "expected a path like %s, of 2 to %d visible ASCII characters without ? and #",
                          usual, PATH_BYTES_MAX);
    *to = mem_text(path);
    return true;
}

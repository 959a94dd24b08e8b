/* engine_config: reading and checking, and the comparison with a request's path. */
#include "serve/engine_config.h"

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

static bool path_read(struct engine_config *config, const struct yaml_node *node, struct err *err)
{
    struct span path = SPAN_LIT("/socket.io");
    if (node != NULL && !yaml_string(node, &path, err))
        return false;
    if (path.len > 1 && span_ends_with(path, SPAN_LIT("/")))
        path.len--;
    if (!path_is_valid(path))
        return yaml_error(err, node,
                          "expected a path like /socket.io/, of 2 to %d visible ASCII characters without ? and #",
                          PATH_BYTES_MAX);
    config->path = mem_text(path);
    return true;
}

static bool transports_read(struct engine_config *config, const struct yaml_node *node, struct err *err)
{
    config->polling = config->websocket = node == NULL;
    if (node == NULL)
        return true;
    if (!yaml_expect(node, YAML_LIST, err))
        return false;
    for (size_t i = 0; i < node->count; i++) {
        struct span name;
        if (!yaml_string(node->items[i], &name, err))
            return false;
        bool polling = span_equal(name, SPAN_LIT("polling")), websocket = span_equal(name, SPAN_LIT("websocket"));
        if (!polling && !websocket)
            return yaml_error(err, node->items[i], "expected polling or websocket, found \"" SPAN_FMT "\"",
                              SPAN_ARG(name));
        config->polling |= polling;
        config->websocket |= websocket;
    }
    return node->count > 0 || yaml_error(err, node, "needs at least one of polling and websocket");
}

bool engine_config_read(struct engine_config *config, const struct yaml_node *root, struct err *err)
{
    const struct yaml_node *slash = yaml_get(root, "add_trailing_slash");
    bool adds_slash = true;
    if (slash != NULL && !yaml_bool(slash, &adds_slash, err))
        return false;
    config->slash_optional = !adds_slash;
    return path_read(config, yaml_get(root, "path"), err) &&
           transports_read(config, yaml_get(root, "transports"), err) &&
           cors_read(&config->cors, yaml_get(root, "cors"), err) &&
           cookie_read(&config->cookie, yaml_get(root, "cookie"), err);
}

void engine_config_finish(struct engine_config *config)
{
    free(config->path);
    cors_finish(&config->cors);
    cookie_finish(&config->cookie);
    *config = (struct engine_config){0};
}

bool engine_config_lacks_slash(const struct engine_config *config, struct span path)
{
    return span_equal(path, span_str(config->path));
}

bool engine_config_has(const struct engine_config *config, struct span path, struct span *rest)
{
    struct span own = span_str(config->path);
    *rest = span_from(path, own.len + 1);
    if (engine_config_lacks_slash(config, path))
        return config->slash_optional;
    return span_starts_with(path, own) && path.data[own.len] == '/';
}

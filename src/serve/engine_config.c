/* engine_config: reading and checking, and the comparison with a request's path. */
#include "serve/engine_config.h"

#include <stdlib.h>

#include "base/mem.h"
#include "serve/path_config.h"

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
    return path_config_read(yaml_get(root, "path"), "/socket.io/", &config->path, err) &&
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

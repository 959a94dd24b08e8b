/* bridge_config: the mapping
 *
 *     bridge: {socketio-redis: redis://127.0.0.1:6379, key: socket.io, mode: classic, namespaces: [/, /chat]}
 */
#include "serve/bridge_config.h"

#include "base/mem.h"
#include "base/shown.h"

static const char key_default[] = "socket.io";

static bool url_read(struct bridge_config *config, const struct yaml_node *node, const char *url, struct err *err)
{
    const struct yaml_node *given = yaml_get(node, "socketio-redis");
    struct span text = {NULL, 0};
    if (given != NULL && !yaml_string(given, &text, err))
        return false;
    if (url != NULL)
        text = span_str(url);
    if (text.len == 0)
        return yaml_error(err, node,
                          "needs `socketio-redis:`, the Redis of the other servers' adapter, like "
                          "redis://127.0.0.1:6379, or SENNIT_BRIDGE_URL in the environment");
    config->url = mem_text(text);
    return true;
}

static bool key_read(struct bridge_config *config, const struct yaml_node *node, struct err *err)
{
    const struct yaml_node *given = yaml_get(node, "key");
    struct span text = span_str(key_default);
    if (given != NULL && !yaml_string(given, &text, err))
        return false;
    if (text.len == 0 || text.len > BRIDGE_KEY_BYTES_MAX || !shown_all_harmless(text))
        return yaml_error(err, given, "expected 1 to %d bytes, as in the adapter's option `key` or `channelPrefix`",
                          BRIDGE_KEY_BYTES_MAX);
    config->key = mem_text(text);
    return true;
}

static bool mode_read(struct bridge_config *config, const struct yaml_node *node, struct err *err)
{
    const struct yaml_node *given = yaml_get(node, "mode");
    struct span text = SPAN_LIT("classic");
    if (given != NULL && !yaml_string(given, &text, err))
        return false;
    config->sharded = span_equal(text, SPAN_LIT("sharded"));
    return config->sharded || span_equal(text, SPAN_LIT("classic")) ||
           yaml_error(err, given, "expected classic (createAdapter) or sharded (createShardedAdapter), found %s",
                      SHOWN_FOUND(text));
}

static bool namespace_read(struct bridge_config *config, struct relay *relay, const struct yaml_node *node,
                           struct err *err)
{
    struct span name;
    if (!yaml_string(node, &name, err))
        return false;
    if (span_find(name, '*') >= 0 || relay_nsp_configured(relay, name) == NULL)
        return yaml_error(err, node, "no namespace %s is configured; patterns are not shared", SHOWN_FOUND(name));
    config->namespaces[config->namespace_count++] = mem_text(name);
    return true;
}

static bool namespaces_read(struct bridge_config *config, struct relay *relay, const struct yaml_node *node,
                            struct err *err)
{
    const struct yaml_node *given = yaml_get(node, "namespaces");
    if (given == NULL)
        return true;
    if (!yaml_expect(given, YAML_LIST, err))
        return false;
    if (given->count == 0 || given->count > BRIDGE_NAMESPACES_MAX)
        return yaml_error(err, given, "expected 1 to %d namespaces", BRIDGE_NAMESPACES_MAX);
    for (size_t i = 0; i < given->count; i++)
        if (!namespace_read(config, relay, given->items[i], err))
            return false;
    return true;
}

bool bridge_config_read(struct bridge_config *config, struct relay *relay, const struct yaml_node *node,
                        const char *url, struct err *err)
{
    static const char *const keys[] = {"socketio-redis", "key", "mode", "namespaces", NULL};
    if (node == NULL)
        return true;
    return yaml_expect(node, YAML_MAPPING, err) && yaml_only(node, keys, err) && url_read(config, node, url, err) &&
           key_read(config, node, err) && mode_read(config, node, err) && namespaces_read(config, relay, node, err);
}

/* compression_config: the mapping
 *
 *     compression: {websocket: on, threshold: 1KiB, context_takeover: false, contexts_max: 256}
 */
#include "serve/compression_config.h"

enum { THRESHOLD_MAX = 16 << 20, CONTEXTS_MAX = 100000 };

/* Without the field, clients decide that speak no Socket.IO: Socket.IO's servers do not compress unless told to. */
static bool websocket_read(struct compression_settings *settings, const struct yaml_node *node, struct err *err)
{
    struct span text;
    if (node == NULL)
        return true;
    if (!yaml_string(node, &text, err))
        return false;
    bool on = span_equal(text, SPAN_LIT("on"));
    if (!on && !span_equal(text, SPAN_LIT("off")))
        return yaml_error(err, node, "expected on (with every client that offers it) or off (with none)");
    settings->socketio = settings->plain = on;
    return true;
}

bool compression_config_read(struct compression_settings *settings, const struct yaml_node *node, struct err *err)
{
    static const char *const keys[] = {"websocket", "threshold", "context_takeover", "contexts_max", NULL};
    *settings = compression_settings_default;
    if (node == NULL)
        return true;
    if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, keys, err))
        return false;
    const struct yaml_node *threshold = yaml_get(node, "threshold"), *takeover = yaml_get(node, "context_takeover"),
                           *most = yaml_get(node, "contexts_max");
    uint64_t bytes = settings->threshold, contexts = settings->contexts_max;
    if (!websocket_read(settings, yaml_get(node, "websocket"), err) ||
        (threshold != NULL && !yaml_bytes(threshold, 0, THRESHOLD_MAX, &bytes, err)) ||
        (takeover != NULL && !yaml_bool(takeover, &settings->context_takeover, err)) ||
        (most != NULL && !yaml_u64(most, 0, CONTEXTS_MAX, &contexts, err)))
        return false;
    settings->threshold = (uint32_t)bytes;
    settings->contexts_max = (uint32_t)contexts;
    return true;
}

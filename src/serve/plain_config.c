/* plain_config: reading and checking. */
#include "serve/plain_config.h"

#include <stdlib.h>

#include "base/mem.h"
#include "serve/path_config.h"

/* `key: on`, `key: off`, or `key: {path: PATH}`. `usual`: the path unless it is given. */
static bool place_read(const struct yaml_node *node, const char *key, const char *usual, bool is_on, char **to,
                       struct err *err)
{
    static const char *const keys[] = {"path", NULL};
    const struct yaml_node *place = NULL;
    if (node != NULL && node->type == YAML_SCALAR) {
        is_on = span_equal(node->text, SPAN_LIT("on"));
        if (!is_on && !span_equal(node->text, SPAN_LIT("off")))
            return yaml_error(err, node, "expected on, off, or a mapping like %s: {path: %s}", key, usual);
    } else if (node != NULL) {
        if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, keys, err))
            return false;
        is_on = true;
        place = yaml_get(node, "path");
    }
    return !is_on || path_config_read(place, usual, to, err);
}

bool plain_config_read(struct plain_config *config, const struct yaml_node *root, struct err *err)
{
    const struct yaml_node *raw = yaml_get(root, "raw");
    if (!place_read(yaml_get(root, "plain"), "plain", "/ws", true, &config->path, err) ||
        !place_read(raw, "raw", "/raw", false, &config->raw_path, err))
        return false;
    if (config->path != NULL && config->raw_path != NULL && strcmp(config->path, config->raw_path) == 0)
        return yaml_error(err, raw, "`plain:` has this path already");
    return true;
}

void plain_config_finish(struct plain_config *config)
{
    free(config->path);
    free(config->raw_path);
    *config = (struct plain_config){0};
}

/* engine_config: the settings of the engine's HTTP side: where it is, which transports it has, and what its answers say
 * to browsers and load balancers. */
#ifndef SENNIT_SERVE_ENGINE_CONFIG_H
#define SENNIT_SERVE_ENGINE_CONFIG_H

#include "serve/cookie.h"
#include "serve/cors.h"

struct engine_config {
    char *path;              /* "/socket.io", without a slash at the end */
    bool slash_optional;     /* `add_trailing_slash: false`: the path is also found without the slash */
    bool polling, websocket; /* `transports:` */
    struct cors cors;
    struct cookie cookie;
};

/* Reads `path`, `add_trailing_slash`, `transports`, `cors` and `cookie` of the configuration. False with `err` set. */
bool engine_config_read(struct engine_config *config, const struct yaml_node *root, struct err *err);
void engine_config_finish(struct engine_config *config); /* accepts zeroed memory */
/* Whether a request for `path` is the engine's. `*rest` becomes the part behind the slash. */
bool engine_config_has(const struct engine_config *config, struct span path, struct span *rest);
/* Whether `path` is the engine's but for the slash at its end: a client's mistake that is easily made. */
bool engine_config_lacks_slash(const struct engine_config *config, struct span path);

#endif

/* config: reads the YAML file, then the environment, then the flags, and checks them together. */
#include "serve/config.h"

#include <stdlib.h>
#include <string.h>

#include "app/relay_access.h"
#include "base/mem.h"
#include "base/shown.h"
#include "loop/file.h"
#include "serve/bridge_config.h"
#include "serve/compression_config.h"
#include "serve/headers.h"
#include "serve/library.h"

enum {
    ROTATE_SHARE = 10,     /* of the request timeout, in the last tenth, */
    ROTATE_MS_MAX = 30000, /* but at most so long before its end, sessions are rotated */
    PREFIX_BYTES_MAX = 64,
    INSTANCE_BYTES_MAX = 100,
    FILES_ALLOWED = 1 << 16,
};

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static bool path_read(const struct yaml_node *root, const char *key, const char *file, char **to, struct err *err)
{
    const struct yaml_node *node = yaml_get(root, key);
    struct span text;
    if (node == NULL)
        return true;
    if (!yaml_string(node, &text, err))
        return false;
    if (text.len == 0)
        return yaml_error(err, node, "expected a directory, found an empty text (\".\" is where this file lies)");
    *to = file_beside(file, text);
    return true;
}

static bool static_read(const struct yaml_node *root, const char *file, char **to, struct err *err)
{
    if (!path_read(root, "static", file, to, err))
        return false;
    return *to == NULL || file_is_directory(*to) ||
           yaml_error(err, yaml_get(root, "static"), "no directory %s, seen from where this file lies", *to);
}

/* It begins every key, in front of the hash tag that puts all of them into one slot. */
static bool prefix_read(const struct yaml_node *root, char **to, struct err *err)
{
    const struct yaml_node *node = yaml_get(root, "prefix");
    struct span text;
    if (node == NULL)
        return true;
    if (!yaml_string(node, &text, err))
        return false;
    bool fits = text.len >= 1 && text.len <= PREFIX_BYTES_MAX && shown_all_harmless(text);
    for (size_t i = 0; i < text.len; i++)
        fits = fits && text.data[i] > ' ' && text.data[i] != 0x7f && text.data[i] != '{' && text.data[i] != '}';
    if (!fits)
        return yaml_error(err, node, "expected 1 to %d bytes without braces or white space, found %s", PREFIX_BYTES_MAX,
                          SHOWN_FOUND(text));
    *to = mem_text(text);
    return true;
}

/* How many requests the platform sends to this instance at once; 0: unknown. */
static bool slots_read(uint64_t *slots, struct err *err)
{
    const char *text = environment("SENNIT_CONCURRENCY");
    *slots = 0;
    if (text != NULL && (!span_to_u64(span_str(text), slots) || *slots > 1000000))
        return err_set(err, "SENNIT_CONCURRENCY: expected a number of requests from 0 to 1000000, found %s",
                       SHOWN_FOUND(span_str(text)));
    return true;
}

/* Who may connect, and with which token. */
static bool access_read(struct serve_config *config, const struct serve_options *options, const struct yaml_node *root,
                        struct err *err)
{
    bool on_platform = environment("K_SERVICE") != NULL;
    if (!forwarded_hops_read(&config->trusted_hops, options->trusted_hops, environment("SENNIT_TRUSTED_HOPS"), root,
                             err))
        return false;
    limits_init(&config->bounds);
    if (!limits_read(&config->bounds, root, err))
        return false;
    limits_give(&config->bounds, &config->limits);
    uint64_t slots;
    if (!slots_read(&slots, err))
        return false;
    config->bounds_address = config->bounds.connections_per_address != LIMIT_DERIVED;
    config->files = limits_files_share(config->files_allowed);
    config->headers = headers_read(yaml_get(root, "headers"), err);
    if (config->headers == NULL ||
        !limits_derive(&config->bounds, &config->files, on_platform && config->trusted_hops == 0, slots, err))
        return false;
    config->limits.polls_max = (uint32_t)config->bounds.held_polls;
    return origins_read(&config->origins, yaml_get(root, "origins"), err) &&
           engine_config_read(&config->engine, root, err) && plain_config_read(&config->plain, root, err) &&
           admin_read(&config->admin, yaml_get(root, "admin"), environment("SENNIT_ADMIN_TOKEN"), err) &&
           api_config_read(&config->api, yaml_get(root, "api"), environment("SENNIT_API_TOKEN"), err) &&
           handshake_config_read(&config->handshake, yaml_get(root, "handshake"), err);
}

static bool parser_read(const struct yaml_node *root, bool *msgpack, struct err *err)
{
    const struct yaml_node *node = yaml_get(root, "parser");
    struct span text;
    if (node == NULL)
        return true;
    if (!yaml_string(node, &text, err))
        return false;
    *msgpack = span_equal(text, SPAN_LIT("msgpack"));
    if (*msgpack || span_equal(text, SPAN_LIT("default")))
        return true;
    return yaml_error(err, node, "expected default or msgpack, found %s", SHOWN_FOUND(text));
}

static const char nothing_relayed[] = "namespaces: {/: {auth: none, events: {}}}";

static bool namespaces_read(struct serve_config *config, struct loop *loop, const struct yaml_node *root,
                            struct err *err)
{
    const struct yaml_node *namespaces = yaml_get(root, "namespaces");
    struct yaml_node *none = NULL;
    if (namespaces == NULL) {
        yaml_error(&config->lacks, root, "needs `namespaces:`, a mapping from namespaces to what is relayed in them");
        config->is_built_in = true;
        none = yaml_parse("the built-in configuration", span_str(nothing_relayed), err);
        namespaces = yaml_get(none, "namespaces");
    }
    bool ok = relay_init(&config->relay, loop, namespaces, err) &&
              relay_access_read(&config->relay, loop, yaml_get(root, "jwt"), namespaces,
                                environment("K_SERVICE") != NULL, err) &&
              bridge_config_read(&config->bridge, &config->relay, yaml_get(root, "bridge"),
                                 environment("SENNIT_BRIDGE_URL"), err);
    yaml_destroy(none);
    return ok;
}

static bool root_read(struct serve_config *config, struct loop *loop, const struct serve_options *options,
                      const struct yaml_node *root, struct err *err)
{
    const char *path = options->config_path != NULL ? options->config_path : "";
    static const char *const keys[] = {"namespaces",
                                       "static",
                                       "client",
                                       "ping_interval",
                                       "ping_timeout",
                                       "connect_timeout",
                                       "max_payload",
                                       "upgrade_timeout",
                                       "prefix",
                                       "limits",
                                       "origins",
                                       "admin",
                                       "headers",
                                       "path",
                                       "add_trailing_slash",
                                       "transports",
                                       "cors",
                                       "cookie",
                                       "parser",
                                       "compression",
                                       "plain",
                                       "raw",
                                       "trusted_hops",
                                       "jwt",
                                       "api",
                                       "bridge",
                                       "handshake",
                                       NULL};
    if (!yaml_expect(root, YAML_MAPPING, err) || !yaml_only(root, keys, err))
        return false;
    if (!static_read(root, path, &config->static_dir, err) ||
        !path_read(root, "client", path, &config->client_dir, err) || !parser_read(root, &config->msgpack, err) ||
        !compression_config_read(&config->compression, yaml_get(root, "compression"), err) ||
        !prefix_read(root, &config->prefix, err) || !access_read(config, options, root, err))
        return false;
    return namespaces_read(config, loop, root, err);
}

static bool file_read_config(struct serve_config *config, struct loop *loop, const struct serve_options *options,
                             struct err *err)
{
    const char *path = options->config_path;
    struct buf text = {0};
    struct yaml_node *root = NULL;
    bool ok = false;
    config->is_built_in = path == NULL;
    if (path == NULL)
        buf_append(&text, span_str(nothing_relayed));
    else if (!file_read(path, YAML_BYTES_MAX, &text, err))
        goto out;
    root = yaml_parse(path != NULL ? path : "the built-in configuration", buf_span(&text), err);
    ok = root != NULL && root_read(config, loop, options, root, err);
out:
    yaml_destroy(root);
    buf_finish(&text);
    return ok;
}

static bool port_read(struct serve_config *config, const struct serve_options *options, struct err *err)
{
    const char *text = options->port != NULL ? options->port : environment("PORT");
    uint64_t port = 8080;
    if (text != NULL && (!span_to_u64(span_str(text), &port) || port > 65535))
        return err_set(err, "%s: expected a port from 0 to 65535, found %s", options->port != NULL ? "--port" : "PORT",
                       SHOWN_FOUND(span_str(text)));
    config->port = (uint16_t)port;
    return true;
}

static bool logs(const struct relay *relay)
{
    for (struct map_node *node = map_next(&relay->namespaces, NULL); node != NULL;
         node = map_next(&relay->namespaces, node))
        if (container_of(node, struct relay_nsp, by_name)->logs)
            return true;
    return relay->raw.logs;
}

static bool timeout_read(struct serve_config *config, const struct serve_options *options, struct err *err)
{
    const char *text =
        options->request_timeout != NULL ? options->request_timeout : environment("SENNIT_REQUEST_TIMEOUT_SECONDS");
    uint64_t seconds = 0;
    if (text != NULL && (!span_to_u64(span_str(text), &seconds) || seconds > 86400))
        return err_set(err, "%s: expected seconds from 0 to 86400, found %s",
                       options->request_timeout != NULL ? "--request-timeout" : "SENNIT_REQUEST_TIMEOUT_SECONDS",
                       SHOWN_FOUND(span_str(text)));
    config->request_timeout_ms = seconds * 1000;
    return true;
}

/* How long before the request timeout sessions begin to be closed: `auto`, `off`, or a duration. */
static bool rotate_read(struct serve_config *config, const struct serve_options *options, struct err *err)
{
    const char *text = options->rotate != NULL ? options->rotate : environment("SENNIT_ROTATE");
    uint64_t timeout_ms = config->request_timeout_ms, lead_ms = timeout_ms / ROTATE_SHARE;
    if (lead_ms > ROTATE_MS_MAX)
        lead_ms = ROTATE_MS_MAX;
    if (text != NULL && strcmp(text, "off") == 0) {
        lead_ms = 0;
    } else if (text != NULL && strcmp(text, "auto") != 0) {
        if (!yaml_duration_parse(span_str(text), &lead_ms) || lead_ms < 100 || lead_ms > 3600000)
            return err_set(err, "%s: expected auto, off or a duration from 100ms to 1h, found %s",
                           options->rotate != NULL ? "--rotate" : "SENNIT_ROTATE", SHOWN_FOUND(span_str(text)));
        if (timeout_ms != 0 && lead_ms >= timeout_ms)
            return err_set(err, "--rotate %s is not shorter than the request timeout of %llu s", text,
                           (unsigned long long)timeout_ms / 1000);
    }
    config->limits.rotate_lead_ms = (uint32_t)lead_ms;
    return true;
}

/* It becomes part of the broker's keys and channels, and is told to clients. */
static bool name_check(const char *variable, const char *name, struct err *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen(name);
    return (len <= INSTANCE_BYTES_MAX && name[strspn(name, allowed)] == '\0') ||
           err_set(err, "%s: expected 1 to %d letters, digits, dots, hyphens and underscores, found %s", variable,
                   INSTANCE_BYTES_MAX, SHOWN_FOUND(span_str(name)));
}

static bool instance_name(struct serve_config *config, struct loop *loop, struct err *err)
{
    const char *name = environment("SENNIT_INSTANCE"), *revision = environment("K_REVISION");
    if (name != NULL) {
        config->instance = mem_text(span_str(name));
        return name_check("SENNIT_INSTANCE", name, err);
    }
    config->instance =
        mem_printf("%s-%08x", revision != NULL ? revision : "local", (unsigned)loop_random_below(loop, UINT32_MAX));
    return revision == NULL || name_check("K_REVISION", revision, err);
}

static bool has_client(const char *directory)
{
    char *file = mem_printf("%s/socket.io.js", directory);
    bool has = file_exists(file);
    free(file);
    return has;
}

/* The npm package is looked for beside the program and in the working directory. */
static void client_find(struct serve_config *config)
{
    static const char dist[] = "node_modules/socket.io-client/dist";
    struct buf self = {0};
    if (config->client_dir != NULL)
        return;
    char *candidate = environment("SENNIT_CLIENT_DIR") != NULL ? mem_text(span_str(getenv("SENNIT_CLIENT_DIR")))
                                                               : mem_text(span_str(dist));
    if (!has_client(candidate) && file_self(&self)) {
        struct span at = buf_span(&self);
        for (int up = 0; up < 4 && !has_client(candidate); up++) {
            while (at.len > 0 && at.data[at.len - 1] != '/')
                at.len--;
            free(candidate);
            candidate = mem_printf(SPAN_FMT "%s", SPAN_ARG(at), dist);
            at.len -= at.len > 1;
        }
    }
    if (has_client(candidate))
        config->client_dir = candidate;
    else
        free(candidate);
    buf_finish(&self);
}

bool serve_config_read(struct serve_config *config, struct loop *loop, const struct serve_options *options,
                       struct err *err)
{
    *config = (struct serve_config){.limits = session_limits_default, .files_allowed = FILES_ALLOWED};
    if (options->files_allowed != 0)
        config->files_allowed = options->files_allowed;
    if (!port_read(config, options, err) || !broker_config_read(&config->broker, &options->broker, err) ||
        !timeout_read(config, options, err) || !rotate_read(config, options, err) ||
        !file_read_config(config, loop, options, err) || !instance_name(config, loop, err))
        return false;
    broker_config_settle(&config->broker, logs(&config->relay), options->config_path);
    if (!broker_config_check(&config->broker, config->engine.polling, config->limits.payload_bytes_max, err))
        return false;
    client_find(config);
    if (config->client_dir != NULL)
        config->client_version = library_version(config->client_dir);
    config->limits.upgrades = config->engine.websocket;
    if (config->prefix == NULL)
        config->prefix = mem_text(SPAN_LIT("sennit"));
    return true;
}

void serve_config_finish(struct serve_config *config)
{
    relay_finish(&config->relay);
    bridge_config_finish(&config->bridge);
    origins_finish(&config->origins);
    engine_config_finish(&config->engine);
    plain_config_finish(&config->plain);
    admin_finish(&config->admin);
    admin_finish(&config->api.access);
    handshake_config_finish(&config->handshake);
    free(config->headers);
    broker_config_finish(&config->broker);
    free(config->prefix);
    free(config->static_dir);
    free(config->client_dir);
    free(config->client_version);
    free(config->instance);
}

/* spec_probe: reads the fields of a probe, and writes the request of an HTTP probe. */
#include "platform/spec_probe.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/shown.h"
#include "platform/spec_parts.h"
#include "wire/http1.h"

static const struct {
    uint64_t delay_s_max, period_s_max;
    bool tcp;
} uses[] = {
    [SPEC_PROBE_STARTUP] = {240, 240, true},
    [SPEC_PROBE_LIVENESS] = {3600, 3600, false},
    [SPEC_PROBE_READINESS] = {3600, 3600, true}, /* Knative's; Cloud Run knows no such one */
};

static bool number_get(const struct yaml_node *mapping, const char *key, uint64_t min, uint64_t max, uint64_t *to,
                       struct err *err)
{
    const struct yaml_node *node = spec_get(mapping, key);
    return node == NULL || yaml_u64(node, min, max, to, err);
}

static bool port_get(struct probe_spec *probe, const struct yaml_node *mapping, uint16_t container_port,
                     struct err *err)
{
    uint64_t port = container_port;
    if (!number_get(mapping, "port", 1, 65535, &port, err))
        return false;
    probe->port = port == container_port ? 0 : (uint16_t)port;
    return true;
}

static bool header_append(struct buf *to, const struct yaml_node *node, struct err *err)
{
    static const char *const keys[] = {"name", "value", NULL};
    struct span name, value = SPAN_LIT("");
    if (!yaml_only(node, keys, err))
        return false;
    const struct yaml_node *name_node = spec_get(node, "name"), *value_node = spec_get(node, "value");
    if (name_node == NULL)
        return yaml_error(err, node, "needs a name");
    if (!yaml_string(name_node, &name, err) || (value_node != NULL && !yaml_string(value_node, &value, err)))
        return false;
    if (!http1_name_is_valid(name) || !http1_value_is_valid(value))
        return yaml_error(err, node, "cannot be a field of a request");
    buf_printf(to, SPAN_FMT ": " SPAN_FMT "\r\n", SPAN_ARG(name), SPAN_ARG(value));
    return true;
}

static bool headers_append(struct buf *to, const struct yaml_node *headers, struct err *err)
{
    enum { HEADERS_MAX = 64 };
    if (headers == NULL)
        return true;
    if (!yaml_expect(headers, YAML_LIST, err))
        return false;
    if (headers->count > HEADERS_MAX)
        return yaml_error(err, headers, "more than %d fields", HEADERS_MAX);
    for (size_t i = 0; i < headers->count; i++)
        if (!header_append(to, headers->items[i], err))
            return false;
    return true;
}

/* Kubernetes' own fields give way to those of the file. */
static bool has_header(const struct yaml_node *headers, struct span wanted)
{
    for (size_t i = 0; headers != NULL && headers->type == YAML_LIST && i < headers->count; i++) {
        const struct yaml_node *name = spec_get(headers->items[i], "name");
        if (name != NULL && name->type == YAML_SCALAR && span_equal_nocase(name->text, wanted))
            return true;
    }
    return false;
}

static bool target_is_valid(struct span path)
{
    for (size_t i = 0; i < path.len; i++)
        if (path.data[i] <= ' ' || path.data[i] > '~' || path.data[i] == '#')
            return false;
    return path.len > 0 && path.data[0] == '/' && path.len <= HTTP1_LINE_BYTES_MAX / 2;
}

static bool http_read(struct probe_spec *probe, char **question, const struct yaml_node *get, uint16_t container_port,
                      struct err *err)
{
    static const char *const keys[] = {"path", "port", "httpHeaders", "host", "scheme", NULL};
    struct span path = SPAN_LIT("/"), scheme = SPAN_LIT("HTTP"), host = SPAN_LIT("localhost");
    struct buf text = {0};
    if (!yaml_only(get, keys, err))
        return false;
    const struct yaml_node *path_node = spec_get(get, "path"), *scheme_node = spec_get(get, "scheme"),
                           *host_node = spec_get(get, "host");
    if ((path_node != NULL && !yaml_string(path_node, &path, err)) ||
        (scheme_node != NULL && !yaml_string(scheme_node, &scheme, err)) ||
        (host_node != NULL && !yaml_string(host_node, &host, err)) || !port_get(probe, get, container_port, err))
        return false;
    if (!target_is_valid(path))
        return yaml_error(err, path_node, "expected a path like /health, found %s", SHOWN_FOUND(path));
    if (!span_equal(scheme, SPAN_LIT("HTTP")))
        return yaml_error(err, scheme_node, "expected HTTP, found %s", SHOWN_FOUND(scheme));
    if (!http1_value_is_valid(host) || host.len == 0)
        return yaml_error(err, host_node, "expected a host, found %s", SHOWN_FOUND(host));
    const struct yaml_node *headers = spec_get(get, "httpHeaders");
    buf_printf(&text, "GET " SPAN_FMT " HTTP/1.1\r\n", SPAN_ARG(path));
    if (!has_header(headers, SPAN_LIT("Host")))
        buf_printf(&text, "Host: " SPAN_FMT "\r\n", SPAN_ARG(host));
    if (!has_header(headers, SPAN_LIT("User-Agent")))
        buf_append(&text, SPAN_LIT("User-Agent: kube-probe/sennit\r\n")); /* programs tell probes by this front */
    bool ok = headers_append(&text, headers, err);
    buf_append(&text, SPAN_LIT("Connection: close\r\n\r\n"));
    free(*question);
    *question = mem_text(buf_span(&text));
    probe->question = *question;
    probe->kind = PROBE_HTTP;
    buf_finish(&text);
    return ok;
}

static bool tcp_read(struct probe_spec *probe, enum spec_probe_use use, const struct yaml_node *socket,
                     uint16_t container_port, struct err *err)
{
    static const char *const keys[] = {"port", "host", NULL};
    if (!uses[use].tcp)
        return yaml_error(err, socket, "a liveness probe asks with httpGet");
    probe->kind = PROBE_TCP;
    return yaml_only(socket, keys, err) && port_get(probe, socket, container_port, err);
}

static bool times_read(struct probe_spec *probe, enum spec_probe_use use, const struct yaml_node *node, struct err *err)
{
    uint64_t delay = 0, period = 10, timeout = 1, failures = 3, successes = 1;
    if (!number_get(node, "initialDelaySeconds", 0, uses[use].delay_s_max, &delay, err) ||
        !number_get(node, "periodSeconds", 1, uses[use].period_s_max, &period, err) ||
        !number_get(node, "timeoutSeconds", 1, uses[use].period_s_max, &timeout, err) ||
        !number_get(node, "failureThreshold", 1, 1000, &failures, err) ||
        !number_get(node, "successThreshold", 1, use == SPEC_PROBE_READINESS ? 1000 : 1, &successes, err))
        return false;
    if (timeout > period)
        return yaml_error(err, spec_get(node, "timeoutSeconds"), "at most periodSeconds (%llu), found %llu",
                          (unsigned long long)period, (unsigned long long)timeout);
    probe->delay_ms = delay * 1000;
    probe->period_ms = period * 1000;
    probe->timeout_ms = timeout * 1000;
    probe->failures = (uint32_t)failures;
    probe->successes = (uint32_t)successes;
    return true;
}

bool spec_probe_read(struct probe_spec *probe, char **question, enum spec_probe_use use, const struct yaml_node *node,
                     uint16_t container_port, struct err *err)
{
    static const char *const keys[] = {"httpGet",
                                       "tcpSocket",
                                       "grpc",
                                       "exec",
                                       "initialDelaySeconds",
                                       "periodSeconds",
                                       "timeoutSeconds",
                                       "failureThreshold",
                                       "successThreshold",
                                       NULL};
    *probe = (struct probe_spec){0};
    if (!yaml_only(node, keys, err) || !times_read(probe, use, node, err))
        return false;
    const struct yaml_node *get = spec_get(node, "httpGet"), *socket = spec_get(node, "tcpSocket"),
                           *exec = spec_get(node, "exec"), *grpc = spec_get(node, "grpc");
    if (exec != NULL)
        return yaml_error(err, exec, "Cloud Run has no exec probes: use httpGet%s",
                          uses[use].tcp ? " or tcpSocket" : "");
    if ((get != NULL) + (socket != NULL) + (grpc != NULL) > 1)
        return yaml_error(err, node, "a probe is one of httpGet, tcpSocket and grpc, not several");
    if (get != NULL)
        return http_read(probe, question, get, container_port, err);
    return socket == NULL || tcp_read(probe, use, socket, container_port, err);
}

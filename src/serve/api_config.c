/* api_config: reads the mapping. */
#include "serve/api_config.h"

/* `PORT` on this machine alone, or `IP:PORT`, the IPv6 address in brackets. */
static bool listen_read(struct api_config *config, const struct yaml_node *node, struct err *err)
{
    struct span text, ip = SPAN_LIT("127.0.0.1"), port;
    uint64_t number;
    if (node == NULL)
        return true;
    if (!yaml_string(node, &text, err))
        return false;
    size_t at = text.len;
    while (at > 0 && text.data[at - 1] != ':')
        at--;
    port = span_from(text, at);
    if (at > 0)
        ip = span_sub(text, 0, at - 1);
    if (ip.len > 2 && ip.data[0] == '[' && ip.data[ip.len - 1] == ']')
        ip = span_sub(ip, 1, ip.len - 2);
    config->has_port =
        span_to_u64(port, &number) && number <= UINT16_MAX && addr_from_ip(&config->listen, ip, (uint16_t)number);
    return config->has_port ||
           yaml_error(err, node, "expected a port, like 9090, or an IP address and a port, like 127.0.0.1:9090");
}

bool api_config_read(struct api_config *config, const struct yaml_node *node, const char *environment, struct err *err)
{
    static const char *const fields[] = {"token_file", "loopback", "listen", NULL};
    return admin_read_as(&config->access, node, fields, "SENNIT_API_TOKEN", environment, err) &&
           listen_read(config, node != NULL ? yaml_get(node, "listen") : NULL, err);
}

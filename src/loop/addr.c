/* addr: parses, formats and compares the addresses of io.h. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop/io.h"

static void addr_set_v4(struct addr *addr, uint32_t ip_host_order, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(ip_host_order)};
    *addr = (struct addr){.len = sizeof in};
    memcpy(&addr->storage, &in, sizeof in);
}

static void addr_set_v6(struct addr *addr, const struct in6_addr *ip, uint16_t port)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *ip};
    *addr = (struct addr){.len = sizeof in6};
    memcpy(&addr->storage, &in6, sizeof in6);
}

bool addr_from_ip(struct addr *addr, struct span ip, uint16_t port)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    if (ip.len == 0 || ip.len >= sizeof text || memchr(ip.data, '\0', ip.len) != NULL)
        return false;
    memcpy(text, ip.data, ip.len);
    text[ip.len] = '\0';
    if (inet_pton(AF_INET, text, &v4) == 1)
        addr_set_v4(addr, ntohl(v4.s_addr), port);
    else if (inet_pton(AF_INET6, text, &v6) == 1)
        addr_set_v6(addr, &v6, port);
    else
        return false;
    return true;
}

bool addr_from_unix(struct addr *addr, struct span path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (path.len == 0 || path.len >= sizeof un.sun_path || memchr(path.data, '\0', path.len) != NULL)
        return false;
    memcpy(un.sun_path, path.data, path.len);
    *addr = (struct addr){.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1)};
    memcpy(&addr->storage, &un, addr->len);
    return true;
}

void addr_any(struct addr *addr, uint16_t port)
{
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) {
        addr_set_v4(addr, INADDR_ANY, port);
        return;
    }
    close(probe);
    addr_set_v6(addr, &in6addr_any, port);
}

void addr_loopback(struct addr *addr, uint16_t port)
{
    addr_set_v4(addr, INADDR_LOOPBACK, port);
}

uint16_t addr_port(const struct addr *addr)
{
    if (addr->storage.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&addr->storage)->sin_port);
    if (addr->storage.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&addr->storage)->sin6_port);
    return 0;
}

void addr_port_set(struct addr *addr, uint16_t port)
{
    if (addr->storage.ss_family == AF_INET)
        ((struct sockaddr_in *)&addr->storage)->sin_port = htons(port);
    else if (addr->storage.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&addr->storage)->sin6_port = htons(port);
}

void addr_ip_text(const struct addr *addr, char text[ADDR_TEXT_MAX])
{
    struct addr_ip ip;
    addr_ip_of(addr, &ip);
    addr_ip_print(&ip, text);
}

void addr_ip_of(const struct addr *addr, struct addr_ip *ip)
{
    *ip = (struct addr_ip){.is_unix = true};
    if (addr->storage.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&addr->storage;
        ip->bytes[10] = ip->bytes[11] = 0xff;
        memcpy(ip->bytes + 12, &in->sin_addr, 4);
        ip->port = ntohs(in->sin_port);
        ip->is_unix = false;
    } else if (addr->storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr->storage;
        memcpy(ip->bytes, &in6->sin6_addr, sizeof ip->bytes);
        ip->port = ntohs(in6->sin6_port);
        ip->is_unix = false;
    }
}

bool addr_ip_is_v4(const struct addr_ip *ip)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(ip->bytes, mapped, sizeof mapped) == 0;
}

void addr_ip_network(const struct addr_ip *ip, uint8_t network[ADDR_NETWORK_BYTES])
{
    memset(network, 0, ADDR_NETWORK_BYTES);
    memcpy(network, ip->bytes, addr_ip_is_v4(ip) ? ADDR_NETWORK_BYTES : ADDR_NETWORK_BYTES / 2);
}

void addr_ip_print(const struct addr_ip *ip, char text[ADDR_TEXT_MAX])
{
    if (ip->is_unix)
        snprintf(text, ADDR_TEXT_MAX, "unix");
    else if (addr_ip_is_v4(ip))
        inet_ntop(AF_INET, ip->bytes + 12, text, ADDR_TEXT_MAX);
    else
        inet_ntop(AF_INET6, ip->bytes, text, ADDR_TEXT_MAX);
}

void addr_loopback6(struct addr *addr, uint16_t port)
{
    addr_set_v6(addr, &in6addr_loopback, port);
}

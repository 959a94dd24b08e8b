/* proxies: addresses and networks. */
#include "platform/proxies.h"

#include "base/shown.h"

enum { IP_BITS = 128, MAPPED_BITS = 96 };

static bool proxy_read(struct proxies *proxies, struct span text)
{
    struct span rest = text, ip, bits;
    struct addr addr;
    struct addr_ip parsed;
    uint64_t count = IP_BITS;
    if (!span_next(&rest, '/', &ip) || !addr_from_ip(&addr, ip, 0))
        return false;
    addr_ip_of(&addr, &parsed);
    uint64_t base = addr_ip_is_v4(&parsed) ? MAPPED_BITS : 0;
    if (ip.len < text.len &&
        (!span_next(&rest, '/', &bits) || !span_to_u64(bits, &count) || (count += base) > IP_BITS || rest.len > 0))
        return false;
    memcpy(proxies->list[proxies->count].ip, parsed.bytes, sizeof parsed.bytes);
    proxies->list[proxies->count++].bits = (uint8_t)count;
    return true;
}

bool proxies_read(struct proxies *proxies, const char *text, struct err *err)
{
    struct span rest = span_str(text), one;
    *proxies = (struct proxies){0};
    while (span_next(&rest, ',', &one)) {
        one = span_trim(one);
        if (proxies->count == PROXIES_MAX)
            return err_set(err, "more than %d addresses and networks", PROXIES_MAX);
        if (!proxy_read(proxies, one))
            return err_set(err, "expected IP addresses or networks, such as 10.0.0.0/8,::1, found %s",
                           SHOWN_FOUND(one));
    }
    return proxies->count > 0 || err_set(err, "expected IP addresses or networks, such as 10.0.0.0/8,::1");
}

static bool is_within(const uint8_t ip[16], const uint8_t network[16], unsigned bits)
{
    unsigned bytes = bits / 8, rest = bits % 8;
    return memcmp(ip, network, bytes) == 0 && (rest == 0 || ((ip[bytes] ^ network[bytes]) >> (8 - rest)) == 0);
}

bool proxies_have(const struct proxies *proxies, const struct addr_ip *ip)
{
    for (size_t i = 0; i < proxies->count && !ip->is_unix; i++)
        if (is_within(ip->bytes, proxies->list[i].ip, proxies->list[i].bits))
            return true;
    return false;
}

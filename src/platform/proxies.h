/* proxies: the addresses of load balancers that are believed (`--proxy-protocol 10.0.0.0/8,::1`). Pure. */
#ifndef SENNIT_PLATFORM_PROXIES_H
#define SENNIT_PLATFORM_PROXIES_H

#include "base/err.h"
#include "loop/io.h"

enum { PROXIES_MAX = 32 };

struct proxies {
    struct {
        uint8_t ip[16]; /* IPv4 is mapped into IPv6 */
        uint8_t bits;   /* of it count */
    } list[PROXIES_MAX];
    size_t count;
};

/* Reads addresses and networks (CIDR), separated by commas. False with `err` set, which names the wrong one. */
bool proxies_read(struct proxies *proxies, const char *text, struct err *err);
bool proxies_have(const struct proxies *proxies, const struct addr_ip *ip);

#endif

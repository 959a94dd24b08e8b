/* proxy: the header with which a load balancer says which client a stream is for: HAProxy's PROXY protocol, versions 1
 * and 2 (doc/proxy-protocol.txt of HAProxy). Pure. It stands once, before everything else of the stream. */
#ifndef SENNIT_WIRE_PROXY_H
#define SENNIT_WIRE_PROXY_H

#include "base/span.h"

enum {
    PROXY_V1_BYTES_MAX = 107,   /* the line, CR LF included */
    PROXY_BYTES_MAX = 16 + 520, /* of version 2: the addresses, and TLVs, which are skipped; longer ones are refused */
    PROXY_IP_BYTES = 16,
};

struct proxy_header {
    enum { PROXY_LOCAL, PROXY_IPV4, PROXY_IPV6 } kind; /* LOCAL: the balancer speaks for itself, or does not know */
    uint8_t ip[PROXY_IP_BYTES];                        /* the client's, network order; IPv4: the first four */
    uint16_t port;
    const char *rule; /* which rule was broken, when the result is -1 */
};

/* Decodes a header at the start of `bytes`. Returns the bytes consumed (> 0), 0 when more are needed (then all of
 * `bytes` belongs to the header), or -1. */
ptrdiff_t proxy_decode(struct span bytes, struct proxy_header *header);

#endif

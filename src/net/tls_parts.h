/* tls_parts: declarations that tls.c and tls_client.c share. For src/net/ only. */
#ifndef SENNIT_NET_TLS_PARTS_H
#define SENNIT_NET_TLS_PARTS_H

#include <openssl/ssl.h>

#include "net/tls.h"

struct tls_client {
    SSL_CTX *context;
    BIO_METHOD *bytes; /* a BIO on the `in` and `out` of a struct tls */
    char *name;
    bool name_is_ip;
};

/* NULL if there is no memory for it. */
BIO_METHOD *tls_bytes_create(void);
#endif

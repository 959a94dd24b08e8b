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

struct tls_server {
    SSL_CTX *context;
    BIO_METHOD *bytes;
    struct tls_authority *authority; /* NULL: the certificate is the operator's */
};

/* TLS 1.2 and later, no renegotiation, no compression, no session cache. NULL with `err` set. */
SSL_CTX *tls_context_create(const SSL_METHOD *method, struct err *err);
/* Our certificate, with the chain behind it, and its key, from PEM files. */
bool tls_context_certify(SSL_CTX *context, const char *cert, const char *key, struct err *err);
/* What OpenSSL says of its last fault. */
const char *tls_why(void);
/* NULL if there is no memory for it. */
BIO_METHOD *tls_bytes_create(void);
#endif

/* certs: certificates for the tests, made when they run, so that none is kept and none expires. */
#ifndef SENNIT_TEST_CERTS_H
#define SENNIT_TEST_CERTS_H

#include <openssl/ssl.h>

/* A key and its certificate. */
struct cert {
    EVP_PKEY *key;
    X509 *x509;
};

/* A CA of its own. */
struct cert cert_ca(const char *name);
/* Signed by `ca`; `names` as in a subjectAltName ("DNS:localhost,IP:127.0.0.1"); valid from now + `from_s` to now +
 * `to_s`. */
struct cert cert_signed(const struct cert *ca, const char *names, long from_s, long to_s);
void cert_finish(struct cert *cert);

/* Writes PEM files; with `passphrase`, the key is encrypted. */
void cert_write(const struct cert *cert, const char *path);
void cert_write_key(const struct cert *cert, const char *path, const char *passphrase);

#endif

/* tokens: makes keys and signs tokens with OpenSSL alone, so that what verifies them is not tested against itself. */
#ifndef SENNIT_TEST_APP_TOKENS_H
#define SENNIT_TEST_APP_TOKENS_H

#include <openssl/evp.h>

#include "base/buf.h"

/* A new key: `RSA` (2048 bits), or a curve like `P-256`. */
EVP_PKEY *key_make(const char *kind);
/* Writes its public half in PEM, and its private one. */
void key_write(EVP_PKEY *key, const char *path, bool is_private);
/* Appends its public half as a JWK, with these further members (`,"alg":"RS256"`), or none. */
void key_jwk(struct buf *to, EVP_PKEY *key, const char *members);
void text_write(const char *path, const char *text);

void base64url_text(struct buf *to, struct span bytes);
/* Signs with the algorithm of this name, by the key or the secret. Its text lives until the next one is made. */
struct span token_sign(const char *algorithm, EVP_PKEY *key, const char *secret, const char *header,
                       const char *claims);
/* The same with the header that names the algorithm. */
struct span token_make(const char *algorithm, EVP_PKEY *key, const char *secret, const char *claims);

#endif

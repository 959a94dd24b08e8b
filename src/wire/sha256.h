/* sha256: the digest by which the parts of container images are named (FIPS 180-4), of bytes that come piece by piece.
 * OpenSSL does the work. */
#ifndef SENNIT_WIRE_SHA256_H
#define SENNIT_WIRE_SHA256_H

#include "base/span.h"

enum { SHA256_HEX_LEN = 64 };

struct sha256;

struct sha256 *sha256_create(void);
void sha256_add(struct sha256 *sha256, struct span bytes);
/* Writes the digest in hexadecimal with a NUL, and frees it. */
void sha256_end(struct sha256 *sha256, char hex[SHA256_HEX_LEN + 1]);
/* Of bytes that are all here. */
void sha256_of(struct span bytes, char hex[SHA256_HEX_LEN + 1]);

#endif

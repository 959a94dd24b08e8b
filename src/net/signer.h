/* signer: makes signed tokens (RFC 7515, RS256) with a key of our own. `platform` gives them to its instances, and a
 * command to people; net/claims.h verifies them.
 *
 * The private key is made once and kept in a file for this user alone. Whoever may read it can be anybody here. */
#ifndef SENNIT_NET_SIGNER_H
#define SENNIT_NET_SIGNER_H

#include "net/keys.h"

enum { SIGNER_BITS = 2048, SIGNER_BITS_MAX = 8192, SIGNER_KID_BYTES = 40 /* hexadecimal */ };

struct signer;

/* Takes the key of the file, which is made if it is missing; `path` NULL: one that ends with the signer. Takes some
 * tenths of a second where it makes one. NULL with `err` set. */
struct signer *signer_open(const char *path, struct err *err);
void signer_destroy(struct signer *signer); /* accepts NULL */
/* Appends a token with these claims, a JSON object. */
void signer_sign(const struct signer *signer, struct buf *to, struct span claims);
/* Adds the public half: what it signs is verified. */
bool signer_trust(const struct signer *signer, struct keys *keys, struct err *err);

#endif

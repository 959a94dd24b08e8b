/* signer: makes signed tokens (RFC 7515, RS256). With a key of our own `platform` makes them for its instances, and a
 * command for people; net/claims.h verifies them. With a service account's the broker makes them for Firestore.
 *
 * Our private key is made once and kept in a file for this user alone. Whoever may read it can be anybody here. */
#ifndef SENNIT_NET_SIGNER_H
#define SENNIT_NET_SIGNER_H

#include "net/keys.h"

enum { SIGNER_BITS = 2048, SIGNER_BITS_MAX = 8192, SIGNER_KID_BYTES = 40 /* hexadecimal */ };

struct signer;

/* Takes the key of the file, which is made if it is missing; `path` NULL: one that ends with the signer. Takes some
 * tenths of a second where it makes one. NULL with `err` set. */
struct signer *signer_open(const char *path, struct err *err);
/* One with somebody else's key, in PEM: its tokens name that key so. NULL: it is no RSA key of SIGNER_BITS_MAX bits or
 * less. */
struct signer *signer_of(struct span pem, const char *kid);
void signer_destroy(struct signer *signer); /* accepts NULL */
/* Appends a token with these claims, a JSON object. */
void signer_sign(const struct signer *signer, struct buf *to, struct span claims);
/* Adds the public half: what it signs is verified. */
bool signer_trust(const struct signer *signer, struct keys *keys, struct err *err);

#endif

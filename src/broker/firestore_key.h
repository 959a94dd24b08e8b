/* firestore_key: a service account's key file, and the tokens that its holder signs: JWTs that Google's services take
 * as they are, without asking for an access token first (AIP-4111, "Self-signed JWT"). */
#ifndef SENNIT_BROKER_FIRESTORE_KEY_H
#define SENNIT_BROKER_FIRESTORE_KEY_H

#include "base/err.h"
#include "base/span.h"

enum { FIRESTORE_TOKEN_S = 3600 };

struct fs_key;

/* NULL with `err` set: it cannot be read, or is no service account's key. The text repeats nothing of the key. */
struct fs_key *fs_key_read(const char *path, struct err *err);
void fs_key_destroy(struct fs_key *key); /* accepts NULL */
/* A token that is good from `now_s` (since 1970) for FIRESTORE_TOKEN_S; the caller frees it. */
char *fs_key_sign(const struct fs_key *key, int64_t now_s);

#endif

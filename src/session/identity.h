/* identity: what a verified token says of a subscriber: its claims, and until when they hold. `app` makes it when a
 * client connects; the subscriber owns it. */
#ifndef SENNIT_SESSION_IDENTITY_H
#define SENNIT_SESSION_IDENTITY_H

#include <stdint.h>

#include "base/span.h"
#include "loop/loop.h"

struct subscriber;

enum {
    IDENTITY_BYTES_MAX = 8192,   /* of claims */
    IDENTITY_SUBJECT_BYTES = 32, /* of the name of its subject */
};
#define IDENTITY_FOREVER INT64_MAX

struct identity {
    char *claims; /* one JSON object, NUL-terminated */
    size_t claims_len;
    int64_t expires_ms; /* since 1970; IDENTITY_FOREVER: never */
    /* Names the issuer and the subject of the token (`iss`, `sub`), in hexadecimal digits: the same for every token of
     * one user. Empty: the token names no subject. */
    char subject[IDENTITY_SUBJECT_BYTES + 1];
    /* While a subscriber has it: subscriber_identity.c. */
    struct subscriber *holder;
    struct timer timer;
    bool told; /* that it expires soon */
};

/* `claims`: a valid JSON object of IDENTITY_BYTES_MAX at most. */
struct identity *identity_create(struct span claims, int64_t expires_ms);
void identity_destroy(struct identity *identity); /* accepts NULL */
static inline struct span identity_claims(const struct identity *identity)
{
    return span_of(identity->claims, identity->claims_len);
}
/* The value of a claim as raw JSON: of this very name, or, where there is none, of a member inside others as `a.b`
 * names it. No data: there is none. */
struct span identity_claim(const struct identity *identity, struct span name);
/* The name of the subject; empty for NULL, and for a token without one. */
struct span identity_subject(const struct identity *identity);

#endif

/* affinity: the cookie by which a client comes back to its instance (run.googleapis.com/sessionAffinity), best effort:
 * a client whose instance is gone or full gets another one, and the cookie of that one. Pure. */
#ifndef SENNIT_PLATFORM_AFFINITY_H
#define SENNIT_PLATFORM_AFFINITY_H

#include "wire/http1.h"

enum {
    AFFINITY_BYTES = 16,                /* of a token; hexadecimal */
    AFFINITY_AGE_S = 30 * 24 * 60 * 60, /* the cookie's, as on Cloud Run */
};
#define AFFINITY_COOKIE "sennit-affinity"

/* The token that a request brings in a cookie, AFFINITY_BYTES long; empty: none. */
struct span affinity_find(const struct http1_head *head);
/* Appends the value of Set-Cookie. */
void affinity_encode(struct buf *to, const char token[AFFINITY_BYTES + 1]);

#endif

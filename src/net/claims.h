/* claims: verifies a signed token (RFC 7519, 8725): its signature, its times, its issuer and its audience. `app` lets
 * clients in by that, and `platform` callers of a service. A token stands in no log of ours. */
#ifndef SENNIT_NET_CLAIMS_H
#define SENNIT_NET_CLAIMS_H

#include "net/keys.h"
#include "net/refusals.h"
#include "wire/jws.h"

#define CLAIMS_FOREVER INT64_MAX

/* Borrowed texts. */
struct claims_names {
    char *const *names;
    size_t count;
};

/* What a token must have. */
struct claims_terms {
    struct keys *keys;
    struct claims_names issuers;   /* none: any issuer will do */
    struct claims_names audiences; /* none: only a token without an audience will do */
    uint64_t leeway_ms;            /* of clocks that differ */
};

/* Of one token. */
struct claims {
    struct jws jws;
    int64_t expires_ms; /* since 1970, leeway included; CLAIMS_FOREVER: never */
};

/* Checks a token at this time. REFUSAL_COUNT: it is good. Finish `claims` in either case. */
enum refusal claims_verify(struct claims *claims, const struct claims_terms *terms, struct span token, int64_t now_ms);
/* The JSON object of a good one; borrowed. */
struct span claims_text(const struct claims *claims);
void claims_finish(struct claims *claims);

#endif

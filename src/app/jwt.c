/* jwt: where tokens are found, and the identity of a good one; net/claims.h checks it. */
#include "app/jwt.h"

#include <stdlib.h>

#include "wire/json.h"
#include "wire/jws.h"

/* The value of a cookie (RFC 6265 section 5.4: pairs with `; ` between them). */
static struct span cookie_get(const struct http1_head *head, struct span name)
{
    struct span none = {NULL, 0};
    for (size_t i = 0; i < head->field_count; i++) {
        struct span rest = head->fields[i].value, pair, key;
        if (!span_equal_nocase(head->fields[i].name, SPAN_LIT("Cookie")))
            continue;
        while (span_next(&rest, ';', &pair)) {
            pair = span_trim(pair);
            if (span_next(&pair, '=', &key) && pair.data != NULL && span_equal(key, name))
                return pair;
        }
    }
    return none;
}

struct span jwt_of_head(const struct jwt *jwt, const struct http1_head *head)
{
    static const struct span scheme = SPAN_LIT("Bearer ");
    struct span value = http1_field_get(head, SPAN_LIT("Authorization")), token = {NULL, 0};
    if (jwt->header && span_equal_nocase(span_sub(value, 0, scheme.len), scheme))
        token = span_trim(span_from(value, scheme.len));
    if (token.len == 0 && jwt->cookie != NULL)
        token = cookie_get(head, span_str(jwt->cookie));
    return token;
}

/* A token in the payload stands alone: if it is wrong, no other is looked for. */
enum refusal jwt_take(const struct jwt *jwt, struct span auth, struct span of_head, struct buf *to)
{
    struct span value = {NULL, 0};
    if (auth.len > 0 && jwt->member != NULL)
        value = json_object_get(json_trim(auth), span_str(jwt->member));
    if (value.data != NULL && json_type(value) != JSON_NULL)
        return value.len <= JWS_BYTES_MAX + 2 && json_string_decode(value, to) ? REFUSAL_COUNT
                                                                               : REFUSAL_TOKEN_MALFORMED;
    if (of_head.len == 0)
        return REFUSAL_TOKEN_MISSING;
    buf_append(to, of_head);
    return REFUSAL_COUNT;
}

_Static_assert(CLAIMS_FOREVER == IDENTITY_FOREVER, "a token and its identity expire alike");

enum refusal jwt_check(struct jwt *jwt, struct span token, int64_t now_ms, struct identity **identity)
{
    struct claims_terms terms = {.keys = &jwt->keys,
                                 .issuers = {jwt->issuers.names, jwt->issuers.count},
                                 .audiences = {jwt->audiences.names, jwt->audiences.count},
                                 .leeway_ms = jwt->leeway_ms};
    struct claims claims;
    enum refusal refusal = claims_verify(&claims, &terms, token, now_ms);
    *identity = refusal == REFUSAL_COUNT ? identity_create(claims_text(&claims), claims.expires_ms) : NULL;
    claims_finish(&claims);
    return refusal;
}

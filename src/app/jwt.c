/* jwt: where tokens are found, and what is asked of them: first the signature, then time, issuer and audience. */
#include "app/jwt.h"

#include <stdlib.h>

#include "wire/json.h"
#include "wire/jws.h"

enum { NAME_BYTES_MAX = 1024 };
static const int64_t seconds_max = 253402300799; /* the end of the year 9999 */

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

/* A time in a claim (RFC 7519 section 2): seconds since 1970, perhaps with a fraction, which is dropped. False for
 * anything else. */
static bool date_read(struct span value, int64_t *ms)
{
    uint64_t seconds;
    struct span rest = value, whole, fraction;
    if (!span_next(&rest, '.', &whole) || !span_to_u64(whole, &seconds))
        return false;
    fraction = rest;
    for (size_t i = 0; i < fraction.len; i++)
        if (fraction.data[i] < '0' || fraction.data[i] > '9')
            return false;
    *ms = (seconds < (uint64_t)seconds_max ? (int64_t)seconds : seconds_max) * 1000;
    return true;
}

/* The claims of time. `*expires_ms` becomes the end, leeway included. */
static enum refusal times_check(const struct jwt *jwt, struct span claims, int64_t now_ms, int64_t *expires_ms)
{
    static const char *const begins[] = {"nbf", "iat"};
    struct span exp = json_object_get(claims, SPAN_LIT("exp"));
    int64_t ms, leeway_ms = (int64_t)jwt->leeway_ms;
    *expires_ms = IDENTITY_FOREVER;
    if (exp.data != NULL) {
        if (!date_read(exp, &ms))
            return REFUSAL_TOKEN_MALFORMED;
        *expires_ms = ms + leeway_ms;
        if (now_ms >= *expires_ms)
            return REFUSAL_TOKEN_EXPIRED;
    }
    for (size_t i = 0; i < 2; i++) {
        struct span begin = json_object_get(claims, span_str(begins[i]));
        if (begin.data != NULL && !date_read(begin, &ms))
            return REFUSAL_TOKEN_MALFORMED;
        if (begin.data != NULL && now_ms < ms - leeway_ms)
            return REFUSAL_TOKEN_EARLY;
    }
    return REFUSAL_COUNT;
}

static bool is_named(const struct jwt_names *names, struct span value)
{
    for (size_t i = 0; i < names->count; i++)
        if (json_type(value) == JSON_STRING && json_string_equal(value, span_str(names->names[i])))
            return true;
    return false;
}

/* One text, or a list of them. A token that is for somebody must be for us, whoever we are (RFC 7519 section 4.1.3). */
static bool audience_fits(const struct jwt *jwt, struct span claims)
{
    struct span value = json_object_get(claims, SPAN_LIT("aud")), one;
    if (value.data == NULL)
        return jwt->audiences.count == 0;
    if (json_type(value) != JSON_ARRAY)
        return is_named(&jwt->audiences, value);
    while (json_array_next(&value, &one))
        if (is_named(&jwt->audiences, one))
            return true;
    return false;
}

static enum refusal claims_check(const struct jwt *jwt, struct span claims, int64_t now_ms, int64_t *expires_ms)
{
    enum refusal refusal = times_check(jwt, claims, now_ms, expires_ms);
    if (refusal != REFUSAL_COUNT)
        return refusal;
    if (jwt->issuers.count > 0 && !is_named(&jwt->issuers, json_object_get(claims, SPAN_LIT("iss"))))
        return REFUSAL_TOKEN_ISSUER;
    return audience_fits(jwt, claims) ? REFUSAL_COUNT : REFUSAL_TOKEN_AUDIENCE;
}

/* A text in the header; no data: it is not there. False: it is no text, or too long. */
static bool header_text(struct span header, const char *name, struct buf *to, struct span *text)
{
    struct span value = json_object_get(header, span_str(name));
    *text = (struct span){NULL, 0};
    if (value.data == NULL)
        return true;
    if (value.len > NAME_BYTES_MAX || !json_string_decode(value, to))
        return false;
    *text = buf_span(to);
    return true;
}

static enum refusal signature_check(struct jwt *jwt, struct span token, struct span header)
{
    struct buf algorithm_text = {0}, kid_text = {0};
    struct span algorithm, kid;
    enum refusal refusal = REFUSAL_TOKEN_MALFORMED;
    /* A critical extension must be understood (RFC 7515 section 4.1.11), and none is. */
    bool is_read = header_text(header, "alg", &algorithm_text, &algorithm) &&
                   header_text(header, "kid", &kid_text, &kid) && algorithm.data != NULL &&
                   json_object_get(header, SPAN_LIT("crit")).data == NULL;
    if (is_read) {
        switch (keys_verify(&jwt->keys, token, algorithm, kid)) {
        case KEYS_OK:
            refusal = REFUSAL_COUNT;
            break;
        case KEYS_UNKNOWN:
            refusal = REFUSAL_TOKEN_KEY;
            break;
        case KEYS_ALGORITHM:
            refusal = REFUSAL_TOKEN_ALGORITHM;
            break;
        case KEYS_SIGNATURE:
            refusal = REFUSAL_TOKEN_SIGNATURE;
            break;
        }
    }
    buf_finish(&algorithm_text);
    buf_finish(&kid_text);
    return refusal;
}

enum refusal jwt_check(struct jwt *jwt, struct span token, int64_t now_ms, struct identity **identity)
{
    struct jws jws;
    enum refusal refusal = REFUSAL_TOKEN_MALFORMED;
    int64_t expires_ms = 0;
    *identity = NULL;
    if (jws_decode(&jws, token)) {
        struct span claims = json_trim(buf_span(&jws.payload));
        refusal = signature_check(jwt, token, json_trim(buf_span(&jws.header)));
        if (refusal == REFUSAL_COUNT)
            refusal = claims_check(jwt, claims, now_ms, &expires_ms);
        if (refusal == REFUSAL_COUNT)
            *identity = identity_create(claims, expires_ms);
    }
    jws_finish(&jws);
    return refusal;
}

/* claims: what is asked of a signed token: first the signature, then time, issuer and audience. */
#include "net/claims.h"

#include "wire/json.h"

enum { NAME_BYTES_MAX = 1024 };
static const int64_t seconds_max = 253402300799; /* the end of the year 9999 */

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
static enum refusal times_check(const struct claims_terms *terms, struct span claims, int64_t now_ms,
                                int64_t *expires_ms)
{
    static const char *const begins[] = {"nbf", "iat"};
    struct span exp = json_object_get(claims, SPAN_LIT("exp"));
    int64_t ms, leeway_ms = (int64_t)terms->leeway_ms;
    *expires_ms = CLAIMS_FOREVER;
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

static bool is_named(const struct claims_names *names, struct span value)
{
    for (size_t i = 0; i < names->count; i++)
        if (json_type(value) == JSON_STRING && json_string_equal(value, span_str(names->names[i])))
            return true;
    return false;
}

/* One text, or a list of them. A token that is for somebody must be for us, whoever we are (RFC 7519 section 4.1.3). */
static bool audience_fits(const struct claims_terms *terms, struct span claims)
{
    struct span value = json_object_get(claims, SPAN_LIT("aud")), one;
    if (value.data == NULL)
        return terms->audiences.count == 0;
    if (json_type(value) != JSON_ARRAY)
        return is_named(&terms->audiences, value);
    while (json_array_next(&value, &one))
        if (is_named(&terms->audiences, one))
            return true;
    return false;
}

static enum refusal terms_check(const struct claims_terms *terms, struct span claims, int64_t now_ms,
                                int64_t *expires_ms)
{
    enum refusal refusal = times_check(terms, claims, now_ms, expires_ms);
    if (refusal != REFUSAL_COUNT)
        return refusal;
    if (terms->issuers.count > 0 && !is_named(&terms->issuers, json_object_get(claims, SPAN_LIT("iss"))))
        return REFUSAL_TOKEN_ISSUER;
    return audience_fits(terms, claims) ? REFUSAL_COUNT : REFUSAL_TOKEN_AUDIENCE;
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

static enum refusal signature_check(const struct claims_terms *terms, struct span token, struct span header)
{
    struct buf algorithm_text = {0}, kid_text = {0};
    struct span algorithm, kid;
    enum refusal refusal = REFUSAL_TOKEN_MALFORMED;
    /* A critical extension must be understood (RFC 7515 section 4.1.11), and none is. */
    bool is_read = header_text(header, "alg", &algorithm_text, &algorithm) &&
                   header_text(header, "kid", &kid_text, &kid) && algorithm.data != NULL &&
                   json_object_get(header, SPAN_LIT("crit")).data == NULL;
    if (is_read) {
        switch (keys_verify(terms->keys, token, algorithm, kid)) {
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

enum refusal claims_verify(struct claims *claims, const struct claims_terms *terms, struct span token, int64_t now_ms)
{
    *claims = (struct claims){.expires_ms = CLAIMS_FOREVER};
    if (!jws_decode(&claims->jws, token))
        return REFUSAL_TOKEN_MALFORMED;
    enum refusal refusal = signature_check(terms, token, json_trim(buf_span(&claims->jws.header)));
    return refusal != REFUSAL_COUNT ? refusal : terms_check(terms, claims_text(claims), now_ms, &claims->expires_ms);
}

struct span claims_text(const struct claims *claims)
{
    return json_trim(buf_span(&claims->jws.payload));
}

void claims_finish(struct claims *claims)
{
    jws_finish(&claims->jws);
}

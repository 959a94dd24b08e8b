/* admission: finds the token, the audiences that a service has, and who may call it. */
#include "platform/admission.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/claims.h"
#include "wire/json.h"

/* Of all revisions, the latest that has proved itself says it, as the service's settings do on Cloud Run. */
static const struct service_spec *spec_of(const struct service *service)
{
    const struct revision *ready = service_latest_ready(service);
    return &(ready != NULL ? ready : service_latest(service))->spec;
}

static bool is_closed(const struct service_spec *spec, bool closed)
{
    if (spec->access != SPEC_ACCESS_UNSAID)
        return spec->access == SPEC_ACCESS_CLOSED;
    return closed && !spec->iam_disabled;
}

bool admission_is_closed(const struct service *service, bool closed)
{
    return is_closed(spec_of(service), closed);
}

/* The first of the two fields that is there counts, even with another scheme. */
static const char *const fields[] = {"x-serverless-authorization", "authorization"};

static struct span token_find(const struct http1_head *head, const char **field)
{
    static const struct span scheme = SPAN_LIT("Bearer ");
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        struct span value = http1_field_get(head, span_str(fields[i]));
        if (value.data == NULL)
            continue;
        *field = fields[i];
        return span_equal_nocase(span_sub(value, 0, scheme.len), scheme) ? span_trim(span_from(value, scheme.len))
                                                                         : SPAN_LIT("");
    }
    return SPAN_LIT("");
}

/* A URL of the service, with and without the slash behind it; a port that is the scheme's own is left out. */
static void url_add(struct words *audiences, const struct admission_door *door, const char *host, const char *domain)
{
    bool is_usual = door->port == (strcmp(door->scheme, "https") == 0 ? 443 : 80);
    char port[8] = "";
    if (!is_usual)
        snprintf(port, sizeof port, ":%u", door->port);
    words_add(audiences, mem_printf("%s://%s%s%s", door->scheme, host, domain, port));
    words_add(audiences, mem_printf("%s://%s%s%s/", door->scheme, host, domain, port));
}

static void audiences_make(struct words *audiences, const struct admission_door *door, const struct service *service,
                           const struct words *custom)
{
    static const char *const bare[] = {"localhost", "127.0.0.1", "[::1]"};
    url_add(audiences, door, service->name, ".localhost");
    for (size_t i = 0; route_bare(door->route) == service && i < sizeof bare / sizeof bare[0]; i++)
        url_add(audiences, door, bare[i], "");
    words_add_all(audiences, custom);
}

static void refuse(struct admission *admission, enum denial denial, const char *why, struct span culprit)
{
    admission->denial = denial;
    admission->why = why;
    admission->culprit = culprit.len > 0 ? mem_text(culprit) : NULL;
}

/* The claims are only looked at once the signature has been verified. */
static void refusal_take(struct admission *admission, enum refusal refusal, struct span claims)
{
    switch (refusal) {
    case REFUSAL_TOKEN_EXPIRED:
        refuse(admission, DENIAL_TOKEN_EXPIRED, "the token has expired (exp)",
               json_object_get(claims, SPAN_LIT("exp")));
        break;
    case REFUSAL_TOKEN_AUDIENCE:
        refuse(admission, DENIAL_TOKEN_AUDIENCE, "the token is for another audience (aud)",
               json_object_get(claims, SPAN_LIT("aud")));
        break;
    case REFUSAL_TOKEN_ISSUER:
        refuse(admission, DENIAL_TOKEN_INVALID, "the token is from another issuer (iss)",
               json_object_get(claims, SPAN_LIT("iss")));
        break;
    case REFUSAL_TOKEN_EARLY:
        refuse(admission, DENIAL_TOKEN_INVALID, "the token is not valid yet (nbf, iat)", SPAN_LIT(""));
        break;
    case REFUSAL_TOKEN_KEY:
        refuse(admission, DENIAL_TOKEN_INVALID, "no key has the id that the token names (kid)", SPAN_LIT(""));
        break;
    case REFUSAL_TOKEN_ALGORITHM:
        refuse(admission, DENIAL_TOKEN_INVALID, "the token is signed with another algorithm than its key is for",
               SPAN_LIT(""));
        break;
    case REFUSAL_TOKEN_SIGNATURE:
        refuse(admission, DENIAL_TOKEN_INVALID, "the signature is not that of a known key", SPAN_LIT(""));
        break;
    default:
        refuse(admission, DENIAL_TOKEN_INVALID, "it is no JWT, or has no times that are numbers (exp)", SPAN_LIT(""));
    }
}

/* A foreign issuer gives tokens to strangers, too, so of its callers only those on the list may pass. */
static void caller_check(struct admission *admission, const struct words *invokers, struct span claims, bool is_own)
{
    struct span email = json_object_get(claims, SPAN_LIT("email"));
    struct span verified = json_object_get(claims, SPAN_LIT("email_verified"));
    bool is_known = json_type(email) == JSON_STRING && (is_own || span_equal(verified, SPAN_LIT("true")));
    if (is_own && invokers->count == 0)
        return;
    for (size_t i = 0; is_known && i < invokers->count; i++)
        if (json_string_equal(email, span_str(invokers->list[i])))
            return;
    refuse(admission, DENIAL_NOT_INVOKER, "sennit.dev/invokers does not have the caller", email);
}

/* Verifies it by one set of keys. REFUSAL_TOKEN_KEY and the like leave `admission` as it is if `goes_on`. */
static enum refusal token_check(struct admission *admission, struct claims_terms *terms, struct span token,
                                int64_t now_ms, const struct words *invokers, bool is_own, bool goes_on)
{
    struct claims claims;
    enum refusal refusal = claims_verify(&claims, terms, token, now_ms);
    bool is_foreign =
        refusal == REFUSAL_TOKEN_KEY || refusal == REFUSAL_TOKEN_SIGNATURE || refusal == REFUSAL_TOKEN_ALGORITHM;
    if (refusal == REFUSAL_COUNT && claims.expires_ms == CLAIMS_FOREVER)
        refusal = REFUSAL_TOKEN_MALFORMED;
    if (refusal == REFUSAL_COUNT)
        caller_check(admission, invokers, claims_text(&claims), is_own);
    else if (!is_foreign || !goes_on)
        refusal_take(admission, refusal, claims_text(&claims));
    claims_finish(&claims);
    return is_foreign ? refusal : REFUSAL_COUNT;
}

void admission_check(struct admission *admission, const struct admission_door *door, const struct service *service,
                     const struct http1_head *head, int64_t now_ms)
{
    struct identities *identities = door->identities;
    const struct service_spec *spec = spec_of(service);
    *admission = (struct admission){.denial = DENIAL_COUNT};
    if (!is_closed(spec, door->closed))
        return;
    struct span token = token_find(head, &admission->field);
    if (token.len == 0) {
        refuse(admission, DENIAL_TOKEN_MISSING, NULL, SPAN_LIT(""));
        return;
    }
    char *own = (char *)IDENTITY_ISSUER;
    struct words audiences = {0};
    const struct words *invokers = &spec->invokers;
    audiences_make(&audiences, door, service, &spec->audiences);
    identities_signer(identities);
    struct claims_terms terms = {.keys = &identities->own,
                                 .issuers = {&own, 1},
                                 .audiences = {audiences.list, audiences.count},
                                 .leeway_ms = ADMISSION_LEEWAY_MS};
    if (token_check(admission, &terms, token, now_ms, invokers, true, identities->has_others) != REFUSAL_COUNT &&
        identities->has_others) {
        terms.keys = &identities->others;
        terms.issuers.names = &identities->issuer;
        token_check(admission, &terms, token, now_ms, invokers, false, false);
    }
    words_finish(&audiences);
}

void admission_finish(struct admission *admission)
{
    free(admission->culprit);
    admission->culprit = NULL;
}

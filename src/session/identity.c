/* identity: copies the claims, looks them up, and names the subject by a digest, so that no user's name stands in a
 * lease. */
#include "session/identity.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "wire/json.h"

/* The issuer's JSON, which ends itself, and the subject's. */
static void subject_name(struct identity *identity)
{
    struct span issuer = json_object_get(identity_claims(identity), SPAN_LIT("iss"));
    struct span subject = json_object_get(identity_claims(identity), SPAN_LIT("sub"));
    struct buf text = {0};
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (json_type(subject) != JSON_STRING)
        return;
    buf_append(&text, issuer);
    buf_append_char(&text, '\n');
    json_string_decode(subject, &text);
    int ok = EVP_Digest(buf_span(&text).data, text.len, digest, NULL, EVP_sha256(), NULL);
    assert(ok == 1);
    for (size_t i = 0; i < IDENTITY_SUBJECT_BYTES / 2; i++)
        snprintf(identity->subject + 2 * i, 3, "%02x", digest[i]);
    buf_finish(&text);
}

struct identity *identity_create(struct span claims, int64_t expires_ms)
{
    assert(claims.len <= IDENTITY_BYTES_MAX);
    struct identity *identity = mem_zero(1, sizeof *identity);
    identity->claims = mem_text(claims);
    identity->claims_len = claims.len;
    identity->expires_ms = expires_ms;
    subject_name(identity);
    return identity;
}

void identity_destroy(struct identity *identity)
{
    if (identity == NULL)
        return;
    free(identity->claims);
    free(identity);
}

struct span identity_claim(const struct identity *identity, struct span name)
{
    struct span object = identity_claims(identity), rest = name, part;
    struct span value = json_object_get(object, name);
    if (value.data != NULL)
        return value;
    while (span_next(&rest, '.', &part)) {
        object = json_object_get(object, part);
        if (object.data == NULL)
            return object;
    }
    return object;
}

struct span identity_subject(const struct identity *identity)
{
    return identity != NULL ? span_str(identity->subject) : SPAN_LIT("");
}

/* identity: encodes claims, and finds the keys when they are needed. */
#include "platform/identity.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "wire/json.h"

/* Google's subjects are numbers. This one follows from the name, so it stays as it is. */
static uint64_t subject_of(struct span email)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < email.len; i++)
        hash = (hash ^ (unsigned char)email.data[i]) * 0x100000001b3;
    return hash;
}

void identity_token_make(struct buf *to, const struct signer *signer, const struct identity_claims *claims)
{
    struct buf json = {0};
    char subject[IDENTITY_SUBJECT_DIGITS + 2];
    snprintf(subject, sizeof subject, "1%0*llu", IDENTITY_SUBJECT_DIGITS,
             (unsigned long long)subject_of(claims->email));
    buf_append_char(&json, '{');
    json_text_append(&json, "iss", SPAN_LIT(IDENTITY_ISSUER));
    json_text_append(&json, "aud", claims->audience);
    json_text_append(&json, "azp", span_str(subject));
    json_text_append(&json, "sub", span_str(subject));
    json_text_append(&json, "email", claims->email);
    buf_printf(&json, "\"email_verified\":true,\"iat\":%lld,\"exp\":%lld}", (long long)claims->now_s,
               (long long)claims->now_s + claims->lifetime_s);
    signer_sign(signer, to, buf_span(&json));
    buf_finish(&json);
}

char *identity_key_path(const char *directory)
{
    return mem_printf("%s/identity-key.pem", directory);
}

bool identities_open(struct identities *identities, struct loop *loop, const char *directory, const char *keys,
                     const char *issuer, struct err *err)
{
    *identities = (struct identities){.loop = loop, .has_others = keys != NULL};
    identities->path = directory != NULL ? identity_key_path(directory) : NULL;
    identities->issuer = mem_text(span_str(issuer != NULL ? issuer : IDENTITY_ISSUER_OTHERS));
    keys_init(&identities->own, loop);
    keys_init(&identities->others, loop);
    return keys == NULL || keys_add_file(&identities->others, keys, KEY_ALGORITHMS_COUNT, err) ||
           err_prefix(err, "--identity-keys: ");
}

const struct signer *identities_signer(struct identities *identities)
{
    struct err err;
    if (identities->signer != NULL)
        return identities->signer;
    identities->signer = signer_open(identities->path, &err);
    if (identities->signer == NULL) {
        log_event(LOG_ERROR,
                  "the key for identity tokens cannot be used: those of `sennit token` are refused, and the instances' "
                  "are signed with a key that ends with this sennit up",
                  LOG_C("error", err.text));
        identities->signer = signer_open(NULL, &err);
    }
    /* Only for want of memory or of randomness, or a key of our own making would be none. */
    if (identities->signer == NULL || !signer_trust(identities->signer, &identities->own, &err))
        abort();
    return identities->signer;
}

void identities_finish(struct identities *identities)
{
    if (identities->loop == NULL)
        return;
    signer_destroy(identities->signer);
    keys_finish(&identities->own);
    keys_finish(&identities->others);
    free(identities->path);
    free(identities->issuer);
    identities->loop = NULL;
}

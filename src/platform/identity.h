/* identity: the ID tokens of this machine, by which a program or a person calls a service that not everybody may call;
 * and the keys by which they are verified. `sennit token` and the metadata server make them, admission.h checks them.
 *
 * They have the form of Google's (https://docs.cloud.google.com/docs/authentication/token-types#id), and an issuer and
 * a key of our own: no other machine takes them. `up` owns the identities. */
#ifndef SENNIT_PLATFORM_IDENTITY_H
#define SENNIT_PLATFORM_IDENTITY_H

#include "net/signer.h"

#define IDENTITY_ISSUER "https://sennit.localhost"
#define IDENTITY_PERSON "developer@sennit.localhost" /* whoever asks with `sennit token` */
/* The issuer of the operator's keys, if he names none. */
#define IDENTITY_ISSUER_OTHERS "https://accounts.google.com"

enum { IDENTITY_LIFETIME_S = 3600, IDENTITY_SUBJECT_DIGITS = 20, IDENTITY_TEXT_BYTES_MAX = 1024 };

/* What a token says. */
struct identity_claims {
    struct span audience, email; /* at most IDENTITY_TEXT_BYTES_MAX each */
    int64_t now_s;               /* since 1970 */
    uint32_t lifetime_s;
};
/* Appends a token. */
void identity_token_make(struct buf *to, const struct signer *signer, const struct identity_claims *claims);
/* The file of the key in the folder of catalog_directory. The caller frees it. */
char *identity_key_path(const char *directory);

struct identities {
    struct loop *loop;
    char *path;            /* of our key; NULL: it ends with this process */
    struct signer *signer; /* NULL: nobody has asked for it yet */
    struct keys own;       /* its public half */
    struct keys others;    /* of the operator's file */
    bool has_others;
    char *issuer; /* of those */
};

/* `directory`: the state folder; NULL: none. `keys`: the operator's file of public keys (a JWK set, a JWK), and
 * `issuer` whose they are; both may be NULL. False with `err` set; call identities_finish in either case. */
bool identities_open(struct identities *identities, struct loop *loop, const char *directory, const char *keys,
                     const char *issuer, struct err *err);
/* Our key, made or read at the first call. If its file cannot be used, the log says so, and another one serves. */
const struct signer *identities_signer(struct identities *identities);
void identities_finish(struct identities *identities); /* accepts zeroed memory */

#endif

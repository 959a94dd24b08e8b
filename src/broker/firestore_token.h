/* firestore_token: what an instance shows to Google: the emulator's word, a token that it signs itself with a service
 * account's key (a JWT, as Google's AIP-4111 has it), or one from the metadata server of the machine it runs on. */
#ifndef SENNIT_BROKER_FIRESTORE_TOKEN_H
#define SENNIT_BROKER_FIRESTORE_TOKEN_H

#include "net/net.h"

struct fs_token;

/* `token` is borrowed and good for ten minutes at least; NULL: there is none, and `why` has the cure. */
typedef void fs_token_fn(void *arg, const char *token, const char *why);

/* By `key_file` if it is not NULL, else from the metadata server at `metadata_host`. With `emulator` by neither. NULL
 * with `err` set: the key file cannot be used. */
struct fs_token *fs_token_create(struct net *net, bool emulator, const char *key_file, const char *metadata_host,
                                 struct err *err);
void fs_token_destroy(struct fs_token *token); /* accepts NULL */
/* Gets a token; `done` is called from the loop, or before this returns if there is one already. One at a time. */
void fs_token_get(struct fs_token *token, fs_token_fn *done, void *arg);
/* The last one, borrowed; empty before there was one. */
struct span fs_token_text(const struct fs_token *token);
/* It is to be replaced: it is over soon. */
bool fs_token_is_old(const struct fs_token *token);
/* The server has refused it: the next fs_token_get gets another one. */
void fs_token_drop(struct fs_token *token);

#endif

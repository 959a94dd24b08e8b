/* firestore_token: the emulator's word. */
#include "broker/firestore_token.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/span.h"

struct fs_token {
    struct net *net;
    char *text;
};

struct fs_token *fs_token_create(struct net *net, bool emulator, const char *key_file, const char *metadata_host,
                                 struct err *err)
{
    struct fs_token *token = mem_zero(1, sizeof *token);
    token->net = net;
    token->text = mem_text(SPAN_LIT("owner"));
    return token;
}

void fs_token_destroy(struct fs_token *token)
{
    if (token == NULL)
        return;
    free(token->text);
    free(token);
}

void fs_token_get(struct fs_token *token, fs_token_fn *done, void *arg)
{
    done(arg, token->text, NULL);
}

struct span fs_token_text(const struct fs_token *token)
{
    return span_str(token->text);
}

bool fs_token_is_old(const struct fs_token *token)
{
    return false;
}

void fs_token_drop(struct fs_token *token)
{
}

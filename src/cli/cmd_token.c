/* cmd_token: `sennit token`: an identity token for a service of this machine's `sennit up`, as `gcloud auth
 * print-identity-token` prints one for Cloud Run's. */
#include <stdio.h>
#include <stdlib.h>

#include "base/shown.h"
#include "cli/cli.h"
#include "loop/loop.h"
#include "loop/private.h"
#include "platform/catalog.h"
#include "platform/identity.h"

enum { KEY_STATE = 256, KEY_AUDIENCE, KEY_ACCOUNT, KEY_LIFETIME };

struct arguments {
    const char *state, *audience, *account;
    uint64_t lifetime_s;
};

static const struct argp_option options[] = {
    {"audience", KEY_AUDIENCE, "URL", 0,
     "The service that the token is for: its URL, as `sennit services` lists it, without a path", 0},
    {"audiences", KEY_AUDIENCE, "URL", OPTION_ALIAS, NULL, 0},
    {"account", KEY_ACCOUNT, "EMAIL", 0, "Who calls (default: " IDENTITY_PERSON ")", 0},
    {"lifetime", KEY_LIFETIME, "SECONDS", 0, "How long it is valid, 1 to 3600 (the default)", 0},
    CLI_OPTION_STATE(KEY_STATE),
    {0}};

static void text_check(struct argp_state *state, const char *option, const char *text)
{
    struct span span = span_str(text);
    if (span.len == 0 || span.len > IDENTITY_TEXT_BYTES_MAX)
        argp_error(state, "%s: expected 1 to %d bytes, found %s", option, IDENTITY_TEXT_BYTES_MAX, SHOWN_FOUND(span));
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case KEY_STATE:
        arguments->state = argument;
        break;
    case KEY_AUDIENCE:
        text_check(state, "--audience", argument);
        arguments->audience = argument;
        break;
    case KEY_ACCOUNT:
        text_check(state, "--account", argument);
        arguments->account = argument;
        break;
    case KEY_LIFETIME:
        if (!span_to_u64(span_str(argument), &arguments->lifetime_s) || arguments->lifetime_s == 0 ||
            arguments->lifetime_s > IDENTITY_LIFETIME_S)
            argp_error(state, "--lifetime: expected a number from 1 to %d, found %s", IDENTITY_LIFETIME_S,
                       SHOWN_FOUND(span_str(argument)));
        break;
    case ARGP_KEY_END:
        if (arguments->audience == NULL)
            argp_error(state, "for which service? like: sennit token --audience http://localhost:8080");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static bool token_print(const struct arguments *arguments, struct err *err)
{
    unsigned corrected;
    char *wanted = catalog_directory(arguments->state), *path = NULL;
    char *directory = private_directory_make(wanted, &corrected, err);
    struct loop *loop = directory != NULL ? loop_create(err) : NULL;
    struct signer *signer = NULL;
    if (loop != NULL) {
        path = identity_key_path(directory);
        signer = signer_open(path, err);
    }
    if (signer != NULL) {
        struct buf token = {0};
        identity_token_make(&token, signer,
                            &(struct identity_claims){.audience = span_str(arguments->audience),
                                                      .email = span_str(arguments->account),
                                                      .now_s = loop_wall_ms(loop) / 1000,
                                                      .lifetime_s = (uint32_t)arguments->lifetime_s});
        printf(SPAN_FMT "\n", SPAN_ARG(buf_span(&token)));
        buf_finish(&token);
    }
    bool ok = signer != NULL;
    signer_destroy(signer);
    if (loop != NULL)
        loop_destroy(loop);
    free(path);
    free(directory);
    free(wanted);
    return ok;
}

int cmd_token(int argc, char **argv)
{
    static const struct argp argp = {
        options,
        parse,
        NULL,
        "Prints an identity token for a service that takes no unauthenticated requests, as `gcloud auth "
        "print-identity-token` does: curl -H \"Authorization: Bearer $(sennit token --audience URL)\" URL\v"
        "It is signed with the key in the state folder (DIR/control/identity-key.pem), which is made when it is first "
        "needed. Whoever may read that file can be anybody towards the services of this sennit up.",
        NULL,
        NULL,
        NULL};
    struct arguments arguments = {.account = IDENTITY_PERSON, .lifetime_s = IDENTITY_LIFETIME_S};
    struct err err;
    cli_parse(&argp, argc, argv, &arguments);
    return token_print(&arguments, &err) ? 0 : cli_fail("token", &err);
}

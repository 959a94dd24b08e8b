/* admin: access to the operator's paths, such as /metrics: from this machine, or with the token.
 *
 * Behind a proxy on the same machine, every peer has this machine's address. A proxy adds X-Forwarded-For or Forwarded,
 * so a request with such a field does not count as this machine's. Nor does a request whose Host is not a name of this
 * machine: a web page in a local browser could send it (DNS rebinding). */
#ifndef SENNIT_SERVE_ADMIN_H
#define SENNIT_SERVE_ADMIN_H

#include "loop/file.h"
#include "loop/io.h"
#include "loop/loop.h"
#include "wire/http1.h"
#include "wire/yaml.h"

enum { ADMIN_TOKEN_BYTES_MIN = 16, ADMIN_TOKEN_BYTES_MAX = 1024 };

struct admin {
    char *token;       /* NULL: none */
    char *token_path;  /* the file that it was read from; NULL: none */
    bool not_loopback; /* the token alone counts */
    struct file_about token_about;
    uint64_t looked_us; /* time of the last look at that file */
};

/* Reads `admin: {token_file: PATH, loopback: false}`; `node` may be NULL. A relative path starts at the directory of
 * the configuration file. `environment`: the token from the environment, which takes precedence, or NULL. False with
 * `err` set. */
bool admin_read(struct admin *admin, const struct yaml_node *node, const char *environment, struct err *err);
/* The same for another mapping, with these fields, the two among them; `variable` is where the environment has the
 * token, for the error's text. */
bool admin_read_as(struct admin *admin, const struct yaml_node *node, const char *const *fields, const char *variable,
                   const char *environment, struct err *err);
/* Reads the token again if its file has changed; looks once a second at most. A file that is missing or invalid leaves
 * the token as it is, and is logged. */
void admin_refresh(struct admin *admin, struct loop *loop);
void admin_finish(struct admin *admin); /* accepts zeroed memory */
/* Whether the request has the token. */
bool admin_has_token(const struct admin *admin, const struct http1_head *head);
/* From this machine, or with the token. */
bool admin_allows(const struct admin *admin, const struct addr_ip *peer, const struct http1_head *head);

#endif

/* jwt: checks the tokens that clients bring (RFC 7519, 8725), and makes the identity of a good one.
 *
 *     jwt:
 *       keys: [{file: public.pem, alg: RS256}]
 *       issuer: https://login.example.com
 *       audience: board
 *
 * A token comes in the payload of CONNECT (`auth: {token}` of a Socket.IO client), in the field Authorization, or in a
 * named cookie; never in a URL, which proxies log. It stands in no log of ours. */
#ifndef SENNIT_APP_JWT_H
#define SENNIT_APP_JWT_H

#include "net/claims.h"
#include "session/identity.h"
#include "wire/http1.h"

enum { JWT_NAMES_MAX = 16 /* issuers, or audiences */ };

struct jwt_names {
    char *names[JWT_NAMES_MAX];
    size_t count; /* 0: not configured */
};

struct jwt {
    bool is_set; /* the configuration has it */
    struct keys keys;
    struct jwt_names issuers, audiences;
    uint64_t leeway_ms; /* of clocks that differ */
    uint64_t notice_ms; /* the time before a token expires at which its client is told */
    char *member;       /* of the payload of CONNECT */
    bool header;        /* Authorization: Bearer */
    char *cookie;       /* NULL: none */
};

/* Reads `jwt:`; NULL: tokens are not taken. False with `err` set; finish it in either case. */
bool jwt_read(struct jwt *jwt, struct loop *loop, const struct yaml_node *node, struct err *err);
void jwt_finish(struct jwt *jwt); /* accepts zeroed */

/* The token in the head of a request: of the field Authorization, else of the cookie. Empty: there is none. */
struct span jwt_of_head(const struct jwt *jwt, const struct http1_head *head);
/* The token in the payload of CONNECT, a JSON object or nothing; else `of_head`. The text is appended to `to`. */
enum refusal jwt_take(const struct jwt *jwt, struct span auth, struct span of_head, struct buf *to);
/* Checks a token at this time. REFUSAL_COUNT: it is good, and `*identity` is the caller's. */
enum refusal jwt_check(struct jwt *jwt, struct span token, int64_t now_ms, struct identity **identity);

#endif

/* admission: whether a request may call its service. Where not everybody may, it brings an ID token, as on Cloud Run
 * (https://docs.cloud.google.com/run/docs/authenticating/overview): signed, for this service, and not expired. An
 * exchange asks before its request is queued; a WebSocket's handshake is a request like any other. */
#ifndef SENNIT_PLATFORM_ADMISSION_H
#define SENNIT_PLATFORM_ADMISSION_H

#include "platform/denials.h"
#include "platform/identity.h"
#include "platform/route.h"
#include "wire/http1.h"

enum { ADMISSION_LEEWAY_MS = 10000 /* of clocks that differ */ };

/* What the ingress knows. */
struct admission_door {
    struct identities *identities;
    const struct route *route;
    const char *scheme; /* of the services' addresses */
    uint16_t port;
    bool closed; /* whether services that say nothing take tokens alone */
};

struct admission {
    enum denial denial; /* DENIAL_COUNT: the request may pass */
    const char *field;  /* whose token was checked, and goes on without its signature; NULL: none was */
    const char *why;    /* of a refusal, for the log; NULL: nothing to add */
    char *culprit;      /* the claim that does not fit; NULL: none */
};

/* Finish it in either case. */
void admission_check(struct admission *admission, const struct admission_door *door, const struct service *service,
                     const struct http1_head *head, int64_t now_ms);
void admission_finish(struct admission *admission);
/* Whether requests of this service need a token. `closed`: see admission_door. */
bool admission_is_closed(const struct service *service, bool closed);

#endif

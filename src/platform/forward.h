/* forward: what the ingress changes in the heads that pass through it. Pure.
 *
 * Hop-by-hop fields go (RFC 9110 section 7.6.1); the client's address and a trace are added; what the platform alone
 * may say is taken from the client's head. */
#ifndef SENNIT_PLATFORM_FORWARD_H
#define SENNIT_PLATFORM_FORWARD_H

#include "wire/http1.h"

enum { TRACE_BYTES = 32, SPAN_BYTES = 16 };

struct forward_context {
    const char *client_ip;
    char trace[TRACE_BYTES + 1], span[SPAN_BYTES + 1]; /* hex, used unless the client brought a valid traceparent */
};

/* Appends the request head as the instance gets it. Always asks for the connection to close behind the answer, unless
 * it is an upgrade. */
void forward_request(struct buf *to, const struct http1_head *head, const struct forward_context *context);
/* Appends the response head as the client gets it; `chunked` says that the body will be framed so, `keep_alive` whether
 * the client's connection goes on. `instance` names who answered. */
void forward_response(struct buf *to, const struct http1_head *head, bool chunked, bool keep_alive,
                      const char *instance);

#endif

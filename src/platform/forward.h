/* forward: the ingress' changes to request and response heads. Pure.
 *
 * It removes hop-by-hop fields (RFC 9110 section 7.6.1), adds the client's address and a trace, and removes from a
 * client's head the fields that only the platform may set. */
#ifndef SENNIT_PLATFORM_FORWARD_H
#define SENNIT_PLATFORM_FORWARD_H

#include "wire/http1.h"

enum { TRACE_BYTES = 32, SPAN_BYTES = 16 };
#define FORWARD_NO_SIGNATURE "SIGNATURE_REMOVED_BY_GOOGLE" /* Cloud Run's word, which programs know */

struct forward_context {
    const char *client_ip; /* the peer's */
    bool is_tls;           /* the peer speaks TLS to us */
    /* So many load balancers stand in front, the last of which is the peer: each has appended to X-Forwarded-For whom
     * it got the request from, and the last X-Forwarded-Proto is theirs. 0: the peer is the client, and nothing is
     * believed. */
    unsigned trusted_hops;
    const char *checked; /* the name, in lower case, of the field whose token was checked: the instance gets it without
                          * its signature; NULL: none was */
    char trace[TRACE_BYTES + 1], span[SPAN_BYTES + 1]; /* hex, used unless the client names a trace */
};

/* The trace that a request belongs to: that of the client's traceparent if it is valid, else that of its
 * X-Cloud-Trace-Context likewise, else the context's. */
struct span forward_trace(const struct http1_head *head, const struct forward_context *context);
/* The client's address: the peer's, or what the outermost of the trusted balancers has appended. With fewer entries
 * than balancers, or an entry that is no address, the peer's. */
struct span forward_client(const struct http1_head *head, const struct forward_context *context);
/* Appends the request head for the instance. Unless it is an upgrade, it asks the instance to close the connection
 * after the response. */
void forward_request(struct buf *to, const struct http1_head *head, const struct forward_context *context);
/* Appends those lines of a trailer section (http1_trailer_next) that RFC 9110 section 6.5.1 lets pass: none that
 * frames, routes, modifies or authenticates a message, says how to read its content or controls a response, and none of
 * the platform's own. Returns how many it drops; `culprit` is the name of the first. */
size_t forward_trailers(struct buf *to, struct span lines, struct span *culprit);
struct forward_reply {
    const char *instance; /* the id of the instance that responded */
    const char *affinity; /* its token, for a cookie; NULL: the client has it, or the service wants none */
    bool chunked;         /* the body will be chunked */
    bool keep_alive;      /* the client's connection stays open */
};
/* Appends the response head for the client. With a cookie it is private to the client, as on Cloud Run. */
void forward_response(struct buf *to, const struct http1_head *head, const struct forward_reply *reply);

#endif

/* http_coding: content coding of answers: which one a request's Accept-Encoding asks for (RFC 9110 section 12.5.3), and
 * answers in it. */
#ifndef SENNIT_HTTP_HTTP_CODING_H
#define SENNIT_HTTP_HTTP_CODING_H

#include "http/http.h"

enum {
    HTTP_CODED_BYTES_MIN = 1024,     /* shorter bodies are sent as they are */
    HTTP_CODED_BYTES_MAX = 16 << 20, /* longer ones, too */
};

enum http_coding_kind { HTTP_IDENTITY, HTTP_GZIP, HTTP_DEFLATE };

struct http_coding {
    enum http_coding_kind kind : 8; /* the one with the highest weight; gzip before deflate */
    bool required;                  /* identity is forbidden, so that short bodies are coded, too */
};

/* The coding that the request asks for. Without the field, and where it allows none of ours, it is identity. */
struct http_coding http_coding_choose(const struct http1_head *head);
/* http_respond, with a body of HTTP_CODED_BYTES_MIN or more in the coding that the request under way asked for, if that
 * makes it shorter. Says in Vary that the answer depends on it. For answers made for one request: each call compresses.
 */
void http_respond_coded(struct http *http, int status, struct span type, struct span fields, struct span body);

#endif

/* conditional: evaluates the conditions and the range of a request for a file (RFC 9110 sections 13 and 14). Pure.
 *
 * It supports one range. Requests with several ranges, or with units other than bytes, get the whole file, as the RFC
 * allows. */
#ifndef SENNIT_SERVE_CONDITIONAL_H
#define SENNIT_SERVE_CONDITIONAL_H

#include "wire/http1.h"

/* A version of a file. */
struct conditional_version {
    struct span etag; /* strong, its quotes included */
    int64_t modified_s;
    uint64_t bytes;
};

struct conditional_answer {
    int status;         /* 200, 206, 304, 412 or 416 */
    uint64_t from, end; /* of the bytes to send; for 304, 412 and 416 none */
};

/* The answer to GET or HEAD. */
struct conditional_answer conditional_answer(const struct http1_head *head, const struct conditional_version *version);

/* "Sun, 06 Nov 1994 08:49:37 GMT"; years 1970 to 9999, others are clipped. */
enum { CONDITIONAL_DATE_BYTES = 29 };
void conditional_date_encode(int64_t seconds, char text[CONDITIONAL_DATE_BYTES]);
/* False for anything else, the two obsolete formats included. */
bool conditional_date_decode(struct span text, int64_t *seconds);

#endif

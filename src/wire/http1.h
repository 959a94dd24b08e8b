/* http1: HTTP/1.1 heads and bodies (RFC 9112), strict: bytes that two parsers could read differently are refused.
 *
 * Pull-style and pure: bytes in, events out, no I/O, no clock. All spans of a decoded head point into the bytes given,
 * or are literals. The result depends on the bytes, never on how they were cut into pieces. */
#ifndef SENNIT_WIRE_HTTP1_H
#define SENNIT_WIRE_HTTP1_H

#include "base/buf.h"
#include "base/span.h"

enum {
    HTTP1_FIELDS_MAX = 128,           /* more: 431 */
    HTTP1_LINE_BYTES_MAX = 8192,      /* request line; more: 414 */
    HTTP1_HEAD_BYTES_MAX = 65536,     /* whole head; more: 431 */
    HTTP1_CHUNK_LINE_BYTES_MAX = 256, /* chunk size and extensions, CRLF included */
    HTTP1_TRAILER_BYTES_MAX = 8192,   /* all trailers of a body */
};

struct http1_field {
    struct span name, value;
};

enum http1_body_kind { HTTP1_BODY_NONE, HTTP1_BODY_LENGTH, HTTP1_BODY_CHUNKED, HTTP1_BODY_UNTIL_CLOSE };

struct http1_head {
    /* Request line or status line. */
    struct span method; /* requests */
    struct span target; /* requests: origin-form, or "*" for OPTIONS; absolute-form is reduced to these */
    struct span host;   /* requests: the authority, from Host or the absolute-form target; NULL data: none (1.0 only) */
    int status;         /* responses */
    struct span reason;
    int minor; /* 0 or 1 */
    struct http1_field fields[HTTP1_FIELDS_MAX];
    size_t field_count;
    /* Derived. */
    enum http1_body_kind body;
    uint64_t content_length; /* as announced, also where there is no body (HEAD, 304); 0 without the field */
    bool keep_alive;         /* the connection may carry another exchange after this one; false for 101 */
    bool upgrade_websocket;  /* requests: GET, HTTP/1.1, no body, Connection: upgrade, one Upgrade: websocket.
                                responses: 101 with both */
    bool expect_continue;    /* requests: Expect: 100-continue */
    /* Why a head was refused: the rule, and the bytes that break it, of which the first may be shown. Valid when its
     * decoder has returned -1. */
    const char *rule;
    struct span culprit;
};

/* Decodes one request head at the start of `bytes`. `seen` is how many of them an earlier call found incomplete (0 at
 * first), so that a head which drips in is not scanned again and again. Returns the bytes consumed (> 0), 0 when more
 * are needed, or -1, and then `*status` is the status to answer: 400, 414, 431, 501 (CONNECT, or a transfer coding
 * other than chunked) or 505. `*head` is valid only if the result is > 0; if it is -1, its `rule` and
 * `culprit` are. */
ptrdiff_t http1_request_decode(struct span bytes, size_t seen, struct http1_head *head, int *status);

/* The same for a response to a request of `method`; on -1 the response is malformed. Interim (1xx other than 101) heads
 * are returned like others. Whether a 101 was asked for, and its Sec-WebSocket-Accept, are for the caller to check. */
ptrdiff_t http1_response_decode(struct span bytes, size_t seen, struct span method, struct http1_head *head);

/* The value of the first field of this name (any case), or a span with NULL data. */
struct span http1_field_get(const struct http1_head *head, struct span name);
/* True when the comma-separated list value of any field of this name has `token` (any case). */
bool http1_field_has_token(const struct http1_head *head, struct span name, struct span token);
/* True for fields that belong to one hop: Connection, Keep-Alive, Proxy-*, TE, Trailer, Transfer-Encoding, Upgrade, and
 * those named by Connection (RFC 9110 section 7.6.1), except that naming them there does not take away fields that
 * frame, route or identify a request: Host, Content-*, Authorization, Cookie, Origin, Forwarded, X-Forwarded-*, trace
 * fields, K-*, Sec-*. */
bool http1_field_is_hop_by_hop(const struct http1_head *head, struct span name);

/* A body on its way in. A body until close is never done: the end of the connection ends it. */
struct http1_body {
    enum http1_body_kind kind;
    uint64_t left;       /* of the length, or of the chunk */
    uint8_t state;       /* of the chunk grammar */
    uint16_t line_bytes; /* of the size line, or of the trailers */
    bool done;
    struct buf *trailers; /* gets the checked trailers of a chunked body, whole lines once it is done; NULL: dropped */
};
/* `trailers` is NULL afterwards. */
void http1_body_start(struct http1_body *body, const struct http1_head *head);
/* Takes from the front of `bytes`: returns how many were consumed (0: more are needed, or the body is done), or -1 for
 * bad chunking. `*data` becomes the run of body bytes among them, if any. Call again until it returns 0. After -1 the
 * body is not to be fed again. */
ptrdiff_t http1_body_decode(struct http1_body *body, struct span bytes, struct span *data);

/* Takes the first line of a checked trailer section from `lines`. False: there is none left. */
bool http1_trailer_next(struct span *lines, struct http1_field *field);

/* "Not Found" for 404; "" for a code without a phrase. */
const char *http1_status_text(int status);
/* True for a valid field name / value (RFC 9110 section 5.1, 5.5): a token; visible ASCII, SP and HTAB, neither of the
 * latter at an end, no obs-text. So we write them. */
bool http1_name_is_valid(struct span name);
bool http1_value_is_valid(struct span value);
/* The same for a value that is received: it may have obs-text. */
bool http1_received_is_valid(struct span value);

/* Appends the head of a response whose body has `content_length` bytes; otherwise like the next function. In this
 * order: Content-Type, Content-Length, `fields`, Connection. Engine.IO's own server answers so, and its clients' tests
 * look. */
void http1_response_head_encode(struct buf *to, int status, struct span type, struct span fields,
                                uint64_t content_length, bool keep_alive);
/* Appends a whole response with Content-Length and, unless `keep_alive`, Connection: close. `type` may be empty.
 * `fields` are further complete lines, each ended by CRLF, or empty. Below 200, and for 204 and 304, the body must be
 * empty and Content-Length is left out. */
void http1_response_encode(struct buf *to, int status, struct span type, struct span fields, struct span body,
                           bool keep_alive);

#endif

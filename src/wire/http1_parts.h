/* http1_parts: declarations that the files of the http1 codec share. No other file includes it. */
#ifndef SENNIT_WIRE_HTTP1_PARTS_H
#define SENNIT_WIRE_HTTP1_PARTS_H

#include "wire/http1.h"

/* Classes of bytes; a byte may be in several. */
enum {
    HTTP1_CHAR_TOKEN = 1,  /* tchar (RFC 9110 section 5.6.2) */
    HTTP1_CHAR_VALUE = 2,  /* visible ASCII, SP, HTAB: of the values that we write */
    HTTP1_CHAR_TARGET = 4, /* visible ASCII but '#' (RFC 9112 section 3.2: a fragment is never sent) */
    HTTP1_CHAR_HOST = 8,   /* of a registered name, as far as names are used: letters, digits, "-._~" */
    HTTP1_CHAR_HEX = 16,
    HTTP1_CHAR_OPAQUE = 32, /* obs-text (RFC 9110 section 5.5), beside VALUE in the values that we receive */
    HTTP1_CHAR_RECEIVED = HTTP1_CHAR_VALUE | HTTP1_CHAR_OPAQUE,
};
extern const uint8_t http1_chars[256];

static inline bool http1_char_is(char c, uint8_t kind)
{
    return (http1_chars[(unsigned char)c] & kind) != 0;
}

/* True when `s` has one byte or more and all are of the class. */
bool http1_chars_are(struct span s, uint8_t kind);

/* "HTTP/1.1" and "HTTP/1.0". Returns 0, 505 for another well-formed version, or 400. */
int http1_version_decode(struct span text, int *minor);

/* Notes the rule that a head breaks, and where. Returns `status`. */
int http1_fault(struct http1_head *head, int status, const char *rule, struct span culprit);

/* Splits the target of a request by its form (RFC 9112 section 3.2): `head->target` becomes origin-form or "*", and
 * `*authority` becomes the authority of an absolute-form, or empty, and `*default_port` the port that its scheme
 * implies. Returns 0 or the status to refuse with. */
int http1_target_decode(struct http1_head *head, struct span target, struct span *authority, struct span *default_port);

/* Sets `head->host` from the one Host field and the authority. Returns 0 or 400. */
int http1_host_decode(struct http1_head *head, struct span authority, struct span default_port);

/* Everything derived from the fields: framing, persistence, upgrade. Return 0 or the status to refuse with; for a
 * response any other than 0 means malformed. */
int http1_request_derive(struct http1_head *head);
int http1_response_derive(struct http1_head *head, struct span method);

#endif

/* uri: splits a URI that names a server (RFC 3986: `scheme://[login@]host[:port][/path][?query]`) and decodes its
 * parts. uriparser does the parsing. broker/redis_url and load/url call this, and give the parts their meaning, their
 * defaults and their error texts.
 *
 * More is taken than the RFC allows, because people paste passwords and file names. These count as ordinary characters:
 * a byte that no URI has (a space, a quote, a control character, a byte beyond ASCII); a `#`; a `%` that begins no
 * escape, which uri_decode refuses; an `@` in the login. A caller that wants none of them looks for them first. */
#ifndef SENNIT_WIRE_URI_H
#define SENNIT_WIRE_URI_H

#include "base/span.h"

enum { URI_BYTES_MAX = 64 << 10 };

enum uri_fault {
    URI_NO_SCHEME,
    URI_BRACKET_OPEN, /* the host begins with a bracket that is not closed */
    URI_BAD_HOST,     /* brackets without an IPv6 address, or a bracket elsewhere */
    URI_BAD_PORT,     /* the host's colon, or its closing bracket, is followed by something else than a number */
    URI_TOO_LONG,     /* beyond URI_BYTES_MAX */
};

/* The parts of a text, which owns their bytes. They are still percent-encoded. */
struct uri {
    struct span scheme;
    struct span login; /* before the `@`; NULL data: there is none */
    struct span host;  /* an IPv6 address without its brackets; may be empty */
    struct span port;  /* digits, or nothing behind the colon; NULL data: there is no colon */
    struct span place; /* host and port as they were written */
    struct span path;  /* with its slash; may be empty */
    struct span query; /* behind the `?`; NULL data: there is none */
};

/* Splits `text`. False: `*fault` says what is wrong with it. */
bool uri_split(struct uri *uri, struct span text, enum uri_fault *fault);

/* Decodes a part or a piece of one (RFC 3986 section 2.1). NULL if it has a `%` that begins no escape, or a NUL. The
 * caller frees. */
char *uri_decode(struct span part);
/* The same for a name or a value of a form, where a plus is a space. */
char *uri_form_decode(struct span value);

#endif

/* jws: JSON Web Signatures in their compact form (RFC 7515 section 7.1), `HEADER.PAYLOAD.SIGNATURE`, each part in
 * base64url: splits and decodes them, without looking at the signature. Pure. */
#ifndef SENNIT_WIRE_JWS_H
#define SENNIT_WIRE_JWS_H

#include "base/buf.h"

enum { JWS_BYTES_MAX = 8192 }; /* of the whole; longer ones are refused unread */

struct jws {
    struct buf header, payload; /* JSON objects */
    struct buf signature;       /* bytes */
};

/* Decodes `text`. False if it has another form than this, a header or payload that is no JSON object, or is too long.
 * Finish it in either case. */
bool jws_decode(struct jws *jws, struct span text);
void jws_finish(struct jws *jws); /* accepts zeroed */

/* Appends the bytes of a text in base64url without padding (RFC 4648 section 5). False, with nothing appended, for any
 * other text, also one whose last character has bits that stand for nothing. */
bool base64url_decode(struct buf *to, struct span text);
void base64url_encode(struct buf *to, struct span bytes);

#endif

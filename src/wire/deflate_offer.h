/* deflate_offer: the negotiation of permessage-deflate in Sec-WebSocket-Extensions (RFC 7692 sections 5 and 7.1), for
 * both roles. Pure. */
#ifndef SENNIT_WIRE_DEFLATE_OFFER_H
#define SENNIT_WIRE_DEFLATE_OFFER_H

#include "base/buf.h"
#include "wire/http1.h"

/* What both sides have agreed on. */
struct deflate_terms {
    uint8_t server_bits, client_bits; /* 8 to 15: no reference of a side reaches back farther than 2 to this power */
    bool server_keeps, client_keeps;  /* its messages may refer to its earlier ones (context takeover) */
    bool server_bits_named, client_bits_named; /* the answer has the parameter */
};

enum deflate_offer {
    DEFLATE_OFFER_NONE, /* the extension is not used */
    DEFLATE_OFFER_AGREED,
    DEFLATE_OFFER_MALFORMED, /* the field breaks its grammar, or the answer its rules: the connection is to fail */
};

/* Windows that a server compresses with: the largest one that the client allows. Few, because messages are compressed
 * once for all clients with the same window. */
enum { DEFLATE_BITS_LARGE = 15, DEFLATE_BITS_MIDDLE = 12, DEFLATE_BITS_SMALL = 8 };

/* The server's side: takes the first acceptable offer of the request. One with an unknown, doubled or invalid parameter
 * is declined, and the next one is tried. `server_keeps`, `client_keeps`: the server would have it so; an offer can
 * forbid the first. A client that keeps its context is asked for a window of DEFLATE_BITS_MIDDLE, if it allows that.
 * The request's fields must be valid. */
enum deflate_offer deflate_offer_accept(const struct http1_head *head, bool server_keeps, bool client_keeps,
                                        struct deflate_terms *terms);
/* Appends the field's line of the answer. */
void deflate_terms_encode(struct buf *to, const struct deflate_terms *terms);

/* The client's side: the field's line of the request; it leaves everything to the server. */
#define DEFLATE_OFFER_LINE "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
/* Reads the answer to that line. */
enum deflate_offer deflate_answer_read(const struct http1_head *head, struct deflate_terms *terms);

#endif

/* deflate: compressed messages of a WebSocket (RFC 7692 section 7.2), and the two codings of HTTP that are made of the
 * same (RFC 9110 section 8.4.1). Pure; zlib does the work.
 *
 * A compressor and a decompressor serve any number of connections, as long as no message refers to an earlier one: what
 * they keep between two calls is memory, not context. For connections that keep their context there is one of each per
 * connection. */
#ifndef SENNIT_WIRE_DEFLATE_H
#define SENNIT_WIRE_DEFLATE_H

#include "base/buf.h"

struct deflater;
struct inflater;

/* Compresses with a window of 2 to the power of `bits`, 8 to 15. */
struct deflater *deflater_create(uint8_t bits);
void deflater_destroy(struct deflater *deflater); /* accepts NULL */
/* Appends the payload of a compressed message, without its last four bytes 00 00 ff ff, as it is sent. False, with
 * nothing appended and the context gone, if that would not be shorter than the message itself. `keeps`: it may refer to
 * the messages before. */
bool deflater_message(struct deflater *deflater, struct span message, bool keeps, struct buf *to);
/* The next message refers to nothing before it. */
void deflater_forget(struct deflater *deflater);

/* Decompresses what was compressed with a window of 2 to the power of `bits`, 8 to 15, at most. */
struct inflater *inflater_create(uint8_t bits);
void inflater_destroy(struct inflater *inflater); /* accepts NULL */

enum inflate_outcome { INFLATE_DONE, INFLATE_INVALID, INFLATE_TOO_BIG };
/* Appends the message of a payload that came. No more than `bytes_max` bytes are ever made, whatever it announces. If
 * the outcome is not INFLATE_DONE, `to` is as it was, and the inflater's context is gone. `keeps`: it may refer to the
 * messages before. */
enum inflate_outcome inflater_message(struct inflater *inflater, struct span payload, bool keeps, uint32_t bytes_max,
                                      struct buf *to);

/* Appends `body` in a coding of HTTP: gzip (RFC 1952), or deflate, which is zlib's format (RFC 1950). */
void deflate_gzip(struct buf *to, struct span body);
void deflate_zlib(struct buf *to, struct span body);

#endif

/* gzip: bytes as gzip packs them, for tests. */
#ifndef SENNIT_TEST_GZIP_H
#define SENNIT_TEST_GZIP_H

#include <zlib.h>

#include "base/buf.h"

/* Appends one member; it has at most 4096 bytes. */
static inline void gzip_append(struct buf *to, struct span bytes)
{
    char packed[4096];
    z_stream stream = {.next_in = (Bytef *)bytes.data,
                       .avail_in = (uInt)bytes.len,
                       .next_out = (Bytef *)packed,
                       .avail_out = sizeof packed};
    deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    buf_append(to, span_of(packed, stream.total_out));
}

#endif

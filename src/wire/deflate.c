/* deflate: messages through zlib, whole and at once.
 *
 * zlib refuses a window of 256 bytes without its own header. A window of 512 bytes serves as well: zlib never refers
 * back farther than the window less 262 bytes (its lookahead), that is 250 here. test_deflate.c checks this. */
#include "wire/deflate.h"

#include <assert.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/mem.h"

enum {
    LEVEL = 6,
    ZLIB_BITS_MIN = 9,
    /* 16 KiB for hashes and as much for symbols, of which the first half is cleared for each message. */
    MEMORY_LEVEL = 5,
    TAIL_BYTES = 4,
    PIECE_BYTES_MIN = 1024, /* of a decompressed message, */
    PIECE_BYTES_MAX = 64 << 10,
    BETWEEN_BLOCKS = 128, /* a flag of z_stream.data_type */
    GZIP_BITS = 16,       /* added to the window's: zlib writes gzip's header */
};

struct deflater {
    z_stream stream;
};

struct inflater {
    z_stream stream;
};

struct deflater *deflater_create(uint8_t bits)
{
    struct deflater *deflater = mem_zero(1, sizeof *deflater);
    assert(bits >= 8 && bits <= 15);
    if (deflateInit2(&deflater->stream, LEVEL, Z_DEFLATED, -(bits < ZLIB_BITS_MIN ? ZLIB_BITS_MIN : bits), MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        abort(); /* the arguments are right, so memory is gone */
    return deflater;
}

void deflater_destroy(struct deflater *deflater)
{
    if (deflater != NULL)
        deflateEnd(&deflater->stream);
    free(deflater);
}

void deflater_forget(struct deflater *deflater)
{
    deflateReset(&deflater->stream);
}

/* The room is one byte less than the message, and the tail, which is not sent. zlib stops when it is full. */
bool deflater_message(struct deflater *deflater, struct span message, bool keeps, struct buf *to)
{
    z_stream *stream = &deflater->stream;
    if (message.len == 0) /* zlib would write nothing at all */
        return false;
    if (!keeps)
        deflateReset(stream);
    size_t room = message.len + TAIL_BYTES; /* with a byte more than may be used, so that zlib is never just full */
    stream->next_in = (Bytef *)(uintptr_t)message.data;
    stream->avail_in = (uInt)message.len;
    stream->next_out = (Bytef *)buf_reserve(to, room);
    stream->avail_out = (uInt)room;
    int outcome = deflate(stream, Z_SYNC_FLUSH);
    assert(outcome == Z_OK || outcome == Z_BUF_ERROR);
    if (stream->avail_in > 0 || stream->avail_out == 0) {
        deflateReset(stream);
        return false;
    }
    size_t made = room - stream->avail_out;
    assert(made >= TAIL_BYTES);
    buf_added(to, made - TAIL_BYTES);
    return true;
}

struct inflater *inflater_create(uint8_t bits)
{
    struct inflater *inflater = mem_zero(1, sizeof *inflater);
    assert(bits >= 8 && bits <= 15);
    if (inflateInit2(&inflater->stream, -bits) != Z_OK)
        abort();
    return inflater;
}

void inflater_destroy(struct inflater *inflater)
{
    if (inflater != NULL)
        inflateEnd(&inflater->stream);
    free(inflater);
}

/* Inflates `payload` to its end. A block that says it is the last one ends the stream, not the message: what follows
 * begins a new one (RFC 7692 section 7.2.3.4). */
static enum inflate_outcome inflate_all(struct inflater *inflater, struct span payload, size_t *left, struct buf *to)
{
    z_stream *stream = &inflater->stream;
    size_t piece = PIECE_BYTES_MIN;
    stream->next_in = (Bytef *)(uintptr_t)payload.data;
    stream->avail_in = (uInt)payload.len;
    for (;;) {
        /* One byte more than is left: if it is taken, the message is too long. */
        size_t room = piece < *left + 1 ? piece : *left + 1;
        stream->next_out = (Bytef *)buf_reserve(to, room);
        stream->avail_out = (uInt)room;
        int outcome = inflate(stream, Z_SYNC_FLUSH);
        size_t made = room - stream->avail_out;
        if (outcome != Z_OK && outcome != Z_STREAM_END && outcome != Z_BUF_ERROR)
            return INFLATE_INVALID;
        if (made > *left)
            return INFLATE_TOO_BIG;
        buf_added(to, made);
        *left -= made;
        if (outcome == Z_STREAM_END && inflateResetKeep(stream) != Z_OK) /* which keeps the window */
            return INFLATE_INVALID;
        if (stream->avail_in == 0 && stream->avail_out > 0)
            return INFLATE_DONE;
        if (outcome == Z_BUF_ERROR && stream->avail_out > 0)
            return INFLATE_INVALID;
        if (piece < PIECE_BYTES_MAX)
            piece *= 2;
    }
}

enum inflate_outcome inflater_message(struct inflater *inflater, struct span payload, bool keeps, uint32_t bytes_max,
                                      struct buf *to)
{
    size_t left = bytes_max, before = to->len;
    if (payload.len == 0) /* not what a compressor makes, but what some peers send as an empty message */
        return INFLATE_DONE;
    if (!keeps)
        inflateReset(&inflater->stream);
    enum inflate_outcome outcome = inflate_all(inflater, payload, &left, to);
    if (outcome == INFLATE_DONE)
        outcome = inflate_all(inflater, SPAN_LIT("\x00\x00\xff\xff"), &left, to);
    if (outcome == INFLATE_DONE && (inflater->stream.data_type & BETWEEN_BLOCKS) == 0)
        outcome = INFLATE_INVALID; /* it was cut off */
    if (outcome != INFLATE_DONE) {
        to->len = before;
        inflateReset(&inflater->stream);
    }
    return outcome;
}

static void whole(struct buf *to, struct span body, int bits)
{
    z_stream stream = {0};
    if (deflateInit2(&stream, LEVEL, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    size_t room = deflateBound(&stream, body.len);
    stream.next_in = (Bytef *)(uintptr_t)body.data;
    stream.avail_in = (uInt)body.len;
    stream.next_out = (Bytef *)buf_reserve(to, room);
    stream.avail_out = (uInt)room;
    int outcome = deflate(&stream, Z_FINISH);
    assert(outcome == Z_STREAM_END);
    buf_added(to, room - stream.avail_out);
    deflateEnd(&stream);
}

void deflate_gzip(struct buf *to, struct span body)
{
    whole(to, body, 15 + GZIP_BITS);
}

void deflate_zlib(struct buf *to, struct span body)
{
    whole(to, body, 15);
}

/* gunzip: one z_stream; a member that follows another begins with a reset. */
#include "wire/gunzip.h"

#include <limits.h>
#include <stdlib.h>

#include <zlib.h>

#include "base/mem.h"

enum { WINDOW_BITS_GZIP = 15 + 16 };

struct gunzip {
    z_stream stream;
    bool is_at_end; /* of a member */
};

struct gunzip *gunzip_create(void)
{
    struct gunzip *gunzip = mem_zero(1, sizeof *gunzip);
    if (inflateInit2(&gunzip->stream, WINDOW_BITS_GZIP) != Z_OK)
        mem_gone();
    return gunzip;
}

void gunzip_destroy(struct gunzip *gunzip)
{
    if (gunzip == NULL)
        return;
    inflateEnd(&gunzip->stream);
    free(gunzip);
}

ptrdiff_t gunzip_next(struct gunzip *gunzip, struct span *input, char *to, size_t room)
{
    z_stream *stream = &gunzip->stream;
    uInt space = room < INT_MAX ? (uInt)room : INT_MAX;
    for (;;) {
        if (gunzip->is_at_end && input->len > 0) {
            inflateReset(stream);
            gunzip->is_at_end = false;
        }
        uInt given = input->len < INT_MAX ? (uInt)input->len : INT_MAX;
        stream->next_in = (Bytef *)input->data;
        stream->avail_in = given;
        stream->next_out = (Bytef *)to;
        stream->avail_out = space;
        int result = gunzip->is_at_end ? Z_BUF_ERROR : inflate(stream, Z_NO_FLUSH);
        *input = span_from(*input, given - stream->avail_in);
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return -1;
        gunzip->is_at_end = gunzip->is_at_end || result == Z_STREAM_END;
        if (stream->avail_out < space || input->len == 0)
            return (ptrdiff_t)(space - stream->avail_out);
        if (result == Z_BUF_ERROR)
            return -1;
    }
}

bool gunzip_may_end(const struct gunzip *gunzip)
{
    return gunzip->is_at_end;
}

/* tar: a layer of a container image, packed or not: what is said of it does not depend on how the bytes were cut, every
 * path is within its bound, and contents are as long as was said. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "untar/untar.h"

enum { TEXT_BYTES_MAX = 1 << 20 /* a few bytes may stand for any number of zeros */ };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct pieces {
    struct source source;
    struct span rest;
    size_t piece;
};

static ssize_t pieces_next(struct source *source, const void **bytes)
{
    struct pieces *pieces = container_of(source, struct pieces, source);
    struct span piece = span_sub(pieces->rest, 0, pieces->piece);
    pieces->rest = span_from(pieces->rest, piece.len);
    *bytes = piece.data;
    return (ssize_t)piece.len;
}

struct said {
    struct sink sink;
    struct buf text;
    uint64_t left; /* of the entry's contents */
    bool is_whole;
};

static bool said_put(struct sink *sink, struct span bytes)
{
    struct said *said = container_of(sink, struct said, sink);
    struct untar_record record;
    assert(untar_decode(bytes, &record) == (ptrdiff_t)bytes.len && !said->is_whole);
    switch (record.kind) {
    case UNTAR_ENTRY:
        assert(said->left == 0);
        said->left = record.entry.bytes;
        buf_printf(&said->text, "[%d %llu]", record.entry.type, (unsigned long long)record.entry.bytes);
        buf_append(&said->text, record.entry.path);
        buf_append(&said->text, record.entry.link);
        break;
    case UNTAR_BYTES:
        assert(record.bytes.len <= said->left);
        said->left -= record.bytes.len;
        buf_append(&said->text, record.bytes);
        break;
    case UNTAR_END:
        assert(said->left == 0);
        buf_printf(&said->text, "%s %llu", record.digest, (unsigned long long)record.total);
        said->is_whole = true;
        break;
    case UNTAR_FAULT:
        break;
    }
    return said->text.len < TEXT_BYTES_MAX;
}

static struct said said_of(struct span whole, size_t piece)
{
    const struct untar_order order = {UNTAR_UNPACK, 0, TEXT_BYTES_MAX};
    struct pieces pieces = {{pieces_next, NULL}, whole, piece};
    struct said said = {.sink = {said_put}};
    untar_run(&order, &pieces.source, &said.sink);
    return said;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct said whole = said_of(span_of(data, len), len > 0 ? len : 1), parts = said_of(span_of(data, len), 100);
    assert(whole.is_whole == parts.is_whole);
    assert(!whole.is_whole || span_equal(buf_span(&whole.text), buf_span(&parts.text)));
    buf_finish(&whole.text);
    buf_finish(&parts.text);
    return 0;
}

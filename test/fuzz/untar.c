/* untar: the records of a sennit-untar that a hostile archive has taken over: any bytes. What is a record is within its
 * bounds, and is the same bytes when it is written again. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "wire/untar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void again(struct buf *to, const struct untar_record *record)
{
    switch (record->kind) {
    case UNTAR_ENTRY:
        assert(record->entry.path.len <= UNTAR_PATH_BYTES_MAX && span_find(record->entry.path, '\0') < 0);
        assert(record->entry.link.len <= UNTAR_PATH_BYTES_MAX && span_find(record->entry.link, '\0') < 0);
        untar_entry_encode(to, &record->entry);
        break;
    case UNTAR_BYTES:
        assert(record->bytes.len > 0 && record->bytes.len <= UNTAR_PIECE_BYTES_MAX);
        untar_bytes_encode(to, record->bytes);
        break;
    case UNTAR_END:
        assert(strlen(record->digest) == SHA256_HEX_LEN);
        untar_end_encode(to, record->digest, record->total);
        break;
    case UNTAR_FAULT:
        assert(record->fault < UNTAR_FAULTS && record->why.len <= UNTAR_WHY_BYTES_MAX);
        untar_fault_encode(to, record->fault, record->why);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span rest = span_of(data, len);
    struct untar_record record;
    ptrdiff_t used;
    while ((used = untar_decode(rest, &record)) > 0) {
        struct buf bytes = {0};
        assert((size_t)used <= rest.len);
        again(&bytes, &record);
        assert(span_equal(buf_span(&bytes), span_sub(rest, 0, (size_t)used)));
        buf_finish(&bytes);
        rest = span_from(rest, (size_t)used);
    }
    assert(used == 0 || used == -1);
    return 0;
}

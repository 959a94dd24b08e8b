/* msgpack: a value that decodes gives valid JSON (unless it is deeper than JSON may be), which is encoded to a value
 * that decodes to the same JSON and bytes. Input that is JSON is encoded, too. */
#include <assert.h>
#include <stdlib.h>

#include "wire/json.h"
#include "wire/msgpack.h"

enum { BINS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool decode(struct span bytes, struct buf *json, struct span *list, uint32_t *count)
{
    struct msgpack_bins bins = {list, 0, BINS};
    bool ok = msgpack_to_json(bytes, json, &bins);
    assert(json->len <= 8 * bytes.len + bins.count * 32u);
    *count = bins.count < BINS ? bins.count : BINS;
    return ok;
}

/* What looks like a placeholder and is none would become one. */
static bool is_ambiguous(struct span bytes)
{
    return memmem(bytes.data, bytes.len, "_placeholder", 12) != NULL;
}

static void again_check(struct span json, const struct span *bins, uint32_t count, bool exact)
{
    struct buf bytes = {0}, again = {0};
    struct span list[BINS];
    uint32_t found;
    msgpack_from_json(&bytes, json, bins, count);
    bool ok = decode(buf_span(&bytes), &again, list, &found);
    assert(ok && json_is_valid(buf_span(&again)));
    assert(!exact || (found == count && span_equal(buf_span(&again), json)));
    for (uint32_t i = 0; exact && i < count; i++)
        assert(span_equal(list[i], bins[i]));
    buf_finish(&bytes);
    buf_finish(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span bytes = span_of(data, len), list[BINS];
    struct buf json = {0};
    uint32_t count;
    if (decode(bytes, &json, list, &count) && json_is_valid(buf_span(&json)))
        again_check(buf_span(&json), list, count, !is_ambiguous(bytes));
    if (json_is_valid(bytes))
        again_check(bytes, NULL, 0, false);
    buf_finish(&json);
    return 0;
}

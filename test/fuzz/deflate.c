/* deflate: messages of a peer on a connection that keeps its context, and messages of ours both ways. The first byte
 * chooses the window and the use of the rest: payloads as a peer might send them, each with its length in front, or
 * messages to be compressed and read again. */
#include <assert.h>
#include <stdint.h>

#include "wire/deflate.h"

enum { PEER = 1, KEEPS = 2, BYTES_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct span part_next(struct span *rest)
{
    struct span part = span_sub(*rest, 2, (size_t)((uint8_t)rest->data[0] << 8 | (uint8_t)rest->data[1]));
    *rest = span_from(*rest, 2 + part.len);
    return part;
}

/* Whatever comes, the bound holds, and what was there before stays. */
static void peer(struct span rest, uint8_t bits, bool keeps)
{
    struct inflater *inflater = inflater_create(bits);
    while (rest.len >= 2) {
        struct buf got = {0};
        buf_append(&got, SPAN_LIT("before"));
        enum inflate_outcome outcome = inflater_message(inflater, part_next(&rest), keeps, BYTES_MAX, &got);
        assert(span_starts_with(buf_span(&got), SPAN_LIT("before")));
        assert(outcome == INFLATE_DONE ? got.len <= BYTES_MAX + 6 : got.len == 6);
        assert(got.cap < 4 * BYTES_MAX);
        buf_finish(&got);
    }
    inflater_destroy(inflater);
}

/* What shrinks comes back as it was; what does not leaves nothing behind. */
static void ours(struct span rest, uint8_t bits, bool keeps)
{
    struct deflater *deflater = deflater_create(bits);
    struct inflater *inflater = inflater_create(bits);
    while (rest.len >= 2) {
        struct span message = part_next(&rest);
        struct buf payload = {0}, got = {0};
        if (deflater_message(deflater, message, keeps, &payload)) {
            assert(payload.len < message.len);
            assert(inflater_message(inflater, buf_span(&payload), keeps, BYTES_MAX, &got) == INFLATE_DONE);
            assert(span_equal(buf_span(&got), message));
        } else {
            assert(payload.len == 0);
        }
        buf_finish(&payload);
        buf_finish(&got);
    }
    deflater_destroy(deflater);
    inflater_destroy(inflater);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    struct span rest = span_of(data + 1, len - 1);
    uint8_t bits = (uint8_t)(8 + (data[0] >> 5));
    ((data[0] & PEER) != 0 ? peer : ours)(rest, bits, (data[0] & KEEPS) != 0);
    return 0;
}

/* tar: a layer of a container image: what is read of it does not depend on how the bytes were cut, every path is within
 * its bound, and contents are as long as was said. */
#include <assert.h>
#include <stdlib.h>

#include "wire/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_in(struct span whole, size_t piece, struct buf *text)
{
    struct tar tar = {0};
    struct span bytes;
    enum tar_event event = TAR_MORE;
    uint64_t left = 0;
    for (size_t at = 0; at < whole.len && event != TAR_OVER && event != TAR_BAD; at += piece) {
        struct span input = span_sub(whole, at, piece);
        while ((event = tar_next(&tar, &input, &bytes)) == TAR_ENTRY || event == TAR_BYTES) {
            if (event == TAR_BYTES) {
                assert(bytes.len > 0 && bytes.len <= left);
                left -= bytes.len;
                buf_append(text, bytes);
                continue;
            }
            assert(left == 0 && strlen(tar.entry.path) <= TAR_PATH_BYTES_MAX &&
                   strlen(tar.entry.link) <= TAR_PATH_BYTES_MAX);
            left = tar.entry.bytes;
            buf_printf(text, "[%s %s %d]", tar.entry.path, tar.entry.link, tar.entry.type);
        }
        assert(input.len == 0 || event == TAR_OVER || event == TAR_BAD);
    }
    buf_printf(text, "%d", event == TAR_BAD ? 2 : tar_may_end(&tar));
    tar_finish(&tar);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf whole = {0}, parts = {0};
    read_in(span_of(data, len), len > 0 ? len : 1, &whole);
    read_in(span_of(data, len), 100, &parts);
    assert(span_equal(buf_span(&whole), buf_span(&parts)));
    buf_finish(&whole);
    buf_finish(&parts);
    return 0;
}

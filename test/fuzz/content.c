/* content: bodies of entries. One that decodes is encoded to the same bytes, and its placeholders can be numbered for a
 * page of history. */
#include <assert.h>
#include <stdlib.h>

#include "session/content.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void shift_check(const struct content *content)
{
    uint32_t by = CONTENT_ATTACHMENTS_MAX - content->count;
    struct buf args = {0};
    buf_append(&args, content->args);
    socketio_placeholders_shift(args.data + args.off, args.len, by);
    assert(json_is_valid(buf_span(&args)));
    assert(socketio_placeholders_valid(buf_span(&args), CONTENT_ATTACHMENTS_MAX));
    buf_finish(&args);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span body = span_of(data, len);
    struct content content;
    if (!content_decode(body, &content))
        return 0;
    assert(content.count <= CONTENT_ATTACHMENTS_MAX && content_bytes(&content) <= len);
    struct buf again = {0};
    if (content_is_volatile(body))
        buf_append_char(&again, CONTENT_VOLATILE);
    content_encode(&again, &content);
    assert(span_equal(buf_span(&again), body));
    if (content.count > 0)
        shift_check(&content);
    buf_finish(&again);
    return 0;
}

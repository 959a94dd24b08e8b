/* resp_codec: a link's bytes as replies. The reader keeps what is incomplete, so everything is taken. */
#include "vectors/codecs.h"
#include "wire/resp.h"

enum { BULK_BYTES_DEFAULT = 1024 };

static void *resp_create(const struct vector *vector)
{
    return resp_reader_create((uint32_t)vector_number(vector, "max", BULK_BYTES_DEFAULT));
}

static void resp_destroy(void *state)
{
    resp_reader_destroy(state);
}

/* Nesting is bounded by the reader. */
static void reply_describe(const struct resp *reply, struct buf *out)
{
    static const char *const names[] = {"string", "status", "error", "integer", "nil", "array"};
    buf_printf(out, "%s", names[reply->type]);
    switch (reply->type) {
    case RESP_STRING:
    case RESP_STATUS:
    case RESP_ERROR:
        buf_append_char(out, ' ');
        vector_quote(out, reply->text);
        break;
    case RESP_INTEGER:
        buf_printf(out, " %lld", (long long)reply->integer);
        break;
    case RESP_NIL:
        break;
    case RESP_ARRAY:
        buf_append_char(out, '(');
        for (size_t i = 0; i < reply->item_count; i++) {
            if (i != 0)
                buf_append_char(out, ' ');
            reply_describe(&reply->items[i], out);
        }
        buf_append_char(out, ')');
        break;
    }
}

static ptrdiff_t resp_codec_feed(void *state, char *bytes, size_t len, struct buf *out)
{
    const struct resp *reply;
    int got = resp_feed(state, span_of(bytes, len)) ? 1 : -1;
    while (got == 1) {
        got = resp_next(state, &reply);
        if (got != 1)
            break;
        reply_describe(reply, out);
        buf_append_char(out, '\n');
    }
    if (got == 0)
        return (ptrdiff_t)len;
    buf_printf(out, "bad\n");
    return -1;
}

const struct vector_codec vector_resp = {.create = resp_create, .destroy = resp_destroy, .feed = resp_codec_feed};

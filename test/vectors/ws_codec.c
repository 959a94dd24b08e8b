/* ws_codec: a connection's bytes as messages, and the promise that an idle decoder holds no memory. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "vectors/codecs.h"
#include "wire/ws.h"

enum { MESSAGE_BYTES_DEFAULT = 1024 };

static void *ws_create(const struct vector *vector)
{
    struct ws_decoder *decoder = mem_zero(1, sizeof *decoder);
    bool client = span_equal(vector_option(vector, "role"), SPAN_LIT("client"));
    ws_decoder_init(decoder, !client, (uint32_t)vector_number(vector, "max", MESSAGE_BYTES_DEFAULT));
    decoder->takes_compressed = vector_number(vector, "deflate", 0) != 0;
    return decoder;
}

static void ws_destroy(void *data)
{
    ws_decoder_finish(data);
    free(data);
}

static const char *opcode_name(enum ws_opcode opcode)
{
    switch (opcode) {
    case WS_TEXT:
        return "text";
    case WS_BINARY:
        return "binary";
    case WS_CLOSE:
        return "close";
    case WS_PING:
        return "ping";
    case WS_PONG:
        return "pong";
    case WS_CONTINUATION:
        break;
    }
    return "?";
}

static bool is_between_messages(const struct ws_decoder *decoder)
{
    return decoder->message_opcode == 0 && !decoder->in_payload && decoder->header_len == 0;
}

static ptrdiff_t ws_feed(void *data, char *bytes, size_t len, struct buf *out)
{
    struct ws_decoder *decoder = data;
    struct ws_event event;
    bool got;
    ptrdiff_t taken = ws_decode(decoder, bytes, len, &event, &got);
    if (taken < 0) {
        assert(!got && decoder->message.data == NULL);
        buf_printf(out, "bad %u\n", decoder->bad_code);
        return -1;
    }
    if (got) {
        buf_printf(out, "%s ", opcode_name(event.opcode));
        if (event.opcode == WS_CLOSE)
            buf_printf(out, "%u ", event.close_code);
        if (event.compressed)
            buf_append(out, SPAN_LIT("compressed "));
        vector_quote(out, event.payload);
        buf_append_char(out, '\n');
    } else {
        assert((size_t)taken == len);
        if (is_between_messages(decoder) && decoder->message.data != NULL)
            buf_printf(out, "held\n");
    }
    return taken;
}

static void ws_end(void *data, struct span left, struct buf *out)
{
    const struct ws_decoder *decoder = data;
    assert(left.len == 0);
    if (!decoder->closed && !is_between_messages(decoder))
        buf_printf(out, "more\n");
}

const struct vector_codec vector_ws = {.create = ws_create, .destroy = ws_destroy, .feed = ws_feed, .end = ws_end};

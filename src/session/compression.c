/* compression: terms, formats, shared compressors, and contexts of single connections. */
#include "session/compression.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "wire/utf8.h"
#include "wire/ws.h"

enum { USUAL_RATIO = 16, BYTES_A_CHANGE = 16 << 10 };

const struct compression_settings compression_settings_default = {
    .plain = true,
    .contexts_max = 256,
    .threshold = 1024,
};

void compression_init(struct compression *compression)
{
    *compression = (struct compression){.settings = compression_settings_default};
}

void compression_finish(struct compression *compression)
{
    assert(compression->contexts == 0);
    for (size_t i = 0; i < COMPRESSION_WINDOWS; i++)
        deflater_destroy(compression->deflaters[i]);
    inflater_destroy(compression->inflater);
    *compression = (struct compression){0};
}

enum deflate_offer compression_agree(struct compression *compression, enum protocol_kind protocol,
                                     const struct http1_head *head, struct deflate_terms *terms, struct buf *line)
{
    const struct compression_settings *settings = &compression->settings;
    bool is_socketio = protocol == PROTOCOL_SOCKETIO || protocol == PROTOCOL_SOCKETIO_MSGPACK;
    if (!(is_socketio ? settings->socketio : settings->plain))
        return DEFLATE_OFFER_NONE;
    bool full = compression->contexts >= settings->contexts_max;
    bool keeps = settings->context_takeover && !full;
    enum deflate_offer offer = deflate_offer_accept(head, keeps, keeps, terms);
    if (offer != DEFLATE_OFFER_AGREED)
        return offer;
    compression->counters.agreed++;
    compression->counters.contexts_declined += settings->context_takeover && full;
    deflate_terms_encode(line, terms);
    return offer;
}

enum transport_format compression_format(const struct deflate_terms *terms)
{
    if (terms->server_keeps)
        return TRANSPORT_WEBSOCKET; /* each connection compresses for itself what all share */
    return terms->server_bits == DEFLATE_BITS_LARGE    ? TRANSPORT_DEFLATE_LARGE
           : terms->server_bits == DEFLATE_BITS_MIDDLE ? TRANSPORT_DEFLATE_MIDDLE
                                                       : TRANSPORT_DEFLATE_SMALL;
}

struct compression_context *compression_context_create(struct compression *compression,
                                                       const struct deflate_terms *terms)
{
    if (!terms->server_keeps && !terms->client_keeps)
        return NULL;
    struct compression_context *context = mem_zero(1, sizeof *context);
    if (terms->server_keeps)
        context->deflater =
            deflater_create(terms->server_bits < DEFLATE_BITS_MIDDLE ? terms->server_bits : DEFLATE_BITS_MIDDLE);
    if (terms->client_keeps)
        context->inflater = inflater_create(terms->client_bits);
    compression->contexts++;
    return context;
}

void compression_context_destroy(struct compression *compression, struct compression_context *context)
{
    deflater_destroy(context->deflater);
    inflater_destroy(context->inflater);
    free(context);
    assert(compression->contexts > 0);
    compression->contexts--;
}

void compression_context_forget(struct compression_context *context)
{
    if (context->deflater != NULL)
        deflater_forget(context->deflater);
}

static struct deflater *shared_deflater(struct compression *compression, enum transport_format format)
{
    static const uint8_t bits[COMPRESSION_WINDOWS] = {DEFLATE_BITS_LARGE, DEFLATE_BITS_MIDDLE, DEFLATE_BITS_SMALL};
    size_t at = format - TRANSPORT_DEFLATE_LARGE;
    if (compression->deflaters[at] == NULL)
        compression->deflaters[at] = deflater_create(bits[at]);
    return compression->deflaters[at];
}

/* A compressed frame; NULL if the message is better sent as it is. */
static struct frame *frame_compress(struct compression *compression, struct deflater *deflater, bool keeps,
                                    enum ws_opcode opcode, struct span message)
{
    struct buf payload = {0};
    struct frame *frame = NULL;
    if (message.len < compression->settings.threshold)
        return NULL;
    if (deflater_message(deflater, message, keeps, &payload)) {
        frame = ws_compressed_frame_create(opcode, buf_span(&payload));
        compression->counters.compressed++;
        compression->counters.bytes_out += message.len;
        compression->counters.bytes_out_saved += message.len - payload.len;
    }
    buf_finish(&payload);
    return frame;
}

struct frame *compression_frame_create(struct compression *compression, enum transport_format format, bool is_text,
                                       struct span message)
{
    struct frame *frame = NULL;
    enum ws_opcode opcode = is_text ? WS_TEXT : WS_BINARY;
    if (compression_is_format(format))
        frame = frame_compress(compression, shared_deflater(compression, format), false, opcode, message);
    return frame != NULL ? frame : ws_frame_create(opcode, message);
}

struct frame *compression_reframe(struct compression *compression, struct compression_context *context,
                                  struct frame *frame, uint32_t whose)
{
    struct span rest = span_of(frame->data, frame->len), whole, payload;
    struct buf all = {0};
    bool changed = false;
    if (frame->len < compression->settings.threshold)
        return frame_ref(frame);
    while (rest.len > 0) {
        enum ws_opcode opcode = ws_frame_next(&rest, &whole, &payload);
        if (whose != context->whose)
            deflater_forget(context->deflater);
        context->whose = whose;
        struct frame *one = frame_compress(compression, context->deflater, true, opcode, payload);
        changed |= one != NULL;
        buf_append(&all, one != NULL ? span_of(one->data, one->len) : whole);
        frame_unref(one);
    }
    struct frame *result = changed ? frame_copy(buf_span(&all)) : frame_ref(frame);
    buf_finish(&all);
    return result;
}

size_t compression_changes(size_t payload_bytes, size_t message_bytes)
{
    size_t usual = payload_bytes * USUAL_RATIO;
    return message_bytes > usual ? (message_bytes - usual) / BYTES_A_CHANGE : 0;
}

enum close_reason compression_inflate(struct compression *compression, struct compression_context *context,
                                      struct span payload, bool is_text, uint32_t bytes_max, struct buf *to)
{
    bool keeps = context != NULL && context->inflater != NULL;
    if (!keeps && compression->inflater == NULL)
        compression->inflater = inflater_create(DEFLATE_BITS_LARGE);
    enum inflate_outcome outcome =
        inflater_message(keeps ? context->inflater : compression->inflater, payload, keeps, bytes_max, to);
    if (outcome != INFLATE_DONE) {
        compression->counters.refused++;
        return outcome == INFLATE_TOO_BIG ? CLOSE_WS_TOO_BIG : CLOSE_WS_DEFLATE_INVALID;
    }
    compression->counters.decompressed++;
    compression->counters.bytes_in += payload.len;
    compression->counters.bytes_in_made += to->len;
    return is_text && !utf8_is_valid(buf_span(to)) ? CLOSE_WS_NOT_UTF8 : CLOSE_NONE;
}

/* engineio_codec: one text message as a packet; an open packet's data as a handshake. */
#include "vectors/codecs.h"
#include "wire/engineio.h"

static void *engineio_create(const struct vector *vector)
{
    return NULL;
}

static void engineio_destroy(void *state)
{
}

static void handshake_describe(struct span data, struct buf *out)
{
    struct engineio_handshake handshake;
    if (!engineio_handshake_decode(data, &handshake)) {
        buf_printf(out, "no handshake\n");
        return;
    }
    buf_printf(out, "handshake ");
    vector_quote(out, handshake.sid);
    buf_printf(out, " %u %u %u%s\n", handshake.ping_interval_ms, handshake.ping_timeout_ms, handshake.payload_bytes_max,
               handshake.upgrade_websocket ? " websocket" : "");
}

static ptrdiff_t engineio_feed(void *state, char *bytes, size_t len, struct buf *out)
{
    static const char *const names[] = {"open", "close", "ping", "pong", "message", "upgrade", "noop"};
    struct engineio_packet packet;
    if (out->len != 0)
        return 0; /* decoded already */
    if (engineio_decode(span_of(bytes, len), &packet) < 0) {
        buf_printf(out, "bad\n");
        return -1;
    }
    buf_printf(out, "%s ", names[packet.type - ENGINEIO_OPEN]);
    vector_quote(out, packet.data);
    buf_append_char(out, '\n');
    if (packet.type == ENGINEIO_OPEN)
        handshake_describe(packet.data, out);
    return (ptrdiff_t)len;
}

const struct vector_codec vector_engineio = {
    .whole_only = true, .create = engineio_create, .destroy = engineio_destroy, .feed = engineio_feed};

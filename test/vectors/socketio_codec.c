/* socketio_codec: the data of one Engine.IO message as a packet. */
#include "vectors/codecs.h"
#include "wire/socketio.h"

static void *socketio_create(const struct vector *vector)
{
    return NULL;
}

static void socketio_destroy(void *state)
{
}

static void field_append(struct buf *out, const char *name, struct span value)
{
    if (value.data == NULL)
        return;
    buf_printf(out, " %s=", name);
    vector_quote(out, value);
}

static ptrdiff_t socketio_feed(void *state, char *bytes, size_t len, struct buf *out)
{
    static const char *const names[] = {"connect",       "disconnect",   "event",     "ack",
                                        "connect_error", "binary_event", "binary_ack"};
    struct socketio_packet packet;
    if (out->len != 0)
        return 0; /* decoded already */
    if (socketio_decode(span_of(bytes, len), &packet) < 0) {
        buf_printf(out, "bad\n");
        return -1;
    }
    buf_printf(out, "%s", names[packet.type]);
    field_append(out, "nsp", packet.nsp);
    if (packet.attachments != 0)
        buf_printf(out, " attachments=%u", packet.attachments);
    field_append(out, "id", packet.ack_id);
    field_append(out, "event", packet.event);
    field_append(out, "payload", packet.payload);
    buf_append_char(out, '\n');
    return (ptrdiff_t)len;
}

const struct vector_codec vector_socketio = {
    .whole_only = true, .create = socketio_create, .destroy = socketio_destroy, .feed = socketio_feed};

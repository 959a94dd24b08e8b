/* socketio: the data of an Engine.IO message. A packet that was decoded and encoded again decodes to the same. */
#include <assert.h>

#include "wire/json.h"
#include "wire/socketio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void equal_check(struct span a, struct span b)
{
    assert(span_equal(a, b) && (a.data == NULL) == (b.data == NULL));
}

static void packet_check(struct span text, const struct socketio_packet *packet)
{
    bool binary = packet->type == SOCKETIO_BINARY_EVENT || packet->type == SOCKETIO_BINARY_ACK;
    assert(packet->nsp.len != 0 && packet->nsp.data[0] == '/' && span_find(packet->nsp, ',') < 0);
    assert(packet->nsp.len + packet->ack_id.len + packet->payload.len <= text.len + 1);
    assert(packet->ack_id.len <= SOCKETIO_ACK_DIGITS_MAX);
    assert(binary == (packet->attachments != 0) && packet->attachments <= SOCKETIO_ATTACHMENTS_MAX);
    assert(packet->payload.data == NULL || json_is_valid(packet->payload));
    assert(packet->event.data == NULL || json_is_valid(packet->event));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span text = span_of(data, len);
    struct socketio_packet packet, again;
    ptrdiff_t taken = socketio_decode(text, &packet);
    assert(taken == -1 || taken == (ptrdiff_t)len);
    if (taken == -1)
        return 0;
    packet_check(text, &packet);
    struct buf prefix = {0}, whole = {0};
    socketio_prefix_encode(&prefix, packet.type, packet.nsp, packet.ack_id);
    buf_append(&whole, span_sub(buf_span(&prefix), 1, 1));
    if (packet.attachments != 0)
        buf_printf(&whole, "%u-", packet.attachments);
    buf_append(&whole, span_from(buf_span(&prefix), 2));
    buf_append(&whole, packet.payload);
    taken = socketio_decode(buf_span(&whole), &again);
    assert(taken == (ptrdiff_t)whole.len);
    assert(again.type == packet.type && again.attachments == packet.attachments);
    equal_check(again.nsp, packet.nsp);
    equal_check(again.ack_id, packet.ack_id);
    equal_check(again.payload, packet.payload);
    equal_check(again.event, packet.event);
    buf_finish(&prefix);
    buf_finish(&whole);
    return 0;
}

/* engineio: the first byte chooses: a text message (an open packet's handshake makes the round trip), a query, an
 * id, or a payload. */
#include <assert.h>

#include "wire/engineio.h"
#include "wire/payload.h"

enum { PACKET, QUERY, SID, PAYLOAD, KINDS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void handshake_check(struct span data)
{
    struct engineio_handshake handshake, again;
    if (!engineio_handshake_decode(data, &handshake))
        return;
    struct buf text = {0};
    engineio_handshake_encode(&text, &handshake);
    bool decoded = engineio_handshake_decode(span_from(buf_span(&text), 1), &again);
    assert(decoded && span_equal(handshake.sid, again.sid) && handshake.upgrade_websocket == again.upgrade_websocket);
    assert(handshake.ping_interval_ms == again.ping_interval_ms && handshake.ping_timeout_ms == again.ping_timeout_ms);
    assert(handshake.payload_bytes_max == again.payload_bytes_max);
    buf_finish(&text);
}

static void packet_check(struct span text)
{
    struct engineio_packet packet;
    ptrdiff_t taken = engineio_decode(text, &packet);
    assert(taken == -1 || taken == (ptrdiff_t)text.len);
    if (taken == -1)
        return;
    assert((char)packet.type == text.data[0] && packet.data.len == text.len - 1);
    if (packet.type == ENGINEIO_OPEN)
        handshake_check(packet.data);
}

static void value_check(struct span query, struct span value)
{
    assert(value.len <= query.len && (value.len == 0 || span_find(value, '&') < 0));
}

static void query_check(struct span text)
{
    struct engineio_query query;
    engineio_query_decode(text, &query);
    value_check(text, query.eio);
    value_check(text, query.transport);
    value_check(text, query.sid);
    value_check(text, query.j);
    value_check(text, query.b64);
}

static void sid_check(struct span text)
{
    uint8_t random[15] = {0};
    char sid[ENGINEIO_SID_BYTES];
    bool valid = engineio_sid_is_valid(text);
    assert(!valid || text.len == ENGINEIO_SID_BYTES);
    memcpy(random, text.data, text.len < sizeof random ? text.len : sizeof random);
    engineio_sid_encode(random, sid);
    assert(engineio_sid_is_valid(span_of(sid, sizeof sid)));
}

/* All bytes are in packets or between them; what is read as binary is written so that it is read again. */
static void payload_check(struct span text)
{
    struct span packet, rest = text;
    bool begun = false;
    size_t bytes = 0, packets = 0;
    while (payload_next(&rest, &begun, &packet)) {
        struct buf binary = {0}, again = {0}, back = {0};
        bytes += packet.len;
        packets++;
        if (payload_is_binary(packet) && payload_binary_decode(&binary, packet)) {
            payload_binary_encode(&again, buf_span(&binary));
            bool decoded = payload_binary_decode(&back, buf_span(&again));
            assert(decoded && span_equal(buf_span(&binary), buf_span(&back)));
        }
        buf_finish(&binary);
        buf_finish(&again);
        buf_finish(&back);
    }
    assert(packets > 0 && bytes + packets - 1 == text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    struct span rest = span_of(data + 1, len - 1);
    if (data[0] % KINDS == PACKET)
        packet_check(rest);
    else if (data[0] % KINDS == QUERY)
        query_check(rest);
    else if (data[0] % KINDS == SID)
        sid_check(rest);
    else
        payload_check(rest);
    return 0;
}

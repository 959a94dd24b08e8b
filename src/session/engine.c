/* engine: packets in and out. */
#include "session/engine.h"

#include "wire/payload.h"

void engine_open_encode(struct buf *to, const struct sessions *sessions, enum transport_format format,
                        const char sid[ENGINEIO_SID_BYTES])
{
    struct engineio_handshake handshake = {
        .sid = span_of(sid, ENGINEIO_SID_BYTES),
        .upgrade_websocket = format == TRANSPORT_POLLING && sessions->limits.upgrades,
        .ping_interval_ms = sessions->limits.ping_interval_ms,
        .ping_timeout_ms = sessions->limits.ping_timeout_ms,
        .payload_bytes_max = sessions->limits.payload_bytes_max,
    };
    engineio_handshake_encode(to, &handshake);
}

void engine_opened(struct session *session, const char *sid)
{
    struct buf text = {0};
    engine_open_encode(&text, session->sessions, session->transport->format, sid);
    transport_send_packet(session->transport, buf_span(&text));
    buf_finish(&text);
}

void engine_ping(struct session *session)
{
    char packet = ENGINEIO_PING;
    transport_send_packet(session->transport, span_of(&packet, 1));
}

static void base64_received(struct session *session, struct span packet)
{
    struct buf bytes = {0};
    if (payload_binary_decode(&bytes, packet)) {
        session->moved = true;
        session->protocol->received_binary(session, buf_span(&bytes));
    } else {
        session_close(session, CLOSE_ENGINE_INVALID);
    }
    buf_finish(&bytes);
}

bool engine_received(struct session *session, struct span text, struct span *message)
{
    struct engineio_packet packet;
    if (payload_is_binary(text)) {
        base64_received(session, text);
        return false;
    }
    if (engineio_decode(text, &packet) < 0) {
        session_close(session, CLOSE_ENGINE_INVALID);
        return false;
    }
    switch (packet.type) {
    case ENGINEIO_PONG:
        session_ponged(session);
        break;
    case ENGINEIO_MESSAGE:
        session->moved = true;
        *message = packet.data;
        return true;
    case ENGINEIO_CLOSE:
        session_close(session, CLOSE_ENGINE_CLOSED);
        break;
    case ENGINEIO_PING: /* in revision 4 only the server pings */
        session_close(session, CLOSE_ENGINE_INVALID);
        break;
    case ENGINEIO_OPEN:
    case ENGINEIO_UPGRADE:
    case ENGINEIO_NOOP:
        break;
    }
    return false;
}

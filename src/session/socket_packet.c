/* socket_packet: chooses between the two parsers. */
#include "session/socket_packet.h"

#include "session/session.h"
#include "session/socket.h"
#include "wire/json.h"
#include "wire/msgpack.h"

static struct frame *text_encode(const struct transport *transport, enum socketio_type type, struct span nsp,
                                 struct span id, const struct content *content)
{
    struct span parts[1 + CONTENT_ATTACHMENTS_MAX];
    struct buf text = {0};
    if (content->count == 0)
        socketio_prefix_encode(&text, type, nsp, id);
    else
        socketio_binary_prefix_encode(&text, type == SOCKETIO_EVENT ? SOCKETIO_BINARY_EVENT : SOCKETIO_BINARY_ACK,
                                      content->count, nsp, id);
    buf_append(&text, content->args);
    parts[0] = buf_span(&text);
    for (uint32_t i = 0; i < content->count; i++)
        parts[1 + i] = content->attachments[i];
    struct frame *frame = transport->type->encode(transport, parts, 1 + content->count);
    buf_finish(&text);
    return frame;
}

/* Arguments without attachments pass through unread, so another program may have damaged them. */
static struct span readable(struct span args)
{
    return json_is_valid(args) ? args : SPAN_LIT("[\"sennit\",{\"damaged\":true}]");
}

static struct frame *msgpack_encode(const struct transport *transport, enum socketio_type type, struct span nsp,
                                    struct span id, const struct content *content)
{
    struct buf json = {0}, bytes = {0};
    buf_printf(&json, "{\"type\":%d,\"nsp\":\"", (int)type);
    buf_append_json(&json, nsp);
    buf_append_char(&json, '"');
    if (type != SOCKETIO_DISCONNECT) { /* has none */
        buf_append(&json, SPAN_LIT(",\"data\":"));
        buf_append(&json, readable(content->args));
    }
    if (id.len != 0)
        buf_printf(&json, ",\"id\":" SPAN_FMT, SPAN_ARG(id));
    buf_append_char(&json, '}');
    msgpack_from_json(&bytes, buf_span(&json), content->attachments, content->count);
    const struct span parts[] = {{NULL, 0}, buf_span(&bytes)};
    struct frame *frame = transport->type->encode(transport, parts, 2);
    buf_finish(&json);
    buf_finish(&bytes);
    return frame;
}

struct frame *socket_packet_encode(const struct session *session, enum socketio_type type, struct span nsp,
                                   struct span id, const struct content *content)
{
    if (session->protocol->kind == PROTOCOL_SOCKETIO_MSGPACK)
        return msgpack_encode(session->transport, type, nsp, id, content);
    return text_encode(session->transport, type, nsp, id, content);
}

void socket_packet_send(struct session *session, enum socketio_type type, struct span nsp, struct span id,
                        const struct content *content)
{
    struct frame *frame = socket_packet_encode(session, type, nsp, id, content);
    session->transport->type->send(session->transport, frame, (struct frame_tag){0});
    frame_unref(frame);
}

static bool is_digits(struct span number)
{
    for (size_t i = 0; i < number.len; i++)
        if (number.data[i] < '0' || number.data[i] > '9')
            return false;
    return true;
}

static bool is_absent(struct span value)
{
    return value.data == NULL || json_type(value) == JSON_NULL;
}

/* `<type><namespace>,<id><data>`: the text form, of which the decoder checks the rest. */
static bool text_of(struct span packet, struct buf *text)
{
    struct span type = json_object_get(packet, SPAN_LIT("type")), nsp = json_object_get(packet, SPAN_LIT("nsp")),
                data = json_object_get(packet, SPAN_LIT("data")), id = json_object_get(packet, SPAN_LIT("id"));
    if (type.len != 1 || type.data[0] < '0' || type.data[0] > '0' + SOCKETIO_CONNECT_ERROR)
        return false;
    buf_append(text, type);
    size_t before = text->len;
    if (!json_string_decode(nsp, text))
        return false;
    struct span name = span_from(buf_span(text), before);
    if (!span_starts_with(name, SPAN_LIT("/")) || span_find(name, ',') >= 0)
        return false;
    buf_append_char(text, ',');
    if (!is_absent(id) && !is_digits(id))
        return false;
    if (!is_absent(id))
        buf_append(text, id);
    if (!is_absent(data))
        buf_append(text, data);
    return true;
}

bool socket_packet_read(struct span bytes, struct buf *text, struct content *content)
{
    struct buf json = {0};
    struct msgpack_bins bins = {content->attachments, 0, CONTENT_ATTACHMENTS_MAX};
    bool ok = msgpack_to_json(bytes, &json, &bins) && json_type(buf_span(&json)) == JSON_OBJECT &&
              json_is_valid(buf_span(&json)) && text_of(buf_span(&json), text);
    content->count = bins.count;
    buf_finish(&json);
    return ok;
}

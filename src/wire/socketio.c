/* socketio: decodes a packet from its front: type, count of attachments, namespace, id, payload. It accepts what the
 * stock parser accepts, except forms that no client sends (a count written as 1e0). */
#include "wire/socketio.h"

#include <stdlib.h>

#include "wire/json.h"

static const struct span none = {NULL, 0};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool type_is_binary(enum socketio_type type)
{
    return type == SOCKETIO_BINARY_EVENT || type == SOCKETIO_BINARY_ACK;
}

/* `<n>-` of the binary types: 1 to SOCKETIO_ATTACHMENTS_MAX. */
static bool take_attachments(struct span *rest, uint32_t *count)
{
    uint64_t value;
    size_t dash = 0;
    while (dash < rest->len && is_digit(rest->data[dash]))
        dash++;
    if (dash == rest->len || rest->data[dash] != '-' || !span_to_u64(span_sub(*rest, 0, dash), &value) || value == 0 ||
        value > SOCKETIO_ATTACHMENTS_MAX)
        return false;
    *count = (uint32_t)value;
    *rest = span_from(*rest, dash + 1);
    return true;
}

/* `/name,`; without a comma the whole rest is the name. */
static void take_nsp(struct span *rest, struct span *nsp)
{
    *nsp = SPAN_LIT("/");
    if (rest->len == 0 || rest->data[0] != '/')
        return;
    ptrdiff_t comma = span_find(*rest, ',');
    size_t len = comma >= 0 ? (size_t)comma : rest->len;
    *nsp = span_sub(*rest, 0, len);
    *rest = comma >= 0 ? span_from(*rest, len + 1) : span_from(*rest, len);
}

static bool take_ack_id(struct span *rest, struct span *id)
{
    size_t len = 0;
    *id = none;
    while (len < rest->len && is_digit(rest->data[len]))
        len++;
    if (len == 0)
        return true;
    size_t zeros = 0; /* upstream reads a number, and 007 is 7 */
    while (zeros + 1 < len && rest->data[zeros] == '0')
        zeros++;
    if (len - zeros > SOCKETIO_ACK_DIGITS_MAX)
        return false;
    *id = span_sub(*rest, zeros, len - zeros);
    *rest = span_from(*rest, len);
    return true;
}

/* The fewest digits that read back as the same double, and zeros. */
void socketio_ack_id_print(struct buf *to, struct span id)
{
    enum { DOUBLE_DIGITS = 17 };
    char text[SOCKETIO_ACK_DIGITS_MAX + 1] = "", shown[JSON_NUMBER_BYTES];
    if (id.len <= SOCKETIO_ACK_DIGITS_EXACT || id.len > SOCKETIO_ACK_DIGITS_MAX) {
        buf_append(to, id);
        return;
    }
    memcpy(text, id.data, id.len);
    double number = json_number_read(text, NULL);
    int digits = SOCKETIO_ACK_DIGITS_EXACT;
    for (json_number_write(shown, number, digits); json_number_read(shown, NULL) != number && digits < DOUBLE_DIGITS;)
        json_number_write(shown, number, ++digits);
    size_t before = to->len;
    const char *at = shown;
    for (; *at != '\0' && *at != 'e'; at++)
        if (*at != '.')
            buf_append_char(to, *at);
    if (*at == 'e')
        for (size_t len = (size_t)atoi(at + 1) + 1; to->len - before < len;)
            buf_append_char(to, '0');
}

static const struct span reserved[] = {
    {"connect", 7},        {"connect_error", 13}, {"disconnect", 10},
    {"disconnecting", 13}, {"newListener", 11},   {"removeListener", 14},
};

bool socketio_event_is_reserved(struct span name)
{
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (span_equal(name, reserved[i]))
            return true;
    return false;
}

/* A number, or a string that is no reserved name once its escapes are resolved. */
static bool event_is_valid(struct span event)
{
    if (json_type(event) == JSON_NUMBER)
        return true;
    if (json_type(event) != JSON_STRING)
        return false;
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (json_string_equal(event, reserved[i]))
            return false;
    return true;
}

/* The shape that the type asks for; finds the event. Only called with a payload: without one, upstream lets every type
 * pass. */
static bool payload_is_valid(struct socketio_packet *packet)
{
    enum json_type type = json_type(packet->payload);
    switch (packet->type) {
    case SOCKETIO_CONNECT:
        return type == JSON_OBJECT;
    case SOCKETIO_DISCONNECT:
        return false;
    case SOCKETIO_CONNECT_ERROR:
        return type == JSON_OBJECT || type == JSON_STRING;
    case SOCKETIO_EVENT:
    case SOCKETIO_BINARY_EVENT:
        packet->event = json_array_at(packet->payload, 0);
        return type == JSON_ARRAY && event_is_valid(packet->event);
    case SOCKETIO_ACK:
    case SOCKETIO_BINARY_ACK:
        return type == JSON_ARRAY;
    }
    return false;
}

static bool take_payload(struct span *rest, struct socketio_packet *packet)
{
    if (rest->len == 0)
        return true;
    if (!json_is_valid_to(*rest, &packet->depth)) {
        *rest = span_from(*rest, rest->len);
        return packet->depth > JSON_DEPTH_MAX && packet->type != SOCKETIO_DISCONNECT;
    }
    packet->payload = json_trim(*rest);
    *rest = span_from(*rest, rest->len);
    return payload_is_valid(packet) &&
           (!type_is_binary(packet->type) || socketio_placeholders_valid(packet->payload, packet->attachments));
}

ptrdiff_t socketio_decode(struct span text, struct socketio_packet *packet)
{
    *packet = (struct socketio_packet){0};
    if (text.len == 0 || text.data[0] < '0' || text.data[0] > '6')
        return -1;
    packet->type = (enum socketio_type)(text.data[0] - '0');
    struct span rest = span_from(text, 1);
    if (type_is_binary(packet->type) && !take_attachments(&rest, &packet->attachments))
        return -1;
    take_nsp(&rest, &packet->nsp);
    return take_ack_id(&rest, &packet->ack_id) && take_payload(&rest, packet) ? (ptrdiff_t)text.len : -1;
}

static void nsp_and_id_encode(struct buf *to, struct span nsp, struct span ack_id)
{
    if (!span_equal(nsp, SPAN_LIT("/"))) {
        buf_append(to, nsp);
        buf_append_char(to, ',');
    }
    buf_append(to, ack_id);
}

void socketio_prefix_encode(struct buf *to, enum socketio_type type, struct span nsp, struct span ack_id)
{
    buf_append_char(to, '4');
    buf_append_char(to, (char)('0' + type));
    nsp_and_id_encode(to, nsp, ack_id);
}

void socketio_binary_prefix_encode(struct buf *to, enum socketio_type type, uint32_t attachments, struct span nsp,
                                   struct span ack_id)
{
    buf_printf(to, "4%d%u-", (int)type, attachments);
    nsp_and_id_encode(to, nsp, ack_id);
}

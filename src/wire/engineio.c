/* engineio: encodes and decodes packets. The handshake is written by hand and read through json. */
#include "wire/engineio.h"

#include <assert.h>

#include "wire/json.h"

ptrdiff_t engineio_decode(struct span text, struct engineio_packet *packet)
{
    if (text.len == 0 || text.data[0] < ENGINEIO_OPEN || text.data[0] > ENGINEIO_NOOP)
        return -1;
    packet->type = (enum engineio_type)text.data[0];
    packet->data = span_from(text, 1);
    return (ptrdiff_t)text.len;
}

void engineio_query_decode(struct span query, struct engineio_query *out)
{
    struct span part, name;
    *out = (struct engineio_query){0};
    while (span_next(&query, '&', &part)) {
        struct span value = part;
        span_next(&value, '=', &name);
        if (value.data == NULL)
            value = SPAN_LIT("");
        struct span *to = span_equal(name, SPAN_LIT("EIO"))         ? &out->eio
                          : span_equal(name, SPAN_LIT("transport")) ? &out->transport
                          : span_equal(name, SPAN_LIT("sid"))       ? &out->sid
                          : span_equal(name, SPAN_LIT("j"))         ? &out->j
                          : span_equal(name, SPAN_LIT("b64"))       ? &out->b64
                          : span_equal(name, SPAN_LIT("t"))         ? &out->t
                                                                    : NULL;
        if (to != NULL && to->data == NULL)
            *to = value;
    }
}

void engineio_handshake_encode(struct buf *to, const struct engineio_handshake *handshake)
{
    buf_printf(to,
               "0{\"sid\":\"" SPAN_FMT "\",\"upgrades\":[%s],\"pingInterval\":%u,\"pingTimeout\":%u,\"maxPayload\":%u}",
               SPAN_ARG(handshake->sid), handshake->upgrade_websocket ? "\"websocket\"" : "",
               handshake->ping_interval_ms, handshake->ping_timeout_ms, handshake->payload_bytes_max);
}

static bool number_get(struct span data, struct span name, uint32_t *to)
{
    struct span value = json_object_get(data, name);
    uint64_t number;
    if (value.data == NULL || !span_to_u64(value, &number) || number > UINT32_MAX)
        return false;
    *to = (uint32_t)number;
    return true;
}

bool engineio_handshake_decode(struct span data, struct engineio_handshake *out)
{
    struct span upgrade, upgrades;
    *out = (struct engineio_handshake){0};
    data = json_trim(data);
    if (!json_is_valid(data) || json_type(data) != JSON_OBJECT)
        return false;
    struct span sid = json_object_get(data, SPAN_LIT("sid"));
    if (json_type(sid) != JSON_STRING || sid.len <= 2 || span_find(sid, '\\') >= 0)
        return false;
    out->sid = span_sub(sid, 1, sid.len - 2);
    upgrades = json_object_get(data, SPAN_LIT("upgrades"));
    if (json_type(upgrades) != JSON_ARRAY)
        return false;
    while (json_array_next(&upgrades, &upgrade))
        out->upgrade_websocket = out->upgrade_websocket || json_string_equal(upgrade, SPAN_LIT("websocket"));
    return number_get(data, SPAN_LIT("pingInterval"), &out->ping_interval_ms) &&
           number_get(data, SPAN_LIT("pingTimeout"), &out->ping_timeout_ms) &&
           number_get(data, SPAN_LIT("maxPayload"), &out->payload_bytes_max);
}

void engineio_sid_encode(const uint8_t random[15], char to[ENGINEIO_SID_BYTES])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (int i = 0; i < 5; i++) {
        uint32_t three = (uint32_t)random[i * 3] << 16 | (uint32_t)random[i * 3 + 1] << 8 | random[i * 3 + 2];
        for (int j = 0; j < 4; j++)
            to[i * 4 + j] = digits[three >> (18 - 6 * j) & 63];
    }
}

bool engineio_sid_is_valid(struct span sid)
{
    if (sid.len != ENGINEIO_SID_BYTES)
        return false;
    for (size_t i = 0; i < sid.len; i++) {
        char c = sid.data[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return true;
}

const char *engineio_error_text(enum engineio_error error)
{
    static const char *const texts[] = {"Transport unknown", "Session ID unknown", "Bad handshake method",
                                        "Bad request",       "Forbidden",          "Unsupported protocol version"};
    assert((size_t)error < sizeof texts / sizeof texts[0]);
    return texts[error];
}

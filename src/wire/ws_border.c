/* ws_border: heads and lengths of frames. */
#include "wire/ws_border.h"

enum { OPCODE_CLOSE = 8, LENGTH_16 = 126, LENGTH_64 = 127, MASK_BYTES = 4 };

/* The bytes of the head whose first two are known. */
static size_t head_bytes(const uint8_t head[WS_HEAD_BYTES_MAX])
{
    unsigned length = head[1] & 0x7f;
    return 2u + (length == LENGTH_16 ? 2u : length == LENGTH_64 ? 8u : 0u) + (head[1] & 0x80 ? MASK_BYTES : 0u);
}

static uint64_t payload_bytes(const uint8_t head[WS_HEAD_BYTES_MAX])
{
    unsigned length = head[1] & 0x7f, count = length == LENGTH_16 ? 2 : length == LENGTH_64 ? 8 : 0;
    uint64_t value = count == 0 ? length : 0;
    for (unsigned i = 0; i < count; i++)
        value = value << 8 | head[2 + i];
    return value;
}

void ws_border_feed(struct ws_border *border, struct span bytes)
{
    while (bytes.len > 0) {
        if (border->left > 0) {
            size_t some = border->left < bytes.len ? (size_t)border->left : bytes.len;
            border->left -= some;
            bytes = span_from(bytes, some);
            continue;
        }
        border->head[border->have++] = (uint8_t)bytes.data[0];
        bytes = span_from(bytes, 1);
        if (border->have < 2 || border->have < head_bytes(border->head))
            continue;
        border->closed = border->closed || (border->head[0] & 0x0f) == OPCODE_CLOSE;
        border->left = payload_bytes(border->head);
        border->have = 0;
    }
}

bool ws_border_is_between(const struct ws_border *border)
{
    return border->left == 0 && border->have == 0 && !border->closed;
}

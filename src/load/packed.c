/* packed: what a client sends refers to nothing before it, so that all links share one compressor. */
#include "load/packed.h"

#include "wire/utf8.h"

enum { PACKED_BYTES_MIN = 1024 }; /* shorter messages are sent as they are */

void packer_finish(struct packer *packer)
{
    deflater_destroy(packer->deflater);
    inflater_destroy(packer->inflater);
}

void packed_finish(struct packed *packed)
{
    inflater_destroy(packed->inflater);
    packed->inflater = NULL;
}

bool packed_begin(struct packed *packed, const struct http1_head *head)
{
    packed->agreed = deflate_answer_read(head, &packed->terms) == DEFLATE_OFFER_AGREED;
    if (packed->agreed && packed->terms.server_keeps)
        packed->inflater = inflater_create(packed->terms.server_bits);
    return packed->agreed;
}

void packed_encode(struct packed *packed, struct packer *packer, struct span text, const uint8_t mask[4],
                   struct buf *to)
{
    struct buf payload = {0};
    bool may = packed->agreed && text.len >= PACKED_BYTES_MIN && packed->terms.client_bits >= DEFLATE_BITS_MIDDLE;
    if (may && packer->deflater == NULL)
        packer->deflater = deflater_create(DEFLATE_BITS_MIDDLE);
    if (may && deflater_message(packer->deflater, text, false, &payload)) {
        ws_masked_compressed_encode(to, WS_TEXT, buf_span(&payload), mask);
        packer->messages_out++;
    } else {
        ws_masked_encode(to, WS_TEXT, text, mask);
    }
    buf_finish(&payload);
}

bool packed_decode(struct packed *packed, struct packer *packer, const struct ws_event *event, uint32_t bytes_max,
                   struct buf *to)
{
    bool keeps = packed->inflater != NULL;
    if (!keeps && packer->inflater == NULL)
        packer->inflater = inflater_create(DEFLATE_BITS_LARGE);
    if (inflater_message(keeps ? packed->inflater : packer->inflater, event->payload, keeps, bytes_max, to) !=
        INFLATE_DONE)
        return false;
    packer->messages_in++;
    packer->bytes_in += event->payload.len;
    packer->bytes_in_made += to->len;
    return event->opcode != WS_TEXT || utf8_is_valid(buf_span(to));
}

/* packed: permessage-deflate on a link (`--deflate`): what was agreed on, messages out and in. A link owns a struct
 * packed; the run owns what links without a context share. */
#ifndef SENNIT_LOAD_PACKED_H
#define SENNIT_LOAD_PACKED_H

#include "wire/deflate.h"
#include "wire/deflate_offer.h"
#include "wire/ws.h"

/* Of a run. */
struct packer {
    struct deflater *deflater; /* made when first needed */
    struct inflater *inflater;
    uint64_t messages_in, bytes_in, bytes_in_made, messages_out;
};

struct packed {
    bool agreed;
    struct deflate_terms terms;
    struct inflater *inflater; /* NULL: the server keeps no context */
};

void packer_finish(struct packer *packer); /* accepts zeroed */
void packed_finish(struct packed *packed); /* accepts zeroed */

/* Reads the server's answer to DEFLATE_OFFER_LINE. False: it did not agree, or its answer is invalid. */
bool packed_begin(struct packed *packed, const struct http1_head *head);
/* Appends a text message as a masked frame, compressed where it was agreed on and pays. */
void packed_encode(struct packed *packed, struct packer *packer, struct span text, const uint8_t mask[4],
                   struct buf *to);
/* Appends the message of a compressed event. False when it cannot be decompressed to `bytes_max` bytes at most, or is
 * a text that is not UTF-8. */
bool packed_decode(struct packed *packed, struct packer *packer, const struct ws_event *event, uint32_t bytes_max,
                   struct buf *to);

#endif

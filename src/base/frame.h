/* frame: encoded bytes, immutable once shared, counted, held by every queue they wait in.
 *
 * A broadcast is encoded once into one frame; each receiver's queue holds a reference. One thread, so the count is a
 * plain integer. */
#ifndef SENNIT_BASE_FRAME_H
#define SENNIT_BASE_FRAME_H

#include "base/span.h"

struct frame {
    uint32_t refs;
    uint32_t len; /* bytes in data */
    char data[];
};

/* What the sender says of a frame in a queue, so that it finds the frame there again without reading it. */
struct frame_tag {
    uint32_t whose; /* 0: nobody's; never dropped */
    uint64_t at;
};

/* A frame of `len` bytes with one reference, to be filled before it is shared. */
struct frame *frame_create(size_t len);

/* A frame holding a copy of `bytes`. */
struct frame *frame_copy(struct span bytes);

static inline struct frame *frame_ref(struct frame *frame)
{
    frame->refs++;
    return frame;
}

/* Bytes that all frames of the process take now, each shared frame once. */
size_t frame_bytes_alive(void);

/* Gives one reference back; the last frees the frame. Accepts NULL. */
void frame_unref(struct frame *frame);

#endif

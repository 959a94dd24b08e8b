/* frame: creates frames and frees them with the last reference. */
#include "base/frame.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

enum { ALLOCATION_BYTES = 16 }; /* about what malloc itself takes for each */

static size_t alive;

size_t frame_bytes_alive(void)
{
    return alive;
}

static size_t frame_bytes(const struct frame *frame)
{
    return sizeof *frame + frame->len + ALLOCATION_BYTES;
}

struct frame *frame_create(size_t len)
{
    assert(len <= UINT32_MAX);
    struct frame *frame = mem_alloc(sizeof *frame + len);
    frame->refs = 1;
    frame->len = (uint32_t)len;
    alive += frame_bytes(frame);
    return frame;
}

struct frame *frame_copy(struct span bytes)
{
    struct frame *frame = frame_create(bytes.len);
    if (bytes.len != 0)
        memcpy(frame->data, bytes.data, bytes.len);
    return frame;
}

void frame_unref(struct frame *frame)
{
    if (frame == NULL)
        return;
    assert(frame->refs > 0);
    if (--frame->refs > 0)
        return;
    alive -= frame_bytes(frame);
    free(frame);
}

/* frame: see frame.h. */
#include "base/frame.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

struct frame *frame_create(size_t len)
{
    assert(len <= UINT32_MAX);
    struct frame *frame = mem_alloc(sizeof *frame + len);
    frame->refs = 1;
    frame->len = (uint32_t)len;
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
    if (--frame->refs == 0)
        free(frame);
}

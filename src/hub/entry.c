/* entry: copies an entry out of the broker's memory, and frees it and its frames with the last reference. */
#include "hub/entry.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

struct entry *entry_create(const struct broker_entry *from)
{
    struct entry *entry = mem_alloc(sizeof *entry + from->audience.len + from->body.len);
    *entry = (struct entry){
        .refs = 1,
        .audience_len = (uint32_t)from->audience.len,
        .body_len = (uint32_t)from->body.len,
        .seq = from->seq,
        .prev = from->prev,
        .token_seq = from->seq,
    };
    if (from->audience.len != 0)
        memcpy(entry->bytes, from->audience.data, from->audience.len);
    if (from->body.len != 0)
        memcpy(entry->bytes + from->audience.len, from->body.data, from->body.len);
    return entry;
}

void entry_unref(struct entry *entry)
{
    if (entry == NULL)
        return;
    assert(entry->refs > 0);
    if (--entry->refs > 0)
        return;
    for (int i = 0; i < ENTRY_FRAMES; i++)
        frame_unref(entry->frames[i].frame);
    free(entry);
}

struct frame **entry_frame(struct entry *entry, const void *key)
{
    for (int i = 0; i < ENTRY_FRAMES; i++) {
        struct entry_frame *kept = &entry->frames[i];
        if (kept->key == NULL)
            kept->key = key;
        if (kept->key == key)
            return &kept->frame;
    }
    return NULL;
}

/* entry: one published message in this instance's memory: immutable, counted, shared by all members that receive it.
 *
 * The session layer keeps its encoded frames in `frames`, so that a message is encoded once for all receivers and
 * replays. A frame's key stands for everything else that its bytes depend on (format and namespace), so a frame encoded
 * for one namespace is never sent to another. */
#ifndef SENNIT_HUB_ENTRY_H
#define SENNIT_HUB_ENTRY_H

#include "base/frame.h"
#include "broker/broker.h"

enum { ENTRY_FRAMES = 4 };

struct entry_frame {
    const void *key; /* compared, never followed */
    struct frame *frame;
};

struct entry {
    uint32_t refs;
    uint32_t audience_len, body_len;
    uint64_t seq; /* 0: not logged */
    uint64_t prev;
    uint64_t token_seq; /* the position that the shared frame carries */
    uint32_t room;      /* number of its room, see struct room */
    struct entry_frame frames[ENTRY_FRAMES];
    char bytes[]; /* audience, body */
};

/* A copy of an entry that the broker pushed or read, with one reference for the caller. */
struct entry *entry_create(const struct broker_entry *from);
void entry_unref(struct entry *entry); /* accepts NULL */
/* The place of the frame for this key, empty or not; NULL if other keys have taken all places. */
struct frame **entry_frame(struct entry *entry, const void *key);

static inline struct entry *entry_ref(struct entry *entry)
{
    entry->refs++;
    return entry;
}

static inline struct span entry_audience(const struct entry *entry)
{
    return (struct span){entry->bytes, entry->audience_len};
}

static inline struct span entry_body(const struct entry *entry)
{
    return (struct span){entry->bytes + entry->audience_len, entry->body_len};
}

#endif

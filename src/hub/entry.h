/* entry: one published message as this instance holds it, immutable, counted, shared by all members that get it.
 *
 * The layer above keeps what it encoded in `frames`, so that a message is encoded once whoever receives it and however
 * often it is replayed. Each is kept with its key, which stands for all that its bytes depend on but the entry (format
 * and namespace): a frame made for some is never sent to others. */
#ifndef SENNIT_HUB_ENTRY_H
#define SENNIT_HUB_ENTRY_H

#include "base/frame.h"
#include "broker/broker.h"

enum { ENTRY_FRAMES = 2 };

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
    uint32_t room;      /* number of the room it came to, see struct room */
    struct entry_frame frames[ENTRY_FRAMES];
    char bytes[]; /* audience, body */
};

/* A copy of what the broker pushed or gave to read. */
struct entry *entry_create(const struct broker_entry *from);
void entry_unref(struct entry *entry); /* accepts NULL */
/* Where the frame for this key is kept, or is to be; NULL when others have taken all places. */
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

/* once: names for messages that every instance of the fleet receives and that are to be logged once. All instances must
 * give the same message the same name, and two equal messages two names; the broker then takes the first of each name.
 *
 * Redis sends all its subscribers the same messages in the same order. So instances count from a *mark*, a message of
 * their own that travels among the others: a name is the mark, a digest of the message, and how often the digest came
 * since the mark. A mark of any instance makes all of them count anew. Each instance sends one when it has subscribed:
 * what came before it may have been counted by others, and this instance leaves it to them. */
#ifndef SENNIT_BRIDGE_ONCE_H
#define SENNIT_BRIDGE_ONCE_H

#include "base/buf.h"
#include "base/map.h"

enum {
    ONCE_MARK_BYTES_MAX = 128,
    ONCE_DIGESTS_FULL = 4096, /* then the instance sends a mark, so that the count begins anew; */
    ONCE_DIGESTS_MAX = 16384, /* and if none comes, it counts no further */
};

struct once {
    struct map seen; /* digests since the mark */
    char mark[ONCE_MARK_BYTES_MAX];
    size_t mark_len; /* 0: none has come */
};

/* `seed` as for a map. */
void once_init(struct once *once, const uint64_t seed[2]);
/* No mark counts any more: the messages are not whole. */
void once_forget(struct once *once);
void once_finish(struct once *once); /* accepts zeroed */
/* A mark came, of this or another instance: 1 to ONCE_MARK_BYTES_MAX bytes; others are ignored. */
void once_mark(struct once *once, struct span mark);
/* Counts a message, and appends its name. False, with nothing appended: no mark has come, or ONCE_DIGESTS_MAX digests
 * since; then other instances name it. */
bool once_name(struct once *once, struct span message, struct buf *name);
/* ONCE_DIGESTS_FULL have come since the mark. */
bool once_is_full(const struct once *once);

#endif

/* fake_redis_stream: streams: entries in nodes, as in Redis' radix tree, because trimming with `~` takes whole nodes.
 *
 * How many entries a node holds depends on their bytes there; here it is a number from the seed for each node, or, when
 * stream-node-max-bytes is 0, stream-node-max-entries as there. */
#ifndef SENNIT_SIM_FAKE_REDIS_STREAM_H
#define SENNIT_SIM_FAKE_REDIS_STREAM_H

#include "fake_redis_parts.h"

struct stream_id {
    uint64_t ms, seq;
};

struct stream_entry {
    struct stream_id id;
    size_t count; /* of the texts, two for each field */
    size_t bytes; /* of what follows */
    char texts[]; /* for each text: its length as a size_t, then its bytes */
};

struct stream_node {
    size_t cap;            /* so many are put in at most, ever */
    size_t put;            /* were put in */
    size_t count;          /* are left; a node without any is gone */
    struct stream_id last; /* of those that were put in */
    struct stream_entry *entries[];
};

struct fake_stream {
    struct stream_node **nodes;
    size_t count, cap;
    uint64_t length, added;
    struct stream_id last, max_deleted;
};

/* A place before an entry: in the node behind the last one when it is behind all. */
struct stream_place {
    size_t node, entry;
};

struct stream_trim {
    enum { TRIM_NONE, TRIM_MAXLEN, TRIM_MINID } by;
    bool about, limited;
    int64_t maxlen, limit;
    struct stream_id minid;
};

int stream_id_compare(struct stream_id a, struct stream_id b);
/* The id before or behind this one; false when there is none. */
bool stream_id_up(struct stream_id *id);
bool stream_id_down(struct stream_id *id);

struct stream_entry *stream_entry_create(struct stream_id id, const struct span *texts, size_t count);
/* The stream takes the entry, whose id is above its last one. */
void stream_append(struct fake_redis *redis, struct fake_stream *stream, struct stream_entry *entry);
/* Before the first entry whose id is not below `id`. */
struct stream_place stream_place_find(const struct fake_stream *stream, struct stream_id id);
/* How many entries stand before it. */
size_t stream_place_index(const struct fake_stream *stream, struct stream_place place);
void stream_entry_delete(struct fake_stream *stream, struct stream_place place);
/* How many it took away. */
int64_t stream_trim(const struct fake_redis *redis, struct fake_stream *stream, const struct stream_trim *trim);

#endif

/* fake_redis_stream: entries in nodes; adding, trimming, and ranges. See fake_redis_stream.h. */
#include "fake_redis_stream.h"

#include <stdlib.h>

#include "base/mem.h"

enum { TRIM_WORK_NODES = 100 }; /* without a LIMIT, trimming with `~` looks at so many nodes' worth of entries */

int stream_id_compare(struct stream_id a, struct stream_id b)
{
    if (a.ms != b.ms)
        return a.ms < b.ms ? -1 : 1;
    return a.seq == b.seq ? 0 : a.seq < b.seq ? -1 : 1;
}

bool stream_id_up(struct stream_id *id)
{
    if (id->ms == UINT64_MAX && id->seq == UINT64_MAX)
        return false;
    *id = id->seq == UINT64_MAX ? (struct stream_id){id->ms + 1, 0} : (struct stream_id){id->ms, id->seq + 1};
    return true;
}

bool stream_id_down(struct stream_id *id)
{
    if (id->ms == 0 && id->seq == 0)
        return false;
    *id = id->seq == 0 ? (struct stream_id){id->ms - 1, UINT64_MAX} : (struct stream_id){id->ms, id->seq - 1};
    return true;
}

struct fake_stream *fake_stream_create(void)
{
    return mem_zero(1, sizeof(struct fake_stream));
}

static struct stream_node *node_create(struct fake_stream *stream, size_t entries)
{
    struct stream_node *node = mem_zero(1, sizeof *node + entries * sizeof(struct stream_entry *));
    node->cap = entries;
    if (stream->count == stream->cap) {
        stream->cap = stream->cap != 0 ? stream->cap * 2 : 4;
        stream->nodes = mem_resize(stream->nodes, stream->cap * sizeof(struct stream_node *));
    }
    stream->nodes[stream->count++] = node;
    return node;
}

static void node_destroy(struct fake_stream *stream, size_t at)
{
    struct stream_node *node = stream->nodes[at];
    for (size_t i = 0; i < node->count; i++)
        free(node->entries[i]);
    stream->length -= node->count;
    free(node);
    stream->count--;
    memmove(stream->nodes + at, stream->nodes + at + 1, (stream->count - at) * sizeof(struct stream_node *));
}

void fake_stream_destroy(struct fake_stream *stream)
{
    while (stream->count > 0)
        node_destroy(stream, stream->count - 1);
    free(stream->nodes);
    free(stream);
}

struct fake_stream *fake_stream_copy(const struct fake_stream *stream)
{
    struct fake_stream *copy = fake_stream_create();
    for (size_t i = 0; i < stream->count; i++) {
        const struct stream_node *node = stream->nodes[i];
        struct stream_node *to = node_create(copy, node->cap);
        to->put = node->put;
        to->last = node->last;
        for (size_t j = 0; j < node->count; j++) {
            size_t size = sizeof(struct stream_entry) + node->entries[j]->bytes;
            to->entries[to->count++] = memcpy(mem_alloc(size), node->entries[j], size);
        }
    }
    copy->length = stream->length;
    copy->added = stream->added;
    copy->last = stream->last;
    copy->max_deleted = stream->max_deleted;
    return copy;
}

static size_t node_capacity(struct fake_redis *redis)
{
    size_t most = (size_t)redis->config.stream_node_max_entries;
    if (redis->config.stream_node_max_bytes == 0)
        return most;
    return 1 + fake_random(redis) % most;
}

struct stream_entry *stream_entry_create(struct stream_id id, const struct span *texts, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += sizeof(size_t) + texts[i].len;
    struct stream_entry *entry = mem_alloc(sizeof *entry + bytes);
    *entry = (struct stream_entry){.id = id, .count = count, .bytes = bytes};
    char *at = entry->texts;
    for (size_t i = 0; i < count; i++) {
        memcpy(at, &texts[i].len, sizeof(size_t));
        memcpy(at + sizeof(size_t), texts[i].len != 0 ? texts[i].data : "", texts[i].len);
        at += sizeof(size_t) + texts[i].len;
    }
    return entry;
}

void stream_append(struct fake_redis *redis, struct fake_stream *stream, struct stream_entry *entry)
{
    struct stream_node *node = stream->count > 0 ? stream->nodes[stream->count - 1] : NULL;
    if (node == NULL || node->put >= node->cap)
        node = node_create(stream, node_capacity(redis));
    node->entries[node->count++] = entry;
    node->put++;
    node->last = stream->last = entry->id;
    stream->length++;
    stream->added++;
}

struct stream_place stream_place_find(const struct fake_stream *stream, struct stream_id id)
{
    size_t low = 0, high = stream->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct stream_node *node = stream->nodes[middle];
        if (stream_id_compare(node->entries[node->count - 1]->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    struct stream_place place = {low, 0};
    while (low < stream->count && stream_id_compare(stream->nodes[low]->entries[place.entry]->id, id) < 0)
        place.entry++;
    return place;
}

void stream_entry_delete(struct fake_stream *stream, struct stream_place place)
{
    struct stream_node *node = stream->nodes[place.node];
    free(node->entries[place.entry]);
    node->count--;
    stream->length--;
    memmove(node->entries + place.entry, node->entries + place.entry + 1,
            (node->count - place.entry) * sizeof(struct stream_entry *));
    if (node->count == 0)
        node_destroy(stream, place.node);
}

size_t stream_place_index(const struct fake_stream *stream, struct stream_place place)
{
    size_t before = place.entry;
    for (size_t i = 0; i < place.node; i++)
        before += stream->nodes[i]->count;
    return before;
}

int64_t stream_trim(const struct fake_redis *redis, struct fake_stream *stream, const struct stream_trim *trim)
{
    int64_t deleted = 0, work = trim->limit;
    if (trim->about && !trim->limited)
        work = TRIM_WORK_NODES * redis->config.stream_node_max_entries;
    while (stream->count > 0) {
        const struct stream_node *first = stream->nodes[0];
        int64_t count = (int64_t)first->count;
        bool maxlen = trim->by == TRIM_MAXLEN;
        if (maxlen && stream->length <= (uint64_t)trim->maxlen)
            break;
        if (trim->about && work > 0 && deleted + count > work)
            break;
        bool whole =
            maxlen ? (int64_t)stream->length - count >= trim->maxlen : stream_id_compare(first->last, trim->minid) < 0;
        if (whole) {
            deleted += count;
            node_destroy(stream, 0);
            continue;
        }
        if (trim->about || (!maxlen && stream_id_compare(first->entries[0]->id, trim->minid) >= 0))
            break;
        /* Not the whole node, so that the first one is there still or the end is reached. */
        stream_entry_delete(stream, (struct stream_place){0, 0});
        deleted++;
    }
    return deleted;
}

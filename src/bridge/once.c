/* once: counts messages by their digest since the last mark. */
#include "bridge/once.h"

#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"
#include "broker/broker.h"

struct seen {
    struct map_node by_digest;
    uint64_t digest, count;
};

void once_init(struct once *once, const uint64_t seed[2])
{
    *once = (struct once){.mark_len = 0};
    map_init(&once->seen, seed);
}

static void clear(struct once *once)
{
    struct map_node *node;
    while ((node = map_next(&once->seen, NULL)) != NULL) {
        map_remove(&once->seen, node);
        free(container_of(node, struct seen, by_digest));
    }
}

void once_forget(struct once *once)
{
    clear(once);
    once->mark_len = 0;
}

void once_finish(struct once *once)
{
    clear(once);
    map_finish(&once->seen);
}

void once_mark(struct once *once, struct span mark)
{
    if (mark.len == 0 || mark.len > sizeof once->mark)
        return;
    clear(once);
    memcpy(once->mark, mark.data, mark.len);
    once->mark_len = mark.len;
}

static struct seen *seen_find(struct once *once, uint64_t digest)
{
    struct map_node *node = map_find(&once->seen, span_of(&digest, sizeof digest));
    if (node != NULL)
        return container_of(node, struct seen, by_digest);
    if (once->seen.count == ONCE_DIGESTS_MAX)
        return NULL;
    struct seen *seen = mem_zero(1, sizeof *seen);
    seen->digest = digest;
    map_add(&once->seen, &seen->by_digest, span_of(&seen->digest, sizeof seen->digest));
    return seen;
}

bool once_name(struct once *once, struct span message, struct buf *name)
{
    struct seen *seen = once->mark_len > 0 ? seen_find(once, broker_digest(message)) : NULL;
    if (seen == NULL)
        return false;
    buf_append(name, SPAN_LIT("bridge:")); /* clients' names are JSON, so none is like this */
    buf_append(name, span_of(once->mark, once->mark_len));
    buf_printf(name, ":%016llx:%llu", (unsigned long long)seen->digest, (unsigned long long)++seen->count);
    return true;
}

bool once_is_full(const struct once *once)
{
    return once->seen.count >= ONCE_DIGESTS_FULL;
}

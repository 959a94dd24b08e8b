/* memory_name: the names that clients gave to a room's messages, in this process. */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/memory_parts.h"

static void name_remove(struct memory *memory, struct channel *channel, struct named *named)
{
    memory->log_bytes -= BROKER_NAME_BYTES;
    journal_note(memory->journal, JOURNAL_NAME_DROP, &named->number, NULL);
    map_remove(&channel->ids, &named->by_id);
    list_remove(&named->of_room);
    free(named);
}

void memory_names_expire(struct memory *memory, struct channel *channel, int64_t now)
{
    list_each (node, &channel->names) {
        struct named *named = container_of(node, struct named, of_room);
        if (named->until_ms > now)
            break;
        name_remove(memory, channel, named);
    }
}

void memory_name_add(struct memory *memory, struct channel *channel, const struct named *about, struct span id)
{
    struct named *named = mem_zero(1, sizeof *named + id.len);
    named->until_ms = about->until_ms;
    named->digest = about->digest;
    named->number = about->number;
    memcpy(named->id, id.data, id.len);
    list_init(&named->of_room);
    list_append(&channel->names, &named->of_room);
    memory->log_bytes += BROKER_NAME_BYTES;
    map_add(&channel->ids, &named->by_id, span_of(named->id, id.len));
}

bool memory_name_is_new(struct memory *memory, struct channel *channel, const struct broker_publish *publish,
                        enum broker_result *result)
{
    uint64_t digest = broker_digest(publish->body);
    int64_t now = memory_now_ms(memory);
    memory_names_expire(memory, channel, now);
    struct map_node *node = map_find(&channel->ids, publish->id);
    struct named *named = node != NULL ? container_of(node, struct named, by_id) : NULL;
    if (named != NULL && named->until_ms > now) {
        if (named->digest != digest)
            *result = BROKER_TAKEN;
        return false;
    }
    if (named != NULL)
        name_remove(memory, channel, named); /* one with a longer age stands in front of it */
    struct named about = {
        .until_ms = now + (int64_t)publish->retention->age_ms_max,
        .digest = digest,
        .number = ++memory->name_number,
    };
    uint64_t room = memory_channel_number(memory, channel);
    journal_note(memory->journal, JOURNAL_NAME, (uint64_t[]){about.number, room, digest, (uint64_t)about.until_ms},
                 &publish->id);
    /* A room keeps as many names as its log keeps entries, or some more. */
    uint64_t keep = publish->retention->entries_max;
    if (channel->ids.count >= (keep > BROKER_NAMES_MIN ? keep : BROKER_NAMES_MIN))
        name_remove(memory, channel, container_of(channel->names.next, struct named, of_room));
    memory_name_add(memory, channel, &about, publish->id);
    return true;
}

void memory_names_finish(struct memory *memory, struct channel *channel)
{
    while (!list_empty(&channel->names))
        name_remove(memory, channel, container_of(channel->names.next, struct named, of_room));
    map_finish(&channel->ids);
}

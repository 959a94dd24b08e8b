/* firestore_state: the replica's whole state as records, and back. */
#include <stdlib.h>

#include "base/mem.h"
#include "broker/firestore_parts.h"

static void lease_save(void *arg, const struct memory_lease *kept)
{
    const struct broker_lease *lease = &kept->lease;
    fs_record_append(arg, FS_LEASE,
                     (uint64_t[]){lease->generation, lease->window_ms, (uint64_t)kept->until_ms, kept->owner,
                                  (uint64_t)(kept->ended | kept->left << 1 | kept->taken << 2)},
                     (struct span[]){lease->pid, lease->sid, lease->own, lease->rooms, lease->data, lease->watch});
}

static void present_save(void *arg, struct span room, const struct memory_present *present)
{
    fs_record_append(arg, FS_PRESENT, (uint64_t[]){present->who.generation, present->owner, present->leave_us},
                     (struct span[]){room, present->who.sid, present->who.data});
}

static void room_save(struct buf *to, const struct channel *channel)
{
    fs_record_append(
        to, FS_ROOM,
        (uint64_t[]){channel->last, (uint64_t)channel->newest_ms, channel->age_ms_max, (uint64_t)channel->touched_ms},
        &channel->by_room.key);
    list_each (node, &channel->log) {
        const struct broker_entry *entry = &container_of(node, struct stored, of_log)->entry;
        fs_record_append(to, FS_ENTRY, (uint64_t[]){entry->seq, entry->prev, (uint64_t)entry->time_ms},
                         (struct span[]){entry->audience, entry->body});
    }
    list_each (node, &channel->names) {
        const struct named *named = container_of(node, struct named, of_room);
        fs_record_append(to, FS_NAME, (uint64_t[]){(uint64_t)named->until_ms, named->digest}, &named->by_id.key);
    }
}

void firestore_state_save(struct firestore *fs, struct buf *to)
{
    struct memory *memory = &fs->memory;
    struct map_node *node = NULL;
    struct span epoch = firestore_epoch(fs);
    fs_number_append(to, FIRESTORE_FORMAT);
    fs_record_append(to, FS_STATE,
                     (uint64_t[]){memory->seq, fs->lives_given, fs->last_us, fs->passed_us, memory->sweeps}, &epoch);
    list_each (of_all, &fs->lives) {
        const struct life *life = container_of(of_all, struct life, of_all);
        fs_record_append(to, FS_LIFE,
                         (uint64_t[]){life->number, life->calls, life->dropped, life->heard_us, life->run, life->ended},
                         (struct span[]){span_str(life->publisher), span_str(life->instance)});
    }
    while ((node = map_next(&memory->channels, node)) != NULL)
        if (container_of(node, struct channel, by_room)->last != 0)
            room_save(to, container_of(node, struct channel, by_room));
    memory_leases_each(memory, lease_save, to);
    memory_presents_each(memory, present_save, to);
}

static void life_load(struct firestore *fs, const struct fs_record *record)
{
    struct life *life = firestore_life_add(fs, record->texts[0], record->texts[1]);
    life->number = record->numbers[0];
    life->calls = record->numbers[1];
    life->dropped = record->numbers[2];
    life->heard_us = record->numbers[3];
    life->run = record->numbers[4];
    life->ended = record->numbers[5] != 0;
}

static bool state_load(struct firestore *fs, const struct fs_record *record)
{
    if (record->texts[0].len != MEMORY_EPOCH_BYTES)
        return false;
    fs->memory.seq = record->numbers[0];
    fs->lives_given = record->numbers[1];
    fs->last_us = record->numbers[2];
    fs->passed_us = record->numbers[3];
    fs->memory.sweeps = record->numbers[4];
    memcpy(fs->memory.epoch, record->texts[0].data, MEMORY_EPOCH_BYTES);
    return true;
}

static struct channel *room_load(struct firestore *fs, const struct fs_record *record)
{
    struct channel *channel = memory_channel(&fs->memory, record->texts[0]);
    channel->last = record->numbers[0];
    channel->newest_ms = (int64_t)record->numbers[1];
    channel->age_ms_max = record->numbers[2];
    channel->touched_ms = (int64_t)record->numbers[3];
    fs->memory.rooms += channel->last != 0;
    return channel;
}

static bool entry_load(struct firestore *fs, struct channel *channel, const struct fs_record *record)
{
    if (channel == NULL)
        return false;
    struct broker_entry entry = {.room = channel->by_room.key,
                                 .seq = record->numbers[0],
                                 .prev = record->numbers[1],
                                 .time_ms = (int64_t)record->numbers[2],
                                 .audience = record->texts[0],
                                 .body = record->texts[1]};
    memory_log_append(&fs->memory, channel, memory_stored_create(&entry));
    return true;
}

static bool name_load(struct firestore *fs, struct channel *channel, const struct fs_record *record)
{
    struct named named = {.until_ms = (int64_t)record->numbers[0], .digest = record->numbers[1]};
    if (channel == NULL)
        return false;
    memory_name_add(&fs->memory, channel, &named, record->texts[0]);
    return true;
}

static void lease_load(struct firestore *fs, const struct fs_record *record)
{
    const struct memory_lease lease = {
        .lease = {.generation = record->numbers[0],
                  .window_ms = record->numbers[1],
                  .pid = record->texts[0],
                  .sid = record->texts[1],
                  .own = record->texts[2],
                  .rooms = record->texts[3],
                  .data = record->texts[4],
                  .watch = record->texts[5]},
        .until_ms = (int64_t)record->numbers[2],
        .owner = record->numbers[3],
        .ended = (record->numbers[4] & 1) != 0,
        .left = (record->numbers[4] & 2) != 0,
        .taken = (record->numbers[4] & 4) != 0,
    };
    memory_lease_put(&fs->memory, &lease);
}

static void present_load(struct firestore *fs, const struct fs_record *record)
{
    const struct memory_present present = {
        .who = {.generation = record->numbers[0], .sid = record->texts[1], .data = record->texts[2]},
        .owner = record->numbers[1],
        .leave_us = record->numbers[2],
    };
    memory_present_put(&fs->memory, record->texts[0], &present);
}

/* `*room`: of the records of a room. */
static bool record_load(struct firestore *fs, const struct fs_record *record, struct channel **room)
{
    switch (record->kind) {
    case FS_STATE:
        return state_load(fs, record);
    case FS_LIFE:
        life_load(fs, record);
        return true;
    case FS_ROOM:
        *room = room_load(fs, record);
        return true;
    case FS_ENTRY:
        return entry_load(fs, *room, record);
    case FS_NAME:
        return name_load(fs, *room, record);
    case FS_LEASE:
        lease_load(fs, record);
        return true;
    case FS_PRESENT:
        present_load(fs, record);
        return true;
    default:
        return false;
    }
}

bool firestore_state_load(struct firestore *fs, struct span text)
{
    struct fs_record record;
    struct channel *room = NULL;
    uint64_t format;
    int got = fs_number_take(&text, &format) && format <= FIRESTORE_FORMAT ? 1 : -1;
    while (got > 0 && (got = fs_record_take(&text, &record)) > 0)
        if (!record_load(fs, &record, &room))
            return false;
    return got == 0;
}

void firestore_state_clear(struct firestore *fs)
{
    memory_clear(&fs->memory);
    firestore_lives_finish(fs);
    fs->lives_given = fs->last_us = fs->passed_us = 0;
    fs->shared.self = UINT64_MAX;
}

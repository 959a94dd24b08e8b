/* memory_restore: fills a broker in memory with what an earlier process left on its disk.
 *
 * Each process begins an epoch of its own: what is on the disk may be an earlier state than clients have seen, because
 * a power cut took the newest commits or the operator put a copy in its place. The earlier epoch ends at the counter
 * that is found, so a client that was sent no more resumes, and one that was sent more is told so. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/memory_parts.h"

struct restoring {
    struct memory *memory;
    struct channel **rooms; /* rising numbers */
    size_t count, cap;
    uint64_t entries;
};

static void counted(struct restoring *restoring, uint64_t seq)
{
    if (restoring->memory->seq < seq)
        restoring->memory->seq = seq;
}

static void on_epoch(void *arg, uint64_t number, struct span name, bool ended, uint64_t end)
{
    struct restoring *restoring = arg;
    struct memory *memory = restoring->memory;
    if (name.len > BROKER_EPOCH_BYTES_MAX)
        return;
    if (memory->ended_count == MEMORY_ENDED_MAX)
        memmove(memory->ended, memory->ended + 1, --memory->ended_count * sizeof memory->ended[0]);
    struct memory_ended *to = &memory->ended[memory->ended_count++];
    *to = (struct memory_ended){.len = name.len, .end = end};
    memcpy(to->name, name.data, name.len);
    memory->epoch_number = number;
    counted(restoring, end);
}

static void on_counter(void *arg, uint64_t counter)
{
    counted(arg, counter);
}

static void on_room(void *arg, uint64_t number, struct span name, uint64_t last, int64_t newest_ms, uint64_t age_ms)
{
    struct restoring *restoring = arg;
    struct memory *memory = restoring->memory;
    struct channel *channel = memory_channel(memory, name);
    if (restoring->count == restoring->cap) {
        restoring->cap = restoring->cap != 0 ? restoring->cap * 2 : 64;
        restoring->rooms = mem_resize(restoring->rooms, restoring->cap * sizeof *restoring->rooms);
    }
    restoring->rooms[restoring->count++] = channel;
    channel->number = memory->room_number = number;
    channel->last = last;
    channel->newest_ms = newest_ms;
    channel->age_ms_max = age_ms;
    memory->rooms += last != 0;
    counted(restoring, last);
}

/* NULL: there is none of this number. */
static struct channel *room_find(const struct restoring *restoring, uint64_t number)
{
    size_t low = 0, high = restoring->count;
    while (low < high) {
        size_t at = low + (high - low) / 2;
        if (restoring->rooms[at]->number < number)
            low = at + 1;
        else
            high = at;
    }
    return low < restoring->count && restoring->rooms[low]->number == number ? restoring->rooms[low] : NULL;
}

static void on_entry(void *arg, uint64_t room, const struct broker_entry *entry)
{
    struct restoring *restoring = arg;
    struct channel *channel = room_find(restoring, room);
    counted(restoring, entry->seq);
    if (channel == NULL)
        return;
    struct broker_entry mine = *entry;
    mine.room = channel->by_room.key;
    memory_log_append(restoring->memory, channel, memory_stored_create(&mine));
    restoring->entries++;
}

static void on_name(void *arg, uint64_t number, uint64_t room, uint64_t digest, int64_t until_ms, struct span id)
{
    struct restoring *restoring = arg;
    struct channel *channel = room_find(restoring, room);
    struct named named = {.until_ms = until_ms, .digest = digest, .number = number};
    restoring->memory->name_number = number;
    if (channel != NULL && map_find(&channel->ids, id) == NULL)
        memory_name_add(restoring->memory, channel, &named, id);
}

static void on_lease(void *arg, const struct broker_lease *lease, int64_t until_ms)
{
    memory_lease_restore(((struct restoring *)arg)->memory, lease, until_ms);
}

static void on_present(void *arg, uint64_t room, const struct broker_present *who)
{
    struct restoring *restoring = arg;
    struct channel *channel = room_find(restoring, room);
    if (channel != NULL)
        memory_present_restore(restoring->memory, channel, who);
}

static const struct disk_reader reader = {
    on_epoch, on_counter, on_room, on_entry, on_name, on_lease, on_present,
};

static void epoch_begin(struct memory *memory)
{
    struct span name = span_of(memory->epoch, MEMORY_EPOCH_BYTES);
    memory->epoch_number++;
    if (memory->ended_count > 0)
        memory->ended[memory->ended_count - 1].end = memory->seq;
    journal_note(memory->journal, JOURNAL_EPOCH_END, &memory->seq, NULL);
    journal_note(memory->journal, JOURNAL_EPOCH, &memory->epoch_number, &name);
    if (memory->epoch_number > MEMORY_ENDED_MAX)
        journal_note(memory->journal, JOURNAL_EPOCH_DROP, (uint64_t[]){memory->epoch_number - MEMORY_ENDED_MAX}, NULL);
}

bool memory_restore(struct memory *memory, struct disk *disk, struct err *err)
{
    struct restoring restoring = {.memory = memory};
    bool ok = disk_read(disk, &reader, &restoring, err);
    free(restoring.rooms);
    if (!ok)
        return false;
    epoch_begin(memory);
    log_event(LOG_INFO, "the log on disk was read", LOG_C("directory", disk_directory(disk)),
              LOG_N("rooms", memory->rooms), LOG_N("entries", restoring.entries), LOG_N("leases", memory->leases.count),
              LOG_N("position", memory->seq));
    return true;
}

/* check: see check.h. */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void check_init(struct check *check, struct sim *sim)
{
    *check = (struct check){.sim = sim, .digest = 14695981039346656037u};
}

void check_finish(struct check *check)
{
    for (int i = 0; i < CHECK_ROOMS; i++)
        free(check->rooms[i].entries);
    free(check->messages);
    free(check->failure);
}

void check_fail(struct check *check, const char *format, ...)
{
    char text[512];
    va_list args;
    if (check->failure != NULL)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    check->failure = mem_printf("at %.6f s: %s", (double)sim_now_us(check->sim) / 1e6, text);
}

/* FNV-1a, 64 bits, a word at a time. */
static void digest_add(struct check *check, uint64_t word)
{
    check->digest = (check->digest ^ word) * 1099511628211u;
}

static void digest_event(struct check *check, char what, int room, uint32_t message)
{
    digest_add(check, sim_now_us(check->sim));
    digest_add(check, (uint64_t)(unsigned char)what << 48 | (uint64_t)room << 32 | message);
}

uint32_t check_message_create(struct check *check, int room)
{
    if (check->message_count == check->message_cap) {
        check->message_cap = check->message_cap != 0 ? check->message_cap * 2 : 1024;
        check->messages = mem_resize(check->messages, check->message_cap * sizeof *check->messages);
    }
    check->messages[check->message_count] = (struct message){.room = (uint8_t)room};
    return (uint32_t)check->message_count++;
}

static uint16_t epoch_index(struct check *check, struct span epoch)
{
    for (uint16_t i = 0; i < check->epoch_count; i++)
        if (span_equal(epoch, span_str(check->epochs[i])))
            return i;
    if (check->epoch_count == CHECK_EPOCHS_MAX || epoch.len >= CHECK_EPOCH_BYTES) {
        check_fail(check, "an epoch too many, or too long");
        return 0;
    }
    memcpy(check->epochs[check->epoch_count], epoch.data, epoch.len);
    return check->epoch_count++;
}

void check_accepted(struct check *check, int room, uint32_t message, struct span epoch, struct span except)
{
    struct truth_room *truth = &check->rooms[room];
    digest_event(check, 'a', room, message);
    if (message >= check->message_count || except.len >= CHECK_SID_MAX) {
        check_fail(check, "the broker accepted what nobody sent: message %u", message);
        return;
    }
    if (truth->count == truth->cap) {
        truth->cap = truth->cap != 0 ? truth->cap * 2 : 256;
        truth->entries = mem_resize(truth->entries, truth->cap * sizeof *truth->entries);
    }
    struct truth *entry = &truth->entries[truth->count++];
    *entry = (struct truth){.message = message, .epoch = epoch_index(check, epoch), .time_us = sim_now_us(check->sim)};
    memcpy(entry->except, except.data, except.len);
    check->counts.accepted++;
    if (++check->messages[message].entries > 1)
        check_fail(check, "message %u is in the log of room %d twice", message, room);
}

void check_snapshot(struct check *check)
{
    for (int i = 0; i < CHECK_ROOMS; i++)
        check->rooms[i].kept = check->rooms[i].count;
}

void check_restored(struct check *check)
{
    for (int i = 0; i < CHECK_ROOMS; i++) {
        struct truth_room *truth = &check->rooms[i];
        for (size_t j = truth->kept; j < truth->count; j++) {
            struct truth *entry = &truth->entries[j];
            if (entry->lost)
                continue;
            entry->lost = true;
            check->messages[entry->message].entries--;
            check->messages[entry->message].was_lost = true;
            check->counts.lost_by_broker++;
        }
    }
}

void check_acked(struct check *check, const struct witness *witness, uint32_t message)
{
    struct message *of = &check->messages[message];
    of->acked = true;
    if (of->entries == 0 && !of->was_lost)
        check_fail(check, "%s: message %u was acknowledged and is not in the log", witness->name, message);
}

static bool meant_for(const struct truth *entry, const struct witness *witness)
{
    return entry->except[0] == '\0' || strcmp(entry->except, witness->sid) != 0;
}

/* Where the message stands. One that was lost and published again stands there twice: a token of the epoch in which it
 * was lost means the lost one. One that is only lost may still be shown, with a token of an epoch between. */
static size_t truth_find(const struct truth_room *truth, size_t from, uint32_t message, uint16_t epoch)
{
    size_t found = truth->count;
    for (size_t i = from; i < truth->count; i++) {
        const struct truth *entry = &truth->entries[i];
        if (entry->message != message)
            continue;
        if (entry->epoch == epoch)
            return i;
        if (!entry->lost || found == truth->count)
            found = i;
    }
    return found;
}

void check_shown(struct check *check, struct witness *witness, int room, uint32_t message, struct span epoch)
{
    struct owed *owed = &witness->rooms[room];
    const struct truth_room *truth = &check->rooms[room];
    size_t from = owed->begun ? owed->next : 0;
    check->counts.shown++;
    digest_event(check, 's', room, message);
    for (const char *c = witness->name; *c != '\0'; c++)
        digest_add(check, (unsigned char)*c);
    if (!owed->member && owed->left_us == 0) {
        check_fail(check, "%s: was shown message %u of room %d, in which it never was", witness->name, message, room);
        return;
    }
    size_t at = truth_find(truth, from, message, epoch_index(check, epoch));
    if (at == truth->count) {
        size_t before = 0;
        while (before < from && truth->entries[before].message != message)
            before++;
        check_fail(check, "%s: message %u of room %d %s", witness->name, message, room,
                   before < from ? "was shown twice or out of order" : "was never accepted");
        return;
    }
    if (!owed->member && truth->entries[at].time_us > owed->left_us)
        check_fail(check, "%s: was shown message %u, accepted after it had left room %d", witness->name, message, room);
    check->counts.shown_late += !owed->member;
    if (!meant_for(&truth->entries[at], witness))
        check_fail(check, "%s: message %u of room %d was not meant for it", witness->name, message, room);
    for (size_t i = from; i < at; i++) {
        const struct truth *entry = &truth->entries[i];
        if (entry->lost || owed->gap || !meant_for(entry, witness))
            continue;
        if (owed->begun || entry->time_us >= owed->floor_us) {
            check_fail(check, "%s: message %u of room %d was lost: %u came", witness->name, entry->message, room,
                       message);
            break;
        }
    }
    witness->tainted |= truth->entries[at].lost;
    owed->begun = true;
    owed->gap = false;
    owed->next = at + 1;
}

static void owe_from_now(struct check *check, struct owed *owed, bool all)
{
    *owed = (struct owed){.member = true, .begun = all, .floor_us = sim_now_us(check->sim)};
}

void check_fresh(struct check *check, struct witness *witness, struct span sid, bool all)
{
    memset(witness->rooms, 0, sizeof witness->rooms);
    owe_from_now(check, &witness->rooms[0], all);
    witness->tainted = false;
    snprintf(witness->sid, sizeof witness->sid, SPAN_FMT, SPAN_ARG(sid));
    check->counts.fresh++;
}

void check_joining(struct check *check, struct witness *witness, int room, bool all)
{
    struct owed *owed = &witness->rooms[room];
    if (!owed->member)
        *owed = (struct owed){.member = true, .begun = all, .floor_us = UINT64_MAX};
}

void check_joined(struct check *check, struct witness *witness, int room)
{
    struct owed *owed = &witness->rooms[room];
    if (owed->gap)
        *owed = (struct owed){.member = true, .floor_us = UINT64_MAX};
    if (owed->floor_us == UINT64_MAX)
        owed->floor_us = sim_now_us(check->sim);
}

void check_left(struct check *check, struct witness *witness, int room)
{
    struct owed *owed = &witness->rooms[room];
    owed->member = false;
    owed->left_us = sim_now_us(check->sim);
}

void check_doubt(struct witness *witness, int room, bool anew)
{
    struct owed *owed = &witness->rooms[room];
    owed->member = true;
    owed->begun &= !anew;
    owed->gap = true;
}

/* The first entry it was not shown, NULL: none. */
static const struct truth *missing(const struct check *check, const struct witness *witness, int *room)
{
    for (*room = 0; *room < CHECK_ROOMS; ++*room) {
        const struct owed *owed = &witness->rooms[*room];
        const struct truth_room *truth = &check->rooms[*room];
        if (!owed->member || owed->gap)
            continue;
        for (size_t i = owed->begun ? owed->next : 0; i < truth->count; i++) {
            const struct truth *entry = &truth->entries[i];
            if (!entry->lost && meant_for(entry, witness) && (owed->begun || entry->time_us >= owed->floor_us))
                return entry;
        }
    }
    return NULL;
}

bool check_is_settled(const struct check *check, const struct witness *witness)
{
    int room;
    return !witness->tainted && missing(check, witness, &room) == NULL;
}

void check_settled(struct check *check, const struct witness *witness)
{
    int room;
    const struct truth *entry = missing(check, witness, &room);
    if (witness->tainted)
        check_fail(check, "%s: was shown what the broker lost, and was not told so", witness->name);
    if (entry != NULL)
        check_fail(check, "%s: message %u of room %d never came", witness->name, entry->message, room);
}

/* journal: what a broker in memory writes down, so that it survives its process: a list of operations, which a worker
 * commits to a disk (broker/disk.h) batch by batch, in order.
 *
 * One batch is under way at a time; what is noted meanwhile is the next one. So a batch is what one commit took, and a
 * slow disk makes larger batches instead of a queue of them. Whoever must not speak before something is kept remembers
 * its mark, and waits until the mark has been passed.
 *
 * While the disk refuses (it is full), the same batch is tried again, the trouble is told, and marks wait. */
#ifndef SENNIT_BROKER_JOURNAL_H
#define SENNIT_BROKER_JOURNAL_H

#include "broker/disk.h"
#include "broker/journal_ops.h"
#include "loop/worker.h"

/* When a commit is on the disk itself, so that it survives a power cut, too. Each survives the end of the process. */
enum journal_sync {
    JOURNAL_SYNC_SECOND, /* within about a second */
    JOURNAL_SYNC_BATCH,  /* before anybody hears of it */
    JOURNAL_SYNC_NEVER,  /* when the kernel likes; a power cut leaves an earlier state, whole */
};

struct journal_events {
    void (*passed)(void *arg); /* another mark has been passed */
    /* The disk refuses to write, with the cure (borrowed until the next call), or (NULL) writes again. */
    void (*trouble)(void *arg, const char *why);
};

struct journal_counters {
    uint64_t commits;
    uint64_t refused; /* attempts that failed */
};

struct journal;

/* Takes over the disk. `events` and `arg` are borrowed. NULL with `err` set (and the disk is still the caller's) when
 * no thread can be started. */
struct journal *journal_create(struct loop *loop, struct disk *disk, enum journal_sync sync,
                               const struct journal_events *events, void *arg, struct err *err);
/* Commits what was noted, tried once, on the disk itself; afterwards journal_passed tells what is kept. Blocks. */
void journal_finish_writing(struct journal *journal);
/* Accepts NULL. Closes the disk. Notes that were not committed are gone. */
void journal_destroy(struct journal *journal);

/* The functions below accept NULL: nothing is kept, and every mark has been passed. */

/* Notes an operation. Numbers and texts are as many as JOURNAL_OPS says, and are copied; NULL for none. */
void journal_note(struct journal *journal, enum journal_op op, const uint64_t *numbers, const struct span *texts);
/* The mark of all that has been noted so far. */
uint64_t journal_mark(const struct journal *journal);
bool journal_passed(const struct journal *journal, uint64_t mark);
/* All zero without a journal. */
struct journal_counters journal_counters(const struct journal *journal);

#endif

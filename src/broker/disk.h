/* disk: the file of a broker on disk: a SQLite database with a write-ahead log, which one process owns.
 *
 * It is opened and read whole at the start; from then on the journal's worker writes to it. Not two threads at a time.
 */
#ifndef SENNIT_BROKER_DISK_H
#define SENNIT_BROKER_DISK_H

#include "broker/broker.h"

struct disk;

/* The contents of a disk, in the order of these functions. Spans are borrowed until the function returns. */
struct disk_reader {
    /* The epochs, oldest first; the last one has not ended, and its end is 0. */
    void (*epoch)(void *arg, uint64_t number, struct span name, bool ended, uint64_t end);
    void (*counter)(void *arg, uint64_t counter);
    void (*room)(void *arg, uint64_t number, struct span name, uint64_t last, int64_t newest_ms, uint64_t age_ms);
    void (*entry)(void *arg, uint64_t room, const struct broker_entry *entry); /* rising seq; its room is empty */
    void (*name)(void *arg, uint64_t number, uint64_t room, uint64_t digest, int64_t until_ms, struct span id);
    void (*lease)(void *arg, const struct broker_lease *lease, int64_t until_ms);
    void (*present)(void *arg, uint64_t room, const struct broker_present *who);
};

/* Opens the database in this directory, which is made if it is missing. NULL with `err` set: another process owns it,
 * it cannot be written, or it is damaged or another program's; the text has the cure. Blocks. */
struct disk *disk_open(const char *directory, struct err *err);
/* Closes, and gives the directory free. Accepts NULL. */
void disk_close(struct disk *disk);
/* Tells the reader everything. Blocks. */
bool disk_read(struct disk *disk, const struct disk_reader *reader, void *arg, struct err *err);

/* Carries out all notes (broker/journal_ops.h), or none. `sync`: it survives a power cut from then on, with all that
 * was written before. False, with the reason in `err`, when the disk refuses. Blocks. */
bool disk_write(struct disk *disk, struct span notes, bool sync, struct err *err);
/* The directory, for texts. */
const char *disk_directory(const struct disk *disk);

#endif

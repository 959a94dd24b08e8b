/* file: the broker of one instance whose rooms survive it: the in-process broker, with a journal on disk.
 *
 * Everything is in memory, as with broker/memory.h, and nothing is told before the disk has it: logs, positions, names
 * of messages, leases and presence outlive the process, however it ends. What a power cut leaves is up to `sync`. */
#ifndef SENNIT_BROKER_FILE_H
#define SENNIT_BROKER_FILE_H

#include "broker/broker.h"
#include "broker/journal.h"

struct broker_file_config {
    const char *directory; /* made if it is missing; one process at a time owns it */
    enum journal_sync sync;
    struct broker_bounds bounds;
};

/* Reads what is there, which blocks. NULL with `err` set: the directory is owned by another process, or cannot be used.
 */
struct broker *broker_file_create(struct loop *loop, const struct broker_file_config *config, struct err *err);

#endif

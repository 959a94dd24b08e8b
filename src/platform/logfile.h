/* logfile: the entries of all logbooks on the disk, for `sennit logs` when no `sennit up` runs any more: lines of
 * DIR/control/logs.jsonl, each a LogEntry of Cloud Logging. When the file is LOGFILE_BYTES_MAX long it becomes
 * logs.old.jsonl, in the place of the one that was there; so there are at most two of that length. Later ones of a
 * `sennit up` go on behind those of earlier ones. The catalog owns it; logbooks write.
 *
 * Lines go out LOGFILE_MS after they came, at the latest; then they survive `kill -9`. They are not synced. */
#ifndef SENNIT_PLATFORM_LOGFILE_H
#define SENNIT_PLATFORM_LOGFILE_H

#include "loop/loop.h"
#include "platform/lines.h"

enum {
    LOGFILE_BYTES_MAX = 16 << 20,
    LOGFILE_PENDING_BYTES_MAX = 1 << 20, /* of lines that the disk does not take; later ones are lost, which is told */
    LOGFILE_MS = 100,
};

struct logfile {
    struct loop *loop;
    struct lines lines;
    char *old_path;
    struct timer write;
};

/* Opens the file in this folder, which one process at a time has. What prevents it is told in the log; then lines go
 * nowhere. */
void logfile_open(struct logfile *logfile, struct loop *loop, const char *directory);
/* Adds a line, without its newline. Harmless when it is closed. */
void logfile_add(struct logfile *logfile, struct span line);
void logfile_close(struct logfile *logfile); /* accepts zeroed memory */

/* Which entries are wanted; NULL: all. The time as entries have it, "2026-11-28T15:00:00.123Z". */
struct logfile_query {
    const char *service, *revision, *instance, *since;
    int severity_min; /* enum log_severity */
};
/* Hands out the entries of both files in their order, and the time of the last line, wanted or not, for a person (""
 * without any). The lines of one file are in memory meanwhile. False with `err` set: there is no file. */
bool logfile_read(const char *directory, const struct logfile_query *query,
                  void (*entry)(struct span entry, void *context), void *context, char last[32], struct err *err);

#endif

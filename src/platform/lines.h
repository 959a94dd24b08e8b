/* lines: lines on their way into a file that only grows (loop/append.h). What the disk does not take waits; that it
 * does not is told once, and that it does again. The ledger and the log's file each have one. */
#ifndef SENNIT_PLATFORM_LINES_H
#define SENNIT_PLATFORM_LINES_H

#include "base/buf.h"
#include "loop/append.h"

/* What the log says. */
struct lines_texts {
    const char *failing, *again;
    const char *torn; /* a crash has torn the last line; NULL: not told */
};

/* Zeroed memory is closed. */
struct lines {
    const struct lines_texts *texts;
    char *path; /* NULL: closed, nothing is kept */
    struct append file;
    struct buf pending; /* lines that the disk did not take yet */
    uint64_t lost;      /* lines that came while too many waited: the owner's bound */
    bool failing;       /* it was told that the disk takes nothing */
};

/* Takes over `path`. False with `err` set, and it is closed. */
bool lines_open(struct lines *lines, const struct lines_texts *texts, char *path, struct err *err);
/* Writes what waits. False: the disk does not take it, and it waits on. */
bool lines_write(struct lines *lines);
/* The file is another one now: opens it. False with `err` set: lines_write tries again. */
bool lines_reopen(struct lines *lines, struct err *err);
/* Tells it once, until the disk takes lines again. */
void lines_tell(struct lines *lines, const struct err *err);
/* What still waits is lost. Harmless when it is closed. */
void lines_close(struct lines *lines);

#endif

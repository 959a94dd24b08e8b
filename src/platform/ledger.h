/* ledger: what was billed, in a file of the state folder, DIR/control/ledger.jsonl: one JSON object a line, added as
 * soon as it is known. Lines that were written survive `kill -9`; the disk has them within a second. `sennit bill`
 * reads it. The catalog owns it.
 *
 *     {"time_ms":1790000000000,"service":"board","revision":"board-00001","instance":"board-00001-1","kind":"request",
 *      "ms":1200,"vcpu_us":1200000,"mib_ms":614400,"requests":3}
 *
 * `time_ms` is when the time ended, by the wall clock (UTC). A file beyond LEDGER_BYTES_MAX is replaced by its sums: a
 * line for each service, day and rule, without `revision` and `instance`. */
#ifndef SENNIT_PLATFORM_LEDGER_H
#define SENNIT_PLATFORM_LEDGER_H

#include "loop/loop.h"
#include "platform/lines.h"
#include "platform/meter.h"

enum {
    LEDGER_BYTES_MAX = 16 << 20,        /* of new lines; then the file is replaced by its sums */
    LEDGER_PENDING_BYTES_MAX = 1 << 20, /* of lines that the disk does not take; later ones are lost, which is told */
    LEDGER_SYNC_MS = 1000,
};
#define LEDGER_READ_BYTES_MAX ((size_t)1 << 30)
#define LEDGER_DAY_MS ((int64_t)24 * 3600 * 1000)

struct ledger {
    struct loop *loop;
    struct lines lines;
    uint64_t sum_at_bytes; /* at this length it is replaced by its sums */
    struct timer sync;
};

struct ledger_line {
    const char *service, *revision, *instance; /* the last two may be NULL */
    enum meter_kind kind;
    struct used used;
};

/* Opens the ledger in this folder, which one process at a time has. What prevents it is told in the log; then lines go
 * nowhere. */
void ledger_open(struct ledger *ledger, struct loop *loop, const char *directory);
void ledger_add(struct ledger *ledger, const struct ledger_line *line);
/* Syncs; harmless when it is closed. */
void ledger_close(struct ledger *ledger);

/* What one service used on one day. */
struct ledger_row {
    char *service;
    int64_t day; /* since 1970, UTC */
    struct usage usage;
};
/* Sorted by service, then day. Zeroed memory is empty. */
struct ledger_rows {
    struct ledger_row *list;
    size_t count, cap;
    uint64_t faulty; /* lines that are none */
};
/* Sums a ledger's lines; an unfinished last one does not count. */
void ledger_rows_read(struct ledger_rows *rows, struct span text);
void ledger_rows_finish(struct ledger_rows *rows);
/* Appends the rows as lines of a ledger. */
void ledger_rows_encode(struct buf *to, const struct ledger_rows *rows);
/* DIR/ledger.jsonl; the caller frees it. */
char *ledger_path(const char *directory);

#endif

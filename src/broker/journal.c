/* journal: the loop's side of what a broker on disk writes: the batch that is collected, the one that is under way, and
 * what happens when the disk refuses. */
#include "broker/journal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

enum { RETRY_MS = 500, SYNC_MS = 1000 };

struct journal {
    struct job job; /* of the worker, while `busy`; then these five are the worker's */
    struct disk *disk;
    struct buf given; /* the batch under way */
    bool given_sync, kept;
    struct err why;
    struct loop *loop;
    struct worker *worker;
    enum journal_sync sync;
    const struct journal_events *events;
    void *arg;
    struct buf open;         /* the batch that is collected */
    uint64_t given_mark;     /* of the batch under way, or of the last one */
    uint64_t kept_mark;      /* of the last one that was kept */
    bool busy, retrying;     /* a batch is under way; it waits to be tried again */
    bool unsynced, sync_due; /* something is not on the disk itself yet; its second is over */
    bool troubled;
    struct task commit; /* at the end of the turn */
    struct timer retry, second;
    struct err trouble;
    struct journal_counters counters;
};

static const struct journal_shape shapes[] = {JOURNAL_OPS(JOURNAL_SHAPE)};

static void batch_run(struct job *job)
{
    struct journal *journal = container_of(job, struct journal, job);
    journal->kept = disk_write(journal->disk, buf_span(&journal->given), journal->given_sync, &journal->why);
}

static void batch_try(struct journal *journal)
{
    journal->busy = true;
    journal->kept = false;
    worker_give(journal->worker, &journal->job);
}

/* The open batch becomes the given one. */
static void batch_close(struct journal *journal, bool sync)
{
    struct buf empty = journal->given;
    assert(!journal->busy && !journal->retrying);
    journal->given = journal->open;
    journal->open = empty;
    buf_clear(&journal->open);
    journal->given_mark++;
    journal->given_sync = sync;
}

static void commit(struct task *task)
{
    struct journal *journal = container_of(task, struct journal, commit);
    if (journal->busy || journal->retrying || (journal->open.len == 0 && !journal->sync_due))
        return;
    batch_close(journal, journal->sync == JOURNAL_SYNC_BATCH || journal->sync_due);
    journal->sync_due = false;
    batch_try(journal);
}

static void batch_kept(struct journal *journal)
{
    journal->kept_mark = journal->given_mark;
    journal->counters.commits++;
    if (journal->given.cap > BROKER_PAGE_BYTES_MAX)
        buf_finish(&journal->given);
    if (journal->given_sync) {
        journal->unsynced = false;
    } else if (journal->sync == JOURNAL_SYNC_SECOND && !journal->unsynced) {
        journal->unsynced = true;
        timer_start(journal->loop, &journal->second, LOOP_MS(SYNC_MS));
    }
}

static void trouble_end(struct journal *journal)
{
    if (!journal->troubled)
        return;
    journal->troubled = false;
    log_event(LOG_INFO, "the disk takes writes again", LOG_C("directory", disk_directory(journal->disk)));
    journal->events->trouble(journal->arg, NULL);
}

static void trouble_begin(struct journal *journal)
{
    journal->counters.refused++;
    if (journal->troubled)
        return;
    journal->troubled = true;
    err_set(&journal->trouble,
            "the disk refuses writes (%.400s): make room in %.200s, or make it writable; what is published waits",
            journal->why.text, disk_directory(journal->disk));
    log_event(LOG_ERROR, "the disk refuses writes: make room, or make it writable; what is published waits",
              LOG_C("error", journal->why.text), LOG_C("directory", disk_directory(journal->disk)));
    journal->events->trouble(journal->arg, journal->trouble.text);
}

static void batch_done(struct job *job)
{
    struct journal *journal = container_of(job, struct journal, job);
    journal->busy = false;
    if (!journal->kept) {
        trouble_begin(journal);
        journal->retrying = true;
        timer_start(journal->loop, &journal->retry, LOOP_MS(RETRY_MS));
        return;
    }
    trouble_end(journal);
    batch_kept(journal);
    loop_at_flush(journal->loop, &journal->commit);
    journal->events->passed(journal->arg);
}

static void on_retry(struct timer *timer)
{
    struct journal *journal = container_of(timer, struct journal, retry);
    journal->retrying = false;
    batch_try(journal);
}

static void on_second(struct timer *timer)
{
    struct journal *journal = container_of(timer, struct journal, second);
    if (!journal->unsynced)
        return;
    journal->sync_due = true;
    loop_at_flush(journal->loop, &journal->commit);
}

struct journal *journal_create(struct loop *loop, struct disk *disk, enum journal_sync sync,
                               const struct journal_events *events, void *arg, struct err *err)
{
    struct worker *worker = worker_start(loop, err);
    if (worker == NULL)
        return NULL;
    struct journal *journal = mem_zero(1, sizeof *journal);
    journal->job = (struct job){batch_run, batch_done};
    journal->worker = worker;
    journal->loop = loop;
    journal->disk = disk;
    journal->sync = sync;
    journal->events = events;
    journal->arg = arg;
    task_init(&journal->commit, commit);
    timer_init(&journal->retry, on_retry);
    timer_init(&journal->second, on_second);
    return journal;
}

void journal_finish_writing(struct journal *journal)
{
    worker_finish(journal->worker);
    journal->worker = NULL;
    if (journal->busy || journal->retrying) {
        if (!journal->kept)
            batch_run(&journal->job);
        journal->busy = journal->retrying = false;
        if (!journal->kept)
            return;
        batch_kept(journal);
    }
    if (journal->open.len == 0)
        return;
    batch_close(journal, journal->sync != JOURNAL_SYNC_NEVER);
    batch_run(&journal->job);
    if (journal->kept)
        batch_kept(journal);
}

void journal_destroy(struct journal *journal)
{
    if (journal == NULL)
        return;
    worker_finish(journal->worker);
    task_cancel(&journal->commit);
    timer_stop(journal->loop, &journal->retry);
    timer_stop(journal->loop, &journal->second);
    disk_close(journal->disk);
    buf_finish(&journal->open);
    buf_finish(&journal->given);
    free(journal);
}

void journal_note(struct journal *journal, enum journal_op op, const uint64_t *numbers, const struct span *texts)
{
    if (journal == NULL)
        return;
    struct buf *to = &journal->open;
    buf_append_char(to, (char)op);
    if (shapes[op].numbers > 0)
        buf_append(to, span_of((const char *)numbers, shapes[op].numbers * sizeof numbers[0]));
    for (int i = 0; i < shapes[op].texts; i++) {
        uint32_t len = (uint32_t)texts[i].len;
        buf_append(to, span_of((const char *)&len, sizeof len));
        buf_append(to, texts[i]);
    }
    loop_at_flush(journal->loop, &journal->commit);
}

uint64_t journal_mark(const struct journal *journal)
{
    return journal == NULL ? 0 : journal->given_mark + (journal->open.len > 0);
}

bool journal_passed(const struct journal *journal, uint64_t mark)
{
    return journal == NULL || mark <= journal->kept_mark;
}

struct journal_counters journal_counters(const struct journal *journal)
{
    return journal == NULL ? (struct journal_counters){0} : journal->counters;
}

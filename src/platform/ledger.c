/* ledger: adds lines to the file, and replaces it by its sums when it has become long. */
#include "platform/ledger.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/file.h"

char *ledger_path(const char *directory)
{
    return mem_printf("%s/ledger.jsonl", directory);
}

static bool file_open_again(struct ledger *ledger, struct err *err)
{
    uint64_t torn;
    if (!append_open(&ledger->file, ledger->path, &torn, err))
        return false;
    if (torn > 0)
        log_event(LOG_WARNING, "the ledger's last line was torn by a crash, and is dropped", LOG_N("bytes", torn));
    ledger->sum_at_bytes = ledger->file.bytes + LEDGER_BYTES_MAX;
    return true;
}

/* In the place of all lines. They stay if it fails. */
static bool sums_write(struct ledger *ledger, struct err *err)
{
    struct buf text = {0}, sums = {0};
    struct ledger_rows rows = {0};
    bool ok = file_read(ledger->path, LEDGER_READ_BYTES_MAX, &text, err);
    ledger_rows_read(&rows, buf_span(&text));
    ledger_rows_encode(&sums, &rows);
    ok = ok && file_replace(ledger->path, buf_span(&sums), err);
    if (ok) {
        append_close(&ledger->file);
        ok = file_open_again(ledger, err);
        log_event(LOG_INFO, "the ledger has become long, and is replaced by its sums a day", LOG_N("bytes", text.len),
                  LOG_N("bytes_now", sums.len), LOG_N("faulty_lines", rows.faulty));
    }
    ledger_rows_finish(&rows);
    buf_finish(&text);
    buf_finish(&sums);
    return ok;
}

static void shorten(struct ledger *ledger)
{
    struct err err;
    if (!sums_write(ledger, &err))
        log_event(LOG_WARNING, "the ledger cannot be replaced by its sums", LOG_C("error", err.text));
    ledger->sum_at_bytes = ledger->file.bytes + LEDGER_BYTES_MAX;
}

/* Tells it once, until the disk takes lines again. */
static void tell(struct ledger *ledger, const struct err *err)
{
    if (!ledger->failing)
        log_event(LOG_ERROR,
                  "the ledger cannot be written, and is tried again each second: make room on the disk, or what "
                  "`sennit bill` says is too little",
                  LOG_C("file", ledger->path), LOG_C("error", err->text));
    ledger->failing = true;
}

static bool write_pending(struct ledger *ledger)
{
    struct err err;
    if (ledger->pending.len == 0)
        return true;
    bool ok = ledger->file.fd >= 0 || file_open_again(ledger, &err);
    if (!ok || !append_lines(&ledger->file, buf_span(&ledger->pending), &err)) {
        tell(ledger, &err);
        return false;
    }
    buf_clear(&ledger->pending);
    if (ledger->failing)
        log_event(LOG_NOTICE, "the ledger is written again", LOG_N("lines_lost", ledger->lost));
    ledger->failing = false;
    ledger->lost = 0;
    return true;
}

static void on_sync(struct timer *timer)
{
    struct ledger *ledger = container_of(timer, struct ledger, sync);
    struct err err;
    if (!write_pending(ledger)) {
        timer_start(ledger->loop, timer, LOOP_MS(LEDGER_SYNC_MS));
        return;
    }
    if (ledger->file.bytes >= ledger->sum_at_bytes)
        shorten(ledger);
    if (ledger->file.fd >= 0 && !append_sync(&ledger->file, &err))
        tell(ledger, &err);
}

void ledger_open(struct ledger *ledger, struct loop *loop, const char *directory)
{
    struct err err;
    *ledger = (struct ledger){.loop = loop, .path = ledger_path(directory), .file = {.fd = -1}};
    timer_init(&ledger->sync, on_sync);
    if (file_open_again(ledger, &err)) {
        if (ledger->file.bytes >= LEDGER_BYTES_MAX)
            shorten(ledger);
        return;
    }
    log_event(LOG_WARNING, "no ledger: `sennit bill` will not know of this sennit up", LOG_C("error", err.text));
    free(ledger->path);
    ledger->path = NULL;
}

static void line_encode(struct buf *to, int64_t time_ms, const struct ledger_line *line)
{
    const struct used *used = &line->used;
    buf_printf(to, "{\"time_ms\":%lld,\"service\":\"", (long long)time_ms);
    buf_append_json(to, span_str(line->service));
    if (line->revision != NULL)
        buf_printf(to, "\",\"revision\":\"%s", line->revision);
    if (line->instance != NULL)
        buf_printf(to, "\",\"instance\":\"%s", line->instance);
    buf_printf(to, "\",\"kind\":\"%s\",\"ms\":%llu,\"vcpu_us\":%llu,\"mib_ms\":%llu,\"requests\":%llu}\n",
               meter_kind_name(line->kind), (unsigned long long)used->ms, (unsigned long long)used->vcpu_us,
               (unsigned long long)used->mib_ms, (unsigned long long)used->requests);
}

void ledger_add(struct ledger *ledger, const struct ledger_line *line)
{
    if (ledger->path == NULL)
        return;
    if (ledger->pending.len > LEDGER_PENDING_BYTES_MAX) {
        ledger->lost++;
        return;
    }
    line_encode(&ledger->pending, loop_wall_ms(ledger->loop), line);
    if (!ledger->failing)
        write_pending(ledger);
    if (!timer_running(&ledger->sync))
        timer_start(ledger->loop, &ledger->sync, LOOP_MS(LEDGER_SYNC_MS));
}

void ledger_close(struct ledger *ledger)
{
    struct err err;
    if (ledger->path == NULL)
        return;
    timer_stop(ledger->loop, &ledger->sync);
    if (write_pending(ledger) && !append_sync(&ledger->file, &err))
        tell(ledger, &err);
    append_close(&ledger->file);
    buf_finish(&ledger->pending);
    free(ledger->path);
    ledger->path = NULL;
}

void ledger_rows_encode(struct buf *to, const struct ledger_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        const struct ledger_row *row = &rows->list[i];
        for (int kind = 0; kind < METER_KINDS; kind++) {
            const struct ledger_line line = {
                .service = row->service, .kind = (enum meter_kind)kind, .used = row->usage.kinds[kind]};
            if (line.used.ms > 0 || line.used.requests > 0)
                line_encode(to, row->day * LEDGER_DAY_MS, &line);
        }
    }
}

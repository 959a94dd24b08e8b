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

static const struct lines_texts texts = {
    .failing = "the ledger cannot be written, and is tried again each second: make room on the disk, or what "
               "`sennit bill` says is too little",
    .again = "the ledger is written again",
    .torn = "the ledger's last line was torn by a crash, and is dropped",
};

static void sum_later(struct ledger *ledger)
{
    ledger->sum_at_bytes = ledger->lines.file.bytes + LEDGER_BYTES_MAX;
}

/* In the place of all lines. They stay if it fails. */
static bool sums_write(struct ledger *ledger, struct err *err)
{
    struct buf text = {0}, sums = {0};
    struct ledger_rows rows = {0};
    const char *path = ledger->lines.path;
    bool ok = file_read(path, LEDGER_READ_BYTES_MAX, &text, err);
    ledger_rows_read(&rows, buf_span(&text));
    ledger_rows_encode(&sums, &rows);
    ok = ok && file_replace(path, buf_span(&sums), err);
    if (ok) {
        ok = lines_reopen(&ledger->lines, err);
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
    sum_later(ledger);
}

static void on_sync(struct timer *timer)
{
    struct ledger *ledger = container_of(timer, struct ledger, sync);
    struct err err;
    if (!lines_write(&ledger->lines)) {
        timer_start(ledger->loop, timer, LOOP_MS(LEDGER_SYNC_MS));
        return;
    }
    if (ledger->lines.file.bytes >= ledger->sum_at_bytes)
        shorten(ledger);
    if (ledger->lines.file.fd >= 0 && !append_sync(&ledger->lines.file, &err))
        lines_tell(&ledger->lines, &err);
}

void ledger_open(struct ledger *ledger, struct loop *loop, const char *directory)
{
    struct err err;
    *ledger = (struct ledger){.loop = loop};
    timer_init(&ledger->sync, on_sync);
    if (!lines_open(&ledger->lines, &texts, ledger_path(directory), &err)) {
        log_event(LOG_WARNING, "no ledger: `sennit bill` will not know of this sennit up", LOG_C("error", err.text));
        return;
    }
    sum_later(ledger);
    if (ledger->lines.file.bytes >= LEDGER_BYTES_MAX)
        shorten(ledger);
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
    struct lines *lines = &ledger->lines;
    if (lines->path == NULL)
        return;
    if (lines->pending.len > LEDGER_PENDING_BYTES_MAX) {
        lines->lost++;
        return;
    }
    line_encode(&lines->pending, loop_wall_ms(ledger->loop), line);
    if (!lines->failing)
        lines_write(lines);
    if (!timer_running(&ledger->sync))
        timer_start(ledger->loop, &ledger->sync, LOOP_MS(LEDGER_SYNC_MS));
}

void ledger_close(struct ledger *ledger)
{
    struct err err;
    if (ledger->lines.path == NULL)
        return;
    timer_stop(ledger->loop, &ledger->sync);
    if (lines_write(&ledger->lines) && !append_sync(&ledger->lines.file, &err))
        lines_tell(&ledger->lines, &err);
    lines_close(&ledger->lines);
}

void ledger_rows_encode(struct buf *to, const struct ledger_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        const struct ledger_row *row = &rows->list[i];
        for (int kind = 0; kind < METER_KINDS; kind++) {
            const struct ledger_line line = {
                .service = row->service, .kind = (enum meter_kind)kind, .used = row->usage.kinds[kind]};
            if ((line.used.ms | line.used.vcpu_us | line.used.mib_ms | line.used.requests) != 0)
                line_encode(to, row->day * LEDGER_DAY_MS, &line);
        }
    }
}

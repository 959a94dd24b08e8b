/* logfile: writes lines, begins a new file when one is full, and reads both back. */
#include "platform/logfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/file.h"
#include "platform/logbook.h"
#include "wire/json.h"

static char *path_make(const char *directory, bool old)
{
    return mem_printf("%s/%s", directory, old ? "logs.old.jsonl" : "logs.jsonl");
}

static const struct lines_texts texts = {
    .failing =
        "the log's file cannot be written, and is tried again: make room on the disk, or `sennit logs` will lack "
        "entries when this sennit up has ended",
    .again = "the log's file is written again",
};

/* The full file becomes the old one. */
static void turn(struct logfile *logfile)
{
    struct err err;
    append_close(&logfile->lines.file);
    if (!file_move(logfile->lines.path, logfile->old_path, &err))
        lines_tell(&logfile->lines, &err);
}

static bool write_pending(struct logfile *logfile)
{
    if (logfile->lines.file.fd >= 0 && logfile->lines.file.bytes >= LOGFILE_BYTES_MAX)
        turn(logfile);
    return lines_write(&logfile->lines);
}

static void on_write(struct timer *timer)
{
    struct logfile *logfile = container_of(timer, struct logfile, write);
    if (!write_pending(logfile))
        timer_start(logfile->loop, timer, LOOP_MS(LOGFILE_MS * 10));
}

void logfile_open(struct logfile *logfile, struct loop *loop, const char *directory)
{
    struct err err;
    *logfile = (struct logfile){.loop = loop, .old_path = path_make(directory, true)};
    timer_init(&logfile->write, on_write);
    if (lines_open(&logfile->lines, &texts, path_make(directory, false), &err))
        return;
    log_event(LOG_WARNING, "no file for the log: `sennit logs` will not know of this sennit up when it has ended",
              LOG_C("error", err.text));
    free(logfile->old_path);
}

void logfile_add(struct logfile *logfile, struct span line)
{
    struct lines *lines = &logfile->lines;
    if (lines->path == NULL)
        return;
    if (lines->pending.len + line.len > LOGFILE_PENDING_BYTES_MAX && !lines->failing)
        write_pending(logfile);
    if (lines->pending.len + line.len > LOGFILE_PENDING_BYTES_MAX) {
        lines->lost++;
        return;
    }
    buf_append(&lines->pending, line);
    buf_append_char(&lines->pending, '\n');
    if (!timer_running(&logfile->write))
        timer_start(logfile->loop, &logfile->write, LOOP_MS(LOGFILE_MS));
}

void logfile_close(struct logfile *logfile)
{
    if (logfile->lines.path == NULL)
        return;
    timer_stop(logfile->loop, &logfile->write);
    if (logfile->lines.pending.len > 0)
        write_pending(logfile);
    lines_close(&logfile->lines);
    free(logfile->old_path);
}

static bool is_equal(struct span object, const char *key, const char *wanted)
{
    if (wanted == NULL)
        return true;
    struct span value = object.data != NULL ? json_object_get(object, span_str(key)) : object;
    return value.data != NULL && json_type(value) == JSON_STRING && json_string_equal(value, span_str(wanted));
}

/* Times of one form are in the order of their texts. */
static bool is_since(struct span time, const char *since)
{
    size_t len = since != NULL ? strlen(since) : 0;
    return len == 0 || (time.len >= len && memcmp(time.data, since, len) >= 0);
}

static bool is_wanted(struct span entry, struct span time, const struct logfile_query *query)
{
    struct span resource = json_object_get(entry, SPAN_LIT("resource")), severity;
    struct span labels = resource.data != NULL ? json_object_get(resource, SPAN_LIT("labels")) : resource;
    enum log_severity known = SEVERITY_DEFAULT;
    severity = json_object_get(entry, SPAN_LIT("severity"));
    if (severity.len > 2 && log_severity_parse(span_sub(severity, 1, severity.len - 2), &known) &&
        (int)known < query->severity_min)
        return false;
    return is_since(time, query->since) && is_equal(labels, "service_name", query->service) &&
           is_equal(labels, "revision_name", query->revision) && is_equal(labels, "instance", query->instance);
}

static bool one_read(const char *path, const struct logfile_query *query,
                     void (*entry)(struct span entry, void *context), void *context, char last[32], struct err *err)
{
    struct buf text = {0};
    bool ok = file_read(path, LOGFILE_BYTES_MAX * 2, &text, err);
    struct span rest = buf_span(&text), line;
    while (rest.len > 0 && memchr(rest.data, '\n', rest.len) != NULL && span_next(&rest, '\n', &line)) {
        if (!json_is_valid(line) || json_type(line) != JSON_OBJECT)
            continue;
        struct span time = json_object_get(line, SPAN_LIT("timestamp"));
        if (time.len < 3)
            continue;
        time = span_sub(time, 1, time.len - 2);
        snprintf(last, 32, SPAN_FMT, SPAN_ARG(span_sub(time, 0, 31)));
        if (is_wanted(line, time, query))
            entry(line, context);
    }
    buf_finish(&text);
    return ok;
}

bool logfile_read(const char *directory, const struct logfile_query *query,
                  void (*entry)(struct span entry, void *context), void *context, char last[32], struct err *err)
{
    struct err ignored;
    char *old = path_make(directory, true), *path = path_make(directory, false);
    last[0] = '\0';
    bool has_old = file_exists(old) && one_read(old, query, entry, context, last, &ignored);
    bool ok = file_exists(path) ? one_read(path, query, entry, context, last, err) : has_old;
    if (!ok && !file_exists(path))
        err_set(err, "there is no %.300s", path);
    free(old);
    free(path);
    return ok;
}

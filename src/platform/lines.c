/* lines: writes, and tells what the disk does. */
#include "platform/lines.h"

#include <stdlib.h>

#include "base/log.h"

bool lines_reopen(struct lines *lines, struct err *err)
{
    uint64_t torn;
    append_close(&lines->file);
    if (!append_open(&lines->file, lines->path, &torn, err))
        return false;
    if (torn > 0 && lines->texts->torn != NULL)
        log_event(LOG_WARNING, lines->texts->torn, LOG_N("bytes", torn));
    return true;
}

bool lines_open(struct lines *lines, const struct lines_texts *texts, char *path, struct err *err)
{
    *lines = (struct lines){.texts = texts, .path = path, .file = {.fd = -1}};
    if (lines_reopen(lines, err))
        return true;
    lines_close(lines);
    return false;
}

void lines_tell(struct lines *lines, const struct err *err)
{
    if (!lines->failing)
        log_event(LOG_ERROR, lines->texts->failing, LOG_C("file", lines->path), LOG_C("error", err->text));
    lines->failing = true;
}

bool lines_write(struct lines *lines)
{
    struct err err;
    if (lines->pending.len == 0)
        return true;
    bool ok = lines->file.fd >= 0 || lines_reopen(lines, &err);
    if (!ok || !append_lines(&lines->file, buf_span(&lines->pending), &err)) {
        lines_tell(lines, &err);
        return false;
    }
    buf_clear(&lines->pending);
    if (lines->failing)
        log_event(LOG_NOTICE, lines->texts->again, LOG_N("lines_lost", lines->lost));
    lines->failing = false;
    lines->lost = 0;
    return true;
}

void lines_close(struct lines *lines)
{
    if (lines->path == NULL)
        return;
    append_close(&lines->file);
    buf_finish(&lines->pending);
    free(lines->path);
    lines->path = NULL;
}

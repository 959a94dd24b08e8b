/* log: writes a line as text or as JSON, with its fields escaped. */
#include "base/log.h"

#include <stdio.h>
#include <time.h>

#include "base/shown.h"

static struct {
    enum log_format format;
    enum log_level lowest;
    log_clock_fn *clock;
    log_sink_fn *sink;
} state = {LOG_TEXT, LOG_INFO, NULL, NULL};

static const char *const severity[] = {"DEBUG", "INFO", "NOTICE", "WARNING", "ERROR"};

void log_init(enum log_format format, enum log_level lowest, log_clock_fn *clock, log_sink_fn *sink)
{
    state.format = format;
    state.lowest = lowest;
    if (clock != NULL)
        state.clock = clock;
    if (sink != NULL)
        state.sink = sink;
}

bool log_enabled(enum log_level level)
{
    return level >= state.lowest;
}

static void append_time(struct buf *line, int64_t ms, const char *format)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    char text[32];
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, format, &parts);
    buf_printf(line, "%s.%03d", text, (int)(ms % 1000));
}

static void json_value_append(struct buf *line, struct span text)
{
    struct span kept = shown_cut(text, LOG_VALUE_BYTES_MAX);
    buf_append_json(line, kept);
    if (kept.len < text.len)
        buf_append(line, SPAN_LIT("..."));
}

static void append_json(struct buf *line, enum log_level level, const char *message, int64_t ms,
                        const struct log_field *fields, size_t count)
{
    buf_printf(line, "{\"severity\":\"%s\",\"message\":\"", severity[level]);
    json_value_append(line, span_str(message));
    buf_append_char(line, '"');
    if (ms >= 0) {
        buf_append(line, SPAN_LIT(",\"time\":\""));
        append_time(line, ms, "%Y-%m-%dT%H:%M:%S");
        buf_append(line, SPAN_LIT("Z\""));
    }
    for (size_t i = 0; i < count; i++) {
        buf_append(line, SPAN_LIT(",\""));
        buf_append_json(line, span_str(fields[i].key));
        if (fields[i].is_number) {
            buf_printf(line, "\":%lld", (long long)fields[i].number);
        } else {
            buf_append(line, SPAN_LIT("\":\""));
            json_value_append(line, fields[i].text);
            buf_append_char(line, '"');
        }
    }
    buf_append(line, SPAN_LIT("}\n"));
}

static void append_text(struct buf *line, enum log_level level, const char *message, int64_t ms,
                        const struct log_field *fields, size_t count)
{
    if (ms >= 0) {
        append_time(line, ms, "%H:%M:%S");
        buf_append_char(line, ' ');
    }
    if (level != LOG_INFO)
        buf_printf(line, "%s ", severity[level]);
    shown_append(line, span_str(message), LOG_VALUE_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        buf_printf(line, " %s=", fields[i].key);
        if (fields[i].is_number)
            buf_printf(line, "%lld", (long long)fields[i].number);
        else
            shown_append_value(line, fields[i].text, LOG_VALUE_BYTES_MAX);
    }
    buf_append_char(line, '\n');
}

void log_write(enum log_level level, const char *message, const struct log_field *fields, size_t field_count)
{
    if (!log_enabled(level))
        return;
    struct buf line = {0};
    int64_t ms = state.clock != NULL ? state.clock() : -1;
    if (state.format == LOG_JSON)
        append_json(&line, level, message, ms, fields, field_count);
    else
        append_text(&line, level, message, ms, fields, field_count);
    if (state.sink != NULL) {
        state.sink(buf_span(&line));
    } else {
        fwrite(line.data + line.off, 1, line.len, stdout);
        fflush(stdout);
    }
    buf_finish(&line);
}

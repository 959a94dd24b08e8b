/* log_options: --log-format and --log-level, which the commands share. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/shown.h"
#include "embed/command_line.h"
#include "loop/file.h"
#include "loop/loop.h"

enum { KEY_LOG_FORMAT = 1000, KEY_LOG_LEVEL };

static const struct argp_option options[] = {
    {"log-format", KEY_LOG_FORMAT, "FORMAT", 0, "text or json (SENNIT_LOG_FORMAT; default: text on a terminal)", 0},
    {"log-level", KEY_LOG_LEVEL, "LEVEL", 0, "debug, info, notice, warning or error (default info)", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct cli_log *log = state->input;
    switch (key) {
    case KEY_LOG_FORMAT:
        log->format = argument;
        break;
    case KEY_LOG_LEVEL:
        log->level = argument;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp log_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};
const struct argp_child cli_log_child[] = {{&log_argp, 0, NULL, 0}, {0}};

static bool format_read(const char *format, enum log_format *to, struct err *err)
{
    const char *where = format != NULL ? "--log-format" : "SENNIT_LOG_FORMAT";
    if (format == NULL)
        format = getenv("SENNIT_LOG_FORMAT");
    if (format == NULL)
        *to = file_stdout_is_terminal() ? LOG_TEXT : LOG_JSON;
    else if (strcmp(format, "text") == 0)
        *to = LOG_TEXT;
    else if (strcmp(format, "json") == 0)
        *to = LOG_JSON;
    else
        return err_set(err, "%s: expected text or json, found %s", where, SHOWN_FOUND(span_str(format)));
    return true;
}

static bool level_read(const char *level, enum log_level *to, struct err *err)
{
    static const char *const levels[] = {"debug", "info", "notice", "warning", "error"};
    if (level == NULL)
        return true;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(level, levels[i]) != 0)
            continue;
        *to = (enum log_level)i;
        return true;
    }
    return err_set(err, "--log-level: expected debug, info, notice, warning or error, found %s",
                   SHOWN_FOUND(span_str(level)));
}

bool cli_log_begin(const struct cli_log *log, bool *text, struct err *err)
{
    enum log_format format = LOG_JSON;
    enum log_level level = LOG_INFO;
    if (!format_read(log->format, &format, err) || !level_read(log->level, &level, err))
        return false;
    log_init(format, level, loop_clock_ms, NULL);
    if (text != NULL)
        *text = format == LOG_TEXT;
    return true;
}

/* log_options: what the commands have in common: the log's format and level, and how a failure is told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"
#include "loop/file.h"
#include "loop/loop.h"

bool cli_log(const char *format, const char *level, struct err *err)
{
    static const char *const levels[] = {"debug", "info", "notice", "warning", "error"};
    enum log_format chosen = file_stdout_is_terminal() ? LOG_TEXT : LOG_JSON;
    enum log_level lowest = LOG_INFO;
    if (format == NULL)
        format = getenv("SENNIT_LOG_FORMAT");
    if (format != NULL && strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
        return err_set(err, "--log-format: expected text or json, found \"%s\"", format);
    if (format != NULL)
        chosen = strcmp(format, "text") == 0 ? LOG_TEXT : LOG_JSON;
    if (level != NULL) {
        size_t i = 0;
        while (i < sizeof levels / sizeof levels[0] && strcmp(level, levels[i]) != 0)
            i++;
        if (i == sizeof levels / sizeof levels[0])
            return err_set(err, "--log-level: expected debug, info, notice, warning or error, found \"%s\"", level);
        lowest = (enum log_level)i;
    }
    log_init(chosen, lowest, loop_clock_ms, NULL);
    return true;
}

int cli_fail(const char *command, const struct err *err)
{
    fprintf(stderr, "sennit %s: %s\n", command, err->text);
    return 1;
}

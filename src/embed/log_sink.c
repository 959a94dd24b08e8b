/* log_sink: the log's lines for a program that has a log of its own. The log is the process's, and so is its sink. */
#include <sennit.h>

#include "base/log.h"
#include "loop/loop.h"

static void (*taken_by)(const char *line, size_t bytes);

static void pass_on(struct span line)
{
    taken_by(line.data, line.len);
}

void sennit_log_to(void (*sink)(const char *line, size_t bytes))
{
    if (sink == NULL)
        return;
    taken_by = sink;
    log_init(LOG_JSON, LOG_INFO, loop_clock_ms, pass_on);
}

/* log: one line an event, on stdout.
 *
 * On a terminal a line is for people; elsewhere it is one JSON object a line, with the keys Cloud Logging knows:
 * `severity`, `message`, `time` (RFC 3339, UTC), `logging.googleapis.com/trace` when there is one, and the fields
 * given. A value may come from anybody: in either format it is written by base/shown.h, so that no value reaches the
 * terminal as control characters, ends its line, or passes for another field; one beyond LOG_VALUE_BYTES_MAX is cut,
 * with "..." behind. The message is ours; text from outside goes into a field.
 *
 * Every layer writes here; the commands of cli call log_init once, before anything else, and give it a clock, because
 * this layer has none. The log's settings and the counters of base/frame.h are the only variables of src that belong to
 * no object (`tools/tidy.py` refuses others). */
#ifndef SENNIT_BASE_LOG_H
#define SENNIT_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_NOTICE, LOG_WARNING, LOG_ERROR };

enum log_format { LOG_TEXT, LOG_JSON };

enum { LOG_VALUE_BYTES_MAX = 4096 }; /* of one value, before it is escaped */

/* One key and value behind the message. Build with the macros below. */
struct log_field {
    const char *key;
    struct span text; /* when `is_number` is false */
    int64_t number;
    bool is_number;
};

#define LOG_S(name, value) ((struct log_field){.key = (name), .text = (value)})
#define LOG_C(name, value) ((struct log_field){.key = (name), .text = span_str(value)})
#define LOG_N(name, value) ((struct log_field){.key = (name), .number = (int64_t)(value), .is_number = true})

/* Wall clock in milliseconds since 1970, asked once a line. */
typedef int64_t log_clock_fn(void);
/* Takes a finished line, its newline included. */
typedef void log_sink_fn(struct span line);

/* Sets format, lowest level written, clock and sink; before it, lines are text on stdout without a time. NULL leaves a
 * function as it is. */
void log_init(enum log_format format, enum log_level lowest, log_clock_fn *clock, log_sink_fn *sink);

/* True when a line of this level would be written, so that a caller can skip work that only the line needs. */
bool log_enabled(enum log_level level);

void log_write(enum log_level level, const char *message, const struct log_field *fields, size_t field_count);

/* log_event(LOG_INFO, "listening", LOG_N("port", port), LOG_C("service", name)); */
#define log_event(level, message, ...) \
    do { \
        if (log_enabled(level)) { \
            const struct log_field log_fields_[] = {{0}, ##__VA_ARGS__}; \
            log_write((level), (message), log_fields_ + 1, sizeof log_fields_ / sizeof log_fields_[0] - 1); \
        } \
    } while (0)

#endif

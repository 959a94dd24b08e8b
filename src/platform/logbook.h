/* logbook: what the last requests and programs of a service have logged, kept in memory for `sennit logs`, and handed
 * on to a file (logfile.h). Entries are Cloud Logging's LogEntry: a request, a line of a program's output, or an event
 * of the platform. A service owns its logbook, the catalog the list of all of them, which gives the entries one order.
 * https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry and
 * https://cloud.google.com/logging/docs/structured-logging */
#ifndef SENNIT_PLATFORM_LOGBOOK_H
#define SENNIT_PLATFORM_LOGBOOK_H

#include "base/buf.h"
#include "base/list.h"
#include "base/log.h"
#include "loop/loop.h"

enum {
    LOGBOOK_BYTES_MAX = 4 << 20,        /* of one service: the oldest entries go */
    LOGBOOK_ENTRIES_MAX = 10000,        /* likewise */
    LOGBOOK_ANSWER_BYTES_MAX = 1 << 20, /* of entries in one answer; the next one goes on behind them */
};

/* Cloud Logging's LogSeverity, in its order. */
#define LOG_SEVERITIES(X) X(DEFAULT) X(DEBUG) X(INFO) X(NOTICE) X(WARNING) X(ERROR) X(CRITICAL) X(ALERT) X(EMERGENCY)
enum log_severity {
#define X(name) SEVERITY_##name,
    LOG_SEVERITIES(X)
#undef X
        SEVERITIES
};
/* In any case of letters, and with the short forms that Cloud Logging's agent knows (warn, err, crit, fatal, trace
 * ...). False: no such severity. */
bool log_severity_parse(struct span text, enum log_severity *severity);

/* Of a level of base/log.h. */
enum log_severity log_severity_of(enum log_level level);

/* Where an entry comes from; also the last part of its `logName`. */
enum log_source { LOG_OF_REQUEST, LOG_OF_STDOUT, LOG_OF_STDERR, LOG_OF_PLATFORM };

/* A time as entries have it: 2026-11-28T15:00:00.123Z. */
enum { LOGBOOK_TIME_BYTES = 48 };
void logbook_time_print(char text[LOGBOOK_TIME_BYTES], int64_t ms);

struct logfile;
struct logbooks {
    struct loop *loop;
    struct logfile *file; /* gets each entry, too; NULL: none */
    struct list books;
    uint64_t next; /* number of the next entry; begins with the time, so numbers of an earlier `sennit up` are lower */
};

/* Zeroed memory is one that keeps nothing: all calls are harmless. */
struct logbook {
    struct logbooks *books;
    struct list of_books, entries;
    const char *service;
    size_t bytes;
    uint32_t count;
    uint64_t dropped; /* entries that had to go */
};

void logbooks_init(struct logbooks *books, struct loop *loop);
/* `service`, its name, outlives the logbook. */
void logbook_open(struct logbook *book, struct logbooks *books, const char *service);
void logbook_finish(struct logbook *book); /* accepts zeroed memory */

/* Of which revision and instance an entry is; each may be NULL. Copied. */
struct log_origin {
    const char *revision, *instance;
};
/* Adds an entry. `members` are JSON members of a LogEntry, of strangers' text as valid JSON, without comma in front. */
void logbook_add(struct logbook *book, enum log_source source, enum log_severity severity, struct log_origin origin,
                 struct span members);
/* Adds a line of output, of STDOUT or STDERR. An object in JSON is understood as Cloud Logging does: `severity`, the
 * trace and its other special fields become the entry's own, `message` alone its text, the rest its payload. */
void logbook_add_line(struct logbook *book, enum log_source source, struct log_origin origin, struct span line);
/* Writes an event of the platform into the log (base/log.h), and adds it. */
void logbook_event(struct logbook *book, struct log_origin origin, enum log_level level, const char *message,
                   const struct log_field *fields, size_t field_count);
#define LOGBOOK_EVENT(book, origin, level, message, ...) \
    do { \
        const struct log_field log_fields_[] = {{0}, ##__VA_ARGS__}; \
        logbook_event((book), (origin), (level), (message), log_fields_ + 1, \
                      sizeof log_fields_ / sizeof log_fields_[0] - 1); \
    } while (0)

/* Which entries are wanted; NULL and 0: all. */
struct logbook_query {
    const char *service, *revision, *instance;
    enum log_severity severity_min;
    int64_t since_ms; /* wall clock */
    uint64_t after;   /* number of the last entry that is known */
};
/* Appends the entries in their order, as JSON objects with commas between them. Returns the number of the last entry
 * that was looked at; `*more`: LOGBOOK_ANSWER_BYTES_MAX ended the answer. */
uint64_t logbook_query(const struct logbooks *books, const struct logbook_query *query, struct buf *to, bool *more);

#endif

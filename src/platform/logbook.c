/* logbook: adds entries, drops the oldest, and merges several services' entries by their numbers. */
#include "platform/logbook.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/shown.h"
#include "platform/logfile.h"
#include "wire/json.h"

struct entry {
    struct list of_book;
    uint64_t number;
    int64_t time_ms;
    char *revision, *instance, *members;
    size_t len; /* of `members` */
    uint8_t source, severity;
};

static const char *const severities[] = {
#define X(name) #name,
    LOG_SEVERITIES(X)
#undef X
};

enum log_severity log_severity_of(enum log_level level)
{
    static const enum log_severity as_severity[] = {[LOG_DEBUG] = SEVERITY_DEBUG,
                                                    [LOG_INFO] = SEVERITY_INFO,
                                                    [LOG_NOTICE] = SEVERITY_NOTICE,
                                                    [LOG_WARNING] = SEVERITY_WARNING,
                                                    [LOG_ERROR] = SEVERITY_ERROR};
    return as_severity[level];
}

bool log_severity_parse(struct span text, enum log_severity *severity)
{
    static const struct {
        const char *name;
        enum log_severity severity;
    } others[] = {{"trace", SEVERITY_DEBUG},    {"warn", SEVERITY_WARNING},   {"err", SEVERITY_ERROR},
                  {"crit", SEVERITY_CRITICAL},  {"fatal", SEVERITY_CRITICAL}, {"emerg", SEVERITY_EMERGENCY},
                  {"panic", SEVERITY_EMERGENCY}};
    for (int i = 0; i < SEVERITIES; i++) {
        *severity = (enum log_severity)i;
        if (span_equal_nocase(text, span_str(severities[i])))
            return true;
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        *severity = others[i].severity;
        if (span_equal_nocase(text, span_str(others[i].name)))
            return true;
    }
    *severity = SEVERITY_DEFAULT;
    return false;
}

static struct entry *entry_of(struct list *node)
{
    return container_of(node, struct entry, of_book);
}

static struct logbook *book_of(struct list *node)
{
    return container_of(node, struct logbook, of_books);
}

void logbooks_init(struct logbooks *books, struct loop *loop)
{
    *books = (struct logbooks){.loop = loop, .next = (uint64_t)loop_wall_ms(loop) * 1000};
    list_init(&books->books);
}

void logbook_open(struct logbook *book, struct logbooks *books, const char *service)
{
    *book = (struct logbook){.books = books, .service = service};
    list_init(&book->entries);
    list_append(&books->books, &book->of_books);
}

static size_t size_of(const struct entry *entry)
{
    return sizeof *entry + entry->len;
}

static void entry_drop(struct logbook *book, struct entry *entry)
{
    book->bytes -= size_of(entry);
    book->count--;
    list_remove(&entry->of_book);
    free(entry->revision);
    free(entry->instance);
    free(entry->members);
    free(entry);
}

void logbook_finish(struct logbook *book)
{
    if (book->books == NULL)
        return;
    list_remove(&book->of_books);
    while (!list_empty(&book->entries))
        entry_drop(book, entry_of(book->entries.next));
    book->books = NULL;
}

void logbook_time_print(char text[LOGBOOK_TIME_BYTES], int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t len = strftime(text, LOGBOOK_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + len, LOGBOOK_TIME_BYTES - len, ".%03dZ", (int)(ms % 1000));
}

static void name_append(struct buf *to, const char *key, const char *text)
{
    if (text == NULL)
        return;
    buf_printf(to, ",\"%s\":\"", key);
    buf_append_json(to, span_str(text));
    buf_append_char(to, '"');
}

/* https://cloud.google.com/run/docs/logging : the names of the logs, and the resource. */
static void entry_encode(struct buf *to, const struct logbook *book, const struct entry *entry)
{
    static const char *const sources[] = {[LOG_OF_REQUEST] = "requests",
                                          [LOG_OF_STDOUT] = "stdout",
                                          [LOG_OF_STDERR] = "stderr",
                                          [LOG_OF_PLATFORM] = "varlog/system"};
    char time[LOGBOOK_TIME_BYTES];
    logbook_time_print(time, entry->time_ms);
    buf_printf(to, "{\"timestamp\":\"%s\"", time);
    buf_printf(to,
               ",\"severity\":\"%s\",\"logName\":\"run.googleapis.com/%s\",\"resource\":{\"type\":"
               "\"cloud_run_revision\",\"labels\":{\"service_name\":\"%s\"",
               severities[entry->severity], sources[entry->source], book->service);
    name_append(to, "revision_name", entry->revision);
    name_append(to, "instance", entry->instance);
    buf_printf(to, "}}," SPAN_FMT "}", SPAN_ARG(span_of(entry->members, entry->len)));
}

static void file_add(struct logbook *book, const struct entry *entry)
{
    struct buf line = {0};
    if (book->books->file == NULL)
        return;
    entry_encode(&line, book, entry);
    logfile_add(book->books->file, buf_span(&line));
    buf_finish(&line);
}

void logbook_add(struct logbook *book, enum log_source source, enum log_severity severity, struct log_origin origin,
                 struct span members)
{
    if (book == NULL || book->books == NULL)
        return;
    struct entry *entry = mem_zero(1, sizeof *entry);
    entry->number = book->books->next++;
    entry->time_ms = loop_wall_ms(book->books->loop);
    entry->source = (uint8_t)source;
    entry->severity = (uint8_t)severity;
    entry->revision = origin.revision != NULL ? mem_text(span_str(origin.revision)) : NULL;
    entry->instance = origin.instance != NULL ? mem_text(span_str(origin.instance)) : NULL;
    entry->members = mem_text(members);
    entry->len = members.len;
    list_append(&book->entries, &entry->of_book);
    file_add(book, entry);
    book->bytes += size_of(entry);
    book->count++;
    while (book->bytes > LOGBOOK_BYTES_MAX || book->count > LOGBOOK_ENTRIES_MAX) {
        entry_drop(book, entry_of(book->entries.next));
        book->dropped++;
    }
}

/* Fields of a program's line that are the entry's own. */
static const struct {
    const char *field, *member;
    enum json_type type;
} specials[] = {
    {"logging.googleapis.com/trace", "trace", JSON_STRING},
    {"logging.googleapis.com/spanId", "spanId", JSON_STRING},
    {"logging.googleapis.com/insertId", "insertId", JSON_STRING},
    {"logging.googleapis.com/operation", "operation", JSON_OBJECT},
    {"logging.googleapis.com/sourceLocation", "sourceLocation", JSON_OBJECT},
    {"logging.googleapis.com/labels", "labels", JSON_OBJECT},
    {"httpRequest", "httpRequest", JSON_OBJECT},
};

static bool special_take(struct buf *members, struct span key, struct span value)
{
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
        if (!json_string_equal(key, span_str(specials[i].field)) || json_type(value) != specials[i].type)
            continue;
        buf_printf(members, "%s\"%s\":", members->len > 0 ? "," : "", specials[i].member);
        shown_append_json_text(members, value);
        return true;
    }
    return false;
}

static bool severity_take(struct span key, struct span value, enum log_severity *severity)
{
    struct buf text = {0};
    if (!json_string_equal(key, SPAN_LIT("severity")) || json_type(value) != JSON_STRING)
        return false;
    json_string_decode(value, &text);
    bool known = log_severity_parse(buf_span(&text), severity);
    buf_finish(&text);
    return known;
}

/* Divides an object into the entry's members and its payload. */
static void object_add(struct logbook *book, enum log_source source, struct log_origin origin, struct span line)
{
    struct buf members = {0}, payload = {0};
    struct span rest = json_trim(line), key, value, message = {0};
    enum log_severity severity = SEVERITY_DEFAULT;
    size_t fields = 0;
    while (json_object_next(&rest, &key, &value)) {
        if (severity_take(key, value, &severity) || special_take(&members, key, value))
            continue;
        if (json_string_equal(key, SPAN_LIT("message")) && json_type(value) == JSON_STRING)
            message = value;
        buf_append(&payload, fields++ > 0 ? SPAN_LIT(",") : SPAN_LIT(""));
        shown_append_json_text(&payload, key);
        buf_append_char(&payload, ':');
        shown_append_json_text(&payload, value);
    }
    buf_append(&members, members.len > 0 ? SPAN_LIT(",") : SPAN_LIT(""));
    if (fields == 1 && message.data != NULL) {
        buf_append(&members, SPAN_LIT("\"textPayload\":"));
        shown_append_json_text(&members, message);
    } else {
        buf_printf(&members, "\"jsonPayload\":{" SPAN_FMT "}", SPAN_ARG(buf_span(&payload)));
    }
    logbook_add(book, source, severity, origin, buf_span(&members));
    buf_finish(&members);
    buf_finish(&payload);
}

void logbook_add_line(struct logbook *book, enum log_source source, struct log_origin origin, struct span line)
{
    struct buf members = {0};
    if (book == NULL || book->books == NULL)
        return;
    struct span text = span_trim(line);
    if (text.len > 0 && text.data[0] == '{' && json_is_valid(text)) {
        object_add(book, source, origin, text);
        return;
    }
    buf_append(&members, SPAN_LIT("\"textPayload\":\""));
    buf_append_json(&members, line);
    buf_append_char(&members, '"');
    logbook_add(book, source, SEVERITY_DEFAULT, origin, buf_span(&members));
    buf_finish(&members);
}

void logbook_event(struct logbook *book, struct log_origin origin, enum log_level level, const char *message,
                   const struct log_field *fields, size_t field_count)
{
    struct buf members = {0};
    log_write(level, message, fields, field_count);
    if (book == NULL || book->books == NULL)
        return;
    buf_append(&members, SPAN_LIT("\"jsonPayload\":{\"message\":\""));
    buf_append_json(&members, span_str(message));
    buf_append_char(&members, '"');
    for (size_t i = 0; i < field_count; i++) {
        buf_printf(&members, ",\"%s\":", fields[i].key);
        if (fields[i].is_number) {
            buf_printf(&members, "%lld", (long long)fields[i].number);
        } else {
            buf_append_char(&members, '"');
            buf_append_json(&members, shown_cut(fields[i].text, LOG_VALUE_BYTES_MAX));
            buf_append_char(&members, '"');
        }
    }
    buf_append_char(&members, '}');
    logbook_add(book, LOG_OF_PLATFORM, log_severity_of(level), origin, buf_span(&members));
    buf_finish(&members);
}

static bool is_named(const char *wanted, const char *name)
{
    return wanted == NULL || (name != NULL && span_equal(span_str(wanted), span_str(name)));
}

static bool is_wanted(const struct entry *entry, const struct logbook_query *query)
{
    return entry->severity >= query->severity_min && entry->time_ms >= query->since_ms &&
           is_named(query->revision, entry->revision) && is_named(query->instance, entry->instance);
}

/* The first entry behind `after`, of a book whose entries are in the order of their numbers; NULL: none. A follower
 * wants the last ones, so the search begins at the end. */
static struct list *first_behind(struct logbook *book, uint64_t after)
{
    struct list *node = book->entries.prev;
    while (node != &book->entries && entry_of(node)->number > after)
        node = node->prev;
    return node->next != &book->entries ? node->next : NULL;
}

/* One book of a query, and its next entry. */
struct cursor {
    struct logbook *book;
    struct list *node; /* NULL: its end */
};

static struct cursor *cursor_next(struct cursor *cursors, size_t count)
{
    struct cursor *first = NULL;
    for (size_t i = 0; i < count; i++)
        if (cursors[i].node != NULL &&
            (first == NULL || entry_of(cursors[i].node)->number < entry_of(first->node)->number))
            first = &cursors[i];
    return first;
}

static struct cursor *cursors_make(const struct logbooks *books, const struct logbook_query *query, size_t *count)
{
    size_t all = 0;
    list_each (node, &books->books) {
        all++;
    }
    struct cursor *cursors = mem_zero(all + 1, sizeof *cursors);
    *count = 0;
    list_each (node, &books->books) {
        if (is_named(query->service, book_of(node)->service))
            cursors[(*count)++] = (struct cursor){book_of(node), first_behind(book_of(node), query->after)};
    }
    return cursors;
}

uint64_t logbook_query(const struct logbooks *books, const struct logbook_query *query, struct buf *to, bool *more)
{
    size_t count, start = to->len;
    struct cursor *cursors = cursors_make(books, query, &count), *cursor;
    uint64_t last = query->after;
    *more = false;
    while (!*more && (cursor = cursor_next(cursors, count)) != NULL) {
        const struct entry *entry = entry_of(cursor->node);
        cursor->node = cursor->node->next != &cursor->book->entries ? cursor->node->next : NULL;
        last = entry->number;
        if (!is_wanted(entry, query))
            continue;
        if (to->len > start)
            buf_append_char(to, ',');
        entry_encode(to, cursor->book, entry);
        *more = to->len - start >= LOGBOOK_ANSWER_BYTES_MAX && cursor_next(cursors, count) != NULL;
    }
    free(cursors);
    return last;
}

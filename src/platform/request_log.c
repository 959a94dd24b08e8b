/* request_log: keeps what a line needs while a request is under way, and writes the line. */
#include "platform/request_log.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/shown.h"

static const struct {
    const char *who, *why;
    enum log_level level;
} ends[] = {
#define X(constant, who, why, level) {who, why, level},
    REQUEST_ENDS(X)
#undef X
};

static void tell_left_out(struct timer *timer)
{
    struct request_log *log = container_of(timer, struct request_log, tell);
    if (log->left_out > 0)
        log_event(LOG_WARNING, "requests have no line of their own, because there were too many in a second",
                  LOG_N("requests", log->left_out), LOG_N("lines_per_second", REQUEST_LOG_LINES_MAX));
    log->left_out = 0;
}

void request_log_init(struct request_log *log, struct loop *loop, enum request_log_choice choice)
{
    *log = (struct request_log){.loop = loop, .choice = choice};
    timer_init(&log->tell, tell_left_out);
}

void request_log_finish(struct request_log *log)
{
    if (log->loop == NULL)
        return;
    timer_stop(log->loop, &log->tell);
    tell_left_out(&log->tell);
}

static void trace_keep(struct request_record *record, struct span digits)
{
    if (digits.len != sizeof record->trace * 2)
        return;
    for (size_t i = 0; i < sizeof record->trace; i++)
        record->trace[i] = (uint8_t)(hex_digit(digits.data[2 * i]) << 4 | hex_digit(digits.data[2 * i + 1]));
    record->has_trace = true;
}

static void trace_print(const struct request_record *record, char digits[REQUEST_TRACE_BYTES * 2 + 1])
{
    for (size_t i = 0; i < sizeof record->trace; i++)
        snprintf(digits + 2 * i, 3, "%02x", record->trace[i]);
}

void request_record_begin(struct request_record *record, const struct request_log *log, const struct http1_head *head,
                          struct span trace)
{
    *record = (struct request_record){.began_us = loop_now_us(log->loop)};
    if (head == NULL)
        return;
    snprintf(record->method, sizeof record->method, SPAN_FMT, SPAN_ARG(head->method));
    if (log->choice == REQUEST_LOG_NONE) /* nobody will read it */
        return;
    record->target = mem_text(shown_cut(head->target, REQUEST_LOG_TARGET_BYTES_MAX));
    trace_keep(record, trace);
}

void request_record_ends(struct request_record *record, enum request_end end)
{
    if (record->ended)
        return;
    record->ended = true;
    record->end = (uint8_t)end;
}

void request_record_refused(struct request_record *record, enum denial denial, int status)
{
    request_record_ends(record, REQUEST_REFUSED);
    record->denial = (uint8_t)denial;
    record->status = (uint16_t)status;
}

void request_record_note(struct request_record *record, const char *sentence, struct span culprit)
{
    struct buf text = {0};
    if (record->detail != NULL)
        return;
    buf_append(&text, span_str(sentence));
    buf_append(&text, culprit.len > 0 ? SPAN_LIT(": ") : SPAN_LIT(""));
    shown_append(&text, culprit, REQUEST_LOG_CULPRIT_BYTES_MAX);
    record->detail = mem_text(buf_span(&text));
    buf_finish(&text);
}

/* One more line in this second. */
static bool has_room(struct request_log *log)
{
    uint64_t now = loop_now_us(log->loop);
    if (now - log->second_us >= LOOP_S(1)) {
        log->second_us = now;
        log->lines = 0;
    }
    if (log->lines++ < REQUEST_LOG_LINES_MAX)
        return true;
    if (log->left_out++ == 0)
        timer_start(log->loop, &log->tell, LOOP_S(1));
    return false;
}

static enum log_level level_of(const struct request_record *record)
{
    enum log_level level = ends[record->end].level;
    enum log_level by_status = record->status >= 500 ? LOG_ERROR : record->status >= 400 ? LOG_WARNING : LOG_INFO;
    if (record->detail != NULL && level < LOG_WARNING)
        level = LOG_WARNING;
    return level > by_status ? level : by_status;
}

static void line_write(const struct request_log *log, const struct request_record *record, enum log_level level,
                       const char *peer, const char *instance)
{
    bool refused = record->end == REQUEST_REFUSED;
    const char *why = refused ? denial_text((enum denial)record->denial) : ends[record->end].why;
    char trace[REQUEST_TRACE_BYTES * 2 + 1];
    struct log_field fields[13], *at = fields;
    *at++ = LOG_C("method", record->method);
    *at++ = LOG_C("path", record->target != NULL ? record->target : "");
    *at++ = LOG_N("status", record->status);
    *at++ = LOG_N("ms", (loop_now_us(log->loop) - record->began_us) / 1000);
    *at++ = LOG_C("instance", instance);
    *at++ = LOG_N("in", record->bytes_in);
    *at++ = LOG_N("out", record->bytes_out);
    *at++ = LOG_C("peer", peer);
    *at++ = LOG_C("ended_by", ends[record->end].who);
    if (refused)
        *at++ = LOG_C("reason", denial_reason((enum denial)record->denial));
    *at++ = LOG_C("why", why);
    if (record->detail != NULL)
        *at++ = LOG_C("detail", record->detail);
    if (record->has_trace) {
        trace_print(record, trace);
        *at++ = LOG_C("logging.googleapis.com/trace", trace);
    }
    log_write(level, "request", fields, (size_t)(at - fields));
}

static void member_append(struct buf *to, const char *before, struct span text)
{
    buf_append(to, span_str(before));
    buf_append_json(to, text);
    buf_append_char(to, '"');
}

/* As Cloud Run's request log: `httpRequest`, and a text where a request was not just answered. */
static void entry_add(const struct request_log *log, const struct request_record *record, enum log_level level,
                      const char *peer, struct logbook *book, struct log_origin origin)
{
    struct buf to = {0};
    bool refused = record->end == REQUEST_REFUSED;
    uint64_t ms = (loop_now_us(log->loop) - record->began_us) / 1000;
    member_append(&to, "\"httpRequest\":{\"requestMethod\":\"", span_str(record->method));
    member_append(&to, ",\"requestUrl\":\"", span_str(record->target != NULL ? record->target : ""));
    member_append(&to, ",\"remoteIp\":\"", span_str(peer));
    buf_printf(&to, ",\"status\":%u,\"requestSize\":\"%llu\",\"responseSize\":\"%llu\",\"latency\":\"%llu.%03us\"}",
               record->status, (unsigned long long)record->bytes_in, (unsigned long long)record->bytes_out,
               (unsigned long long)(ms / 1000), (unsigned)(ms % 1000));
    if (refused || record->end != REQUEST_ANSWERED)
        member_append(&to, ",\"textPayload\":\"",
                      span_str(refused ? denial_text((enum denial)record->denial) : ends[record->end].why));
    member_append(&to, ",\"labels\":{\"ended_by\":\"", span_str(ends[record->end].who));
    if (refused)
        member_append(&to, ",\"reason\":\"", span_str(denial_reason((enum denial)record->denial)));
    if (record->detail != NULL)
        member_append(&to, ",\"detail\":\"", span_str(record->detail));
    buf_append_char(&to, '}');
    if (record->has_trace) {
        char trace[REQUEST_TRACE_BYTES * 2 + 1];
        trace_print(record, trace);
        member_append(&to, ",\"trace\":\"", span_str(trace));
    }
    logbook_add(book, LOG_OF_REQUEST, log_severity_of(level), origin, buf_span(&to));
    buf_finish(&to);
}

void request_record_over(struct request_log *log, struct request_record *record, const char *peer, struct logbook *book,
                         struct log_origin origin)
{
    if (record->began_us == 0)
        return;
    enum log_level level = level_of(record);
    bool wanted = log->choice == REQUEST_LOG_ALL || (log->choice == REQUEST_LOG_FAILED && level > LOG_INFO);
    bool line = wanted && log_enabled(level), entry = log->choice != REQUEST_LOG_NONE && book != NULL;
    if ((line || entry) && has_room(log)) {
        if (line)
            line_write(log, record, level, peer, origin.instance != NULL ? origin.instance : "");
        if (entry)
            entry_add(log, record, level, peer, book, origin);
    }
    free(record->target);
    free(record->detail);
    *record = (struct request_record){0};
}

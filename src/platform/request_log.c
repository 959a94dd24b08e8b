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
    record->trace = mem_text(trace);
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
    buf_append(&text, SPAN_LIT(": "));
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
    if (record->trace != NULL)
        *at++ = LOG_C("logging.googleapis.com/trace", record->trace);
    log_write(level, "request", fields, (size_t)(at - fields));
}

void request_record_over(struct request_log *log, struct request_record *record, const char *peer, const char *instance)
{
    if (record->began_us == 0)
        return;
    enum log_level level = level_of(record);
    bool wanted = log->choice == REQUEST_LOG_ALL || (log->choice == REQUEST_LOG_FAILED && level > LOG_INFO);
    if (wanted && log_enabled(level) && has_room(log))
        line_write(log, record, level, peer, instance);
    free(record->target);
    free(record->trace);
    free(record->detail);
    *record = (struct request_record){0};
}

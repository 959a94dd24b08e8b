/* request_log: one line for each request when it has ended, as Cloud Run's request log has it: what was asked, what was
 * answered, by which instance, how long it took, and who ended it why. An exchange embeds the record of its request.
 *
 * The table makes the enum, the lines and the table in docs/up.md.
 *
 *   X(NAME, "who ended it", "why", log level) */
#ifndef SENNIT_PLATFORM_REQUEST_LOG_H
#define SENNIT_PLATFORM_REQUEST_LOG_H

#include "base/log.h"
#include "platform/denials.h"
#include "platform/logbook.h"
#include "wire/http1.h"

#define REQUEST_ENDS(X) \
    X(ANSWERED, "instance", "answered", LOG_INFO) \
    X(LISTED, "ingress", "answered with the list of services", LOG_INFO) \
    X(TUNNEL_BY_CLIENT, "client", "the client ended the WebSocket", LOG_INFO) \
    X(TUNNEL_BY_INSTANCE, "instance", "the instance ended the WebSocket", LOG_INFO) \
    X(CLIENT_LEFT, "client", "the client left before it had the whole response", LOG_INFO) \
    X(TIMEOUT, "ingress", \
      "The request has been terminated because it has reached the maximum request timeout: raise timeoutSeconds, or " \
      "let clients reconnect", \
      LOG_WARNING) \
    X(BROKEN_OFF, "instance", "the instance broke off: see its output in the log", LOG_WARNING) \
    X(CLIENT_STALLED, "ingress", "the client took nothing of what waited for it for too long", LOG_INFO) \
    X(INSTANCE_STALLED, "ingress", "the instance took nothing of what waited for it for too long", LOG_WARNING) \
    X(STOPPED, "ingress", "sennit up was stopped", LOG_INFO) \
    X(REFUSED, "ingress", "", LOG_INFO)

enum request_end {
#define X(constant, who, why, level) REQUEST_##constant,
    REQUEST_ENDS(X)
#undef X
        REQUEST_ENDS_COUNT
};

enum request_log_choice { REQUEST_LOG_ALL, REQUEST_LOG_FAILED, REQUEST_LOG_NONE };

enum {
    REQUEST_LOG_TARGET_BYTES_MAX = 1024, /* of a target in a line; longer ones are cut */
    REQUEST_LOG_CULPRIT_BYTES_MAX = 120, /* likewise of bytes that break a rule */
    REQUEST_TRACE_BYTES = 16,            /* W3C Trace Context */
    REQUEST_LOG_LINES_MAX = 1000,        /* in a second; the others are counted, and told in one line */
};

/* Of all requests of one ingress. */
struct request_log {
    struct loop *loop;
    enum request_log_choice choice;
    uint64_t second_us; /* when the present second began */
    uint32_t lines;     /* in it */
    uint64_t left_out;  /* since it was last told */
    struct timer tell;
};

void request_log_init(struct request_log *log, struct loop *loop, enum request_log_choice choice);
void request_log_finish(struct request_log *log);

/* Of one request. Zeroed memory: none. */
struct request_record {
    uint64_t began_us; /* 0: no request is under way */
    uint64_t bytes_in, bytes_out;
    char *target;                       /* NULL: it was not read */
    char *detail;                       /* what is odd about it; NULL: nothing */
    uint8_t trace[REQUEST_TRACE_BYTES]; /* a tunnel keeps it for hours, so not as digits */
    char method[16];
    uint16_t status; /* 0: no response has begun */
    uint8_t end;     /* enum request_end */
    uint8_t denial;  /* enum denial, for REFUSED */
    bool has_trace;
    bool ended; /* `end` is known: the first one stands */
};

/* A request begins. `head` is NULL for bytes that are none. `trace` is 32 hexadecimal digits in lower case, or empty.
 */
void request_record_begin(struct request_record *record, const struct request_log *log, const struct http1_head *head,
                          struct span trace);
/* Why it ends, or is going to. */
void request_record_ends(struct request_record *record, enum request_end end);
void request_record_refused(struct request_record *record, enum denial denial, int status);
/* Something odd about it: a sentence, and the bytes concerned, or none. */
void request_record_note(struct request_record *record, const char *sentence, struct span culprit);
/* It has ended: writes the line, adds it to the service's logbook, and forgets it. `peer` is the client's address;
 * `book` NULL: it was for no service. The choice of lines is the log's alone: a logbook has all but with NONE. Harmless
 * without a request. */
void request_record_over(struct request_log *log, struct request_record *record, const char *peer, struct logbook *book,
                         struct log_origin origin);

#endif

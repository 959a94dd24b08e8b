/* denials: looks up the table's columns, encodes responses, and combines log lines. */
#include "platform/denials.h"

#include <assert.h>

#include "wire/http1.h"

static const struct {
    const char *reason;
    int status;
    enum log_level level;
    const char *line, *cure;
} table[] = {
#define X(constant, reason, status, level, line, cure) {reason, status, level, line, cure},
    DENIALS(X)
#undef X
};

void denials_init(struct denials *denials, struct loop *loop)
{
    *denials = (struct denials){.loop = loop};
}

void denials_note(struct denials *denials, enum denial denial, const char *peer, const char *what)
{
    uint64_t now = loop_now_us(denials->loop), *logged_us = &denials->logged_us[denial];
    denials->counts[denial]++;
    if (*logged_us != 0 && now - *logged_us < LOOP_MS(DENIALS_LOG_MS))
        return;
    log_event(table[denial].level, "a request was refused", LOG_C("reason", table[denial].reason),
              LOG_N("times", denials->counts[denial] - denials->logged[denial]), LOG_C("peer", peer),
              LOG_C("what", what), LOG_C("cure", table[denial].cure));
    denials->logged[denial] = denials->counts[denial];
    *logged_us = now != 0 ? now : 1;
}

int denial_status(enum denial denial, int status)
{
    return table[denial].status != 0 ? table[denial].status : status;
}

void denial_encode(struct buf *to, enum denial denial, int status, bool keep_alive, bool with_body)
{
    /* RFC 6750 section 3.1 */
    static const char challenge[] = "WWW-Authenticate: Bearer error=\"invalid_token\", "
                                    "error_description=\"The access token could not be verified\"\r\n";
    struct buf fields = {0}, body = {0};
    assert(denial < DENIAL_COUNT);
    status = denial_status(denial, status);
    const char *line = table[denial].line[0] != '\0' ? table[denial].line : http1_status_text(status);
    buf_printf(&fields, "X-Sennit-Reason: %s\r\nX-Content-Type-Options: nosniff\r\n%s%s", table[denial].reason,
               status == 429 || status == 503 ? "Retry-After: 1\r\n" : "", status == 401 ? challenge : "");
    buf_printf(&body, "%s\n%s: %s\n", line, table[denial].reason, table[denial].cure);
    http1_response_encode(to, status, SPAN_LIT("text/plain"), buf_span(&fields), buf_span(&body), keep_alive);
    if (!with_body)
        to->len -= body.len;
    buf_finish(&fields);
    buf_finish(&body);
}

const char *denial_reason(enum denial denial)
{
    assert(denial < DENIAL_COUNT);
    return table[denial].reason;
}

const char *denial_text(enum denial denial)
{
    /* https://cloud.google.com/run/docs/troubleshooting */
    static const char *const documented[DENIAL_COUNT] = {
        [DENIAL_TOKEN_MISSING] =
            "The request was not authenticated. Either allow unauthenticated invocations or set the "
            "proper Authorization header: `sennit token --audience URL` prints a token",
        [DENIAL_TOKEN_INVALID] = "The access token could not be verified: the detail says why",
        [DENIAL_MAX_INSTANCES] = "The request was aborted because there was no available instance. It might have "
                                 "reached its maximum container instance limit: raise maxScale or containerConcurrency",
        [DENIAL_COLD_START] = "The request was aborted because there was no available instance: none came up in time",
        [DENIAL_START_FAILED] = "The request failed because the instance could not start successfully: its last output "
                                "is in the log",
        [DENIAL_INSTANCE_FAILED] = "The request failed because either the HTTP response was malformed or connection to "
                                   "the instance had an error: it ended or closed the connection before it answered",
        [DENIAL_MALFORMED_RESPONSE] = "The request failed because either the HTTP response was malformed or connection "
                                      "to the instance had an error: the detail says which rule was broken",
        [DENIAL_REQUEST_TIMEOUT] = "The request has been terminated because it has reached the maximum request "
                                   "timeout: raise timeoutSeconds, or respond sooner",
    };
    return documented[denial] != NULL ? documented[denial] : table[denial].cure;
}

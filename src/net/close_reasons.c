/* close_reasons: looks up the columns of the table: name, text, WebSocket code, log level. */
#include "net/close_reasons.h"

#include <assert.h>

#include "base/log.h"

static const struct {
    const char *name;
    int ws_code, level;
    const char *text;
} reasons[] = {
#define X(constant, logged, code, log_level, sentence) {logged, code, log_level, sentence},
    CLOSE_REASONS(X)
#undef X
};

const char *close_reason_name(enum close_reason reason)
{
    assert(reason < CLOSE_REASON_COUNT);
    return reasons[reason].name;
}

const char *close_reason_text(enum close_reason reason)
{
    assert(reason < CLOSE_REASON_COUNT);
    return reasons[reason].text;
}

int close_reason_ws_code(enum close_reason reason)
{
    assert(reason < CLOSE_REASON_COUNT);
    return reasons[reason].ws_code;
}

int close_reason_log_level(enum close_reason reason)
{
    assert(reason < CLOSE_REASON_COUNT);
    return reasons[reason].level;
}

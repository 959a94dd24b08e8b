/* close_reasons: the table's columns. */
#include "net/close_reasons.h"

#include <assert.h>
#include <string.h>

#include "base/log.h"

static const struct {
    char name[32];
    int ws_code, level;
    const char *text;
} reasons[] = {
#define X(reason_name, code, log_level, sentence) {#reason_name, code, log_level, sentence},
    CLOSE_REASONS(X)
#undef X
};

/* Lower case, as logs and metrics write names; the table shouts because it makes constants. */
static char names[CLOSE_REASON_COUNT][32];

const char *close_reason_name(enum close_reason reason)
{
    assert(reason < CLOSE_REASON_COUNT);
    if (names[reason][0] == '\0')
        for (size_t i = 0; reasons[reason].name[i] != '\0'; i++) {
            char c = reasons[reason].name[i];
            names[reason][i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        }
    return names[reason];
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

/* refusals: looks up the table's columns, and combines log lines, so that a client that repeats a request does not fill
 * the log. */
#include "net/refusals.h"

#include <assert.h>

static const struct {
    const char *name;
    enum log_level level;
    const char *text;
} refusals_table[] = {
#define X(constant, name, level, sentence) {name, level, sentence},
    REFUSALS(X)
#undef X
};

const char *refusal_name(enum refusal refusal)
{
    assert(refusal < REFUSAL_COUNT);
    return refusals_table[refusal].name;
}

const char *refusal_text(enum refusal refusal)
{
    assert(refusal < REFUSAL_COUNT);
    return refusals_table[refusal].text;
}

enum log_level refusal_log_level(enum refusal refusal)
{
    assert(refusal < REFUSAL_COUNT);
    return refusals_table[refusal].level;
}

void refusals_init(struct refusals *refusals, struct loop *loop)
{
    *refusals = (struct refusals){.loop = loop};
}

void refusals_note(struct refusals *refusals, enum refusal refusal, struct span peer, struct span what)
{
    uint64_t now = loop_now_us(refusals->loop), *logged_us = &refusals->logged_us[refusal];
    refusals->counts[refusal]++;
    if (*logged_us != 0 && now - *logged_us < LOOP_MS(REFUSALS_LOG_MS))
        return;
    log_event(refusals_table[refusal].level, "refused", LOG_C("reason", refusal_name(refusal)),
              LOG_N("times", refusals->counts[refusal] - refusals->logged[refusal]), LOG_S("peer", peer),
              LOG_S("what", span_sub(what, 0, 128)), LOG_C("cure", refusal_text(refusal)));
    refusals->logged[refusal] = refusals->counts[refusal];
    *logged_us = now != 0 ? now : 1;
}

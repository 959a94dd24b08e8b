/* polling_held: how many GETs may wait for events at once. Each takes one of the slots that the platform gives an
 * instance, and POSTs and new clients need some, too: a POST that finds none ends its session.
 *
 * Beyond the bound the GET that has waited longest is answered soon, with nothing. Its client polls again, and the
 * platform may send it to an instance that has room. It has waited for a second at least, so clients that are too many
 * for the bound do not poll without a pause. While one waits out its second, GETs take more slots than they should, and
 * no further session begins here: a handshake that is refused is tried again, while a POST that is refused ends its
 * session. */
#include "session/polling_parts.h"

enum { HELD_MS_MIN = 1000 };

void polling_held_begin(struct polling *polling)
{
    struct sessions *sessions = polling->sessions;
    polling->held_us = loop_now_us(sessions->loop);
    list_append(&sessions->polls_held, &polling->of_held);
    sessions->polls_held_count++;
    while (sessions->limits.polls_max > 0 && sessions->polls_held_count > sessions->limits.polls_max) {
        struct polling *oldest = container_of(sessions->polls_held.next, struct polling, of_held);
        uint64_t age_us = loop_now_us(sessions->loop) - oldest->held_us;
        polling_held_end(oldest); /* it does not count any more, and is not chosen twice */
        sessions->polls_over_count++;
        oldest->is_over = true;
        refusals_note(&sessions->refusals, REFUSAL_POLLS_SHORTENED, span_of(oldest->sid, sizeof oldest->sid),
                      SPAN_LIT(""));
        timer_start(sessions->loop, &oldest->timer, age_us < LOOP_MS(HELD_MS_MIN) ? LOOP_MS(HELD_MS_MIN) - age_us : 0);
    }
}

void polling_held_end(struct polling *polling)
{
    if (polling->is_over)
        polling->sessions->polls_over_count--;
    polling->is_over = false;
    if (list_empty(&polling->of_held))
        return;
    list_remove(&polling->of_held);
    polling->sessions->polls_held_count--;
}

bool polling_is_crowded(const struct sessions *sessions)
{
    return sessions->polls_over_count > 0;
}

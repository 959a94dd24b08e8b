/* membership_log: where a membership stands in its room's log, and the round in which it reads there. Most memberships
 * are settled, and in rooms without a log: those have neither (hub_parts.h). */
#include <stdlib.h>

#include "base/mem.h"
#include "hub/hub_parts.h"
#include "hub/page.h"

const struct membership_log membership_no_log = {.stretch.end = STRETCH_OPEN};

struct membership_log *membership_log(struct membership *membership)
{
    struct pool *pool = &membership->member->hub->logs;
    if (membership->log != &membership_no_log)
        return (struct membership_log *)membership->log;
    struct membership_log *log = pool_take(pool);
    *log = membership_no_log;
    membership->log = log;
    return log;
}

void membership_log_drop(struct membership *membership)
{
    if (membership->log != &membership_no_log)
        pool_give(&membership->member->hub->logs, membership_log(membership));
    membership->log = &membership_no_log;
}

void membership_log_trim(struct membership *membership)
{
    const struct stretch *stretch = &membership->log->stretch, *none = &membership_no_log.stretch;
    /* `pos` is set anew when it is no longer settled. */
    if (membership_takes_part(membership) && membership->log->round == NULL && stretch->start == none->start &&
        stretch->since == none->since && stretch->end == none->end && stretch->joined_at == none->joined_at &&
        stretch->known == none->known)
        membership_log_drop(membership);
}

struct membership_round *membership_round(struct membership *membership)
{
    struct membership_round *round = membership->log->round;
    if (round == NULL) {
        round = membership_log(membership)->round = mem_zero(1, sizeof *round);
        round->membership = membership;
        list_init(&round->waiter);
    }
    return round;
}

void membership_page_drop(struct membership *membership)
{
    struct membership_round *round = membership->log->round;
    if (round == NULL)
        return;
    list_remove(&round->waiter);
    page_unref(round->page);
    round->page = NULL;
}

void membership_round_drop(struct membership *membership)
{
    membership_page_drop(membership);
    if (membership->log->round == NULL)
        return;
    free(membership->log->round);
    membership_log(membership)->round = NULL;
}

/* check_life: see check.h. Here: connecting, resuming, entering and leaving rooms, and what is owed in the end. */
#include <stdio.h>

#include "base/mem.h"
#include "check.h"

/* Of a log's entries up to `position`, those that are still there: the newest `most` of them at most. Index of the
 * first. */
static size_t newest_kept(struct check *check, struct lease *lease, int log_number, uint64_t position, size_t most)
{
    struct truths *truths = &check->truths;
    const struct truth_log *log = truth_log_of(check, lease, log_number);
    uint64_t oldest = truths->oldest(truths->arg, truth_log_name(log_number, lease->sid));
    size_t at = truth_above(log, position), kept = at;
    for (size_t count = 0; at > 0 && count < most; at--) {
        if (log->entries[at - 1].lost)
            continue;
        if (log->entries[at - 1].seq < oldest)
            break;
        kept = at - 1;
        count++;
    }
    return kept;
}

/* Where a room begins for who has entered it. Not before what its instance had handled already, but for what is to be
 * replayed, and that is all there. */
static void check_start(struct check *check, struct witness *witness, int log_number, const struct check_ask *asked)
{
    struct lease *lease = witness->lease;
    const struct stay *stay = lease_open_stay(lease, log_number);
    if (stay == NULL || stay->opened_us < asked->us || check->rules.loses)
        return; /* it was in the room before; or the numbers may be other ones by now */
    const struct truth_log *log = truth_log_of(check, lease, log_number);
    int replay = log_number == LOG_OWN ? 0 : check->rules.replay;
    size_t most = replay < 0 ? SIZE_MAX : (size_t)replay;
    size_t first = newest_kept(check, lease, log_number, check->truths.seq, most);
    if (stay->since < asked->position)
        check_fail(check, "%s: is in log %d from %llu on, and asked for it at %llu", witness->name, log_number,
                   (unsigned long long)stay->since, (unsigned long long)asked->position);
    if (first < log->count && log->entries[first].seq <= stay->start)
        check_fail(check, "%s: log %d begins at %llu for it, and it was to be replayed from %llu on", witness->name,
                   log_number, (unsigned long long)stay->start, (unsigned long long)log->entries[first].seq);
    size_t count = 0;
    for (size_t i = truth_above(log, stay->start); i < log->count && log->entries[i].seq <= asked->position; i++)
        count += !log->entries[i].lost;
    if (count > most)
        check_fail(check, "%s: log %d begins at %llu for it, %zu entries too early", witness->name, log_number,
                   (unsigned long long)stay->start, count - most);
}

/* Something that it may have needed is no longer there: that, and nothing else, is a reason not to recover it. */
static bool is_trimmed_for(struct check *check, const struct witness *witness)
{
    struct lease *lease = witness->lease;
    struct truths *truths = &check->truths;
    for (size_t i = 0; i < lease->stay_count; i++) {
        const struct stay *stay = &lease->stays[i];
        const struct truth_log *log = truth_log_of(check, lease, stay->log);
        uint64_t position = witness->has_token ? stay_position(lease, stay, &witness->token) : stay->start;
        uint64_t oldest = truths->oldest(truths->arg, truth_log_name(stay->log, lease->sid));
        size_t above = truth_above(log, position);
        if (!stay->gone && position < stay->end && above < log->count && log->entries[above].seq < oldest)
            return true;
        if (log->gone > 0 && !stay->gone)
            return true; /* it cannot be told from one that has */
    }
    return false;
}

static void begin_anew(struct check *check, struct witness *witness, const struct check_connect *connect)
{
    struct lease *lease = lease_by_pid(check, connect->pid), *before = witness->lease;
    check->counts.fresh++;
    if (connect->came_back && !connect->let_off) {
        check->counts.refused_resumes++;
        if (!check->rules.loses && !before->vanished && !is_trimmed_for(check, witness))
            check_fail(check, "%s: was not recovered without need", witness->name);
    }
    if (before != NULL)
        before->held = false;
    witness->lease = lease;
    witness->tainted = witness->has_token = false;
    witness->shown_seq = 0;
    if (lease == NULL || !span_equal(connect->sid, span_str(lease->sid))) {
        check_fail(check, "%s: is connected, and the broker has no lease of it", witness->name);
        return;
    }
    lease->client = witness->number;
    lease->witness = witness;
    for (int log = 0; log <= LOG_OWN; log += LOG_OWN) {
        if (lease_open_stay(lease, log) == NULL && !lease->outdated)
            check_fail(check, "%s: is connected, and its lease has no log %d", witness->name, log);
        check_start(check, witness, log, &connect->asked);
    }
}

void check_connected(struct check *check, struct witness *witness, const struct check_connect *connect)
{
    struct lease *lease;
    witness->instance = connect->instance;
    if (!connect->recovered) {
        begin_anew(check, witness, connect);
    } else {
        check->counts.resumed++;
        if (witness->lease == NULL || !span_equal(connect->sid, span_str(witness->lease->sid)))
            check_fail(check, "%s: recovered under another sid", witness->name);
    }
    if ((lease = witness->lease) == NULL)
        return;
    uint64_t now = sim_now_us(check->sim);
    lease->held = true;
    lease->absent_us = lease->away_us != 0 ? now - lease->away_us : 0;
    lease->back_us = now;
    lease->away_us = 0;
}

void check_away(struct check *check, struct witness *witness)
{
    struct lease *lease = witness->lease;
    if (lease == NULL || !lease->held)
        return;
    lease->held = false;
    lease->away_us = sim_now_us(check->sim);
    if (!check->rules.swallows || !witness->has_token || lease->outdated)
        return;
    for (size_t i = 0; i < lease->stay_count; i++)
        if (!lease->stays[i].gone)
            stay_excuse(check, lease, &lease->stays[i], stay_position(lease, &lease->stays[i], &witness->token));
}

void check_joined(struct check *check, struct witness *witness, int room, const struct check_ask *asked)
{
    if (lease_open_stay(witness->lease, room) == NULL && !witness->lease->outdated)
        check_fail(check, "%s: was told that it is in room %d before its lease knew", witness->name, room);
    check_start(check, witness, room, asked);
}

void check_left(struct check *check, struct witness *witness, int room)
{
    if (lease_open_stay(witness->lease, room) != NULL && !witness->lease->outdated)
        check_fail(check, "%s: was told that it has left room %d before its lease knew", witness->name, room);
}

bool check_is_in(const struct witness *witness, int room)
{
    return witness->lease != NULL && lease_open_stay(witness->lease, room) != NULL;
}

/* The first entry it was not shown, NULL: none. */
static const struct truth *missing(struct check *check, const struct witness *witness, int *log)
{
    struct lease *lease = witness->lease;
    for (size_t i = 0; lease != NULL && i < lease->stay_count; i++) {
        const struct stay *stay = &lease->stays[i];
        size_t index = stay_missing(check, lease, stay, truth_log_of(check, lease, stay->log)->count);
        *log = stay->log;
        if (index != SIZE_MAX)
            return &truth_log_of(check, lease, stay->log)->entries[index];
    }
    return NULL;
}

bool check_is_settled(struct check *check, const struct witness *witness)
{
    int log;
    return !witness->tainted && missing(check, witness, &log) == NULL &&
           check_disobeyed(check, witness->lease) == SIZE_MAX;
}

void check_settled(struct check *check, const struct witness *witness)
{
    int log;
    const struct truth *entry = missing(check, witness, &log);
    if (witness->tainted)
        check_fail(check, "%s: was shown what the broker lost, and was not told so", witness->name);
    if (entry != NULL)
        check_fail(check, "%s: message %u of log %d never came", witness->name, entry->message, log);
    size_t at = check_disobeyed(check, witness->lease);
    if (at != SIZE_MAX)
        check_fail(check, "%s: has not obeyed directive %u, entry %llu", witness->name,
                   check->truths.directives[at].message, (unsigned long long)check->truths.directives[at].seq);
}

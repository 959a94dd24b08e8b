/* check_directive: see check.h. Here: directives of a backend, which sockets obey in their place among the events.
 *
 * Directives name one room alone, which clients neither enter nor leave by themselves. So when a lease says that a
 * directive was obeyed, this room's stretches in it must follow from the directives that the broker accepted. */
#include "check.h"

/* The lease's socket is in the audience, as it was at the directive's seq. */
static bool is_for(const struct check *check, const struct lease *lease, const struct truth_directive *directive)
{
    const struct message *message = &check->truths.messages[directive->message];
    if (message->excepts != 0 && lease_was_in_one(lease, message->excepts, directive->seq, false))
        return false;
    for (size_t i = 0; i < lease->stay_count; i++) {
        const struct stay *stay = &lease->stays[i];
        if (stay->log != directive->log || stay->gone || stay->since >= directive->seq || directive->seq > stay->end)
            continue;
        return message->rooms == 0
                   ? strcmp(message->to_sid, lease->sid) == 0
                   : message->rooms == EVERYBODY || lease_was_in_one(lease, message->rooms, directive->seq, false);
    }
    return false;
}

static bool ends(const struct message *message)
{
    return message->directive == 'd' || message->directive == 'c';
}

/* What it says of the room stands in the lease. */
static bool is_obeyed(const struct lease *lease, char directive, uint64_t seq)
{
    bool joined = false, left = true;
    for (size_t i = 0; i < lease->stay_count; i++) {
        const struct stay *stay = &lease->stays[i];
        if (stay->log != ROOM_DIRECTED || stay->gone)
            continue;
        joined = joined || (stay->since <= seq && seq < stay->end);
        left = left && !(stay->since < seq && seq < stay->end);
    }
    return directive == 'j' ? joined : left;
}

static bool is_joined_by(const struct check *check, uint64_t seq)
{
    for (size_t i = check->truths.directive_count; i > 0 && check->truths.directives[i - 1].seq >= seq; i--)
        if (check->truths.directives[i - 1].seq == seq)
            return check->truths.messages[check->truths.directives[i - 1].message].directive == 'j';
    return false;
}

static const char *name_of(const struct lease *lease)
{
    return lease->witness != NULL ? lease->witness->name : lease->sid;
}

/* It begins to read behind an entry that belongs to it. */
static bool skips(const struct check *check, const struct stay *stay)
{
    const struct truth_log *log = &check->truths.logs[stay->log];
    size_t at = truth_above(log, stay->since);
    return at < log->count && log->entries[at].seq <= stay->start;
}

void check_directed(struct check *check, struct lease *lease, uint64_t seq)
{
    const struct truths *truths = &check->truths;
    uint64_t before = lease->directed;
    if (seq > lease->directed)
        lease->directed = seq;
    if (!check->rules.directs)
        return;
    for (size_t i = 0; i < lease->stay_count; i++) {
        const struct stay *stay = &lease->stays[i];
        if (stay->log == ROOM_DIRECTED && !stay->gone && !is_joined_by(check, stay->since))
            check_fail(check, "a lease of %s has the room of directives from %llu on, and no directive says so",
                       name_of(lease), (unsigned long long)stay->since);
        else if (stay->log == ROOM_DIRECTED && !stay->gone && skips(check, stay))
            check_fail(check, "a lease of %s has the room of directives from %llu on, and begins to read at %llu",
                       name_of(lease), (unsigned long long)stay->since, (unsigned long long)stay->start);
    }
    for (size_t i = truths->directive_count; i > 0 && truths->directives[i - 1].seq > before; i--) {
        const struct truth_directive *directive = &truths->directives[i - 1];
        const struct message *message = &truths->messages[directive->message];
        if (directive->seq > seq || ends(message) || !is_for(check, lease, directive))
            continue;
        if (!is_obeyed(lease, message->directive, directive->seq))
            check_fail(check, "a lease of %s says that directive %u (%c, %llu) was obeyed, and its rooms do not",
                       name_of(lease), directive->message, message->directive, (unsigned long long)directive->seq);
    }
}

size_t check_disobeyed(const struct check *check, const struct lease *lease)
{
    const struct truths *truths = &check->truths;
    size_t found = SIZE_MAX;
    for (size_t i = truths->directive_count; i > 0 && lease != NULL && check->rules.directs; i--) {
        const struct truth_directive *directive = &truths->directives[i - 1];
        if (directive->seq <= lease->directed)
            break;
        if (is_for(check, lease, directive))
            found = i - 1;
    }
    return found;
}

void check_undirected(struct check *check, const struct witness *witness, const struct truth *entry)
{
    size_t at = check_disobeyed(check, witness->lease);
    if (at == SIZE_MAX || check->truths.directives[at].seq >= entry->seq || check->rules.swallows)
        return;
    check_fail(check, "%s: message %u (%llu) was shown behind directive %u (%llu), which its lease does not have",
               witness->name, entry->message, (unsigned long long)entry->seq, check->truths.directives[at].message,
               (unsigned long long)check->truths.directives[at].seq);
}

bool check_is_dismissed(const struct check *check, const struct lease *lease)
{
    const struct truths *truths = &check->truths;
    for (size_t i = 0; lease != NULL && i < truths->directive_count; i++)
        if (ends(&truths->messages[truths->directives[i].message]) && is_for(check, lease, &truths->directives[i]))
            return true;
    return false;
}

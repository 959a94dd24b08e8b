/* check: events that a client is shown, each compared with the next that it was owed. See check.h. */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

void check_init(struct check *check, struct sim *sim, const struct check_rules *rules)
{
    *check = (struct check){.sim = sim, .rules = *rules, .digest = 14695981039346656037u};
    leases_init(check);
}

void check_finish(struct check *check)
{
    truths_finish(check);
    leases_finish(check);
    free(check->failure);
}

void check_fail(struct check *check, const char *format, ...)
{
    char text[512];
    va_list args;
    if (check->failure != NULL)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    check->failure = mem_printf("at %.6f s: %s", (double)sim_now_us(check->sim) / 1e6, text);
}

/* FNV-1a, 64 bits, a word at a time. */
static void digest_add(struct check *check, uint64_t word)
{
    check->digest = (check->digest ^ word) * 1099511628211u;
}

void check_digest(struct check *check, char what, uint64_t a, uint64_t b)
{
    digest_add(check, sim_now_us(check->sim));
    digest_add(check, (uint64_t)(unsigned char)what << 56 | a << 32 | b);
}

void witness_finish(struct witness *witness)
{
    bits_finish(&witness->passing);
}

void check_acked(struct check *check, const struct witness *witness, uint32_t number)
{
    struct message *message = &check->truths.messages[number];
    message->acked = true;
    if (message->entries > 0 || message->was_lost || message->pushed_us != 0)
        return;
    if (message->rooms == 0) {
        /* It is accepted and goes nowhere when nobody has that socket. */
        const struct lease *lease = lease_by_sid(check, span_str(message->to_sid));
        if (lease == NULL || !lease->alive || lease->outdated || lease->ownerless ||
            lease->born_us > message->sent_us || lease->renewed_us > message->sent_us)
            return;
        if (!message->logged && check->rules.loses)
            return;
    }
    check_fail(check, "%s: message %u was acknowledged and is not in the log", witness->name, number);
}

/* The room's order is the same for all, whatever log its entries lie in. */
static void check_order(struct check *check, struct witness *witness, const struct message *message,
                        const struct truth *entry, struct stay *of_log)
{
    if (entry->lost)
        return;
    for (int room = 1; room < ROOMS; room++) {
        if (!(message->rooms & 1 << room))
            continue;
        struct stay *stay = lease_open_stay(witness->lease, room);
        if (stay == NULL || (stay != of_log && entry->seq <= stay->since))
            continue;
        if (entry->seq <= stay->order && !check->rules.swallows)
            check_fail(check, "%s: message %u of room %d came behind what was accepted after it", witness->name,
                       entry->message, room);
        stay->order = entry->seq;
    }
    if (check->rules.replay == 0 && !check->rules.swallows && entry->seq <= witness->shown_seq)
        check_fail(check, "%s: message %u came behind what was accepted after it, in another room", witness->name,
                   entry->message);
    witness->shown_seq = entry->seq;
}

/* Where the message stands. One that was lost and published again stands there twice: a token of the epoch in which it
 * was lost means the lost one. One that is only lost may still be shown, with a token of an epoch between. */
static size_t entry_find(const struct truth_log *log, size_t from, uint32_t message, int epoch)
{
    size_t found = SIZE_MAX;
    for (size_t i = from; i < log->count; i++) {
        const struct truth *entry = &log->entries[i];
        if (entry->message != message)
            continue;
        if (!entry->lost || entry->epoch == epoch)
            return i;
        if (found == SIZE_MAX)
            found = i;
    }
    return found;
}

/* In which stretch it was shown: where it is the next, of several. NULL: in none. */
static struct stay *stay_of(struct check *check, struct witness *witness, int log_number, uint32_t message, int epoch,
                            size_t *at)
{
    struct lease *lease = witness->lease;
    const struct truth_log *log = truth_log_of(check, lease, log_number);
    struct stay *found = NULL;
    for (size_t i = 0; i < lease->stay_count; i++) {
        struct stay *stay = &lease->stays[i];
        if (stay->log != log_number || stay->gone)
            continue;
        size_t index = entry_find(log, stay->next, message, epoch);
        if (index == SIZE_MAX)
            continue;
        const struct truth *entry = &log->entries[index];
        if (!entry->lost && (entry->seq <= stay->start || entry->seq > stay->end))
            continue;
        found = stay;
        *at = index;
        if (stay_missing(check, lease, stay, index) == SIZE_MAX)
            break;
    }
    return found;
}

static int log_of(const struct message *message)
{
    int log = 0;
    if (message->rooms == 0)
        return LOG_OWN;
    for (int room = 1; room < ROOMS; room++)
        if (message->rooms == 1 << room)
            log = room;
    return log;
}

/* Why it should not have been shown. */
static void blame(struct check *check, const struct witness *witness, int log_number, uint32_t message, int epoch)
{
    struct lease *lease = witness->lease;
    const struct truth_log *log = truth_log_of(check, lease, log_number);
    size_t at = entry_find(log, 0, message, epoch);
    const char *why = "was never accepted";
    for (size_t i = 0; i < lease->stay_count && at != SIZE_MAX; i++) {
        const struct stay *stay = &lease->stays[i];
        if (stay->log == log_number && !stay->gone && log->entries[at].seq > stay->start &&
            log->entries[at].seq <= stay->end) {
            why = "was shown twice or out of order";
            break;
        }
        why = "was accepted when it was not in the room";
    }
    check_fail(check, "%s: message %u of log %d %s", witness->name, message, log_number, why);
}

static void logged_shown(struct check *check, struct witness *witness, uint32_t number, int epoch)
{
    struct lease *lease = witness->lease;
    const struct message *message = &check->truths.messages[number];
    int log_number = log_of(message);
    size_t at;
    struct stay *stay = NULL;
    if (log_number != LOG_OWN || strcmp(message->to_sid, lease->sid) == 0)
        stay = stay_of(check, witness, log_number, number, epoch, &at);
    if (stay == NULL) {
        blame(check, witness, log_number, number, epoch);
        return;
    }
    const struct truth_log *log = truth_log_of(check, lease, log_number);
    const struct truth *entry = &log->entries[at];
    size_t missing = stay_missing(check, lease, stay, at);
    /* With the lost entries, the broker has forgotten which sockets were in which rooms. */
    if (!entry->lost && lease_meant(check, lease, stay, entry) == MEANT_NOT)
        check_fail(check, "%s: message %u of log %d was not meant for it", witness->name, number, log_number);
    if (missing != SIZE_MAX)
        check_fail(check, "%s: message %u of log %d was lost: %u came", witness->name, log->entries[missing].message,
                   log_number, number);
    witness->tainted |= entry->lost;
    stay->begun = true;
    stay->next = stay->behind = at + 1;
    if (entry->lost)
        return;
    stay->shown = entry->seq;
    if (entry->seq > stay->since)
        check_undirected(check, witness, entry);
    check_order(check, witness, message, entry, stay);
}

/* May be, or have been, in the room, or in one of several, since it was pushed. */
static bool may_be_in(const struct lease *lease, uint16_t rooms, uint64_t pushed_us)
{
    for (size_t i = 0; i < lease->stay_count; i++) {
        const struct stay *stay = &lease->stays[i];
        if (stay->log < ROOMS && rooms & 1 << stay->log && !stay->gone &&
            (stay->closed_us == 0 || stay->closed_us >= pushed_us))
            return true;
    }
    return false;
}

/* Was in one of the rooms all the while. */
static bool must_be_in(const struct lease *lease, uint16_t rooms, uint64_t pushed_us)
{
    for (int room = 0; room < ROOMS; room++) {
        const struct stay *stay = rooms & 1 << room ? lease_open_stay(lease, room) : NULL;
        if (stay != NULL && stay->opened_us < pushed_us)
            return true;
    }
    return false;
}

static bool may_pass(const struct witness *witness, const struct message *message)
{
    const struct lease *lease = witness->lease;
    if (strcmp(message->pushed_except, lease->sid) == 0 || strcmp(message->except_sid, lease->sid) == 0 ||
        must_be_in(lease, message->excepts, message->pushed_us))
        return false;
    if (message->rooms == 0)
        return strcmp(message->to_sid, lease->sid) == 0;
    return may_be_in(lease, message->rooms, message->pushed_us);
}

/* Not logged: delivered once at most, only to its audience, and in its place among the logged entries. */
static void passing_shown(struct check *check, struct witness *witness, uint32_t number)
{
    const struct message *message = &check->truths.messages[number];
    const struct stay *stay = lease_open_stay(witness->lease, log_of(message));
    if (message->entries == 0)
        check_fail(check, "%s: message %u, which is not logged, was never pushed", witness->name, number);
    if (bits_have(&witness->passing, number) && message->entries == 1)
        check_fail(check, "%s: message %u, which is not logged, was shown twice", witness->name, number);
    if (!may_pass(witness, message))
        check_fail(check, "%s: message %u, which is not logged, was not meant for it", witness->name, number);
    bits_put(&witness->passing, number, true);
    check->counts.passing++;
    if (stay == NULL || check->rules.swallows || witness->lease->outdated || check->rules.loses)
        return;
    if (stay->begun && stay->behind > message->before)
        check_fail(check, "%s: message %u, which is not logged, came behind what was accepted after it", witness->name,
                   number);
    size_t missing = stay_missing(check, witness->lease, stay, message->before);
    if (missing != SIZE_MAX)
        check_fail(check, "%s: message %u, which is not logged, came before %u", witness->name, number,
                   truth_log_of(check, witness->lease, stay->log)->entries[missing].message);
}

/* A resume with this token must send exactly the entries that were not shown. */
static void token_check_stay(struct check *check, struct witness *witness, struct stay *stay)
{
    struct lease *lease = witness->lease;
    const struct truth_log *log = truth_log_of(check, lease, stay->log);
    uint64_t position = stay_position(lease, stay, &witness->token);
    if (stay->begun && stay->shown > position)
        check_fail(check, "%s: its token says %llu of log %d, and it was shown %llu", witness->name,
                   (unsigned long long)position, stay->log, (unsigned long long)stay->shown);
    for (size_t i = stay->next; i < log->count; i++) {
        const struct truth *entry = &log->entries[i];
        if (entry->lost)
            continue;
        if (entry->seq > position || entry->seq > stay->end)
            break;
        if (truth_is_swallowed(entry, witness->instance))
            break; /* may still come */
        if (stay_owes(check, lease, stay, i)) {
            check_fail(check, "%s: its token claims message %u of log %d, which it was not shown", witness->name,
                       entry->message, stay->log);
            break;
        }
        stay->next = i + 1;
    }
}

/* The number of the token's epoch. */
static int token_take(struct check *check, struct witness *witness, struct span text)
{
    struct token token;
    if (!token_decode(text, &token)) {
        check_fail(check, "%s: " SPAN_FMT " is no token", witness->name, SPAN_ARG(text));
        return -1;
    }
    int number = truth_epoch_find(check, span_of(token.epoch, token.epoch_len));
    if (number < 0)
        check_fail(check, "%s: a token of an epoch that never was", witness->name);
    witness->token = token;
    witness->has_token = true;
    return number;
}

static void token_check(struct check *check, struct witness *witness, int epoch_number)
{
    struct lease *lease = witness->lease;
    if (lease == NULL) {
        check_fail(check, "%s: got a token, and no lease has been written for it", witness->name);
        return;
    }
    if (epoch_number < 0 || lease->outdated || witness->tainted)
        return;
    /* Lost entries cannot be resumed: clients that claim them are told so. */
    const struct truth_epoch *epoch = &check->truths.epochs[epoch_number];
    if (epoch->forgotten || (epoch->ended && witness->token.seq > epoch->end))
        return;
    for (size_t i = 0; i < lease->stay_count; i++)
        if (!lease->stays[i].gone)
            token_check_stay(check, witness, &lease->stays[i]);
}

void check_shown(struct check *check, struct witness *witness, uint32_t number, struct span text)
{
    int epoch = token_take(check, witness, text);
    check->counts.shown++;
    check_digest(check, 's', (uint64_t)witness->number, number);
    if (number >= check->truths.message_count) {
        check_fail(check, "%s: was shown what nobody sent", witness->name);
        return;
    }
    if (check->truths.messages[number].logged)
        logged_shown(check, witness, number, epoch);
    else
        passing_shown(check, witness, number);
    token_check(check, witness, epoch);
}

void check_token(struct check *check, struct witness *witness, struct span text)
{
    token_check(check, witness, token_take(check, witness, text));
}

void check_passed(struct check *check, const struct witness *witness, uint32_t number)
{
    const struct message *message = &check->truths.messages[number];
    const struct lease *to = message->rooms == 0 ? lease_by_sid(check, span_str(message->to_sid)) : NULL;
    if (to != NULL && (to->ownerless || to->renewed_us > message->sent_us))
        return; /* nobody was known to have that socket */
    if (message->entries == 0)
        check_fail(check, "message %u, which is not logged, was never pushed", number);
    else if (may_pass(witness, message) && !bits_have(&witness->passing, number))
        check_fail(check, "%s: message %u, which is not logged, never came", witness->name, number);
}

/* truth: messages by name, and the logs that the accepted ones make. See truth.h. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "check.h"
#include "hub/audience.h"

enum { LINK_SEEN_LOST_S = 6 }; /* also by those to whom it only seems to stand */

struct span truth_log_name(int log, const char *sid)
{
    static char text[SID_TEXT + 8];
    if (log == LOG_OWN)
        snprintf(text, sizeof text, "@/,%s", sid);
    else if (log == 0)
        snprintf(text, sizeof text, "/");
    else
        snprintf(text, sizeof text, "/,room%d", log);
    return span_str(text);
}

int truth_log_number(struct span name, struct span *sid)
{
    static const char room[] = "/,room";
    *sid = (struct span){"", 0};
    if (span_equal(name, SPAN_LIT("/")))
        return 0;
    if (span_starts_with(name, SPAN_LIT("@/,"))) {
        *sid = span_from(name, 3);
        return LOG_OWN;
    }
    if (!span_starts_with(name, span_str(room)) || name.len != sizeof room)
        return -1;
    int number = name.data[name.len - 1] - '0';
    return number >= 1 && number < ROOMS ? number : -1;
}

struct truth_log *truth_log_of(struct check *check, struct lease *lease, int log)
{
    return log == LOG_OWN ? &lease->own : &check->truths.logs[log];
}

size_t truth_above(const struct truth_log *log, uint64_t seq)
{
    size_t at = log->count;
    while (at > 0 && (log->entries[at - 1].lost || log->entries[at - 1].seq > seq))
        at--;
    /* Those that were lost stand before what came instead of them. */
    while (at < log->count && log->entries[at].lost)
        at++;
    return at;
}

uint32_t check_message_create(struct check *check, const struct message *message)
{
    struct truths *truths = &check->truths;
    if (truths->message_count == truths->message_cap) {
        truths->message_cap = truths->message_cap != 0 ? truths->message_cap * 2 : 1024;
        truths->messages = mem_resize(truths->messages, truths->message_cap * sizeof *truths->messages);
    }
    truths->messages[truths->message_count] = *message;
    truths->messages[truths->message_count].sent_us = sim_now_us(check->sim);
    return (uint32_t)truths->message_count++;
}

int truth_epoch_find(const struct check *check, struct span name)
{
    for (uint16_t i = 0; i < check->truths.epoch_count; i++)
        if (span_equal(name, span_str(check->truths.epochs[i].name)))
            return i;
    return -1;
}

void check_opened(struct check *check, struct span name, uint64_t seq)
{
    struct truths *truths = &check->truths;
    if (seq != truths->seq)
        check_fail(check, "the counter is at %llu, and %llu entries were accepted", (unsigned long long)seq,
                   (unsigned long long)truths->seq);
    if (truths->epoch_count > 0 && span_equal(name, span_str(truths->epochs[truths->epoch].name)))
        return;
    if (truth_epoch_find(check, name) >= 0) {
        check_fail(check, "the epoch " SPAN_FMT " began twice", SPAN_ARG(name));
        return;
    }
    if (truths->epoch_count == EPOCHS_MAX || name.len >= EPOCH_TEXT) {
        check_fail(check, "an epoch too many, or too long");
        return;
    }
    if (truths->epoch_count > 0) {
        truths->epochs[truths->epoch].ended = true;
        truths->epochs[truths->epoch].end = seq;
    }
    truths->epoch = truths->epoch_count++;
    snprintf(truths->epochs[truths->epoch].name, EPOCH_TEXT, SPAN_FMT, SPAN_ARG(name));
}

/* Whom it was pushed for, as a mask of rooms to and rooms but, and the sids that are left out. */
struct audience {
    uint16_t to, but;
    struct span sids[4], to_sid;
    size_t sid_count;
    bool directive;
};

static bool audience_read(struct span rest, struct audience *audience)
{
    struct span text, sid;
    enum audience_sign sign;
    *audience = (struct audience){.to = 0};
    while (audience_next(&rest, &sign, &text) > 0) {
        bool is_sid = sign == AUDIENCE_SENDER || sign == AUDIENCE_EXCEPT_SID;
        int room = is_sid ? -1 : truth_log_number(text, &sid);
        if (is_sid && audience->sid_count < 4)
            audience->sids[audience->sid_count++] = text;
        else if (sign == AUDIENCE_TO && room > 0)
            audience->to |= (uint16_t)(1 << room);
        else if (sign == AUDIENCE_EXCEPT && room > 0)
            audience->but |= (uint16_t)(1 << room);
        else if (sign == AUDIENCE_DIRECTIVE)
            audience->directive = true;
        else if (sign == AUDIENCE_TO_SID)
            audience->to_sid = text;
        else if (sign == AUDIENCE_TO && room == 0)
            audience->to |= EVERYBODY;
        else if (sign != AUDIENCE_EXCEPT) /* a socket, or the name of a directive, stands as a room, too */
            return false;
    }
    return rest.len == 0;
}

static bool is_one_room(uint16_t rooms)
{
    return (rooms & (rooms - 1)) == 0;
}

static int log_of(const struct message *message)
{
    if (message->rooms == 0)
        return message->directive != 0 ? 0 : LOG_OWN;
    for (int room = 0; room < ROOMS; room++)
        if (message->rooms == 1 << room)
            return room;
    return 0;
}

/* It stands where it should, for those whom its sender meant. `except`: the sender's sid, when it is left out. */
static bool is_as_meant(struct check *check, const struct message *message, const struct pushed *pushed,
                        struct span *except)
{
    struct audience audience;
    *except = (struct span){"", 0};
    if (log_of(message) != pushed->log || message->logged != (pushed->seq != 0) ||
        (pushed->log == LOG_OWN && !span_equal(pushed->sid, span_str(message->to_sid))) ||
        !audience_read(pushed->audience, &audience))
        return false;
    if (message->directive != pushed->directive || audience.directive != (message->directive != 0) ||
        audience.but != message->excepts)
        return false;
    if (message->directive != 0)
        return audience.to == message->rooms && span_equal(audience.to_sid, span_str(message->to_sid));
    if (audience.to != (is_one_room(message->rooms) ? 0 : message->rooms) || audience.to_sid.len != 0)
        return false;
    bool left_out = message->except_sid[0] == '\0';
    for (size_t i = 0; i < audience.sid_count; i++) {
        const struct lease *lease = lease_by_sid(check, audience.sids[i]);
        if (!left_out && span_equal(audience.sids[i], span_str(message->except_sid)))
            left_out = true;
        else if (message->others && lease != NULL && lease->client == message->sender && except->len == 0)
            *except = audience.sids[i];
        else
            return false;
    }
    return left_out && message->others == (except->len != 0);
}

static struct truth *truth_add(struct truth_log *log)
{
    if (log->count == log->cap) {
        log->cap = log->cap != 0 ? log->cap * 2 : 64;
        log->entries = mem_resize(log->entries, log->cap * sizeof *log->entries);
    }
    return &log->entries[log->count++];
}

static void directive_add(struct truths *truths, const struct pushed *pushed)
{
    if (truths->directive_count == truths->directive_cap) {
        truths->directive_cap = truths->directive_cap != 0 ? truths->directive_cap * 2 : 16;
        truths->directives = mem_resize(truths->directives, truths->directive_cap * sizeof *truths->directives);
    }
    truths->directives[truths->directive_count++] =
        (struct truth_directive){.message = pushed->message, .log = pushed->log, .seq = pushed->seq};
}

/* The chain by which holes are found. */
static void check_chain(struct check *check, const struct truth_log *log, const struct pushed *pushed)
{
    size_t at = log->count;
    while (at > 0 && log->entries[at - 1].lost)
        at--;
    uint64_t before = at > 0 ? log->entries[at - 1].seq : 0;
    if (pushed->seq != check->truths.seq + 1)
        check_fail(check, "the counter went from %llu to %llu", (unsigned long long)check->truths.seq,
                   (unsigned long long)pushed->seq);
    /* A log that begins anew does not say less than was there, unless the broker cannot know that. */
    bool anew = log->begins && (pushed->prev >= before || (check->truths.unlisted && pushed->prev == 0));
    if (pushed->prev != before && !anew)
        check_fail(check, "entry %llu says that %llu came before it in its log, and that was %llu",
                   (unsigned long long)pushed->seq, (unsigned long long)pushed->prev, (unsigned long long)before);
}

/* Twice: of one that has no name, if it was sent twice; after so long that its name may be forgotten; what is not
 * logged, when the broker has forgotten it. */
static void check_once(struct check *check, const struct pushed *pushed, const struct message *message)
{
    uint64_t since = sim_now_us(check->sim) - message->pushed_us;
    if (message->refused)
        check_fail(check, "message %u is accepted, and its name belongs to another one", pushed->message);
    if (message->unnamed) {
        if (message->entries > message->sends)
            check_fail(check, "message %u is in the log %d more often (%u) than it was sent (%u)", pushed->message,
                       pushed->log, message->entries, message->sends);
        return;
    }
    if (message->entries > 1 &&
        (message->logged ? since < check->rules.name_life_us : message->pushed_us >= check->truths.restored_us))
        check_fail(check, message->logged ? "message %u is in the log %d twice" : "message %u was pushed twice (%d)",
                   pushed->message, pushed->log);
}

void check_pushed(struct check *check, const struct pushed *pushed)
{
    struct truths *truths = &check->truths;
    struct lease *lease = pushed->log == LOG_OWN ? lease_by_sid(check, pushed->sid) : NULL;
    struct span except;
    if (pushed->message >= truths->message_count || (pushed->log == LOG_OWN && lease == NULL)) {
        check_fail(check, "the broker accepted what nobody sent, or for nobody: message %u", pushed->message);
        return;
    }
    check_digest(check, 'a', (uint64_t)pushed->log, pushed->message);
    struct message *message = &truths->messages[pushed->message];
    struct truth_log *log = truth_log_of(check, lease, pushed->log);
    if (!is_as_meant(check, message, pushed, &except))
        check_fail(check, "message %u was pushed for others than it was meant for: " SPAN_FMT, pushed->message,
                   SPAN_ARG(pushed->audience));
    if (message->entries < UINT8_MAX)
        message->entries++;
    check_once(check, pushed, message);
    message->pushed_us = sim_now_us(check->sim);
    check->counts.accepted++;
    if (!message->logged) {
        message->before = log->count;
        snprintf(message->pushed_except, SID_TEXT, SPAN_FMT, SPAN_ARG(except));
        return;
    }
    check_chain(check, log, pushed);
    log->begins = false;
    truths->seq = pushed->seq;
    struct truth *entry = truth_add(log);
    *entry = (struct truth){.message = pushed->message,
                            .epoch = truths->epoch,
                            .seq = pushed->seq,
                            .time_us = sim_now_us(check->sim),
                            .time_ms = pushed->time_ms};
    snprintf(entry->except, SID_TEXT, SPAN_FMT, SPAN_ARG(except));
    if (message->directive != 0)
        directive_add(truths, pushed);
    if (truths->epoch_count == 0 || !span_equal(pushed->epoch, span_str(truths->epochs[truths->epoch].name)))
        check_fail(check, "an entry of the epoch " SPAN_FMT ", which is not the one that lasts",
                   SPAN_ARG(pushed->epoch));
}

void check_pushed_elsewhere(struct check *check, uint64_t seq)
{
    if (seq == 0)
        return;
    if (seq != check->truths.seq + 1)
        check_fail(check, "the counter went from %llu to %llu", (unsigned long long)check->truths.seq,
                   (unsigned long long)seq);
    check->truths.seq = seq;
}

bool truth_is_elsewhere(struct span name)
{
    return memmem(name.data, name.len, "evil", 4) != NULL || memmem(name.data, name.len, "/program", 8) != NULL ||
           memmem(name.data, name.len, "/asks", 5) != NULL || memmem(name.data, name.len, "/survey", 7) != NULL ||
           span_starts_with(name, SPAN_LIT("raw"));
}

size_t check_swallowed(struct check *check, const struct pushed *pushed, int instance)
{
    struct lease *lease = pushed->log == LOG_OWN ? lease_by_sid(check, pushed->sid) : NULL;
    if (pushed->log == LOG_OWN && lease == NULL)
        return SIZE_MAX;
    struct truth_log *log = truth_log_of(check, lease, pushed->log);
    size_t at = log->count;
    while (at > 0 && log->entries[at - 1].seq != pushed->seq)
        at--;
    if (at > 0)
        log->entries[at - 1].swallowed |= (uint16_t)(1 << instance);
    return at - 1;
}

static void log_link_lost(const struct check *check, struct truth_log *log, int instance)
{
    uint64_t now = sim_now_us(check->sim);
    for (size_t i = log->count; i > 0 && now - log->entries[i - 1].time_us < LOOP_S(LINK_SEEN_LOST_S); i--)
        log->entries[i - 1].unnoticed |= log->entries[i - 1].swallowed & (uint16_t)(1 << instance);
}

static struct lease *next_lease(const struct check *check, struct map_node **node)
{
    *node = map_next(&check->leases.by_pid, *node);
    return *node != NULL ? container_of(*node, struct lease, by_pid) : NULL;
}

void check_link_lost(struct check *check, int instance)
{
    struct map_node *node = NULL;
    struct lease *lease;
    if (!check->rules.swallows)
        return;
    for (int i = 0; i < ROOMS; i++)
        log_link_lost(check, &check->truths.logs[i], instance);
    while ((lease = next_lease(check, &node)) != NULL)
        log_link_lost(check, &lease->own, instance);
}

void check_room_vanished(struct check *check, struct span room, bool log_gone, bool meta_gone)
{
    struct span sid;
    int number = truth_log_number(room, &sid);
    struct lease *lease = number == LOG_OWN ? lease_by_sid(check, sid) : NULL;
    struct map_node *node = NULL;
    if (number < 0 || (number == LOG_OWN && lease == NULL) || !log_gone || !meta_gone)
        return;
    struct truth_log *log = truth_log_of(check, lease, number);
    log->begins = true;
    log->gone = log->count;
    if (!check->truths.unlisted)
        return; /* the list of rooms says that there was something */
    if (lease != NULL)
        lease_log_vanished(check, lease, number);
    while (number != LOG_OWN && (lease = next_lease(check, &node)) != NULL)
        lease_log_vanished(check, lease, number);
}

void check_rooms_vanished(struct check *check)
{
    struct map_node *node = NULL;
    struct lease *lease;
    check->truths.unlisted = true;
    while ((lease = next_lease(check, &node)) != NULL) {
        for (int i = 0; i < ROOMS; i++)
            if (check->truths.logs[i].begins)
                lease_log_vanished(check, lease, i);
        if (lease->own.begins)
            lease_log_vanished(check, lease, LOG_OWN);
    }
}

void check_snapshot(struct check *check)
{
    struct truths *truths = &check->truths;
    struct map_node *node = NULL;
    struct lease *lease;
    for (int i = 0; i < ROOMS; i++)
        truths->logs[i].kept = truths->logs[i].count;
    while ((lease = next_lease(check, &node)) != NULL)
        lease->own.kept = lease->own.count;
    truths->seq_kept = truths->seq;
    truths->epoch_kept = truths->epoch;
    truths->epochs_kept = truths->epoch_count;
}

static void log_restored(struct check *check, struct truth_log *log)
{
    for (size_t i = log->kept; i < log->count; i++) {
        struct truth *entry = &log->entries[i];
        if (entry->lost)
            continue;
        entry->lost = true;
        check->truths.messages[entry->message].entries--;
        check->truths.messages[entry->message].was_lost = true;
        check->counts.lost_by_broker++;
    }
}

void check_restored(struct check *check)
{
    struct truths *truths = &check->truths;
    struct map_node *node = NULL;
    struct lease *lease;
    for (int i = 0; i < ROOMS; i++)
        log_restored(check, &truths->logs[i]);
    truths->restored_us = sim_now_us(check->sim);
    truths->seq = truths->seq_kept;
    truths->epoch = truths->epoch_kept;
    truths->epochs[truths->epoch].ended = false;
    for (uint16_t i = truths->epochs_kept; i < truths->epoch_count; i++)
        truths->epochs[i].forgotten = true;
    while ((lease = next_lease(check, &node)) != NULL) {
        log_restored(check, &lease->own);
        lease_restored(check, lease);
    }
}

void truths_finish(struct check *check)
{
    for (int i = 0; i < ROOMS; i++)
        free(check->truths.logs[i].entries);
    free(check->truths.messages);
    free(check->truths.directives);
}

/* check: keeps, per subscriber and room, which messages are owed, and counts losses, repetitions and forgiven
 * messages. */
#include "load/check.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

enum { CAP_MIN = 64 };

struct check *check_create(struct messages *messages, uint32_t subscribers, uint32_t rooms, uint32_t rooms_each,
                           bool echo)
{
    struct check *check = mem_zero(1, sizeof *check);
    check->messages = messages;
    check->echo = echo;
    check->subscribers = mem_zero(subscribers, sizeof *check->subscribers);
    check->rooms = mem_zero(rooms, sizeof *check->rooms);
    check->subscriber_count = subscribers;
    check->room_count = rooms;
    check->rooms_each = rooms_each;
    return check;
}

static void membership_clear(struct check_membership *membership)
{
    window_finish(&membership->got);
    window_finish(&membership->before);
    membership->since = MESSAGE_NONE;
    membership->last = MESSAGE_NONE;
}

void check_destroy(struct check *check)
{
    if (check == NULL)
        return;
    for (uint32_t i = 0; i < check->subscriber_count; i++) {
        struct check_subscriber *subscriber = &check->subscribers[i];
        for (uint32_t j = 0; j < subscriber->membership_count; j++)
            membership_clear(&subscriber->memberships[j]);
        free(subscriber->memberships);
        free(subscriber->resumes);
    }
    for (uint32_t i = 0; i < check->room_count; i++) {
        free(check->rooms[i].numbers);
        order_finish(&check->rooms[i].order);
    }
    free(check->subscribers);
    free(check->rooms);
    free(check->gaps);
    free(check);
}

/* The membership of a room, or NULL. */
static struct check_membership *membership_find(const struct check_subscriber *subscriber, uint32_t room)
{
    for (uint32_t i = 0; i < subscriber->membership_count; i++)
        if (subscriber->memberships[i].room == room)
            return &subscriber->memberships[i];
    return NULL;
}

static bool is_own(const struct check *check, const struct message *message, uint32_t subscriber)
{
    return !check->echo && message->publisher == subscriber;
}

uint32_t check_publish(struct check *check, uint32_t publisher, uint32_t room, uint64_t sent_us)
{
    struct check_room *in = &check->rooms[room];
    struct check_membership *membership = membership_find(&check->subscribers[publisher], room);
    uint32_t number = in->count++;
    uint32_t message = messages_add(check->messages, publisher, room, number, sent_us);
    if (number == in->cap) {
        in->cap = in->cap != 0 ? in->cap * 2 : CAP_MIN;
        in->numbers = mem_resize(in->numbers, in->cap * sizeof *in->numbers);
    }
    in->numbers[number] = message;
    in->counts.published++;
    /* Unless messages come back to their publisher, its own counts as received. */
    if (!check->echo && membership != NULL && membership->since != MESSAGE_NONE)
        window_add(&membership->got, number - membership->since);
    return message;
}

void check_enter(struct check *check, uint32_t subscriber, uint32_t room)
{
    struct check_subscriber *who = &check->subscribers[subscriber];
    if (membership_find(who, room) != NULL)
        return;
    assert(who->membership_count < check->rooms_each);
    if (who->memberships == NULL)
        who->memberships = mem_zero(check->rooms_each, sizeof *who->memberships);
    who->memberships[who->membership_count++] =
        (struct check_membership){.room = room, .since = MESSAGE_NONE, .last = MESSAGE_NONE};
}

void check_join(struct check *check, uint32_t subscriber, uint32_t room)
{
    struct check_membership *membership = membership_find(&check->subscribers[subscriber], room);
    assert(membership != NULL);
    if (membership->since == MESSAGE_NONE)
        membership->since = check->rooms[room].count;
}

/* Something in the gap before a reconnect, a message that had been published by then, was lost or doubled. */
static void blame(struct check_resume *resume)
{
    if (resume->recovered)
        resume->wrong = true;
}

static void doubled(struct check *check, struct check_subscriber *subscriber, uint32_t message)
{
    struct check_resume *latest =
        subscriber->resume_count != 0 ? &subscriber->resumes[subscriber->resume_count - 1] : NULL;
    const struct message *at = messages_at(check->messages, message);
    struct check_counts *counts = &check->rooms[at->room].counts;
    counts->doubled++;
    counts->doubled_resent += at->resent;
    if (latest != NULL && message < latest->published)
        blame(latest);
}

static void reordered(struct check *check, uint32_t subscriber, uint32_t other, uint32_t last, uint32_t message)
{
    check->rooms[messages_at(check->messages, message)->room].counts.reordered++;
    if (!check->disagreement.found)
        check->disagreement = (struct check_disagreement){true, subscriber, other, last, message};
}

void check_receive(struct check *check, uint32_t subscriber, uint32_t message)
{
    struct check_subscriber *who = &check->subscribers[subscriber];
    const struct message *at = messages_at(check->messages, message);
    struct check_room *room = &check->rooms[at->room];
    struct check_membership *membership = membership_find(who, at->room);
    if (membership == NULL) {
        room->counts.unexpected++;
        return;
    }
    bool owed = at->number >= membership->since;
    if (owed && is_own(check, at, subscriber)) {
        room->counts.unexpected++;
        return;
    }
    if (!(owed ? window_add(&membership->got, at->number - membership->since)
               : window_add(&membership->before, at->number))) {
        doubled(check, who, message);
        return;
    }
    if (owed)
        room->counts.expected++;
    else
        room->counts.early++;
    uint32_t other = order_follow(&room->order, check->messages, membership->last, message, subscriber);
    if (other != MESSAGE_NONE)
        reordered(check, subscriber, other, membership->last, message);
    membership->last = message;
}

static void gap_add(struct check *check, struct check_gap gap)
{
    if (check->gap_count == check->gap_cap) {
        check->gap_cap = check->gap_cap != 0 ? check->gap_cap * 2 : CAP_MIN;
        check->gaps = mem_resize(check->gaps, check->gap_cap * sizeof *check->gaps);
    }
    check->gaps[check->gap_count++] = gap;
}

/* A life in a room ends. Messages that it lacks are judged once the room's order is known. */
static void membership_end(struct check *check, uint32_t subscriber, struct check_membership *membership)
{
    const struct check_room *room = &check->rooms[membership->room];
    if (membership->since != MESSAGE_NONE) {
        uint32_t owed = room->count - membership->since;
        for (uint32_t i = window_missing(&membership->got, 0); i < owed; i = window_missing(&membership->got, i + 1))
            gap_add(check, (struct check_gap){subscriber, room->numbers[membership->since + i], membership->last});
    }
    membership_clear(membership);
}

void check_resumed(struct check *check, uint32_t subscriber, bool recovered)
{
    struct check_subscriber *who = &check->subscribers[subscriber];
    uint32_t count = who->resume_count;
    if ((count & (count - 1)) == 0) /* grows at the powers of two */
        who->resumes = mem_resize(who->resumes, (count != 0 ? count * 2 : 1) * sizeof *who->resumes);
    who->resumes[who->resume_count++] =
        (struct check_resume){.published = check->messages->count, .recovered = recovered};
    if (!recovered)
        for (uint32_t i = 0; i < who->membership_count; i++)
            membership_end(check, subscriber, &who->memberships[i]);
}

bool check_lacks(const struct check *check, uint32_t subscriber)
{
    const struct check_subscriber *who = &check->subscribers[subscriber];
    for (uint32_t i = 0; i < who->membership_count; i++) {
        const struct check_membership *membership = &who->memberships[i];
        if (membership->since != MESSAGE_NONE &&
            window_missing(&membership->got, 0) < check->rooms[membership->room].count - membership->since)
            return true;
    }
    return false;
}

static bool was_accepted(const struct check *check, uint32_t message)
{
    const struct message *at = messages_at(check->messages, message);
    return at->acknowledged || at->place != MESSAGE_NONE;
}

/* The first reconnect after it was published should have brought it. */
static void lost(struct check *check, uint32_t subscriber, uint32_t message)
{
    struct check_subscriber *who = &check->subscribers[subscriber];
    struct check_counts *counts = &check->rooms[messages_at(check->messages, message)->room].counts;
    counts->expected++;
    counts->lost++;
    for (uint32_t i = 0; i < who->resume_count; i++) {
        if (who->resumes[i].published <= message)
            continue;
        blame(&who->resumes[i]);
        return;
    }
}

static void gaps_judge(struct check *check)
{
    for (uint32_t i = 0; i < check->gap_count; i++) {
        const struct check_gap *gap = &check->gaps[i];
        struct check_room *room = &check->rooms[messages_at(check->messages, gap->message)->room];
        if (!was_accepted(check, gap->message))
            continue;
        if (gap->last != MESSAGE_NONE && order_precedes(&room->order, check->messages, gap->message, gap->last))
            lost(check, gap->subscriber, gap->message);
        else
            room->counts.forgiven++;
    }
}

static void membership_judge(struct check *check, uint32_t subscriber, const struct check_membership *membership)
{
    const struct check_room *room = &check->rooms[membership->room];
    if (membership->since == MESSAGE_NONE)
        return;
    uint32_t owed = room->count - membership->since;
    for (uint32_t i = window_missing(&membership->got, 0); i < owed; i = window_missing(&membership->got, i + 1))
        if (was_accepted(check, room->numbers[membership->since + i]))
            lost(check, subscriber, room->numbers[membership->since + i]);
}

static void counts_add(struct check_counts *to, const struct check_counts *more)
{
    to->published += more->published;
    to->accepted += more->accepted;
    to->expected += more->expected;
    to->lost += more->lost;
    to->doubled += more->doubled;
    to->doubled_resent += more->doubled_resent;
    to->reordered += more->reordered;
    to->unexpected += more->unexpected;
    to->forgiven += more->forgiven;
    to->early += more->early;
}

void check_finish(struct check *check, const bool *away, struct check_totals *totals)
{
    *totals = (struct check_totals){0};
    gaps_judge(check);
    for (uint32_t i = 0; i < check->messages->count; i++)
        if (was_accepted(check, i))
            check->rooms[messages_at(check->messages, i)->room].counts.accepted++;
    for (uint32_t i = 0; i < check->subscriber_count; i++) {
        const struct check_subscriber *subscriber = &check->subscribers[i];
        for (uint32_t j = 0; j < subscriber->membership_count && (away == NULL || !away[i]); j++)
            membership_judge(check, i, &subscriber->memberships[j]);
        for (uint32_t j = 0; j < subscriber->resume_count; j++) {
            totals->recovered += subscriber->resumes[j].recovered;
            totals->not_recovered += !subscriber->resumes[j].recovered;
            totals->wrongly_recovered += subscriber->resumes[j].wrong;
        }
    }
    for (uint32_t i = 0; i < check->room_count; i++)
        counts_add(&totals->counts, &check->rooms[i].counts);
}

/* rounds: see hub.h. Here: catching up by rounds, and the way of one entry to one member. */
#include <stdlib.h>

#include "base/mem.h"
#include "hub/audience.h"
#include "hub/hub.h"
#include "hub/page.h"

void member_held_drop(struct member *member)
{
    for (size_t i = member->held_at; i < member->held_count; i++)
        entry_unref(member->held[i]);
    free(member->held);
    member->held = NULL;
    member->held_at = member->held_count = member->held_cap = 0;
    member->held_bytes = 0;
}

void member_held_drop_room(struct member *member, uint32_t room)
{
    uint16_t kept = member->held_at;
    for (uint16_t i = member->held_at; i < member->held_count; i++) {
        if (member->held[i]->room == room)
            entry_unref(member->held[i]);
        else
            member->held[kept++] = member->held[i];
    }
    member->held_count = kept;
}

/* What is held cannot be used: it is read again, by another round that begins at once: this one's targets lie below it.
 * What is in no log is gone, which the layer above makes up for. */
static void held_spoil(struct member *member)
{
    bool unlogged = false;
    for (size_t i = member->held_at; i < member->held_count; i++)
        unlogged |= member->held[i]->seq == 0;
    memberships_each(membership, member) membership->presence_due |= unlogged;
    member_held_drop(member);
    member->again = true;
}

/* A settled member stands where the hub does, in every room. */
static void leave_settled(struct member *member)
{
    if (member->state != MEMBER_SETTLED)
        return;
    memberships_each(membership, member) if (membership->active) membership->pos = member->hub->position;
}

/* Fixes the targets: what lies above them will be pushed, and is held from now on. */
void member_round_begin(struct member *member)
{
    member_held_drop(member);
    member->again = false;
    memberships_each(membership, member)
    {
        if (!membership->resolved)
            continue;
        membership_target_fix(membership);
        if (membership->starting)
            membership_activate(membership);
        else if (membership->active)
            membership->late = membership->pos < membership->target && membership->pos < member->sent_seq;
    }
    if (member->state != MEMBER_CATCHING)
        member_set_state(member, MEMBER_CATCHING);
    member_continue(member);
}

void member_unsettle(struct member *member)
{
    leave_settled(member);
    member_round_begin(member);
}

void member_link_lost(struct member *member)
{
    if (member->state == MEMBER_IDLE || member->state == MEMBER_WAITING)
        return;
    leave_settled(member);
    member_held_drop(member);
    memberships_each(membership, member)
    {
        membership_page_drop(membership);
        membership->presence_due = true;
    }
    member_set_state(member, MEMBER_WAITING);
}

void member_hole(struct membership *membership, uint64_t after)
{
    struct member *member = membership->member;
    if (!membership->resolved || membership->stretch.end != STRETCH_OPEN)
        return;
    uint64_t before = after > membership->stretch.start ? after : membership->stretch.start;
    if (membership->resumed && before < member->resumed_seq)
        before = member->resumed_seq; /* what was missed here was not missed where it was then */
    if (member->state == MEMBER_SETTLED) {
        leave_settled(member);
        membership->pos = before;
        member_round_begin(member);
    } else if (member->state == MEMBER_CATCHING) {
        /* It counted as read up to where others are: nothing had shown the hole yet. */
        if (membership->active && membership->pos > before) {
            membership_page_drop(membership);
            membership->pos = before;
        }
        held_spoil(member);
    }
}

/* How far a client with this token came in a stretch. */
static uint64_t position_by(const struct token *token, struct span room, const struct stretch *stretch)
{
    return token_position(token, room, stretch->since, stretch->start, stretch->joined_at);
}

/* What was sent of rooms left meanwhile has gone as well. */
static void rewind_pasts(struct member *member, const struct token *token)
{
    list_each (node, &member->pasts) {
        struct past *past = container_of(node, struct past, of_member);
        struct span room = span_of(past->room, past->room_len);
        uint64_t position = position_by(token, room, &past->stretch);
        if (position >= past->stretch.end || member_is_owed(member, past))
            continue;
        list_remove(&past->of_member);
        member->past_count--;
        struct membership *owed = member_rejoin(member, room, &past->stretch, position);
        owed->starting = true;
        free(past);
    }
}

void member_rewind(struct member *member, const struct token *token)
{
    if (member->state == MEMBER_IDLE || member->state == MEMBER_READY)
        return; /* nothing has been sent */
    bool entering = member->entering, stepping = member->stepping;
    member->hub->counters.rewound++;
    member->stepping = true; /* member_continue says when */
    if (member->state == MEMBER_SETTLED)
        member_set_state(member, MEMBER_CATCHING);
    memberships_each(membership, member)
    {
        if (!membership->active)
            continue;
        membership_page_drop(membership);
        membership->pos = position_by(token, membership->room->node.key, &membership->stretch);
        membership->presence_due = true; /* what was in no log went with the rest */
    }
    member->sent_seq = token->seq;
    rewind_pasts(member, token);
    member->entering = entering;
    member_rooms_live(member);
    if (member->state == MEMBER_CATCHING)
        member_round_begin(member);
    member->stepping = stepping;
}

/* Where a token without the stretch's name would be read wrongly: it is replayed below what the token says, or the
 * token is not newer than the stretch and so says nothing of it. `position`: how far it was sent. */
static bool name_stretch(struct token *token, struct span room, const struct stretch *stretch, uint64_t position)
{
    uint64_t read = token->seq > stretch->joined_at ? token->seq : stretch->start;
    if (position == (read > stretch->start ? read : stretch->start))
        return true;
    return token_add_late(token, token_key(room, stretch->since), position);
}

/* Adds what a token with this seq must say of single rooms. `replayed` is an entry below what the client was told
 * already, so the rooms that are replayed late stand where they stand. False when it would be too much for one token.
 */
static bool token_add_rooms(struct member *member, bool replayed, struct token *token)
{
    memberships_each(membership, member)
    {
        bool behind = replayed && membership->late && membership->pos < membership->target;
        uint64_t position = behind ? membership->pos : token->seq;
        if (position < membership->stretch.start)
            position = membership->stretch.start;
        if (membership->active && !name_stretch(token, membership->room->node.key, &membership->stretch, position))
            return false;
    }
    list_each (node, &member->pasts) {
        const struct past *past = container_of(node, struct past, of_member);
        uint64_t position = past->stretch.end < token->seq ? past->stretch.end : token->seq;
        if (token->seq <= past->stretch.joined_at && position > past->stretch.start && !member_is_owed(member, past) &&
            !token_add_late(token, token_key(span_of(past->room, past->room_len), past->stretch.since), position))
            return false;
    }
    return true;
}

/* An unlogged entry counts for those who are in a room when it comes. */
static bool admits(const struct member *member, const struct entry *entry)
{
    uint64_t seq = entry->seq != 0 ? entry->seq : entry->token_seq + 1;
    return entry->audience_len == 0 || audience_admits(entry_audience(entry), member, seq);
}

static void deliver(struct member *member, struct entry *entry)
{
    if (!admits(member, entry))
        return;
    member->hub->counters.delivered++;
    struct token token;
    bool shared = entry->token_seq >= member->sent_seq;
    bool replayed = !shared && entry->seq != 0;
    if (shared)
        member->sent_seq = entry->token_seq;
    hub_token(member->hub, member->sent_seq, &token);
    if (replayed || (token.seq <= member->join_seq && token.seq != 0)) {
        if (!token_add_rooms(member, replayed, &token)) {
            member->hub->counters.lost++;
            member->events->lost(member);
            return;
        }
        shared = shared && token.late_count == 0;
    }
    if (member->stale_version != 0 && token.seq == member->stale_seq) {
        shared = false;
        token.version = member->stale_version == '1' ? '2' : '1';
    }
    member->events->deliver(member, entry, &token, shared);
}

static void hold(struct member *member, struct entry *entry)
{
    if (member->again)
        return;
    if (member->held_count == HUB_HELD_MAX || member->held_bytes >= HUB_HELD_BYTES_MAX) {
        held_spoil(member);
        return;
    }
    if (member->held_count == member->held_cap) {
        member->held_cap = member->held_cap != 0 ? (uint16_t)(member->held_cap * 2) : 8;
        member->held = mem_resize(member->held, member->held_cap * sizeof(struct entry *));
    }
    member->held[member->held_count++] = entry_ref(entry);
    member->held_bytes += (uint32_t)(sizeof *entry + entry->audience_len + entry->body_len);
}

void member_entry(struct membership *membership, struct entry *entry)
{
    struct member *member = membership->member;
    if (membership->stretch.end != STRETCH_OPEN)
        return;
    if (member->state == MEMBER_SETTLED && membership->active)
        deliver(member, entry);
    else if (member->state == MEMBER_CATCHING && membership->resolved)
        hold(member, entry);
    else if (entry->seq == 0)
        membership->presence_due = true;
}

void member_tell(struct member *member, struct entry *entry)
{
    if (member->state == MEMBER_SETTLED)
        deliver(member, entry);
    else if (member->state == MEMBER_CATCHING)
        hold(member, entry);
}

/* The next entry this membership has to send in this round. False when it has none; `*waits` when a read is under way.
 */
static struct entry *next_entry(struct membership *membership, bool *waits, bool *gone)
{
    while (membership->active && membership->pos < membership->target) {
        if (membership->page == NULL) {
            membership->page = page_get(membership->room, membership->pos);
            membership->page_at = UINT32_MAX;
            if (membership->page->loading)
                list_append(&membership->page->waiters, &membership->waiter);
        }
        struct page *page = membership->page;
        if (page->loading) {
            *waits = true;
            return NULL;
        }
        if (membership->page_at == UINT32_MAX)
            membership->page_at = page_index(page, membership->pos);
        if (membership->page_at < page->count) {
            struct entry *entry = page->entries[membership->page_at];
            *gone |= entry->prev > membership->pos;
            if (entry->seq <= membership->target)
                return entry;
            membership->pos = membership->target;
            membership_page_drop(membership);
            break;
        }
        /* Nothing behind our position, though the room has more: it was somebody else's page, or read before that came,
         * or it is gone, with whatever was known of the room or without. */
        *gone |= page->after == membership->pos && page->count == 0 &&
                 (page->last > membership->pos || page->position >= membership->target);
        membership_page_drop(membership);
        if (*gone)
            return NULL;
    }
    if (membership->active && membership->pos < membership->upto)
        membership->pos = membership->upto;
    return NULL;
}

/* The lowest entry among all rooms' next ones, or NULL: then `*waits` or `*gone` may say why. */
static struct membership *lowest(struct member *member, struct entry **entry, bool *waits, bool *gone)
{
    struct membership *best = NULL;
    memberships_each(membership, member)
    {
        struct entry *next = next_entry(membership, waits, gone);
        if (next != NULL && (best == NULL || next->seq < (*entry)->seq)) {
            best = membership;
            *entry = next;
        }
    }
    return *waits || *gone ? NULL : best;
}

/* The lowest of all next entries is about to be sent: up to it, every room has been. */
static void advance(struct member *member, uint64_t seq)
{
    memberships_each(membership, member) if (membership->active && membership->pos < seq) membership->pos = seq;
}

/* The first of those held is next. */
static void held_send(struct member *member)
{
    struct entry *entry = member->held[member->held_at++];
    advance(member, entry->seq);
    deliver(member, entry);
    entry_unref(entry);
}

static bool held_is_next(const struct member *member, const struct entry *read)
{
    if (member->again || member->held_at == member->held_count)
        return false;
    /* An unlogged one keeps its place among its neighbours. */
    for (uint16_t i = member->held_at; i < member->held_count; i++)
        if (member->held[i]->seq != 0)
            return member->held[i]->seq < read->seq;
    return false;
}

/* The targets are reached: what was held follows, and the member is settled. */
static void round_end(struct member *member)
{
    memberships_each(membership, member)
    {
        if (!membership->active)
            continue; /* it looks for its start */
        membership_page_drop(membership);
        if (membership->stretch.end != STRETCH_OPEN)
            hub_membership_ended(membership);
    }
    memberships_each(membership, member) membership->late = false;
    member_set_state(member, MEMBER_SETTLED);
    /* It may be too slow even for these: then it is read to again, and they are dropped. */
    while (member->state == MEMBER_SETTLED && member->held_at < member->held_count)
        held_send(member);
    member_held_drop(member);
    if (member->state == MEMBER_SETTLED)
        member->events->settled(member);
}

/* The lease does not know yet of a room that was joined or left: until it does, no token may move on. */
static bool awaits_lease(const struct member *member)
{
    memberships_each(membership, member)
    {
        if ((membership->resolved || membership->starting) && !membership->active)
            return true;
    }
    return member->leaving;
}

/* Its client does not read: what was read for it can be read again. */
static void pages_give_back(struct member *member)
{
    if (member->hub->page_bytes_alive > HUB_PAGES_BYTES_ALIVE)
        memberships_each(membership, member) membership_page_drop(membership);
}

void member_continue(struct member *member)
{
    if (member->state != MEMBER_CATCHING || member->stepping || awaits_lease(member))
        return;
    if (member->again) {
        member_round_begin(member);
        return;
    }
    member->stepping = true;
    for (;;) {
        bool waits = false, gone = false;
        struct entry *entry = NULL;
        struct membership *from = lowest(member, &entry, &waits, &gone);
        if (gone) {
            member->hub->counters.lost++;
            member->events->lost(member);
        }
        if (gone || waits)
            break;
        if (from == NULL) {
            member->stepping = false;
            round_end(member);
            return;
        }
        if (!member->events->has_room(member)) {
            pages_give_back(member);
            break;
        }
        if (held_is_next(member, entry)) {
            held_send(member);
            continue;
        }
        advance(member, entry->seq);
        from->page_at++;
        member->hub->counters.replayed++;
        deliver(member, entry);
    }
    member->stepping = false;
}

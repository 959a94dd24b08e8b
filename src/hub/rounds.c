/* rounds: how a member catches up, and the path of one entry to one member. hub_parts.h says why targets are exact.
 *
 * A round reads every room of a member from its position to a target. The target is the room's newest entry when the
 * round begins, or when the room takes part. Pushes above it are held meanwhile.
 *
 *                 pos                 target
 *     room A   ----|====== read =======|.... held ....>
 *     room B   ----------|=== read ====|.... held ....>
 *     room C   ---------------|==== read ====|. held .>      took part later: a higher target
 *                                                            seq -->
 *
 * member_round_begin fixes the targets. member_continue sends the lowest of all rooms' next entries and the held ones,
 * again and again. It pauses while a page is being read (the page continues it), while the client's queue is full
 * (has_room), and while the lease is being written (awaits_lease). It ends with member_lose if an entry is gone. At the
 * targets, round_end sends the rest of the held entries, and the member is SETTLED: member_entry then delivers pushes
 * at once.
 *
 * These begin a round: joining and resuming (member_start), a link that is up again (member_rooms_live), a hole in the
 * feed (member_hole), a dropped queue (member_rewind), a room entered or left by a settled member (member_unsettle).
 * When the held entries become too many or incomplete, they are dropped, and `again` asks for another round.
 *
 * Every entry up to `pos` of a room has been sent, so sending an entry advances `pos` of all rooms. `sent_seq` is the
 * highest position that the client was told. An entry below it belongs to a room that is replayed late; its token then
 * names that room's own position. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "hub/audience.h"
#include "hub/hub_parts.h"
#include "hub/page.h"

enum { HELD_CAP_MIN = 8 };

void member_held_drop(struct member *member)
{
    struct member_held *held = member_held(member);
    if (held == NULL)
        return;
    for (size_t i = held->at; i < held->count; i++)
        entry_unref(held->entries[i]);
    free(held);
    member->marks->held = NULL;
}

void member_held_drop_room(struct member *member, uint32_t room)
{
    struct member_held *held = member_held(member);
    if (held == NULL)
        return;
    uint16_t kept = held->at, events = held->kept_count;
    for (uint16_t i = held->at; i < held->count; i++) {
        if (held->entries[i]->room != room) {
            held->entries[kept++] = held->entries[i];
            continue;
        }
        held->kept_count = (uint16_t)(held->kept_count - (i < events));
        entry_unref(held->entries[i]);
    }
    held->count = kept;
}

/* Drops the held entries, which are incomplete. Another round reads them again; it begins at once, because this round's
 * targets lie below them. Unlogged entries are gone; the session layer sends presence lists anew. */
static void held_spoil(struct member *member)
{
    const struct member_held *held = member_held(member);
    bool unlogged = false;
    for (size_t i = held != NULL ? held->at : 0; held != NULL && i < held->count; i++)
        unlogged |= held->entries[i]->seq == 0;
    memberships_each(membership, member) membership->missed |= unlogged;
    member_held_drop(member);
    member->again = true;
}

/* A settled member's position is the hub's, in every room. */
static void leave_settled(struct member *member)
{
    if (member->state != MEMBER_SETTLED)
        return;
    memberships_each(membership, member)
    {
        if (!membership_takes_part(membership))
            continue;
        membership_log(membership)->pos = member->hub->position;
        membership_log(membership)->stretch.known = membership_known(membership);
    }
}

/* Fixes the targets: entries above them will be pushed, and are held from now on. */
void member_round_begin(struct member *member)
{
    const struct member_held *held = member_held(member);
    bool only_kept = held != NULL && held->at == 0 && held->count == held->kept_count;
    if (!only_kept || held->kept_count == 0) /* the kept events wait for the first round */
        member_held_drop(member);
    member->again = false;
    memberships_each(membership, member)
    {
        if (!membership_is_found(membership))
            continue;
        membership_target_fix(membership);
        if (membership->state == MEMBERSHIP_STARTING)
            membership_activate(membership);
        else if (membership_takes_part(membership))
            membership->late =
                membership->log->pos < membership_target(membership) && membership->log->pos < member->sent_seq;
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
    if (member->state == MEMBER_IDLE || member->state == MEMBER_WAITING || member->state == MEMBER_LOST)
        return;
    leave_settled(member);
    member_held_drop(member);
    memberships_each(membership, member)
    {
        membership_page_drop(membership);
        membership->missed = true;
    }
    member_set_state(member, MEMBER_WAITING);
}

void member_hole(struct membership *membership, uint64_t after)
{
    struct member *member = membership->member;
    if (!membership_is_found(membership) || membership->log->stretch.end != STRETCH_OPEN)
        return;
    uint64_t before = after > membership->log->stretch.start ? after : membership->log->stretch.start;
    if (membership->resumed && before < member->marks->resumed_seq)
        before =
            member->marks->resumed_seq; /* this instance missed the push, but the one that it resumed from did not */
    if (member->state == MEMBER_SETTLED) {
        uint64_t known = membership->log->stretch.known;
        leave_settled(member);
        membership_log(membership)->pos = before;
        membership_log(membership)->stretch.known = after > known ? after : known; /* later entries may not follow it */
        membership->holed = true;
        member_round_begin(member);
    } else if (member->state == MEMBER_CATCHING) {
        /* Its position had advanced with other rooms, because nothing had shown the hole yet. */
        if (membership_takes_part(membership) && membership->log->pos > before) {
            membership_page_drop(membership);
            membership_log(membership)->pos = before;
            membership->holed = true;
        }
        held_spoil(member);
    }
}

/* How far a client with this token came in a stretch. */
static uint64_t position_by(const struct token *token, struct span room, const struct stretch *stretch)
{
    return token_position(token, room, stretch->since, stretch->start, stretch->joined_at);
}

/* Entries of rooms that were left meanwhile were dropped as well: the member is owed them again. */
static void rewind_pasts(struct member *member, const struct token *token)
{
    pasts_each(past, member)
    {
        struct span room = span_of(past->room, past->room_len);
        uint64_t position = position_by(token, room, &past->stretch);
        if (position >= past->stretch.end || member_is_owed(member, past))
            continue;
        member_past_remove(member, past);
        struct membership *owed = member_rejoin(member, room, &past->stretch, position);
        membership_start(owed);
        free(past);
    }
}

void member_rewind(struct member *member, const struct token *token)
{
    if (member->state == MEMBER_IDLE || member->state == MEMBER_READY || member->state == MEMBER_LOST)
        return; /* no entry has been sent, or none will be */
    bool entering = member->entering, stepping = member->stepping;
    member->hub->counters.rewound++;
    member->stepping = true; /* member_continue says when */
    if (member->state == MEMBER_SETTLED)
        member_set_state(member, MEMBER_CATCHING);
    memberships_each(membership, member)
    {
        if (!membership_takes_part(membership))
            continue;
        membership_page_drop(membership);
        membership_log(membership)->pos = position_by(token, membership->room->node.key, &membership->log->stretch);
        membership->missed = true; /* unlogged presence events were dropped, too */
        membership->holed = false;
    }
    member->sent_seq = token->seq;
    rewind_pasts(member, token);
    member->entering = entering;
    member_rooms_live(member);
    if (member->state == MEMBER_CATCHING)
        member_round_begin(member);
    member->stepping = stepping;
}

/* Names the stretch in the token if a token without its name would be read wrongly: the stretch is replayed below the
 * token's seq, or the token is not newer than the stretch and so says nothing about it. `position`: how far it was
 * sent. False if the token has no place left. */
static bool name_stretch(struct token *token, struct span room, const struct stretch *stretch, uint64_t position)
{
    uint64_t read = token->seq > stretch->joined_at ? token->seq : stretch->start;
    if (position == (read > stretch->start ? read : stretch->start))
        return true;
    /* A room that has nothing up to a position above the token's has been sent what it has up to the token's. */
    return token_add_late(token, token_key(room, stretch->since), position < token->seq ? position : token->seq);
}

/* Adds the stretches that a token with this seq must name. `replayed`: the entry lies below the client's position, so
 * rooms that are replayed late have positions of their own. False if one token cannot name them all. */
static bool token_add_rooms(struct member *member, bool replayed, struct token *token)
{
    memberships_each(membership, member)
    {
        bool behind = replayed && membership->late && membership->log->pos < membership_target(membership);
        uint64_t position = behind ? membership->log->pos : token->seq;
        if (position < membership->log->stretch.start)
            position = membership->log->stretch.start;
        if (membership_takes_part(membership) &&
            !name_stretch(token, membership->room->node.key, &membership->log->stretch, position))
            return false;
    }
    pasts_each(past, member)
    {
        uint64_t position = past->stretch.end < token->seq ? past->stretch.end : token->seq;
        if (token->seq <= past->stretch.joined_at && position > past->stretch.start && !member_is_owed(member, past) &&
            !token_add_late(token, token_key(span_of(past->room, past->room_len), past->stretch.since), position))
            return false;
    }
    return true;
}

/* The client keeps a token of an earlier session: ours is spelled in another way. */
static bool token_respell(const struct member *member, struct token *token)
{
    const struct member_marks *marks = member->marks;
    if (marks == NULL || marks->stale_version == 0 || token->seq != marks->stale_seq)
        return false;
    token->version = marks->stale_version == '1' ? '2' : '1';
    return true;
}

bool member_token(struct member *member, struct token *token)
{
    assert(member_is_settled(member));
    hub_token(member->hub, hub_position(member->hub), token);
    token_respell(member, token);
    return token->seq > member_join_seq(member) || token_add_rooms(member, false, token);
}

void member_lose(struct member *member)
{
    if (member->state == MEMBER_LOST)
        return;
    member_set_state(member, MEMBER_LOST);
    member->hub->counters.lost++;
    member->hub->events->lost(member);
}

/* An unlogged entry is for the members at its arrival. */
static bool admits(const struct member *member, const struct entry *entry)
{
    uint64_t seq = entry->seq != 0 ? entry->seq : entry->token_seq + 1;
    return entry->audience_len == 0 || audience_admits(entry_audience(entry), member, seq);
}

/* The lowest of all next entries is about to be sent: every room has been sent up to it. */
static void advance(struct member *member, uint64_t seq)
{
    memberships_each(membership, member) if (membership_takes_part(membership) && membership->log->pos < seq)
        membership_log(membership)
            ->pos = seq;
}

void member_round_pause(struct member *member, uint64_t seq)
{
    if (!member_holds(member))
        leave_settled(member); /* else the positions are those of the round that is just ending */
    advance(member, seq);
    memberships_each(membership, member)
    {
        if (membership_takes_part(membership) && membership->log->round != NULL)
            membership->log->round->target = membership->log->round->upto = membership->log->pos;
    }
    member_set_state(member, MEMBER_CATCHING);
}

/* Gives it to the owner, unless it was carried out before: by another instance, or before the queue was dropped. */
static void direct(struct member *member, struct entry *entry, bool is_new)
{
    if (member->hub->events->directed == NULL ||
        (!is_new && entry->seq != 0 && entry->seq <= member_directed_seq(member)))
        return;
    member->directed = true;
    if (member->state == MEMBER_SETTLED)
        member_round_pause(member, entry->seq);
    member->hub->events->directed(member, entry);
}

/* `is_new`: it is read because it was never pushed. */
static void deliver(struct member *member, struct entry *entry, bool is_new)
{
    if (member->state == MEMBER_LOST || !admits(member, entry))
        return;
    if (audience_is_directive(entry_audience(entry))) {
        direct(member, entry, is_new);
        return;
    }
    member->hub->counters.delivered++;
    struct token token;
    bool shared = entry->token_seq >= member->sent_seq;
    bool replayed = !shared && entry->seq != 0;
    if (shared)
        member->sent_seq = entry->token_seq;
    hub_token(member->hub, member->sent_seq, &token);
    if (replayed || (token.seq <= member_join_seq(member) && token.seq != 0)) {
        if (!token_add_rooms(member, replayed, &token)) {
            member_lose(member);
            return;
        }
        shared = shared && token.late_count == 0;
    }
    if (token_respell(member, &token))
        shared = false;
    member->hub->events->deliver(member, entry, &token, shared);
}

static void hold(struct member *member, struct entry *entry)
{
    struct member_held *held = member_held(member);
    if (member->again)
        return;
    if (held != NULL && (held->count == HUB_HELD_MAX || held->bytes >= HUB_HELD_BYTES_MAX)) {
        held_spoil(member);
        return;
    }
    if (held == NULL || held->count == held->cap) {
        uint16_t cap = held != NULL ? (uint16_t)(held->cap * 2) : HELD_CAP_MIN;
        bool is_new = held == NULL;
        held = member_marks(member)->held = mem_resize(held, sizeof *held + cap * sizeof(struct entry *));
        if (is_new)
            *held = (struct member_held){.count = 0};
        held->cap = cap;
    }
    held->entries[held->count++] = entry_ref(entry);
    held->bytes += (uint32_t)(sizeof *entry + entry->audience_len + entry->body_len);
}

bool membership_takes(const struct membership *membership)
{
    const struct member *member = membership->member;
    return membership->log->stretch.end == STRETCH_OPEN &&
           ((member->state == MEMBER_SETTLED && membership_takes_part(membership)) ||
            (member->state == MEMBER_CATCHING && membership_is_found(membership) && !member->again));
}

/* Its first round has not begun: an unlogged event waits for it. */
static void keep(struct member *member, struct entry *entry)
{
    hold(member, entry);
    struct member_held *held = member_held(member);
    if (held != NULL)
        held->kept_count = held->count;
}

void member_keep_begin(struct member *member)
{
    member->keeps = true;
}

void member_keep(struct member *member, const struct broker_entry *event, uint64_t after)
{
    struct membership *membership = member_find(member, event->room);
    if (membership == NULL || (member_held(member) != NULL && member_held(member)->count == HUB_HELD_MAX))
        return;
    struct entry *entry = entry_create(event);
    entry->token_seq = after;
    entry->room = membership->room->number;
    keep(member, entry);
    entry_unref(entry);
}

void member_entry(struct membership *membership, struct entry *entry)
{
    struct member *member = membership->member;
    if (membership->log->stretch.end != STRETCH_OPEN)
        return;
    if (member->state == MEMBER_SETTLED && membership_takes_part(membership))
        deliver(member, entry, false);
    else if (member->state == MEMBER_CATCHING && membership_is_found(membership))
        hold(member, entry);
    else if (entry->seq == 0 && member->keeps && membership_is_noted(membership)) /* not for a room that it enters */
        keep(member, entry);
    else if (entry->seq == 0)
        membership->missed = true;
}

void member_tell(struct member *member, struct entry *entry)
{
    if (member->state == MEMBER_SETTLED)
        deliver(member, entry, false);
    else if (member->state == MEMBER_CATCHING)
        hold(member, entry);
}

/* The next entry of this membership in this round. NULL if there is none, or if `*waits`: a read is under way. Sets
 * `*gone` if the page shows a loss. */
static struct entry *next_entry(struct membership *membership, bool *waits, bool *gone)
{
    struct membership_round *round = membership->log->round;
    if (round == NULL)
        return NULL;
    while (membership_takes_part(membership) && membership->log->pos < round->target) {
        if (round->page == NULL) {
            round->page = page_get(membership->room, membership->log->pos);
            round->page_at = UINT32_MAX;
            if (round->page->loading)
                list_append(&round->page->waiters, &round->waiter);
        }
        struct page *page = round->page;
        if (page->loading) {
            *waits = true;
            return NULL;
        }
        if (round->page_at == UINT32_MAX)
            round->page_at = page_index(page, membership->log->pos);
        if (round->page_at < page->count) {
            struct entry *entry = page->entries[round->page_at];
            *gone |= page_shows_loss(page, round->page_at, membership->log->pos, membership->log->stretch.known);
            if (entry->seq <= round->target)
                return entry;
            membership_log(membership)->pos = round->target;
            membership_page_drop(membership);
            break;
        }
        /* The page has no entry above our position, though the room has. It was read for another member, or before the
         * entry arrived, or the entry is gone. */
        *gone |= page_shows_loss(page, round->page_at, membership->log->pos, membership->log->stretch.known);
        membership_page_drop(membership);
        if (*gone)
            return NULL;
    }
    if (membership_takes_part(membership) && membership->log->pos < round->upto)
        membership_log(membership)->pos = round->upto;
    return NULL;
}

/* The membership with the lowest next entry, or NULL: none, or `*waits` or `*gone`. */
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

/* Sends the first held entry. */
static void held_send(struct member *member)
{
    struct member_held *held = member_held(member);
    struct entry *entry = held->entries[held->at++];
    advance(member, entry->seq);
    deliver(member, entry, false);
    entry_unref(entry);
}

static bool held_is_next(const struct member *member, const struct entry *read)
{
    const struct member_held *held = member_held(member);
    if (member->again || !member_holds(member))
        return false;
    if (held->at < held->kept_count)
        return held->entries[held->at]->token_seq < read->seq;
    /* An unlogged entry keeps its place before the next logged one. */
    for (uint16_t i = held->at; i < held->count; i++)
        if (held->entries[i]->seq != 0)
            return held->entries[i]->seq < read->seq;
    return false;
}

/* The targets are reached: the held entries follow, and the member is settled. */
static void round_end(struct member *member)
{
    memberships_each(membership, member)
    {
        if (!membership_takes_part(membership))
            continue; /* it looks for its start */
        membership_round_drop(membership);
        if (membership->log->stretch.end != STRETCH_OPEN)
            hub_membership_ended(membership);
    }
    memberships_each(membership, member) membership->late = membership->holed = false;
    member->keeps = false;
    member_set_state(member, MEMBER_SETTLED);
    /* If the client is too slow even for these, member_rewind begins another round and drops them. A directive among
     * them stops here, and the others wait. */
    while (member->state == MEMBER_SETTLED && member_holds(member))
        held_send(member);
    if (member->directed)
        return;
    member_held_drop(member);
    if (member->state != MEMBER_SETTLED)
        return;
    memberships_each(membership, member) membership_log_trim(membership);
    member->hub->events->settled(member);
}

/* The lease does not record a joined or left room yet. Until it does, no token may advance. */
static bool awaits_lease(const struct member *member)
{
    memberships_each(membership, member)
    {
        if (membership->state == MEMBERSHIP_SEEKING_STARTING ||
            (membership->directed && membership->state == MEMBERSHIP_SEEKING) ||
            (membership_is_found(membership) && !membership_takes_part(membership)))
            return true;
    }
    return member->leaving || member->directed;
}

/* Its client does not read, and pages use too much memory: gives its pages back, to be read again later. */
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
    while (member->state != MEMBER_LOST && !member->directed) {
        bool waits = false, gone = false;
        struct entry *entry = NULL;
        struct membership *from = lowest(member, &entry, &waits, &gone);
        if (gone)
            member_lose(member);
        if (gone || waits)
            break;
        if (from == NULL) {
            member->stepping = false;
            round_end(member);
            return;
        }
        if (!member->hub->events->has_room(member)) {
            pages_give_back(member);
            break;
        }
        if (held_is_next(member, entry)) {
            held_send(member);
            continue;
        }
        advance(member, entry->seq);
        from->log->round->page_at++;
        if (entry->seq > from->log->stretch.known)
            membership_log(from)->stretch.known = entry->seq;
        member->hub->counters.replayed++;
        deliver(member, entry, from->holed);
    }
    member->stepping = false;
}

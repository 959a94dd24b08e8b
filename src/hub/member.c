/* member: see hub.h. Here: joining, the rounds of catching up, and the way of one entry to one member. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "hub/hub.h"
#include "hub/page.h"

#define memberships_each(name, member) \
    list_each (name##_node, &(member)->memberships) \
        for (struct membership *name = container_of(name##_node, struct membership, of_member); name != NULL; \
             name = NULL)

/* The only place where a member's state changes; the legal moves are the picture in hub.h. */
static void set_state(struct member *member, enum member_state state)
{
    static const uint8_t legal[] = {
        [MEMBER_IDLE] = 1 << MEMBER_WAITING,
        [MEMBER_WAITING] = 1 << MEMBER_READY | 1 << MEMBER_CATCHING,
        [MEMBER_READY] = 1 << MEMBER_CATCHING | 1 << MEMBER_WAITING,
        [MEMBER_CATCHING] = 1 << MEMBER_SETTLED | 1 << MEMBER_WAITING,
        [MEMBER_SETTLED] = 1 << MEMBER_CATCHING | 1 << MEMBER_WAITING,
    };
    assert(legal[member->state] & 1 << state);
    member->state = (uint8_t)state;
}

void member_init(struct member *member, struct hub *hub, const struct member_events *events, struct span sid)
{
    *member = (struct member){.hub = hub, .events = events, .sid = sid, .whole = true};
    list_init(&member->memberships);
    list_init(&member->of_hub);
    list_append(&hub->members, &member->of_hub);
}

static void held_drop(struct member *member)
{
    for (size_t i = 0; i < member->held_count; i++)
        entry_unref(member->held[i].entry);
    free(member->held);
    member->held = NULL;
    member->held_count = member->held_cap = 0;
}

/* What was held for a room that is left is no longer meant for the member. */
static void held_forget(struct member *member, const struct membership *left)
{
    uint16_t kept = 0;
    for (uint16_t i = 0; i < member->held_count; i++) {
        if (member->held[i].membership == left)
            entry_unref(member->held[i].entry);
        else
            member->held[kept++] = member->held[i];
    }
    member->held_count = kept;
}

static void page_drop(struct membership *membership)
{
    list_remove(&membership->waiter);
    page_unref(membership->page);
    membership->page = NULL;
}

void membership_destroy(struct membership *membership)
{
    page_drop(membership);
    membership->member->pending_count -= membership->noted && !membership->active;
    list_remove(&membership->of_member);
    room_member_remove(membership->room, membership);
    free(membership);
}

void member_finish(struct member *member)
{
    if (member == NULL || member->hub == NULL)
        return;
    memberships_each(membership, member) membership_destroy(membership);
    held_drop(member);
    list_remove(&member->of_hub);
    member->hub = NULL;
}

struct membership *member_find(struct member *member, struct span room)
{
    memberships_each(membership, member) if (span_equal(membership->room->node.key, room)) return membership;
    return NULL;
}

struct membership *member_join(struct member *member, struct span room, enum start_mode mode, uint64_t argument)
{
    struct membership *membership = member_find(member, room);
    if (membership != NULL)
        return membership;
    member->entering = true;
    membership = mem_zero(1, sizeof *membership);
    membership->member = member;
    membership->room = hub_room(member->hub, room);
    membership->mode = (uint8_t)mode;
    membership->start = argument;
    list_init(&membership->waiter);
    list_init(&membership->of_member);
    list_append(&member->memberships, &membership->of_member);
    room_member_add(membership->room, membership);
    if (member->state == MEMBER_IDLE)
        set_state(member, MEMBER_WAITING);
    membership_resolve(membership);
    return membership;
}

void member_noted(struct membership *membership, uint64_t joined_at)
{
    struct member *member = membership->member;
    membership->noted = true;
    membership->joined_at = joined_at;
    member->pending_count++;
    if (joined_at > member->join_seq)
        member->join_seq = joined_at;
}

void member_note(struct member *member)
{
    memberships_each(membership, member) if (membership->resolved && !membership->noted)
        member_noted(membership, member->sent_seq);
}

bool member_is_noted(struct member *member)
{
    memberships_each(membership, member) if (!membership->noted) return false;
    return true;
}

void member_joined(struct member *member)
{
    member->entering = false;
    member_rooms_live(member);
}

void member_leave(struct member *member, struct span room)
{
    struct membership *membership = member_find(member, room);
    if (membership == NULL)
        return;
    bool awaited = !membership->active || member->state == MEMBER_WAITING;
    held_forget(member, membership);
    membership_destroy(membership);
    /* What this room was still to be read, confirmed or looked up for need not be waited for any more. */
    member_continue(member);
    if (awaited && !list_empty(&member->memberships))
        member_rooms_live(member);
}

/* Finds the start, which may need a look into the log. */
void membership_resolve(struct membership *membership)
{
    struct room *room = membership->room;
    if (membership->resolved || membership->page != NULL || room->state != ROOM_LIVE)
        return;
    bool nothing = room->last == 0 || (membership->mode == START_AT && membership->start >= room->last);
    if (membership->mode == START_NOW || nothing) {
        if (membership->mode != START_AT)
            membership->start = room->last;
        membership->resolved = true;
        return;
    }
    if (membership->mode == START_NEWEST)
        membership->page = page_get_newest(room, (uint32_t)membership->start);
    else
        membership->page = page_get(room, membership->mode == START_OLDEST ? 0 : membership->start);
    if (membership->page->loading)
        list_append(&membership->page->waiters, &membership->waiter);
    else
        membership_page_loaded(membership);
}

static void resolve_from_page(struct membership *membership)
{
    struct page *page = membership->page;
    if (membership->mode == START_AT) {
        uint32_t at = page_index(page, membership->start);
        if (at == page->count && page->after != membership->start) {
            page_drop(membership); /* somebody else's page, which did not reach that far */
            membership_resolve(membership);
            return;
        }
        if (at == page->count || page->entries[at]->prev > membership->start)
            membership->member->whole = false;
    } else if (page->count > 0) {
        membership->start = page->entries[0]->prev;
    } else {
        /* What the feed has shown since the log was read, and found empty, belongs to this membership. */
        membership->start = page->last < membership->room->last ? page->last : membership->room->last;
    }
    membership->resolved = true;
    page_drop(membership);
}

/* Entries come from pages rounds later; until the first answer nothing else is known to wait for. */
void membership_page_loaded(struct membership *membership)
{
    struct member *member = membership->member;
    bool was_resolved = membership->resolved;
    if (membership->page->failed) {
        page_drop(membership);
        membership_resolve(membership);
    } else if (!membership->resolved) {
        resolve_from_page(membership);
    }
    bool known_now = membership->resolved && !was_resolved;
    if (member->state == MEMBER_CATCHING)
        member_continue(member);
    if (member->state != MEMBER_CATCHING || known_now)
        member_rooms_live(member);
}

/* Called whenever a room has become live or a start known: are all of them? */
void member_rooms_live(struct member *member)
{
    bool joining = false, active = false;
    if (member->entering)
        return; /* more rooms are to come */
    memberships_each(membership, member)
    {
        if (membership->room->state != ROOM_LIVE || !membership->resolved)
            return;
        bool takes_part = membership->active || membership->starting;
        active |= takes_part;
        joining |= !takes_part;
    }
    if (member->sent_seq > member->hub->position) {
        /* The client has been told more, elsewhere, than has come to this instance yet. Its rooms' targets would lie
         * too low, and what is still on its way would be sent twice. A confirmation brings the position here. */
        if (!member->awaits_position && member->state == MEMBER_WAITING) {
            struct membership *first = container_of(member->memberships.next, struct membership, of_member);
            member->awaits_position = true;
            broker_subscribe(member->hub->broker, first->room->node.key);
        }
        return;
    }
    member->awaits_position = false;
    if (member->state == MEMBER_WAITING && active)
        member_round_begin(member);
    else if (member->state == MEMBER_WAITING)
        set_state(member, MEMBER_READY);
    if (joining)
        member->events->ready(member, member->whole);
}

static void leave_settled(struct member *member)
{
    if (member->state != MEMBER_SETTLED)
        return;
    memberships_each(membership, member) if (membership->active) membership->pos = member->hub->position;
}

void member_start(struct member *member)
{
    memberships_each(membership, member) membership->starting |= membership->resolved && !membership->active;
    if (member->state == MEMBER_READY || member->state == MEMBER_SETTLED) {
        leave_settled(member);
        member_round_begin(member);
    } else if (member->state == MEMBER_CATCHING) {
        /* What is held may lie below what the new room replays: read it again, behind. */
        held_drop(member);
        member->again = true;
    }
}

static void activate(struct membership *membership)
{
    membership->starting = false;
    membership->active = true;
    membership->member->pending_count -= membership->noted;
    membership->pos = membership->start;
}

/* Fixes the targets: what lies above them will be pushed, and is held from now on. */
void member_round_begin(struct member *member)
{
    held_drop(member);
    member->again = false;
    memberships_each(membership, member)
    {
        if (membership->starting)
            activate(membership);
        if (!membership->active)
            continue;
        membership->target = membership->room->last;
        membership->late = membership->pos < membership->target && membership->pos < member->sent_seq;
    }
    if (member->state != MEMBER_CATCHING)
        set_state(member, MEMBER_CATCHING);
    member_continue(member);
}

void member_link_lost(struct member *member)
{
    if (member->state == MEMBER_IDLE || member->state == MEMBER_WAITING)
        return;
    leave_settled(member);
    held_drop(member);
    memberships_each(membership, member) page_drop(membership);
    set_state(member, MEMBER_WAITING);
}

void member_hole(struct membership *membership, uint64_t after)
{
    struct member *member = membership->member;
    if (!membership->active)
        return;
    if (member->state == MEMBER_SETTLED) {
        leave_settled(member);
        membership->pos = after;
        member_round_begin(member);
    } else if (member->state == MEMBER_CATCHING) {
        /* Another room's hole began this round: then this room was taken to be read up to the hub's position. */
        if (membership->pos > after) {
            page_drop(membership);
            membership->pos = after;
        }
        held_drop(member);
        member->again = true;
    }
}

/* Adds what a token with this seq must say of single rooms. `replayed` is an entry below what the client was told
 * already, so the rooms that are replayed late stand where they stand. False when it would be too much for one token.
 */
static bool token_add_rooms(struct member *member, bool replayed, struct token *token)
{
    memberships_each(membership, member)
    {
        uint64_t position;
        if (!membership->active && membership->noted && membership->start < token->seq)
            position = membership->start;
        else if (membership->active && replayed && membership->late && membership->pos < membership->target)
            position = membership->pos;
        else if (membership->active && membership->joined_at >= token->seq && token->seq != 0)
            position = token->seq;
        else
            continue;
        if (token->late_count == TOKEN_LATE_ROOMS_MAX)
            return false;
        token->late[token->late_count].room = token_room_hash(membership->room->node.key);
        token->late[token->late_count++].position = position;
    }
    return true;
}

static void deliver(struct member *member, struct entry *entry)
{
    if (entry->except_len != 0 && entry_excepts(entry, member->sid))
        return;
    member->hub->counters.delivered++;
    struct token token;
    bool shared = entry->token_seq >= member->sent_seq;
    bool replayed = !shared && entry->seq != 0;
    if (shared)
        member->sent_seq = entry->token_seq;
    hub_token(member->hub, member->sent_seq, &token);
    if (replayed || member->pending_count != 0 || token.seq <= member->join_seq) {
        shared = false;
        if (!token_add_rooms(member, replayed, &token)) {
            member->hub->counters.lost++;
            member->events->lost(member);
            return;
        }
    }
    if (member->stale_version != 0 && token.seq == member->stale_seq) {
        shared = false;
        token.version = member->stale_version == '1' ? '2' : '1';
    }
    member->events->deliver(member, entry, &token, shared);
}

static void hold(const struct membership *membership, struct entry *entry)
{
    struct member *member = membership->member;
    if (member->again)
        return;
    if (member->held_count == HUB_HELD_MAX) {
        held_drop(member);
        member->again = true;
        return;
    }
    if (member->held_count == member->held_cap) {
        member->held_cap = member->held_cap != 0 ? (uint16_t)(member->held_cap * 2) : 8;
        member->held = mem_resize(member->held, member->held_cap * sizeof *member->held);
    }
    member->held[member->held_count++] = (struct held){entry_ref(entry), membership};
}

void member_entry(struct membership *membership, struct entry *entry)
{
    if (!membership->active)
        return;
    if (membership->member->state == MEMBER_SETTLED)
        deliver(membership->member, entry);
    else if (membership->member->state == MEMBER_CATCHING)
        hold(membership, entry);
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
            page_drop(membership);
            return NULL;
        }
        /* Nothing behind our position, though the room has more: either it was somebody else's page, or it is gone. */
        *gone |= page->after == membership->pos && page->count == 0;
        page_drop(membership);
        if (*gone)
            return NULL;
    }
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

/* The targets are reached: what was held follows, and the member is settled, or another round begins. */
static void round_end(struct member *member)
{
    memberships_each(membership, member) if (membership->active)
        page_drop(membership); /* others look for their start */
    if (member->again) {
        member_round_begin(member);
        return;
    }
    struct held *held = member->held;
    size_t count = member->held_count;
    member->held = NULL;
    member->held_count = member->held_cap = 0;
    memberships_each(membership, member) membership->late = false;
    set_state(member, MEMBER_SETTLED);
    for (size_t i = 0; i < count; i++) {
        deliver(member, held[i].entry);
        entry_unref(held[i].entry);
    }
    free(held);
    member->events->settled(member);
}

void member_continue(struct member *member)
{
    if (member->state != MEMBER_CATCHING || member->stepping)
        return;
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
        if (!member->events->has_room(member))
            break;
        from->pos = entry->seq;
        from->page_at++;
        member->hub->counters.replayed++;
        deliver(member, entry);
    }
    member->stepping = false;
}

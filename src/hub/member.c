/* member: how a member enters and leaves rooms, up to its first round. Catching up and delivery are in rounds.c.
 *
 * A membership passes these steps; hub_parts.h has its states:
 *
 *     member_join ----+                                          session writes the lease
 *                     +--> room LIVE --> FOUND ---> ready() --> NOTED ---> STARTING --> ACTIVE
 *     member_rejoin --+   (confirmed)  (start known)          member_note  member_start  (in rounds)
 *
 * Subscribing confirms the room. membership_resolve then finds the start: at once for START_NOW and for rooms without
 * entries, else from a page of the log. When the starts of all rooms of the member are known, `ready` tells the session
 * layer, which writes the lease. member_start begins to deliver. From FOUND to ACTIVE nothing is sent to the member,
 * because a resume may find the old lease or the new one, and the client's token must be right for both.
 *
 * Leaving a noted room turns the membership into a `past`: its stretch with an end. The lease keeps it as long as the
 * client may lack its entries. When a resume finds unread entries in it, it becomes a membership with an end, which is
 * destroyed after the round that sends them. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/moves.h"
#include "hub/hub_parts.h"
#include "hub/page.h"

#define MEMBER_MOVES(MOVE) \
    MOVE(MEMBER_IDLE, MEMBER_WAITING) \
    MOVE(MEMBER_WAITING, MEMBER_READY) \
    MOVE(MEMBER_WAITING, MEMBER_CATCHING) \
    MOVE(MEMBER_READY, MEMBER_CATCHING) \
    MOVE(MEMBER_READY, MEMBER_WAITING) \
    MOVE(MEMBER_CATCHING, MEMBER_SETTLED) \
    MOVE(MEMBER_CATCHING, MEMBER_WAITING) \
    MOVE(MEMBER_SETTLED, MEMBER_CATCHING) \
    MOVE(MEMBER_SETTLED, MEMBER_WAITING) \
    MOVE(MEMBER_IDLE, MEMBER_LOST) \
    MOVE(MEMBER_WAITING, MEMBER_LOST) \
    MOVE(MEMBER_READY, MEMBER_LOST) MOVE(MEMBER_CATCHING, MEMBER_LOST) MOVE(MEMBER_SETTLED, MEMBER_LOST)

#define MEMBERSHIP_MOVES(MOVE) \
    MOVE(MEMBERSHIP_SEEKING, MEMBERSHIP_FOUND) \
    MOVE(MEMBERSHIP_SEEKING, MEMBERSHIP_SEEKING_NOTED) \
    MOVE(MEMBERSHIP_SEEKING_NOTED, MEMBERSHIP_NOTED) \
    MOVE(MEMBERSHIP_SEEKING_NOTED, MEMBERSHIP_SEEKING_STARTING) \
    MOVE(MEMBERSHIP_SEEKING_STARTING, MEMBERSHIP_STARTING) \
    MOVE(MEMBERSHIP_FOUND, MEMBERSHIP_NOTED) \
    MOVE(MEMBERSHIP_NOTED, MEMBERSHIP_STARTING) \
    MOVE(MEMBERSHIP_STARTING, MEMBERSHIP_ACTIVE)

/* The only function that changes a membership's state. hub_parts.h has the picture. */
void membership_set_state(struct membership *membership, enum membership_state state)
{
    static const bool legal[MEMBERSHIP_STATES][MEMBERSHIP_STATES] = {MEMBERSHIP_MOVES(MOVE_LEGAL)};
    assert(legal[membership->state][state]);
    membership->state = (uint8_t)state;
}

/* The only function that changes a member's state. member.h has the picture. */
void member_set_state(struct member *member, enum member_state state)
{
    static const bool legal[MEMBER_STATES][MEMBER_STATES] = {MEMBER_MOVES(MOVE_LEGAL)};
    assert(legal[member->state][state]);
    member->state = (uint8_t)state;
}

void member_init(struct member *member, struct hub *hub, struct span sid)
{
    assert(sid.len <= MEMBER_SID_BYTES_MAX);
    *member = (struct member){.hub = hub, .sid_len = (uint8_t)sid.len, .whole = true};
    memcpy(member->sid, sid.data, sid.len);
    hub->member_count++;
}

void membership_destroy(struct membership *membership)
{
    struct membership **at = &membership->member->memberships;
    membership_round_drop(membership);
    while (*at != membership)
        at = &(*at)->next;
    *at = membership->next;
    room_member_remove(membership->room, membership);
    membership_log_drop(membership);
    pool_give(&membership->member->hub->memberships, membership);
}

void member_past_remove(struct member *member, struct past *past)
{
    struct past **at = &member->marks->pasts;
    while (*at != past)
        at = &(*at)->next;
    *at = past->next;
    member->marks->past_count--;
}

static void past_destroy(struct member *member, struct past *past)
{
    member_past_remove(member, past);
    free(past);
}

void member_finish(struct member *member)
{
    if (member == NULL || member->hub == NULL)
        return;
    memberships_each(membership, member) membership_destroy(membership);
    pasts_each(past, member) past_destroy(member, past);
    member_held_drop(member);
    free(member->marks);
    member->marks = NULL;
    member->hub->member_count--;
    member->hub = NULL;
}

struct membership *member_find(struct member *member, struct span room)
{
    memberships_each(membership, member)
    {
        if (membership->log->stretch.end == STRETCH_OPEN && span_equal(membership->room->node.key, room))
            return membership;
    }
    return NULL;
}

static bool holds(const struct stretch *stretch, uint64_t seq)
{
    return stretch->since < seq && seq <= stretch->end;
}

bool member_was_in(const struct member *member, struct span room, uint64_t seq)
{
    memberships_each(membership, member)
    {
        if (membership_is_found(membership) && holds(&membership->log->stretch, seq) &&
            span_equal(membership->room->node.key, room))
            return true;
    }
    pasts_each(past, member)
    {
        if (holds(&past->stretch, seq) && span_equal(span_of(past->room, past->room_len), room))
            return true;
    }
    return false;
}

bool member_is_owed(const struct member *member, const struct past *past)
{
    memberships_each(membership, member)
    {
        if (membership->log->stretch.end == past->stretch.end &&
            membership->log->stretch.since == past->stretch.since &&
            span_equal(membership->room->node.key, span_of(past->room, past->room_len)))
            return true;
    }
    return false;
}

static struct membership *membership_create(struct member *member, struct span room, enum start_mode mode)
{
    struct membership *membership = pool_take(&member->hub->memberships), **end = &member->memberships;
    membership->member = member;
    membership->room = hub_room(member->hub, room);
    membership->mode = (uint8_t)mode;
    membership->log = &membership_no_log;
    membership->missed = true;
    while (*end != NULL)
        end = &(*end)->next;
    *end = membership;
    room_member_add(membership->room, membership);
    member->entering = true;
    if (member->state == MEMBER_IDLE)
        member_set_state(member, MEMBER_WAITING);
    return membership;
}

struct membership *member_join(struct member *member, struct span room, enum start_mode mode, uint64_t argument)
{
    struct membership *membership = member_find(member, room);
    if (membership != NULL)
        return membership;
    membership = membership_create(member, room, mode);
    struct membership_log *log = membership_log(membership);
    log->stretch.start = log->pos = argument;
    membership_resolve(membership);
    return membership;
}

struct membership *member_join_directed(struct member *member, struct span room, enum start_mode mode,
                                        uint64_t argument, uint64_t seq)
{
    struct membership *membership = member_find(member, room);
    if (membership != NULL)
        return membership;
    membership = membership_create(member, room, mode);
    membership->directed = true;
    struct membership_log *log = membership_log(membership);
    log->stretch.start = log->pos = argument;
    log->stretch.since = seq;
    membership_resolve(membership);
    return membership;
}

static void note(struct membership *membership, uint64_t joined_at)
{
    struct member *member = membership->member;
    membership_set_state(membership, membership_is_found(membership) ? MEMBERSHIP_NOTED : MEMBERSHIP_SEEKING_NOTED);
    if (joined_at != membership->log->stretch.joined_at)
        membership_log(membership)->stretch.joined_at = joined_at;
    if (joined_at > member_join_seq(member))
        member_marks(member)->join_seq = joined_at;
}

static void directed_done(struct member *member, uint64_t seq)
{
    if (seq > member_directed_seq(member))
        member_directed_seq_set(member, seq);
}

/* The lease says that a directive was carried out when it records all rooms that the directive made it join. */
static void directed_note(struct member *member)
{
    uint64_t seq = 0;
    memberships_each(membership, member)
    {
        if (membership->directed && !membership_is_noted(membership))
            return;
        if (membership->directed && membership->log->stretch.since > seq)
            seq = membership->log->stretch.since;
    }
    directed_done(member, seq);
}

void member_directed(struct member *member, uint64_t seq)
{
    bool joining = false;
    memberships_each(membership, member) joining |= membership->directed && !membership_is_noted(membership);
    member->directed = false;
    member->leaving = true;
    if (!joining)
        directed_done(member, seq);
}

void member_note(struct member *member)
{
    member->lease_stale = member->stale_told = false;
    memberships_each(membership, member) if (membership->state == MEMBERSHIP_FOUND) note(membership, member->sent_seq);
    directed_note(member);
}

static void past_add(struct member *member, struct span room, const struct stretch *stretch)
{
    struct past *oldest = member_marks(member)->pasts, **end = &member->marks->pasts;
    if (member->marks->past_count == HUB_PASTS_MAX) {
        if (oldest->stretch.end > member_floor(member))
            member_floor_set(member, oldest->stretch.end);
        past_destroy(member, oldest);
    }
    struct past *past = mem_zero(1, sizeof *past + room.len);
    past->stretch = *stretch;
    past->left_us = loop_now_us(member->hub->loop);
    past->room_len = room.len;
    memcpy(past->room, room.data, room.len);
    while (*end != NULL)
        end = &(*end)->next;
    *end = past;
    member->marks->past_count++;
}

void member_pasts_drop(struct member *member, uint64_t before_us)
{
    pasts_each(past, member) if (past->left_us < before_us && member->state == MEMBER_SETTLED)
        past_destroy(member, past);
}

struct membership *member_rejoin(struct member *member, struct span room, const struct stretch *stretch,
                                 uint64_t position)
{
    if (stretch->joined_at > member_join_seq(member))
        member_marks(member)->join_seq = stretch->joined_at;
    if (stretch->end != STRETCH_OPEN) {
        past_add(member, room, stretch);
        if (position >= stretch->end)
            return NULL;
    }
    struct membership *membership = membership_create(member, room, START_AT);
    struct membership_log *log = membership_log(membership);
    log->stretch = *stretch; /* as the lease has it: tokens must be read alike by it and by us */
    log->pos = position;
    member_marks(member)->resumed_seq = member->sent_seq;
    membership->resumed = position >= member->sent_seq;
    note(membership, stretch->joined_at);
    membership_resolve(membership);
    return membership;
}

void member_joined(struct member *member)
{
    member->entering = false;
    member_rooms_live(member);
}

/* `end`: the stretch ends there at the latest. */
static void leave(struct member *member, struct span room, uint64_t end)
{
    struct membership *membership = member_find(member, room);
    if (membership == NULL)
        return;
    bool awaited = !membership_takes_part(membership) || member->state == MEMBER_WAITING;
    if (membership_is_noted(membership)) {
        /* Until the lease records it, a resume would read this room behind the token, so the token must not advance. */
        member->leaving = true;
        if (member->state == MEMBER_SETTLED)
            member_unsettle(member);
    }
    if (membership_takes_part(membership)) {
        struct stretch stretch = membership->log->stretch;
        /* The client gets no entry of it that is held or not read yet. */
        stretch.end = membership->log->pos < end ? membership->log->pos : end;
        stretch.known = membership_known(membership);
        past_add(member, room, &stretch);
    }
    if (membership->directed)
        directed_done(member, membership->log->stretch.since); /* it joins no more */
    member_held_drop_room(member, membership->room->number);
    membership_destroy(membership);
    /* The member no longer waits for this room's reads, confirmation or start. */
    member_continue(member);
    if (awaited && member->memberships != NULL)
        member_rooms_live(member);
}

void member_leave(struct member *member, struct span room)
{
    leave(member, room, UINT64_MAX);
}

/* Its reading may have gone on behind the directive while nothing was in the room. Where a hole had hidden the
 * directive, entries from behind it were sent: they belong to the client. */
void member_leave_directed(struct member *member, struct span room, uint64_t seq)
{
    leave(member, room, seq != 0 && seq >= member->sent_seq ? seq : UINT64_MAX);
}

uint64_t membership_top(const struct membership *membership)
{
    uint64_t last = membership->room->last, end = membership->log->stretch.end;
    return last < end ? last : end;
}

uint64_t membership_known(const struct membership *membership)
{
    uint64_t last = membership->room->last, known = membership->log->stretch.known;
    return last > known ? last : known;
}

void membership_target_fix(struct membership *membership)
{
    uint64_t position = membership->member->hub->position, end = membership->log->stretch.end;
    struct membership_round *round = membership_round(membership);
    round->target = membership_top(membership);
    round->upto = position < end ? position : end;
}

/* The start is known. From now on pushes to the room are held for it, if the member is catching up. */
static void start_found(struct membership *membership)
{
    struct member *member = membership->member;
    static const uint8_t found[] = {
        [MEMBERSHIP_SEEKING] = MEMBERSHIP_FOUND,
        [MEMBERSHIP_SEEKING_NOTED] = MEMBERSHIP_NOTED,
        [MEMBERSHIP_SEEKING_STARTING] = MEMBERSHIP_STARTING,
    };
    membership_set_state(membership, found[membership->state]);
    if (membership->mode != START_AT)
        membership_log(membership)->pos = membership->log->stretch.start;
    membership_target_fix(membership);
    if (membership->state == MEMBERSHIP_FOUND) {
        if (!membership->directed)
            membership_log(membership)->stretch.since = member->hub->position;
        membership_log(membership)->stretch.known = membership->room->last;
    }
    if (member->state == MEMBER_SETTLED)
        member_unsettle(member);
    else if (member->state == MEMBER_CATCHING && membership->state == MEMBERSHIP_STARTING)
        membership_activate(membership);
}

/* The lease knows an entry, and the broker knows neither it nor a newer one: the room's entries are gone, also those
 * since the lease was written. There were none since if the counter equals the client's position. */
static bool is_forgotten(const struct membership *membership, uint64_t last, uint64_t position)
{
    uint64_t end = membership->log->stretch.end;
    return last < membership->log->stretch.known && membership->log->pos < (position < end ? position : end);
}

/* The lease knows an entry that this instance has not been pushed: not yet, or its push was lost, or it is gone. Only
 * the log can tell. */
static bool is_behind_lease(const struct membership *membership)
{
    return membership->mode == START_AT && membership->room->last < membership->log->stretch.known;
}

/* Finds the start; that may need a page of the log. */
void membership_resolve(struct membership *membership)
{
    struct room *room = membership->room;
    struct membership_round *round = membership->log->round;
    if (membership_is_found(membership) || (round != NULL && round->page != NULL) || room->state != ROOM_LIVE)
        return;
    bool nothing =
        room->last == 0 || (membership->mode == START_AT && membership->log->pos >= membership_top(membership));
    bool behind = is_behind_lease(membership);
    if (membership->mode == START_NOW || (nothing && !behind)) {
        if (membership->mode != START_AT)
            membership_log(membership)->stretch.start =
                room->hub->position > room->last ? room->hub->position : room->last;
        start_found(membership);
        return;
    }
    round = membership_round(membership);
    if (membership->mode == START_NEWEST)
        round->page = page_get_newest(room, (uint32_t)membership->log->stretch.start);
    else if (membership->mode == START_OLDEST)
        round->page = page_get_oldest(room);
    else if (behind)
        round->page = page_get_now(room, membership->log->pos);
    else
        round->page = page_get(room, membership->log->pos);
    if (round->page->loading)
        list_append(&round->page->waiters, &round->waiter);
    else
        membership_page_loaded(membership);
}

static void resolve_from_page(struct membership *membership)
{
    struct page *page = membership->log->round->page;
    if (membership->mode == START_AT) {
        uint32_t at = page_index(page, membership->log->pos);
        bool gone = page_shows_loss(page, at, membership->log->pos, membership->log->stretch.known);
        if (page->count == 0 && page->after == membership->log->pos && is_behind_lease(membership)) {
            gone |= is_forgotten(membership, page->last, page->position);
        } else if (at == page->count && !gone) {
            membership_page_drop(
                membership); /* a page of another member that ends below our position, or was read before the entry */
            membership_resolve(membership);
            return;
        }
        membership->member->whole &= !gone;
    } else if (page->count > 0) {
        /* No entry before it counts, not even one on a page that was read before the room's keys were lost. */
        const struct entry *first = page->entries[0];
        membership_log(membership)->stretch.start = first->prev != 0 ? first->prev : first->seq - 1;
    } else if (page->last < page->shown) {
        membership_log(membership)->stretch.start = page->shown; /* all earlier entries are gone */
    } else {
        /* The log was empty when it was read. Entries that the feed has shown since belong to this membership. */
        uint64_t last = membership->room->last;
        membership_log(membership)->stretch.start = page->position < last ? page->position : last;
    }
    /* The log may be ahead of the feed. Entries that are still to be pushed will be sent, however many they are. */
    if (membership->mode != START_AT && membership->log->stretch.start > membership->room->hub->position)
        membership_log(membership)->stretch.start = membership->room->hub->position;
    membership_page_drop(membership);
    start_found(membership);
}

/* The first page finds the start of a membership; later pages bring the entries of a round. */
void membership_page_loaded(struct membership *membership)
{
    struct member *member = membership->member;
    bool was_found = membership_is_found(membership);
    if (membership->log->round->page->failed) {
        membership_page_drop(membership);
        membership_resolve(membership);
    } else if (!was_found) {
        resolve_from_page(membership);
    }
    bool known_now = membership_is_found(membership) && !was_found;
    if (member->state == MEMBER_CATCHING)
        member_continue(member);
    if (member->state != MEMBER_CATCHING || known_now)
        member_rooms_live(member);
}

/* Called whenever a room has become live or a start is known. When that is so for all rooms, the member goes on. */
void member_rooms_live(struct member *member)
{
    bool joining = false, active = false;
    if (member->entering || member->state == MEMBER_LOST)
        return; /* more joins follow, or it is over */
    memberships_each(membership, member)
    {
        if (membership->room->state != ROOM_LIVE || !membership_is_found(membership))
            return;
        bool has_begun = membership_has_begun(membership);
        active |= has_begun;
        joining |= !has_begun;
    }
    if (member->sent_seq > member->hub->position) {
        /* Another instance has sent the client entries that this instance has not been pushed yet. Targets would be too
         * low, and those pushes would be sent twice. Another confirmation brings the hub's position up to date. */
        if (!member->awaits_position && member->state == MEMBER_WAITING) {
            member->awaits_position = true;
            broker_subscribe(member->hub->broker, member->memberships->room->node.key);
        }
        return;
    }
    member->awaits_position = false;
    if (member->state == MEMBER_WAITING && active)
        member_round_begin(member);
    else if (member->state == MEMBER_WAITING)
        member_set_state(member, MEMBER_READY);
    if (joining)
        member->hub->events->ready(member, member->whole);
}

void membership_activate(struct membership *membership)
{
    membership_set_state(membership, MEMBERSHIP_ACTIVE);
    membership->late =
        membership->log->pos < membership_target(membership) && membership->log->pos < membership->member->sent_seq;
}

void membership_start(struct membership *membership)
{
    if (membership->state == MEMBERSHIP_SEEKING_NOTED)
        membership_set_state(membership, MEMBERSHIP_SEEKING_STARTING);
    else if (membership->state == MEMBERSHIP_NOTED)
        membership_set_state(membership, MEMBERSHIP_STARTING);
}

void member_start(struct member *member)
{
    member->leaving = false;
    memberships_each(membership, member) membership_start(membership);
    if (member->state == MEMBER_READY) {
        member_round_begin(member);
    } else if (member->state == MEMBER_CATCHING) {
        /* Pushes since their starts were known have been held. */
        memberships_each(membership, member) if (membership->state == MEMBERSHIP_STARTING)
            membership_activate(membership);
        member_continue(member);
    }
}

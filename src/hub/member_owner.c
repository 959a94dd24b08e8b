/* member_owner: what the owner of a member asks of it and of its memberships, see member.h. Nothing here moves one. */
#include "hub/hub_parts.h"

#include "base/mem.h"

struct member_marks *member_marks(struct member *member)
{
    if (member->marks == NULL)
        member->marks = mem_zero(1, sizeof *member->marks);
    return member->marks;
}

void member_resume(struct member *member, uint64_t sent_seq)
{
    member->sent_seq = sent_seq;
}

void member_stale_set(struct member *member, const struct token *token)
{
    member_marks(member)->stale_seq = token->seq;
    member_marks(member)->stale_version = token->version;
}

bool member_take_lease_stale(struct member *member)
{
    bool news = member->lease_stale && !member->stale_told;
    member->stale_told = member->lease_stale;
    return news;
}

bool member_lease_is_stale(const struct member *member)
{
    return member->lease_stale;
}

uint64_t member_floor(const struct member *member)
{
    return member->marks != NULL ? member->marks->past_floor : 0;
}

void member_floor_set(struct member *member, uint64_t floor)
{
    if (floor != member_floor(member))
        member_marks(member)->past_floor = floor;
}

uint64_t member_directed_seq(const struct member *member)
{
    return member->marks != NULL ? member->marks->directed_seq : 0;
}

void member_directed_seq_set(struct member *member, uint64_t seq)
{
    if (seq != member_directed_seq(member))
        member_marks(member)->directed_seq = seq;
}

void member_stretches(const struct member *member,
                      void (*each)(void *arg, struct span room, const struct stretch *stretch), void *arg)
{
    memberships_each(membership, member)
    {
        if (!membership_is_noted(membership) || !membership_is_open(membership))
            continue;
        struct stretch stretch = membership->log->stretch;
        stretch.known = membership_known(membership);
        each(arg, membership->room->node.key, &stretch);
    }
    pasts_each(past, member) each(arg, span_of(past->room, past->room_len), &past->stretch);
}

size_t member_room_count(const struct member *member)
{
    size_t count = 0;
    memberships_each(membership, member) count += membership_is_open(membership);
    return count;
}

struct membership *member_next(const struct member *member, const struct membership *after)
{
    return after != NULL ? after->next : member->memberships;
}

struct span membership_room(const struct membership *membership)
{
    return membership->room->node.key;
}

uint32_t membership_room_number(const struct membership *membership)
{
    return membership->room->number;
}

size_t membership_room_members(const struct membership *membership)
{
    return membership->room->member_count;
}

bool membership_is_open(const struct membership *membership)
{
    return membership->log->stretch.end == STRETCH_OPEN;
}

bool membership_is_noted(const struct membership *membership)
{
    return membership->state != MEMBERSHIP_SEEKING && membership->state != MEMBERSHIP_FOUND;
}

bool membership_has_begun(const struct membership *membership)
{
    return membership->state == MEMBERSHIP_SEEKING_STARTING || membership->state >= MEMBERSHIP_STARTING;
}

bool membership_is_active(const struct membership *membership)
{
    return membership_takes_part(membership);
}

uint8_t membership_mark(const struct membership *membership)
{
    return membership->mark;
}

void membership_mark_set(struct membership *membership, uint8_t mark)
{
    membership->mark = mark;
}

bool membership_take_missed(struct membership *membership)
{
    bool missed = membership->missed;
    membership->missed = false;
    return missed;
}

/* lease: encodes the stretches of a member into its lease's text, and decodes them from a lease that may be damaged. */
#include "session/lease.h"

static void number(struct buf *to, uint64_t value)
{
    buf_append_u64(to, value);
    buf_append_char(to, ' ');
}

static void room_encode(void *arg, struct span room, const struct stretch *stretch)
{
    struct buf *to = arg;
    number(to, stretch->start);
    number(to, stretch->since);
    if (stretch->end == STRETCH_OPEN)
        buf_append(to, SPAN_LIT("- "));
    else
        number(to, stretch->end);
    number(to, stretch->joined_at);
    number(to, stretch->known);
    number(to, room.len);
    buf_append(to, room);
}

void lease_rooms_encode(struct buf *to, const struct member *member)
{
    number(to, member_floor(member));
    if (member_directed_seq(member) != 0) {
        buf_append_char(to, '>');
        number(to, member_directed_seq(member));
    }
    member_stretches(member, room_encode, to);
}

enum { SUBJECT_MARK = '|' }; /* in no token, and in no subject */

void lease_data_encode(struct buf *to, struct span stale, struct span subject, struct span bytes)
{
    buf_append(to, stale);
    if (subject.len == 0 && bytes.len == 0)
        return;
    buf_append_char(to, SUBJECT_MARK);
    buf_append(to, subject);
    if (bytes.len == 0)
        return;
    buf_append_char(to, SUBJECT_MARK);
    buf_append(to, bytes);
}

void lease_data_decode(struct span data, struct span *stale, struct span *subject, struct span *bytes)
{
    struct span rest = data;
    ptrdiff_t mark = span_find(rest, SUBJECT_MARK);
    *stale = mark >= 0 ? span_sub(rest, 0, (size_t)mark) : rest;
    rest = mark >= 0 ? span_from(rest, (size_t)mark + 1) : SPAN_LIT("");
    mark = span_find(rest, SUBJECT_MARK);
    *subject = mark >= 0 ? span_sub(rest, 0, (size_t)mark) : rest;
    *bytes = mark >= 0 ? span_from(rest, (size_t)mark + 1) : SPAN_LIT("");
}

bool lease_floor_decode(struct span *rest, uint64_t *floor)
{
    return span_take_u64(rest, ' ', floor);
}

bool lease_directed_decode(struct span *rest, uint64_t *seq)
{
    *seq = 0;
    if (!span_starts_with(*rest, SPAN_LIT(">")))
        return true;
    *rest = span_from(*rest, 1);
    return span_take_u64(rest, ' ', seq) && *seq != 0;
}

int lease_room_decode(struct span *rest, struct span *room, struct stretch *stretch)
{
    uint64_t len;
    if (rest->len == 0)
        return 0;
    if (!span_take_u64(rest, ' ', &stretch->start) || !span_take_u64(rest, ' ', &stretch->since))
        return -1;
    stretch->end = STRETCH_OPEN;
    if (span_starts_with(*rest, SPAN_LIT("- ")))
        *rest = span_from(*rest, 2);
    else if (!span_take_u64(rest, ' ', &stretch->end))
        return -1;
    /* Whatever the broker holds: a room has a name, and a stretch ends behind its start. */
    if (!span_take_u64(rest, ' ', &stretch->joined_at) || !span_take_u64(rest, ' ', &stretch->known) ||
        !span_take_u64(rest, ' ', &len) || len > rest->len || len == 0 || len > BROKER_ROOM_BYTES_MAX ||
        stretch->end < stretch->start)
        return -1;
    *room = span_sub(*rest, 0, len);
    *rest = span_from(*rest, len);
    return 1;
}

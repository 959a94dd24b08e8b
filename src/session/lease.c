/* lease: see lease.h. */
#include "session/lease.h"

void lease_room_encode(struct buf *to, struct span room, uint64_t start, uint64_t joined_at)
{
    buf_append_u64(to, start);
    buf_append_char(to, ' ');
    buf_append_u64(to, joined_at);
    buf_append_char(to, ' ');
    buf_append_u64(to, room.len);
    buf_append_char(to, ' ');
    buf_append(to, room);
}

int lease_room_decode(struct span *rest, struct span *room, uint64_t *start, uint64_t *joined_at)
{
    struct span number;
    uint64_t len;
    if (rest->len == 0)
        return 0;
    if (!span_next(rest, ' ', &number) || !span_to_u64(number, start))
        return -1;
    if (!span_next(rest, ' ', &number) || !span_to_u64(number, joined_at))
        return -1;
    if (!span_next(rest, ' ', &number) || !span_to_u64(number, &len) || len > rest->len)
        return -1;
    *room = span_sub(*rest, 0, len);
    *rest = span_from(*rest, len);
    return 1;
}

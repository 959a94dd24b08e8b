/* lease: the rooms of a lease as Redis returns them. Rooms that can be decoded are encoded to the same bytes. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "hub/hub_parts.h"
#include "session/lease.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { ROOMS_MAX = 200 };

struct place {
    struct membership membership;
    struct membership_log log;
    struct room room;
};

struct rooms {
    struct member member;
    struct place *places[ROOMS_MAX];
    struct past *pasts[ROOMS_MAX];
    struct membership **last_place;
    struct past **last_past;
    size_t place_count, past_count;
};

static void room_add(struct rooms *rooms, struct span room, const struct stretch *stretch)
{
    if (stretch->end == STRETCH_OPEN) {
        struct place *place = rooms->places[rooms->place_count++] = mem_zero(1, sizeof *place);
        place->room.node.key = room;
        place->log.stretch = *stretch;
        place->membership = (struct membership){.room = &place->room, .log = &place->log, .state = MEMBERSHIP_NOTED};
        *rooms->last_place = &place->membership;
        rooms->last_place = &place->membership.next;
        return;
    }
    struct past *past = rooms->pasts[rooms->past_count++] = mem_zero(1, sizeof *past + room.len);
    past->stretch = *stretch;
    past->room_len = room.len;
    memcpy(past->room, room.data, room.len);
    *rooms->last_past = past;
    rooms->last_past = &past->next;
}

/* Those it is in, then those it has left, as the encoder writes them. */
static void same_check(struct span text, const struct rooms *rooms)
{
    struct span room;
    struct stretch stretch;
    uint64_t floor, directed;
    bool good = lease_floor_decode(&text, &floor) && lease_directed_decode(&text, &directed);
    assert(good && floor == member_floor(&rooms->member) && directed == member_directed_seq(&rooms->member));
    for (size_t i = 0; i < rooms->place_count + rooms->past_count; i++) {
        int got = lease_room_decode(&text, &room, &stretch);
        const struct past *past = i < rooms->place_count ? NULL : rooms->pasts[i - rooms->place_count];
        const struct stretch *was = past != NULL ? &past->stretch : &rooms->places[i]->log.stretch;
        struct span name = past != NULL ? span_of(past->room, past->room_len) : rooms->places[i]->room.node.key;
        assert(got == 1 && span_equal(room, name) && memcmp(was, &stretch, sizeof stretch) == 0);
    }
    assert(text.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rooms rooms = {.place_count = 0};
    uint64_t floor, directed;
    struct span rest = span_of(data, len), room;
    struct stretch stretch;
    struct buf text = {0};
    rooms.last_place = &rooms.member.memberships;
    if (!lease_floor_decode(&rest, &floor) || !lease_directed_decode(&rest, &directed))
        return 0;
    rooms.last_past = &member_marks(&rooms.member)->pasts;
    member_floor_set(&rooms.member, floor);
    member_directed_seq_set(&rooms.member, directed);
    while (rooms.place_count < ROOMS_MAX && rooms.past_count < ROOMS_MAX &&
           lease_room_decode(&rest, &room, &stretch) == 1)
        room_add(&rooms, room, &stretch);
    lease_rooms_encode(&text, &rooms.member);
    same_check(buf_span(&text), &rooms);
    buf_finish(&text);
    for (size_t i = 0; i < rooms.place_count; i++)
        free(rooms.places[i]);
    for (size_t i = 0; i < rooms.past_count; i++)
        free(rooms.pasts[i]);
    free(rooms.member.marks);
    return 0;
}

/* roster: the list that each client has, and the true one. See roster.h. */
#include "roster.h"

#include <stdlib.h>

#include "base/mem.h"
#include "wire/json.h"

static const uint64_t REFUSED_US = 500000;

void rosters_init(struct rosters *rosters, struct check *check, struct witness *const *witnesses, int count)
{
    *rosters =
        (struct rosters){.check = check, .witnesses = witnesses, .count = count, .quiet_us = LOOP_S(ROSTER_QUIET_S)};
    rosters->of = mem_zero((size_t)count * ROOMS, sizeof *rosters->of);
    rosters->left_us = mem_zero((size_t)count * ROOMS, sizeof *rosters->left_us);
}

void rosters_finish(struct rosters *rosters)
{
    for (int i = 0; i < rosters->count * ROOMS; i++)
        bits_finish(&rosters->of[i].there);
    free(rosters->of);
    free(rosters->left_us);
}

static struct roster *roster_of(struct rosters *rosters, const struct witness *witness, int room)
{
    return &rosters->of[witness->number * ROOMS + room];
}

void roster_leaving(struct rosters *rosters, const struct witness *witness, int room)
{
    rosters->left_us[witness->number * ROOMS + room] = sim_now_us(rosters->check->sim);
}

void roster_changed(struct rosters *rosters, int room)
{
    rosters->changed_us[room] = sim_now_us(rosters->check->sim);
    rosters->compared[room] = false;
}

void rosters_trouble(struct rosters *rosters)
{
    rosters->trouble_us = sim_now_us(rosters->check->sim);
    memset(rosters->compared, 0, sizeof rosters->compared);
}

void roster_forget(struct rosters *rosters, const struct witness *witness, int room)
{
    for (int i = 0; i < ROOMS; i++)
        if (room < 0 || i == room)
            roster_of(rosters, witness, i)->known = false;
}

/* `{"id":"<sid>","data":<number of the client>}`; NULL, with the failure told, when that is nobody. */
static struct lease *member_read(struct rosters *rosters, const struct witness *witness, struct span member)
{
    struct buf sid = {0};
    uint64_t number;
    json_string_decode(json_object_get(member, SPAN_LIT("id")), &sid);
    struct lease *lease = lease_by_sid(rosters->check, buf_span(&sid));
    buf_finish(&sid);
    bool told = span_to_u64(json_object_get(member, SPAN_LIT("data")), &number);
    /* The others may hear of it before its own CONNECT has come. */
    if (lease != NULL && told && (lease->client < 0 || (uint64_t)lease->client == number))
        return lease;
    check_fail(rosters->check, "%s: is told of somebody who does not exist: " SPAN_FMT, witness->name,
               SPAN_ARG(member));
    return NULL;
}

/* Was away for long enough, or meant to go. */
static bool has_left(const struct rosters *rosters, const struct lease *lease, int room)
{
    uint64_t now = sim_now_us(rosters->check->sim), most = LOOP_S(ROSTER_CUT_S);
    if (!lease->alive || lease->client < 0)
        return true;
    uint64_t left_us = rosters->left_us[lease->client * ROOMS + room];
    if (left_us != 0 && now - left_us < LOOP_S(10))
        return true;
    if (lease->missed_us != 0 && now >= lease->missed_us && now - lease->missed_us < LOOP_S(10) &&
        (!lease->held || lease->back_us >= lease->missed_us))
        return true;
    if (!lease->held)
        return now - lease->away_us >= most;
    return lease->absent_us >= most && now - lease->back_us < LOOP_S(2);
}

static void announced(struct rosters *rosters, const struct witness *witness, int room, struct span member,
                      bool entered)
{
    struct roster *roster = roster_of(rosters, witness, room);
    const struct lease *lease = member_read(rosters, witness, member);
    rosters->announced++;
    if (lease == NULL || !roster->known)
        return;
    bool was = bits_have(&roster->there, lease->number);
    bool strict = rosters->strict && !witness->polled;
    if (strict && was == entered && !roster->more)
        check_fail(rosters->check, "%s: is told that %s %s room %d, and knew that", witness->name, lease->sid,
                   entered ? "entered" : "left", room);
    if (strict && !entered && !has_left(rosters, lease, room))
        check_fail(rosters->check, "%s: is told that %s left room %d, and it was cut for a moment only", witness->name,
                   lease->sid, room);
    if (lease == witness->lease)
        check_fail(rosters->check, "%s: is told of itself", witness->name);
    roster->size += entered && !was;
    roster->size -= !entered && was;
    bits_put(&roster->there, lease->number, entered);
}

static void list_taken(struct rosters *rosters, const struct witness *witness, int room, struct span members, bool more)
{
    struct roster *roster = roster_of(rosters, witness, room);
    struct span member;
    bool among = false;
    bits_finish(&roster->there);
    roster->size = 0;
    roster->known = true;
    roster->more = more;
    while (json_array_next(&members, &member)) {
        const struct lease *lease = member_read(rosters, witness, member);
        if (lease == NULL)
            return;
        if (bits_have(&roster->there, lease->number))
            check_fail(rosters->check, "%s: the list of room %d names %s twice", witness->name, room, lease->sid);
        bits_put(&roster->there, lease->number, true);
        roster->size++;
        among |= lease == witness->lease;
    }
    /* One whose entering Redis refused is not in it, nor one whose instance stood still for so long that the others
     * count it as dead; the link breaks for that, and it gets another list. */
    bool absent = rosters->absent_us != 0 && sim_now_us(rosters->check->sim) - rosters->absent_us < REFUSED_US;
    if (!among && !more && !rosters->jumps && !absent)
        check_fail(rosters->check, "%s: the list of room %d leaves it out", witness->name, room);
}

static int room_of(struct span value)
{
    if (json_type(value) == JSON_NULL)
        return 0;
    if (json_type(value) != JSON_STRING || value.len != 7)
        return -1;
    return value.data[5] - '0';
}

void roster_told(struct rosters *rosters, const struct witness *witness, struct span presence)
{
    struct span members = json_object_get(presence, SPAN_LIT("members"));
    struct span entered = json_object_get(presence, SPAN_LIT("entered"));
    struct span left = json_object_get(presence, SPAN_LIT("left"));
    int room = room_of(json_object_get(presence, SPAN_LIT("room")));
    uint64_t count;
    if (room < 0 || room >= ROOMS || !span_to_u64(json_object_get(presence, SPAN_LIT("count")), &count) ||
        (members.data != NULL) + (entered.data != NULL) + (left.data != NULL) != 1) {
        check_fail(rosters->check, "%s: a presence that cannot be read: " SPAN_FMT, witness->name, SPAN_ARG(presence));
        return;
    }
    struct roster *roster = roster_of(rosters, witness, room);
    if (members.data != NULL)
        list_taken(rosters, witness, room, members, json_object_get(presence, SPAN_LIT("more")).data != NULL);
    else
        announced(rosters, witness, room, json_array_at(entered.data != NULL ? entered : left, 0),
                  entered.data != NULL);
    roster->count = count;
    if (rosters->strict && !witness->polled && roster->known &&
        (roster->more ? count <= roster->size : count != roster->size))
        check_fail(rosters->check, "%s: is told that %llu are in room %d, and knows of %llu", witness->name,
                   (unsigned long long)count, room, (unsigned long long)roster->size);
}

bool roster_truth(const struct lease *lease, int room)
{
    return lease->held && lease->witness != NULL && lease->witness->lease == lease &&
           lease_open_stay(lease, room) != NULL;
}

void roster_listed(struct rosters *rosters, const struct witness *witness, struct span members, uint64_t *there,
                   size_t words)
{
    struct span member;
    while (json_array_next(&members, &member)) {
        const struct lease *lease = member_read(rosters, witness, member);
        if (lease != NULL && lease->number / 64 < words)
            there[lease->number / 64] |= 1ull << lease->number % 64;
    }
}

static void compare_one(struct rosters *rosters, const struct witness *witness, int room, uint64_t size)
{
    const struct roster *roster = roster_of(rosters, witness, room);
    if (!roster->known) {
        check_fail(rosters->check, "%s: was never told who is in room %d", witness->name, room);
        return;
    }
    /* With a list that was not whole it cannot know. */
    for (int i = 0; i < rosters->count && !roster->more; i++) {
        const struct lease *other = rosters->witnesses[i]->lease;
        if (other != NULL && roster_truth(other, room) && !bits_have(&roster->there, other->number))
            check_fail(rosters->check, "%s: does not know that %s is in room %d", witness->name,
                       rosters->witnesses[i]->name, room);
    }
    if (roster->count != size)
        check_fail(rosters->check, "%s: was told that %llu are in room %d, and %llu are", witness->name,
                   (unsigned long long)roster->count, room, (unsigned long long)size);
    if (roster->size != size && !roster->more)
        check_fail(rosters->check, "%s: knows of strangers in room %d", witness->name, room);
}

void rosters_compare(struct rosters *rosters)
{
    uint64_t now = sim_now_us(rosters->check->sim);
    for (int room = 0; room < ROOMS; room++) {
        uint64_t since =
            rosters->changed_us[room] > rosters->trouble_us ? rosters->changed_us[room] : rosters->trouble_us;
        uint64_t size = 0;
        if (rosters->compared[room] || now - since < rosters->quiet_us)
            continue;
        rosters->compared[room] = true;
        rosters->compared_count++;
        for (int i = 0; i < rosters->count; i++)
            size += rosters->witnesses[i]->lease != NULL && roster_truth(rosters->witnesses[i]->lease, room);
        for (int i = 0; i < rosters->count; i++)
            if (rosters->witnesses[i]->lease != NULL && !rosters->witnesses[i]->polls &&
                roster_truth(rosters->witnesses[i]->lease, room))
                compare_one(rosters, rosters->witnesses[i], room, size);
    }
}

void rosters_missed(struct rosters *rosters, const uint64_t *known, size_t words, uint64_t died_us)
{
    for (int i = 0; i < rosters->count * ROOMS; i++) {
        const struct witness *witness = rosters->witnesses[i / ROOMS];
        const struct roster *roster = &rosters->of[i];
        if (!roster->known || roster->more || witness->polled || witness->lease == NULL ||
            !roster_truth(witness->lease, i % ROOMS) || witness->lease->back_us > died_us)
            continue;
        for (size_t word = 0; word < words && word < roster->there.words; word++) {
            uint64_t both = known[word] & roster->there.list[word];
            if (both == 0)
                continue;
            check_fail(rosters->check, "%s: does not miss who was in room %d on an instance that died", witness->name,
                       i % ROOMS);
        }
    }
}

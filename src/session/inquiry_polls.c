/* inquiry_polls: what the broker knows of the sockets of sessions that poll. Their leases say which rooms they are in,
 * at every moment; the head of a session's parcel says the rest. The list comes page by page, and a session may be on
 * two pages, so a socket that has been seen does not count again. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "session/inquiry.h"
#include "session/lease.h"
#include "session/parcel.h"
#include "wire/json.h"

enum { SOCKETS_MAX = 200000 }; /* of one question; beyond it the answer is incomplete */

/* A socket, or a room, with what the answer says of it. */
struct item {
    struct buf key, text;
    uint64_t number;
};

struct seen {
    struct map_node by_sid;
    char sid[ENGINEIO_SID_BYTES];
};

/* One question, copied, and what has been found for it. */
struct polls {
    struct inquiries *inquiries;
    struct sessions *sessions;
    uint64_t number;
    struct inquiry_question question;
    struct span rooms[2 * INQUIRY_ROOMS_MAX]; /* and exceptions */
    struct buf texts;                         /* what the question's spans point to */
    struct map seen;
    struct item *items; /* after each page the first ones in their order, one more than the question wants */
    size_t count, cap;
    bool more;
};

static void next_page(struct polls *polls, struct span cursor);

/* Copies, of which the spans are set when all have been copied. */
static struct polls *polls_create(struct inquiries *inquiries, struct sessions *sessions,
                                  const struct inquiry_question *question, uint64_t number)
{
    struct polls *polls = mem_zero(1, sizeof *polls);
    size_t rooms = question->room_count, all = rooms + question->except_count, at = 0;
    polls->inquiries = inquiries;
    polls->sessions = sessions;
    polls->number = number;
    polls->question = *question;
    if (question->kind == INQUIRY_ANSWERS)
        polls->question.limit = INQUIRY_LIMIT_MAX;
    map_init(&polls->seen, sessions->sockets.seed);
    for (size_t i = 0; i < all; i++)
        polls->rooms[i] = i < rooms ? question->rooms[i] : question->excepts[i - rooms];
    enum { SPANS = 4 };
    struct span *spans[SPANS] = {&polls->question.nsp, &polls->question.sid, &polls->question.after,
                                 &polls->question.body};
    for (size_t i = 0; i < all + SPANS; i++)
        buf_append(&polls->texts, i < all ? polls->rooms[i] : *spans[i - all]);
    for (size_t i = 0; i < all + SPANS; i++) {
        struct span *span = i < all ? &polls->rooms[i] : spans[i - all];
        *span = span_sub(buf_span(&polls->texts), at, span->len);
        at += span->len;
    }
    polls->question.rooms = polls->rooms;
    polls->question.excepts = polls->rooms + rooms;
    return polls;
}

static void items_cut(struct polls *polls, size_t count)
{
    while (polls->count > count) {
        struct item *item = &polls->items[--polls->count];
        buf_finish(&item->key);
        buf_finish(&item->text);
    }
}

static void polls_free(struct polls *polls)
{
    for (struct map_node *node = map_next(&polls->seen, NULL), *next; node != NULL; node = next) {
        next = map_next(&polls->seen, node);
        map_remove(&polls->seen, node);
        free(container_of(node, struct seen, by_sid));
    }
    map_finish(&polls->seen);
    items_cut(polls, 0);
    free(polls->items);
    buf_finish(&polls->texts);
    free(polls);
}

static struct item *item_add(struct polls *polls, struct span key)
{
    if (polls->count == polls->cap) {
        polls->cap = polls->cap != 0 ? polls->cap * 2 : 64;
        polls->items = mem_resize(polls->items, polls->cap * sizeof *polls->items);
    }
    struct item *item = &polls->items[polls->count++];
    *item = (struct item){.number = 1};
    buf_append(&item->key, key);
    return item;
}

static int by_key(const void *a, const void *b)
{
    return span_compare(buf_span(&((const struct item *)a)->key), buf_span(&((const struct item *)b)->key));
}

/* Puts the items in order, those with one key together, and keeps the first ones. */
static void items_order(struct polls *polls)
{
    size_t kept = 0;
    if (polls->count > 0)
        qsort(polls->items, polls->count, sizeof *polls->items, by_key);
    for (size_t i = 0; i < polls->count; i++) {
        struct item *item = &polls->items[i];
        if (kept > 0 && by_key(&polls->items[kept - 1], item) == 0) {
            polls->items[kept - 1].number += item->number;
            buf_finish(&item->key);
            buf_finish(&item->text);
        } else {
            polls->items[kept++] = *item;
        }
    }
    polls->count = kept;
    polls->more |= polls->count > polls->question.limit;
    items_cut(polls, polls->question.limit);
}

/* The next room that the lease says the socket is in, by its name in the namespace. */
static bool room_next(const struct polls *polls, struct span *rest, struct span *room)
{
    struct span nsp = polls->question.nsp;
    struct stretch stretch;
    while (lease_room_decode(rest, room, &stretch) > 0) {
        if (stretch.end != STRETCH_OPEN || !span_starts_with(*room, nsp) || room->len <= nsp.len + 1 ||
            room->data[nsp.len] != ',')
            continue;
        *room = span_from(*room, nsp.len + 1);
        return true;
    }
    return false;
}

static bool rooms_begin(const struct record_socket *socket, struct span *rest)
{
    uint64_t floor, directed;
    *rest = socket->rooms;
    return lease_floor_decode(rest, &floor) && lease_directed_decode(rest, &directed);
}

static bool is_in_one(const struct polls *polls, const struct record_socket *socket, const struct span *rooms,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct span rest, room;
        if (span_equal(rooms[i], socket->sid))
            return true;
        for (bool ok = rooms_begin(socket, &rest); ok && room_next(polls, &rest, &room);)
            if (span_equal(rooms[i], room))
                return true;
    }
    return false;
}

static bool is_selected(const struct polls *polls, const struct record_socket *socket)
{
    const struct inquiry_question *question = &polls->question;
    return span_equal(subscriber_lease_nsp(socket->pid), question->nsp) && socket->sid.len == ENGINEIO_SID_BYTES &&
           (question->sid.len == 0 || span_equal(question->sid, socket->sid)) &&
           (question->room_count == 0 || is_in_one(polls, socket, question->rooms, question->room_count)) &&
           !is_in_one(polls, socket, question->excepts, question->except_count);
}

/* False: it was on an earlier page. */
static bool is_new(struct polls *polls, struct span sid)
{
    if (map_find(&polls->seen, sid) != NULL)
        return false;
    struct seen *seen = mem_zero(1, sizeof *seen);
    memcpy(seen->sid, sid.data, sizeof seen->sid);
    map_add(&polls->seen, &seen->by_sid, span_of(seen->sid, sizeof seen->sid));
    return true;
}

static bool is_behind(const struct polls *polls, struct span key)
{
    return polls->question.after.len == 0 || span_compare(key, polls->question.after) > 0;
}

/* The head may be cut off, or another version's: then less is known. */
static void socket_describe(const struct polls *polls, const struct record_socket *socket, struct buf *to)
{
    struct inquiry_shown shown = {.sid = socket->sid, .instance = socket->instance, .transport = "polling"};
    struct parcel parcel;
    struct parcel_socket one;
    struct buf rooms = {0};
    struct span rest, room;
    int64_t now = loop_wall_ms(polls->sessions->loop);
    if (parcel_head_decode(socket->head, &parcel)) {
        shown.address = parcel.address;
        shown.handshake = json_is_valid(parcel.handshake) ? parcel.handshake : SPAN_LIT("");
        shown.session_ms = now > parcel.begun_ms ? (uint64_t)(now - parcel.begun_ms) : 0;
        for (uint64_t i = 0; i < parcel.socket_count && parcel_socket_next(&parcel.sockets, &one); i++) {
            if (!span_equal(one.nsp, polls->question.nsp))
                continue;
            shown.data = one.presence_data;
            shown.auth = one.auth;
        }
    }
    for (bool ok = rooms_begin(socket, &rest); ok && room_next(polls, &rest, &room);) {
        buf_append(&rooms, rooms.len > 0 ? SPAN_LIT(",\"") : SPAN_LIT("\""));
        buf_append_json(&rooms, room);
        buf_append_char(&rooms, '"');
    }
    shown.rooms = buf_span(&rooms);
    inquiry_socket_encode(to, &shown);
    buf_finish(&rooms);
}

static void socket_take(struct polls *polls, const struct record_socket *socket)
{
    struct span rest, room;
    if (!is_selected(polls, socket) || !is_new(polls, socket->sid))
        return;
    if (polls->question.kind == INQUIRY_SOCKETS && is_behind(polls, socket->sid)) {
        struct item *item = item_add(polls, socket->sid);
        socket_describe(polls, socket, &item->text);
    } else if (polls->question.kind == INQUIRY_ANSWERS) {
        item_add(polls, socket->sid);
    } else if (polls->question.kind == INQUIRY_ROOMS) {
        for (bool ok = rooms_begin(socket, &rest); ok && room_next(polls, &rest, &room);)
            if (is_behind(polls, room))
                item_add(polls, room);
    }
}

static void tell(struct polls *polls)
{
    struct buf items = {0}, answer = {0};
    size_t given = 0;
    while (given < polls->count && items.len < INQUIRY_ANSWER_BYTES) {
        const struct item *item = &polls->items[given++];
        inquiry_item_encode(&items, buf_span(&item->key), buf_span(&item->text), item->number);
    }
    buf_printf(&answer, "%d %llu %zu\n", (polls->more || given < polls->count) && given > 0,
               (unsigned long long)polls->seen.count, given);
    buf_append(&answer, buf_span(&items));
    inquiry_polls_told(polls->inquiries, polls->number, buf_span(&answer));
    buf_finish(&answer);
    buf_finish(&items);
}

static void ask(struct polls *polls)
{
    struct span sids[INQUIRY_LIMIT_MAX];
    size_t count = 0;
    for (; count < polls->count && count < INQUIRY_LIMIT_MAX; count++)
        sids[count] = buf_span(&polls->items[count].key);
    inquiry_polls_ask_all(polls->inquiries, polls->number, &polls->question, sids, count, polls->seen.count - count);
}

static void listed(void *arg, const struct record_page *page)
{
    struct polls *polls = arg;
    bool stopped = false;
    if (page != NULL && inquiry_is_asked(polls->inquiries, polls->number)) {
        for (size_t i = 0; i < page->count; i++)
            socket_take(polls, &page->sockets[i]);
        items_order(polls);
        if (page->next.len > 0 && polls->seen.count < SOCKETS_MAX) {
            next_page(polls, page->next);
            return;
        }
        stopped = page->next.len > 0;
    }
    bool whole = page != NULL && !stopped;
    if (!whole)
        inquiry_polls_told(polls->inquiries, polls->number, (struct span){NULL, 0});
    if (polls->question.kind == INQUIRY_ANSWERS)
        ask(polls);
    else if (whole)
        tell(polls);
    polls_free(polls);
}

static void next_page(struct polls *polls, struct span cursor)
{
    record_list(hub_broker(polls->sessions->hub), cursor, listed, polls);
}

void inquiry_polls_ask(struct inquiries *inquiries, struct sessions *sessions, const struct inquiry_question *question,
                       uint64_t number)
{
    next_page(polls_create(inquiries, sessions, question, number), SPAN_LIT(""));
}

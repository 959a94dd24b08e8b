/* inquiry_find: what this instance knows of its own sockets.
 *
 *     <more, 0 or 1> <total> <items>\n, then for each item <bytes of key> <bytes of text> <number>\n<key><text>
 *
 * Items come by key, rising, from behind `after` on. If there are more than the limit or the bytes allow, the first
 * ones are given. */
#include <stdlib.h>

#include "base/mem.h"
#include "session/inquiry.h"
#include "session/polling_parts.h"

/* One that may be given. */
struct candidate {
    struct span key;
    const struct subscriber *subscriber; /* NULL: a room */
    size_t number;
};

struct search {
    const struct sessions *sessions;
    const struct inquiry_question *question;
    struct candidate *found;
    size_t count, cap;
};

static void add(struct search *search, struct candidate candidate)
{
    struct span after = search->question->after;
    if (after.len != 0 && span_compare(candidate.key, after) <= 0)
        return;
    if (search->count == search->cap) {
        search->cap = search->cap != 0 ? search->cap * 2 : 64;
        search->found = mem_resize(search->found, search->cap * sizeof *search->found);
    }
    search->found[search->count++] = candidate;
}

static bool is_in_one(struct subscriber *subscriber, const struct span *rooms, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (span_equal(rooms[i], subscriber_sid(subscriber)) || subscriber_is_in(subscriber, rooms[i]))
            return true;
    return false;
}

bool inquiry_selects(struct subscriber *subscriber, const struct inquiry_question *question)
{
    if (!subscriber_is_connected(subscriber) || !span_equal(subscriber->nsp->name, question->nsp))
        return false;
    if (question->sid.len != 0 && !span_equal(question->sid, subscriber_sid(subscriber)))
        return false;
    return (question->room_count == 0 || is_in_one(subscriber, question->rooms, question->room_count)) &&
           !is_in_one(subscriber, question->excepts, question->except_count);
}

/* The broker lists its sockets. */
static bool is_listed(const struct search *search, const struct session *session)
{
    return !search->question->here && polling_carries(session);
}

static void sockets_find(struct search *search)
{
    sessions_each(session, search->sessions)
    {
        if (is_listed(search, session))
            continue;
        subscribers_each(subscriber, session)
        {
            if (inquiry_selects(subscriber, search->question))
                add(search, (struct candidate){.key = subscriber_sid(subscriber), .subscriber = subscriber});
        }
    }
}

static void room_found(void *arg, struct span name, size_t members)
{
    struct search *search = arg;
    struct span nsp = search->question->nsp;
    if (span_starts_with(name, nsp) && name.len > nsp.len + 1 && name.data[nsp.len] == ',')
        add(search, (struct candidate){.key = span_from(name, nsp.len + 1), .number = members});
}

static int by_key(const void *a, const void *b)
{
    return span_compare(((const struct candidate *)a)->key, ((const struct candidate *)b)->key);
}

/* What hub_rooms_each counts of this subscriber does not count. */
static void room_members_take(struct search *search, const struct subscriber *subscriber)
{
    if (search->count == 0 || !span_equal(subscriber->nsp->name, search->question->nsp))
        return;
    for (struct membership *at = member_next(&subscriber->member, NULL); at != NULL;
         at = member_next(&subscriber->member, at)) {
        struct span name = membership_room(at);
        struct candidate key = {.key = subscriber_room_of(subscriber->nsp, name)};
        if (!membership_is_open(at) || broker_room_is_owned(name) || key.key.len == 0)
            continue;
        struct candidate *found = bsearch(&key, search->found, search->count, sizeof key, by_key);
        if (found != NULL && found->number > 0)
            found->number--;
    }
}

/* The rooms that it has joined: without its namespace's, and its own. */
static void rooms_encode(struct buf *to, const struct subscriber *subscriber)
{
    bool any = false;
    for (struct membership *at = member_next(&subscriber->member, NULL); at != NULL;
         at = member_next(&subscriber->member, at)) {
        struct span room = membership_room(at);
        if (!membership_is_open(at) || broker_room_is_owned(room) || span_equal(room, subscriber->nsp->name))
            continue;
        buf_append(to, any ? SPAN_LIT(",\"") : SPAN_LIT("\""));
        buf_append_json(to, subscriber_room_of(subscriber->nsp, room));
        buf_append_char(to, '"');
        any = true;
    }
}

void inquiry_handshake_encode(struct buf *to, struct span kept, struct span auth)
{
    buf_append(to, span_sub(kept, 0, kept.len - 1));
    buf_append(to, SPAN_LIT(",\"auth\":"));
    buf_append(to, auth.len > 0 ? auth : SPAN_LIT("{}"));
    buf_append_char(to, '}');
}

void inquiry_socket_encode(struct buf *to, const struct inquiry_shown *shown)
{
    struct span null = SPAN_LIT("null");
    buf_printf(to, "{\"socket\":\"" SPAN_FMT "\",\"instance\":", SPAN_ARG(shown->sid));
    if (shown->instance.len > 0) {
        buf_append_char(to, '"');
        buf_append_json(to, shown->instance);
        buf_append_char(to, '"');
    } else {
        buf_append(to, null);
    }
    buf_printf(to, ",\"transport\":\"%s\",\"address\":\"", shown->transport);
    buf_append_json(to, shown->address);
    buf_printf(to, "\",\"session_ms\":%llu,\"handshake\":", (unsigned long long)shown->session_ms);
    if (shown->handshake.len > 1) {
        inquiry_handshake_encode(to, shown->handshake, shown->auth);
    } else {
        buf_append(to, null);
    }
    buf_append(to, SPAN_LIT(",\"data\":"));
    buf_append(to, shown->data.len > 0 ? shown->data : null);
    buf_append(to, SPAN_LIT(",\"rooms\":["));
    buf_append(to, shown->rooms);
    buf_append(to, SPAN_LIT("]}"));
}

static void socket_encode(struct buf *to, const struct subscriber *subscriber)
{
    struct buf rooms = {0};
    const struct session *session = subscriber->session;
    const struct sessions *sessions = subscriber_sessions(subscriber);
    char peer[ADDR_TEXT_MAX];
    addr_ip_print(session->transport->type->peer(session->transport), peer);
    rooms_encode(&rooms, subscriber);
    struct inquiry_shown shown = {.sid = subscriber_sid(subscriber),
                                  .instance = span_str(sessions->instance),
                                  .transport =
                                      session->transport->format == TRANSPORT_POLLING ? "polling" : "websocket",
                                  .address = span_str(peer),
                                  .session_ms = (loop_now_us(sessions->loop) - session->opened_us) / 1000,
                                  .data = span_str(subscriber_has(subscriber).presence_data),
                                  .handshake = span_str(session_has(session).handshake),
                                  .auth = span_str(subscriber_has(subscriber).auth),
                                  .rooms = buf_span(&rooms)};
    inquiry_socket_encode(to, &shown);
    buf_finish(&rooms);
}

void inquiry_item_encode(struct buf *to, struct span key, struct span text, uint64_t number)
{
    buf_printf(to, "%zu %zu %llu\n", key.len, text.len, (unsigned long long)number);
    buf_append(to, key);
    buf_append(to, text);
}

static void item_encode(struct buf *to, const struct candidate *candidate)
{
    struct buf text = {0};
    if (candidate->subscriber != NULL)
        socket_encode(&text, candidate->subscriber);
    inquiry_item_encode(to, candidate->key, buf_span(&text), candidate->number);
    buf_finish(&text);
}

/* Of a room, the members that the broker lists do not count here. */
static void rooms_find(struct search *search)
{
    size_t kept = 0;
    hub_rooms_each(search->sessions->hub, room_found, search);
    if (search->count > 0)
        qsort(search->found, search->count, sizeof *search->found, by_key);
    sessions_each(session, search->sessions)
    {
        if (!is_listed(search, session))
            continue;
        subscribers_each(subscriber, session)
        {
            room_members_take(search, subscriber);
        }
    }
    for (size_t i = 0; i < search->count; i++)
        if (search->found[i].number > 0)
            search->found[kept++] = search->found[i];
    search->count = kept;
}

void inquiry_find(const struct sessions *sessions, const struct inquiry_question *question, struct buf *to)
{
    struct search search = {.sessions = sessions, .question = question};
    struct buf items = {0};
    size_t given = 0;
    if (question->kind == INQUIRY_ROOMS)
        rooms_find(&search);
    else
        sockets_find(&search);
    if (question->kind != INQUIRY_COUNT) {
        if (search.count > 0)
            qsort(search.found, search.count, sizeof *search.found, by_key);
        while (given < search.count && given < question->limit && items.len < INQUIRY_ANSWER_BYTES)
            item_encode(&items, &search.found[given++]);
    }
    bool more = question->kind != INQUIRY_COUNT && given < search.count;
    buf_printf(to, "%d %zu %zu\n", more, search.count, given);
    buf_append(to, buf_span(&items));
    buf_finish(&items);
    free(search.found);
}

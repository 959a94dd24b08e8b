/* inquiry_find: what this instance knows of its own sockets.
 *
 *     <more, 0 or 1> <total> <items>\n, then for each item <bytes of key> <bytes of text> <number>\n<key><text>
 *
 * Items come by key, rising, from behind `after` on. If there are more than the limit or the bytes allow, the first
 * ones are given. */
#include <stdlib.h>

#include "base/mem.h"
#include "session/inquiry.h"

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

static void sockets_find(struct search *search)
{
    list_each (node, &search->sessions->all) {
        struct session *session = container_of(node, struct session, of_all);
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

static void socket_encode(struct buf *to, const struct subscriber *subscriber)
{
    const struct sessions *sessions = subscriber->sessions;
    const struct transport *transport = subscriber->session->transport;
    char peer[ADDR_TEXT_MAX];
    addr_ip_print(transport->type->peer(transport), peer);
    buf_printf(to, "{\"socket\":\"%.*s\",\"instance\":\"", ENGINEIO_SID_BYTES, subscriber->sid);
    buf_append_json(to, span_str(sessions->instance));
    buf_printf(to, "\",\"transport\":\"%s\",\"address\":\"%s\",\"session_ms\":%llu,\"data\":",
               transport->format == TRANSPORT_POLLING ? "polling" : "websocket", peer,
               (unsigned long long)(loop_now_us(sessions->loop) - subscriber->session->opened_us) / 1000);
    buf_append(to, subscriber_has(subscriber).presence_data != NULL ? span_str(subscriber_has(subscriber).presence_data)
                                                                    : SPAN_LIT("null"));
    buf_append(to, SPAN_LIT(",\"rooms\":["));
    rooms_encode(to, subscriber);
    buf_append(to, SPAN_LIT("]}"));
}

static void item_encode(struct buf *to, const struct candidate *candidate)
{
    struct buf text = {0};
    if (candidate->subscriber != NULL)
        socket_encode(&text, candidate->subscriber);
    buf_printf(to, "%zu %zu %zu\n", candidate->key.len, text.len, candidate->number);
    buf_append(to, candidate->key);
    buf_append(to, buf_span(&text));
    buf_finish(&text);
}

void inquiry_find(const struct sessions *sessions, const struct inquiry_question *question, struct buf *to)
{
    struct search search = {.sessions = sessions, .question = question};
    struct buf items = {0};
    size_t given = 0;
    if (question->kind == INQUIRY_ROOMS)
        hub_rooms_each(sessions->hub, room_found, &search);
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

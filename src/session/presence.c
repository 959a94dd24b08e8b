/* presence: registers subscribers with the broker, passes changes on to members, and shares one request for a room's
 * list among the subscribers that need it. */
#include "session/presence.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "session/question.h"

/* Subscribers that wait for a list; a reference each. */
struct waiters {
    struct subscriber **sockets;
    size_t count, cap;
};

/* The mark of a membership. The broker lists it as present; once settled, it gets the list of members if it may have
 * missed a change. */
enum { ABSENT, PRESENT };
enum { MEMBERS_A_CHANGE = 64 }; /* so many who are told of a coming or going are one more change, see call.h */

/* A room whose list was asked for. Whoever needs it meanwhile may have entered since, and the list leave it out: for
 * those it is asked for once more, when it has come. */
struct roster {
    struct map_node by_room;
    struct sessions *sessions;
    struct waiters asked, next;
    char room[];
};

void presence_init(struct sessions *sessions)
{
    map_init(&sessions->rosters, sessions->sockets.seed);
}

void presence_finish(struct sessions *sessions)
{
    assert(sessions->rosters.count == 0); /* the broker has answered everything */
    map_finish(&sessions->rosters);
}

static struct broker_present present_of(const struct subscriber *subscriber)
{
    return (struct broker_present){.sid = subscriber_sid(subscriber),
                                   .data = subscriber_has(subscriber).presence_data != NULL
                                               ? span_str(subscriber_has(subscriber).presence_data)
                                               : SPAN_LIT("null"),
                                   .generation = subscriber_generation(subscriber)};
}

static bool has_presence(const struct subscriber *subscriber, const struct membership *membership)
{
    struct span name = membership_room(membership);
    if (broker_room_is_owned(name))
        return false;
    struct session_app *app = subscriber_sessions(subscriber)->app;
    return app->room_policy(app, subscriber->nsp, subscriber_room_of(subscriber->nsp, name))->presence;
}

/* All who are in the room are told: the more there are, the more seldom it may be. */
static void weigh(struct subscriber *subscriber, const struct membership *membership)
{
    session_change(subscriber->session, membership_room_members(membership) / MEMBERS_A_CHANGE);
}

static void enter(struct subscriber *subscriber, bool again)
{
    struct broker_present who = present_of(subscriber);
    if (subscriber->state != SUBSCRIBER_CONNECTED)
        return;
    for (struct membership *membership = member_next(&subscriber->member, NULL); membership != NULL;
         membership = member_next(&subscriber->member, membership)) {
        /* After the link came up, a room may not be active yet; it counts all the same. */
        if (membership_mark(membership) == PRESENT || !membership_has_begun(membership) ||
            !membership_is_open(membership) || !has_presence(subscriber, membership))
            continue;
        membership_mark_set(membership, PRESENT);
        broker_present_enter(hub_broker(subscriber_sessions(subscriber)->hub), membership_room(membership), &who);
        if (!again)
            weigh(subscriber, membership);
    }
}

void presence_enter(struct subscriber *subscriber)
{
    enter(subscriber, false);
}

void presence_enter_again(struct sessions *sessions)
{
    sessions_each(session, sessions)
    {
        subscribers_each(subscriber, session)
        {
            if (subscriber->state != SUBSCRIBER_CONNECTED)
                continue; /* it is not present anywhere yet, or is still claiming its lease */
            for (struct membership *membership = member_next(&subscriber->member, NULL); membership != NULL;
                 membership = member_next(&subscriber->member, membership))
                membership_mark_set(membership, ABSENT);
            enter(subscriber, true);
        }
    }
}

static void leave(struct subscriber *subscriber, struct membership *membership, bool may_return)
{
    if (membership_mark(membership) != PRESENT)
        return;
    membership_mark_set(membership, ABSENT);
    broker_present_leave(hub_broker(subscriber_sessions(subscriber)->hub), membership_room(membership),
                         subscriber_sid(subscriber), may_return);
    if (!may_return)
        weigh(subscriber, membership);
}

void presence_leave(struct subscriber *subscriber, struct membership *membership)
{
    leave(subscriber, membership, false);
}

void presence_leave_all(struct subscriber *subscriber, bool may_return)
{
    for (struct membership *membership = member_next(&subscriber->member, NULL); membership != NULL;
         membership = member_next(&subscriber->member, membership))
        leave(subscriber, membership, may_return);
}

static void member_encode(struct buf *to, const struct broker_present *who)
{
    buf_append(to, SPAN_LIT("{\"id\":\""));
    buf_append_json(to, who->sid);
    buf_append(to, SPAN_LIT("\",\"data\":"));
    buf_append(to, who->data);
    buf_append_char(to, '}');
}

static void members_encode(struct buf *to, const struct broker_presence *presence, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_char(to, ',');
        member_encode(to, &presence->members[i]);
    }
}

/* `["presence",{"room":...,` */
static void body_begin(struct buf *to, struct span room_name)
{
    ptrdiff_t comma = span_find(room_name, ',');
    buf_append(to, SPAN_LIT("[\"presence\",{\"room\":"));
    if (comma < 0) {
        buf_append(to, SPAN_LIT("null,"));
        return;
    }
    buf_append_char(to, '"');
    buf_append_json(to, span_from(room_name, (size_t)comma + 1));
    buf_append(to, SPAN_LIT("\","));
}

static void change_encode(struct buf *body, struct span room, const struct broker_present *who, bool entered,
                          uint64_t count)
{
    body_begin(body, room);
    buf_append(body, entered ? SPAN_LIT("\"entered\":[") : SPAN_LIT("\"left\":["));
    member_encode(body, who);
    buf_append(body, SPAN_LIT("],\"count\":"));
    buf_append_u64(body, count);
    buf_append(body, SPAN_LIT("}]"));
}

void presence_keep(struct subscriber *subscriber, const struct record_kept *kept)
{
    struct broker_present who = {.sid = kept->sid, .data = kept->data};
    struct buf body = {0};
    if (span_equal(kept->sid, subscriber_sid(subscriber)))
        return;
    change_encode(&body, kept->room, &who, kept->change == '+', kept->count);
    struct broker_entry event = {.room = kept->room, .body = buf_span(&body)};
    member_keep(&subscriber->member, &event, kept->after);
    buf_finish(&body);
}

void presence_changed(struct sessions *sessions, struct span room, const struct broker_present *who, bool entered,
                      uint64_t count)
{
    struct buf body = {0};
    change_encode(&body, room, who, entered, count);
    hub_room_tell(sessions->hub, room, buf_span(&body), who->sid);
    if (sessions->app->presence != NULL)
        sessions->app->presence(sessions->app, room, who, entered, count);
    buf_finish(&body);
}

static struct entry *list_encode(struct hub *hub, struct span room, const struct broker_presence *presence)
{
    struct buf body = {0};
    size_t count = presence->member_count < PRESENCE_LISTED ? presence->member_count : PRESENCE_LISTED;
    body_begin(&body, room);
    buf_append(&body, SPAN_LIT("\"members\":["));
    members_encode(&body, presence, count);
    buf_append(&body, SPAN_LIT("],\"count\":"));
    buf_append_u64(&body, presence->count);
    if (count < presence->member_count || presence->cursor != 0)
        buf_append(&body, SPAN_LIT(",\"more\":true"));
    buf_append(&body, SPAN_LIT("}]"));
    struct entry *entry = hub_entry_create(hub, room, buf_span(&body));
    buf_finish(&body);
    return entry;
}

static void waiters_tell(struct waiters *waiters, struct span room, struct entry *entry)
{
    for (size_t i = 0; i < waiters->count; i++) {
        struct subscriber *subscriber = waiters->sockets[i];
        struct membership *membership =
            subscriber->state == SUBSCRIBER_CONNECTED ? member_find(&subscriber->member, room) : NULL;
        /* When a link breaks, every membership becomes due again. */
        if (membership != NULL && membership_is_active(membership) && entry != NULL)
            member_tell(&subscriber->member, entry);
        subscriber_unref(subscriber);
    }
    free(waiters->sockets);
    *waiters = (struct waiters){.count = 0};
}

static void waiters_add(struct waiters *waiters, struct subscriber *subscriber)
{
    if (waiters->count == waiters->cap) {
        waiters->cap = waiters->cap != 0 ? waiters->cap * 2 : 4;
        waiters->sockets = mem_resize(waiters->sockets, waiters->cap * sizeof(struct subscriber *));
    }
    subscriber->refs++;
    waiters->sockets[waiters->count++] = subscriber;
}

static void listed(void *arg, enum broker_result result, const struct broker_presence *presence);

static void list_ask(struct roster *roster)
{
    roster->asked = roster->next;
    roster->next = (struct waiters){.count = 0};
    broker_present_list(hub_broker(roster->sessions->hub), roster->by_room.key, 0, PRESENCE_LISTED, listed, roster);
}

static void listed(void *arg, enum broker_result result, const struct broker_presence *presence)
{
    struct roster *roster = arg;
    struct sessions *sessions = roster->sessions;
    struct span room = roster->by_room.key;
    struct entry *entry = result == BROKER_OK ? list_encode(sessions->hub, room, presence) : NULL;
    waiters_tell(&roster->asked, room, entry);
    entry_unref(entry);
    if (roster->next.count > 0 && result == BROKER_OK) {
        list_ask(roster);
        return;
    }
    map_remove(&sessions->rosters, &roster->by_room);
    waiters_tell(&roster->next, room, NULL);
    free(roster);
}

static void list_for(struct subscriber *subscriber, struct span room)
{
    struct sessions *sessions = subscriber_sessions(subscriber);
    struct map_node *node = map_find(&sessions->rosters, room);
    if (node != NULL) {
        waiters_add(&container_of(node, struct roster, by_room)->next, subscriber);
        return;
    }
    struct roster *roster = mem_zero(1, sizeof *roster + room.len);
    roster->sessions = sessions;
    memcpy(roster->room, room.data, room.len);
    map_add(&sessions->rosters, &roster->by_room, span_of(roster->room, room.len));
    waiters_add(&roster->next, subscriber);
    list_ask(roster);
}

void presence_known(struct subscriber *subscriber)
{
    for (struct membership *membership = member_next(&subscriber->member, NULL); membership != NULL;
         membership = member_next(&subscriber->member, membership))
        membership_take_missed(membership);
}

void presence_settled(struct subscriber *subscriber)
{
    for (struct membership *membership = member_next(&subscriber->member, NULL); membership != NULL;
         membership = member_next(&subscriber->member, membership)) {
        if (membership_mark(membership) != PRESENT || !membership_take_missed(membership))
            continue;
        list_for(subscriber, membership_room(membership));
    }
}

static void who_answered(void *arg, enum broker_result result, const struct broker_presence *presence)
{
    struct question *question = arg;
    struct buf body = {0};
    if (result == BROKER_OK && question_is_awaited(question)) {
        buf_append(&body, SPAN_LIT("[{\"members\":["));
        members_encode(&body, presence, presence->member_count);
        buf_append(&body, SPAN_LIT("],\"count\":"));
        buf_append_u64(&body, presence->count);
        if (presence->cursor != 0)
            buf_printf(&body, ",\"cursor\":\"%llu\"}]", (unsigned long long)presence->cursor);
        else
            buf_append(&body, SPAN_LIT(",\"cursor\":null}]"));
    }
    struct content content = content_of(buf_span(&body));
    question_answered(question, &content);
    buf_finish(&body);
}

static void who_ask(struct question *question)
{
    broker_present_list(hub_broker(question->call.sessions->hub), buf_span(&question->room), question->at,
                        question->limit, who_answered, question);
}

void presence_who(struct subscriber *subscriber, struct span room, uint64_t cursor, uint32_t limit, struct span ack_id)
{
    if (room.len != 0 && !subscriber_may(subscriber, DEED_JOIN, room)) {
        subscriber_refuse(subscriber, REFUSAL_ROOM_FORBIDDEN, room, ack_id);
        return;
    }
    struct question *question = question_create(subscriber, room, ack_id);
    question->at = cursor;
    question->limit = limit;
    question_put(question, who_ask);
}

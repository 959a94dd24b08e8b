/* answers: answers what servers behind the bridge ask, for the sockets of this instance: which there are, which rooms
 * there are, and what clients answer to an event.
 *
 * An event that asks goes to each of its receivers with an id, the same for all. The count of receivers is told at
 * once, and each answer as it comes. When the time is over the question is forgotten; the asking server has given up,
 * too. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "bridge/bridge_parts.h"
#include "session/backend.h"
#include "wire/json.h"

/* Ids of other questions to clients are below (session/asking.c, embed/ask.c); JavaScript counts exactly up to 2^53. */
static const uint64_t first_id = UINT64_C(1) << 50;

struct asked {
    struct map_node by_sid;
    char sid[ENGINEIO_SID_BYTES];
};

struct question {
    struct list of_bridge;
    struct timer timer;
    struct bridge *bridge;
    const struct bridged *bridged;
    uint64_t id;
    struct map asked;   /* sockets that have not answered yet */
    struct buf uid;     /* of the asking server */
    struct buf request; /* its id for the question */
};

/* Sockets. */

static struct inquiry_question selection(const struct bridged *bridged, const struct adapter_message *message)
{
    return (struct inquiry_question){
        .kind = INQUIRY_SOCKETS,
        .nsp = bridged->nsp->name,
        .rooms = message->rooms.list,
        .room_count = message->rooms.count,
        .excepts = message->excepts.list,
        .except_count = message->excepts.count,
    };
}

/* A walk over the subscribers that a question selects. */
struct walk {
    struct sessions *sessions;
    struct inquiry_question question;
    struct session *session; /* NULL: before the first */
    struct subscriber *next;
};

/* The next one, or NULL at the end. */
static struct subscriber *walk_next(struct walk *walk)
{
    for (;;) {
        while (walk->next == NULL) {
            walk->session = sessions_next(walk->sessions, walk->session);
            if (walk->session == NULL)
                return NULL;
            walk->next = walk->session->sockets;
        }
        struct subscriber *subscriber = walk->next;
        walk->next = subscriber->next;
        if (inquiry_selects(subscriber, &walk->question))
            return subscriber;
    }
}

/* Appends a name to an array that has begun. */
static void room_append(struct buf *to, struct span room)
{
    buf_append(to, to->len > 1 ? SPAN_LIT(",\"") : SPAN_LIT("\""));
    buf_append_json(to, room);
    buf_append_char(to, '"');
}

/* Its own room first, as upstream has it. */
static void rooms_append(struct buf *to, const struct subscriber *subscriber)
{
    const struct nsp *nsp = subscriber->nsp;
    buf_printf(to, "[\"" SPAN_FMT "\"", SPAN_ARG(subscriber_sid(subscriber)));
    for (struct membership *at = member_next(&subscriber->member, NULL); at != NULL;
         at = member_next(&subscriber->member, at)) {
        struct span room = membership_room(at);
        if (membership_is_open(at) && !broker_room_is_owned(room) && !span_equal(room, nsp->name))
            room_append(to, subscriber_room_of(nsp, room));
    }
    buf_append_char(to, ']');
}

/* What upstream tells of a handshake; fields that are not kept here are empty. */
static void handshake_append(struct buf *to, const struct subscriber *subscriber)
{
    const struct session *session = subscriber->session;
    struct loop *loop = subscriber_sessions(subscriber)->loop;
    uint64_t issued_ms = (uint64_t)loop_wall_ms(loop) - (loop_now_us(loop) - session->opened_us) / 1000;
    time_t seconds = (time_t)(issued_ms / 1000);
    struct span auth = span_str(subscriber_has(subscriber).auth), kept = span_str(session_has(session).handshake);
    char peer[ADDR_TEXT_MAX], text[32] = "";
    struct tm when;
    if (kept.len > 0) {
        inquiry_handshake_encode(to, kept, auth);
        return;
    }
    addr_ip_print(session->transport->type->peer(session->transport), peer);
    if (gmtime_r(&seconds, &when) != NULL)
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &when);
    buf_printf(to,
               "{\"headers\":{},\"time\":\"%s\",\"address\":\"%s\",\"xdomain\":false,\"secure\":false,\"issued\":%llu,"
               "\"url\":\"\",\"query\":{},\"auth\":{}}",
               text, peer, (unsigned long long)issued_ms);
}

static void socket_append(struct buf *to, const struct subscriber *subscriber)
{
    buf_printf(to, "{\"id\":\"" SPAN_FMT "\",\"handshake\":", SPAN_ARG(subscriber_sid(subscriber)));
    handshake_append(to, subscriber);
    buf_append(to, SPAN_LIT(",\"rooms\":"));
    rooms_append(to, subscriber);
    buf_append(to, SPAN_LIT(",\"data\":"));
    const char *data = subscriber_has(subscriber).presence_data;
    buf_append(to, data != NULL ? span_str(data) : SPAN_LIT("{}"));
    buf_append_char(to, '}');
}

static bool is_full(struct bridge *bridge, const struct buf *list, const struct bridged *bridged)
{
    if (list->len < BRIDGE_ANSWER_BYTES_MAX)
        return false;
    refusals_note(&bridge->sessions->refusals, REFUSAL_BRIDGE_ANSWER_FULL, SPAN_LIT(""), bridged->nsp->name);
    return true;
}

void bridge_fetch(struct bridge *bridge, const struct bridged *bridged, const struct adapter_message *message)
{
    struct walk walk = {.sessions = bridge->sessions, .question = selection(bridged, message)};
    struct adapter_outgoing outgoing = bridge_outgoing(bridge, bridged);
    struct subscriber *subscriber;
    struct buf list = {0}, answer = {0};
    buf_append_char(&list, '[');
    while ((subscriber = walk_next(&walk)) != NULL && !is_full(bridge, &list, bridged)) {
        if (list.len > 1)
            buf_append_char(&list, ',');
        if (message->kind == ADAPTER_SIDS)
            buf_printf(&list, "\"" SPAN_FMT "\"", SPAN_ARG(subscriber_sid(subscriber)));
        else
            socket_append(&list, subscriber);
    }
    buf_append_char(&list, ']');
    outgoing.request = message->request;
    adapter_fetched_write(&answer, &outgoing, buf_span(&list));
    bridge_answer(bridge, bridged, message->uid, &answer);
    buf_finish(&list);
}

/* Rooms. */

struct room_list {
    struct bridge *bridge;
    const struct bridged *bridged;
    struct buf text;
    bool full;
};

static void room_found(void *arg, struct span name, size_t members)
{
    struct room_list *list = arg;
    struct span nsp = list->bridged->nsp->name;
    (void)members;
    if (!span_starts_with(name, nsp) || name.len <= nsp.len + 1 || span_find(span_sub(name, nsp.len, 1), ',') != 0)
        return;
    list->full = list->full || is_full(list->bridge, &list->text, list->bridged);
    if (!list->full)
        room_append(&list->text, span_from(name, nsp.len + 1));
}

void bridge_rooms(struct bridge *bridge, const struct bridged *bridged, const struct adapter_message *message)
{
    struct room_list list = {.bridge = bridge, .bridged = bridged};
    struct adapter_outgoing outgoing = bridge_outgoing(bridge, bridged);
    struct walk walk = {.sessions = bridge->sessions, .question = {.nsp = bridged->nsp->name}};
    struct subscriber *subscriber;
    struct buf answer = {0};
    buf_append_char(&list.text, '[');
    hub_rooms_each(bridge->sessions->hub, room_found, &list);
    while ((subscriber = walk_next(&walk)) != NULL && list.text.len < BRIDGE_ANSWER_BYTES_MAX)
        room_append(&list.text, subscriber_sid(subscriber));
    buf_append_char(&list.text, ']');
    outgoing.request = message->request;
    adapter_rooms_write(&answer, &outgoing, buf_span(&list.text));
    bridge_answer(bridge, bridged, message->uid, &answer);
    buf_finish(&list.text);
}

/* Questions to clients. */

static void question_end(struct question *question)
{
    struct map_node *node;
    timer_stop(question->bridge->loop, &question->timer);
    while ((node = map_next(&question->asked, NULL)) != NULL) {
        map_remove(&question->asked, node);
        free(container_of(node, struct asked, by_sid));
        question->bridge->ask_count--;
    }
    map_finish(&question->asked);
    question->bridge->question_count--;
    list_remove(&question->of_bridge);
    buf_finish(&question->uid);
    buf_finish(&question->request);
    free(question);
}

static void timed_out(struct timer *timer)
{
    question_end(container_of(timer, struct question, timer));
}

void bridge_questions_finish(struct bridge *bridge)
{
    list_each (node, &bridge->questions)
        question_end(container_of(node, struct question, of_bridge));
}

static struct question *question_begin(struct bridge *bridge, const struct bridged *bridged,
                                       const struct adapter_message *message)
{
    struct question *question = mem_zero(1, sizeof *question);
    uint64_t ms = message->timeout_ms, seed[2];
    question->bridge = bridge;
    question->bridged = bridged;
    question->id = first_id + bridge->next_question++;
    loop_random(bridge->loop, seed, sizeof seed);
    map_init(&question->asked, seed);
    buf_append(&question->uid, message->uid);
    buf_append(&question->request, message->request);
    timer_init(&question->timer, timed_out);
    timer_start(bridge->loop, &question->timer,
                LOOP_MS(ms == 0                  ? BRIDGE_ASK_MS
                        : ms < BRIDGE_ASK_MS_MAX ? ms
                                                 : BRIDGE_ASK_MS_MAX));
    list_append(&bridge->questions, &question->of_bridge);
    bridge->question_count++;
    return question;
}

static void ask_one(struct question *question, struct subscriber *subscriber, struct span id,
                    const struct content *content)
{
    struct asked *asked = mem_zero(1, sizeof *asked);
    memcpy(asked->sid, subscriber_sid(subscriber).data, sizeof asked->sid);
    map_add(&question->asked, &asked->by_sid, span_of(asked->sid, sizeof asked->sid));
    question->bridge->ask_count++;
    question->bridge->counters.asked++;
    subscriber->session->protocol->ask(subscriber, id, content);
}

static void count_tell(struct bridge *bridge, const struct bridged *bridged, const struct adapter_message *message,
                       size_t count)
{
    struct adapter_outgoing outgoing = bridge_outgoing(bridge, bridged);
    struct buf answer = {0};
    outgoing.request = message->request;
    adapter_count_write(&answer, &outgoing, count);
    bridge_answer(bridge, bridged, message->uid, &answer);
}

/* A client whose protocol has no such answers gets the event alone, and does not count. */
static bool can_be_asked(const struct subscriber *subscriber)
{
    return subscriber->session->protocol->ask != NULL;
}

static void tell_one(struct bridge *bridge, const struct bridged *bridged, const struct subscriber *subscriber,
                     const struct content *content)
{
    struct span sid = subscriber_sid(subscriber);
    struct subscriber_emit emit = {.rooms = &sid, .room_count = 1, .content = content};
    backend_publish_here(bridge->sessions, bridged->nsp, &emit);
}

static size_t receivers_count(struct bridge *bridge, const struct bridged *bridged,
                              const struct adapter_message *message)
{
    struct walk walk = {.sessions = bridge->sessions, .question = selection(bridged, message)};
    struct subscriber *subscriber;
    size_t count = 0;
    while ((subscriber = walk_next(&walk)) != NULL)
        count += can_be_asked(subscriber);
    return count;
}

void bridge_ask(struct bridge *bridge, const struct bridged *bridged, const struct adapter_message *message)
{
    struct walk walk = {.sessions = bridge->sessions, .question = selection(bridged, message)};
    size_t count = receivers_count(bridge, bridged, message);
    struct subscriber *subscriber, *next;
    if (bridge->ask_count + count > BRIDGE_ASKS_MAX || bridge->question_count == BRIDGE_QUESTIONS_MAX) {
        refusals_note(&bridge->sessions->refusals, REFUSAL_BRIDGE_ASKS_FULL, message->uid, message->event);
        count = 0;
    }
    count_tell(bridge, bridged, message, count);
    struct question *question = count > 0 ? question_begin(bridge, bridged, message) : NULL;
    struct buf id = {0};
    buf_append_u64(&id, question != NULL ? question->id : 0);
    /* A session has one subscriber of a namespace at most. So whatever becomes of a session that is too slow for this
     * event, the next subscriber is of another one. */
    for (subscriber = walk_next(&walk); subscriber != NULL; subscriber = next) {
        next = walk_next(&walk);
        if (!can_be_asked(subscriber))
            tell_one(bridge, bridged, subscriber, &message->content);
        else if (question != NULL)
            ask_one(question, subscriber, buf_span(&id), &message->content);
    }
    buf_finish(&id);
}

static void ack_tell(const struct question *question, const struct content *content)
{
    struct adapter_outgoing outgoing = bridge_outgoing(question->bridge, question->bridged);
    struct buf answer = {0};
    outgoing.request = buf_span(&question->request);
    outgoing.content = content;
    adapter_ack_write(&answer, &outgoing);
    bridge_answer(question->bridge, question->bridged, buf_span(&question->uid), &answer);
}

bool bridge_answered(void *arg, struct subscriber *subscriber, struct span id, const struct content *content)
{
    struct bridge *bridge = arg;
    uint64_t number;
    if (!span_to_u64(id, &number) || number < first_id)
        return false;
    list_each (node, &bridge->questions) {
        struct question *question = container_of(node, struct question, of_bridge);
        struct map_node *asked = question->id == number ? map_find(&question->asked, subscriber_sid(subscriber)) : NULL;
        if (asked == NULL)
            continue;
        map_remove(&question->asked, asked);
        free(container_of(asked, struct asked, by_sid));
        bridge->ask_count--;
        ack_tell(question, content);
        if (question->asked.count == 0)
            question_end(question);
        break;
    }
    return true;
}

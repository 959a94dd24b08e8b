/* survey: asks the sockets of this instance, and gathers their answers. Mail to all, for an answer that came to another
 * instance; and to the instance that began, when sockets have been asked and have not answered yet:
 *
 *     late <number> <sid>\n<body>
 *     hold <number>\n
 *
 * An empty body: there will be no answer. */
#include "session/survey.h"

#include <stdlib.h>

#include "base/mem.h"
#include "session/asking_entry.h"
#include "session/backend.h"
#include "session/emit.h"
#include "session/polling_parts.h"
#include "wire/json.h"

struct surveyed {
    struct map_node by_sid;
    char sid[ENGINEIO_SID_BYTES];
    struct buf answer; /* the body; empty: none yet, or none at all */
    bool waiting;
};

struct survey {
    struct list node;
    struct timer timer;
    struct surveys *surveys;
    struct buf from;
    uint64_t number;
    struct map asked;
    size_t waiting, bytes;
    size_t missed; /* not asked, or the answer was dropped */
    bool asking;
    bool polls; /* of sockets that poll: the instance that has their session asks them */
};

struct surveys {
    struct sessions *sessions;
    struct list all;
    size_t count;
    survey_told_fn *told;
    void *arg;
};

static void survey_free(struct survey *survey)
{
    struct map_node *node;
    struct surveys *surveys = survey->surveys;
    timer_stop(surveys->sessions->loop, &survey->timer);
    while ((node = map_next(&survey->asked, NULL)) != NULL) {
        struct surveyed *one = container_of(node, struct surveyed, by_sid);
        map_remove(&survey->asked, node);
        buf_finish(&one->answer);
        free(one);
        surveys->sessions->asking.count--;
    }
    map_finish(&survey->asked);
    buf_finish(&survey->from);
    list_remove(&survey->node);
    surveys->count--;
    free(survey);
}

static void survey_end(struct survey *survey)
{
    struct surveys *surveys = survey->surveys;
    struct buf text = {0}, from = survey->from;
    uint64_t number = survey->number;
    bool polls = survey->polls;
    buf_printf(&text, "0 %zu %zu\n", survey->asked.count + survey->missed, survey->asked.count);
    for (struct map_node *node = map_next(&survey->asked, NULL); node != NULL; node = map_next(&survey->asked, node)) {
        const struct surveyed *one = container_of(node, const struct surveyed, by_sid);
        inquiry_item_encode(&text, span_of(one->sid, sizeof one->sid), buf_span(&one->answer), one->answer.len > 0);
    }
    survey->from = (struct buf){0};
    survey_free(survey);
    surveys->told(surveys->arg, buf_span(&from), number, polls, buf_span(&text));
    buf_finish(&from);
    buf_finish(&text);
}

static void end_if_all(struct survey *survey)
{
    if (survey->waiting == 0 && !survey->asking)
        survey_end(survey);
}

static void timed_out(struct timer *timer)
{
    survey_end(container_of(timer, struct survey, timer));
}

struct surveys *surveys_create(struct sessions *sessions, survey_told_fn *told, void *arg)
{
    struct surveys *surveys = mem_zero(1, sizeof *surveys);
    *surveys = (struct surveys){.sessions = sessions, .told = told, .arg = arg};
    list_init(&surveys->all);
    sessions->surveys = surveys;
    return surveys;
}

void surveys_destroy(struct surveys *surveys)
{
    if (surveys == NULL)
        return;
    list_each (node, &surveys->all)
        survey_free(container_of(node, struct survey, node));
    surveys->sessions->surveys = NULL;
    free(surveys);
}

/* A client whose protocol has no answers gets the event alone, and does not count. */
static void tell_one(struct subscriber *subscriber, const struct content *content)
{
    struct span sid = subscriber_sid(subscriber);
    struct subscriber_emit emit = {.rooms = &sid, .room_count = 1, .content = content};
    backend_publish_here(subscriber_sessions(subscriber), subscriber->nsp, &emit);
}

/* An answer of this socket is awaited. False: of too many. */
static bool await_one(struct survey *survey, struct span sid, struct span nsp)
{
    struct sessions *sessions = survey->surveys->sessions;
    if (survey->asked.count == INQUIRY_LIMIT_MAX || sessions->asking.count >= sessions->limits.asks_total_max) {
        refusals_note(&sessions->refusals, REFUSAL_ASKED_FULL, sid, nsp);
        survey->missed++;
        return false;
    }
    struct surveyed *one = mem_zero(1, sizeof *one);
    memcpy(one->sid, sid.data, sizeof one->sid);
    one->waiting = true;
    map_add(&survey->asked, &one->by_sid, span_of(one->sid, sizeof one->sid));
    survey->waiting++;
    sessions->asking.count++;
    return true;
}

static void ask_one(struct survey *survey, struct subscriber *subscriber, struct span id, const struct content *content)
{
    struct session *session = subscriber->session;
    if (session->protocol->ask == NULL) {
        tell_one(subscriber, content);
        return;
    }
    if (!await_one(survey, subscriber_sid(subscriber), subscriber->nsp->name))
        return;
    session->moved = true;
    session->protocol->ask(subscriber, id, content);
}

/* References to the subscribers that are selected: asking may end one of them. */
struct selected {
    struct subscriber **list;
    size_t count, cap;
};

/* The instance that began asks it. */
static bool is_asked_elsewhere(const struct subscriber *subscriber, const struct inquiry_question *question)
{
    return question->polls.data != NULL &&
           (polling_carries(subscriber->session) || asking_sids_have(question->polls, subscriber_sid(subscriber)));
}

static void select_all(struct sessions *sessions, const struct inquiry_question *question, struct selected *selected)
{
    sessions_each(session, sessions)
    {
        subscribers_each(subscriber, session)
        {
            if (!inquiry_selects(subscriber, question) || is_asked_elsewhere(subscriber, question))
                continue;
            if (selected->count == selected->cap) {
                selected->cap = selected->cap != 0 ? selected->cap * 2 : 64;
                selected->list = mem_resize(selected->list, selected->cap * sizeof(struct subscriber *));
            }
            subscriber->refs++;
            selected->list[selected->count++] = subscriber;
        }
    }
}

static void ask_all(struct survey *survey, const struct inquiry_question *question, const struct content *content)
{
    struct selected selected = {.count = 0};
    struct buf id = {0};
    buf_append_u64(&id, survey->number);
    select_all(survey->surveys->sessions, question, &selected);
    survey->asking = true;
    for (size_t i = 0; i < selected.count; i++) {
        if (subscriber_is_connected(selected.list[i]))
            ask_one(survey, selected.list[i], buf_span(&id), content);
        subscriber_unref(selected.list[i]);
    }
    survey->asking = false;
    free(selected.list);
    buf_finish(&id);
}

/* NULL: refused. */
static struct survey *survey_create(struct surveys *surveys, struct span from, uint64_t number,
                                    const struct inquiry_question *question, struct content *content)
{
    if (!content_decode_text(question->body, content)) {
        refusals_note(&surveys->sessions->refusals, REFUSAL_EVENT_DAMAGED, from, question->nsp);
        return NULL;
    }
    if (surveys->count == SURVEYS_MAX) {
        refusals_note(&surveys->sessions->refusals, REFUSAL_ASKED_FULL, from, question->nsp);
        return NULL;
    }
    struct survey *survey = mem_zero(1, sizeof *survey);
    survey->surveys = surveys;
    survey->number = number;
    buf_append(&survey->from, from);
    map_init(&survey->asked, surveys->sessions->sockets.seed);
    timer_init(&survey->timer, timed_out);
    timer_start(surveys->sessions->loop, &survey->timer, LOOP_MS(question->timeout_ms));
    list_append(&surveys->all, &survey->node);
    surveys->count++;
    return survey;
}

/* The broker may not say that this instance is to be awaited: what it has asked may be on another one a moment later.
 */
static void hold(const struct survey *survey)
{
    struct buf mail = {0};
    if (survey->from.len == 0)
        return;
    buf_printf(&mail, "hold %llu\n", (unsigned long long)survey->number);
    mail_send(hub_broker(survey->surveys->sessions->hub), buf_span(&survey->from), buf_span(&mail), NULL, NULL);
    buf_finish(&mail);
}

void survey_begin(struct surveys *surveys, struct span from, uint64_t number, const struct inquiry_question *question)
{
    struct content content;
    struct survey *survey = survey_create(surveys, from, number, question, &content);
    if (survey == NULL)
        return;
    ask_all(survey, question, &content);
    if (survey->waiting > 0)
        hold(survey);
    end_if_all(survey);
}

/* One event for all of them, in the room that an emit to the same sockets would take. It is kept for those that are
 * between two requests. */
static bool polls_publish(struct sessions *sessions, const struct inquiry_question *question,
                          const struct asking_entry *entry)
{
    const struct nsp nsp = {.name = question->nsp};
    struct subscriber_emit to = {.rooms = question->rooms,
                                 .room_count = question->room_count,
                                 .excepts = question->excepts,
                                 .except_count = question->except_count,
                                 .to_sid = question->sid,
                                 .content = &entry->content};
    struct buf body = {0};
    struct emit emit;
    emit_event(&emit, &nsp, (struct span){NULL, 0}, &to);
    asking_entry_encode(&body, entry);
    struct broker_publish publish = {
        .room = buf_span(&emit.room), .audience = buf_span(&emit.audience), .body = buf_span(&body)};
    bool taken = broker_publish(hub_broker(sessions->hub), &publish, NULL, NULL);
    emit_finish(&emit);
    buf_finish(&body);
    return taken;
}

void survey_begin_polls(struct surveys *surveys, uint64_t number, const struct inquiry_question *question,
                        const struct span *sids, size_t count, size_t left)
{
    struct buf asked = {0}, id = {0};
    struct asking_entry entry = {.kind = ASKING_SURVEY, .ms = question->timeout_ms, .asker = SPAN_LIT("-")};
    if (count == 0) {
        surveys->told(surveys->arg, SPAN_LIT(""), number, true, SPAN_LIT("0 0 0\n"));
        return;
    }
    struct survey *survey = survey_create(surveys, SPAN_LIT(""), number, question, &entry.content);
    if (survey == NULL) {
        surveys->told(surveys->arg, SPAN_LIT(""), number, true, (struct span){NULL, 0});
        return;
    }
    survey->polls = true;
    survey->missed = left;
    if (left > 0)
        refusals_note(&surveys->sessions->refusals, REFUSAL_ASKED_FULL, SPAN_LIT(""), question->nsp);
    for (size_t i = 0; i < count; i++)
        if (await_one(survey, sids[i], question->nsp))
            buf_append(&asked, sids[i]);
    buf_append_u64(&id, number);
    entry.id = buf_span(&id);
    entry.asked = buf_span(&asked);
    if (asked.len > 0 && !polls_publish(surveys->sessions, question, &entry)) {
        refusals_note(&surveys->sessions->refusals, REFUSAL_BROKER_BACKLOG, SPAN_LIT(""), question->nsp);
        survey->waiting = 0;
        survey->missed++;
    }
    end_if_all(survey);
    buf_finish(&asked);
    buf_finish(&id);
}

/* The survey of this number that has asked this socket, or NULL. */
static struct survey *find(struct surveys *surveys, uint64_t number, struct span sid, struct surveyed **one)
{
    list_each (node, &surveys->all) {
        struct survey *survey = container_of(node, struct survey, node);
        struct map_node *asked = survey->number == number ? map_find(&survey->asked, sid) : NULL;
        if (asked == NULL)
            continue;
        *one = container_of(asked, struct surveyed, by_sid);
        return survey;
    }
    return NULL;
}

/* One may have answered already: its first answer counts. */
static void take(struct survey *survey, struct surveyed *one, struct span body)
{
    struct sessions *sessions = survey->surveys->sessions;
    if (!one->waiting)
        return;
    one->waiting = false;
    survey->waiting--;
    if (body.len > SURVEY_ANSWER_BYTES_MAX || survey->bytes + body.len > INQUIRY_ANSWER_BYTES) {
        refusals_note(&sessions->refusals, REFUSAL_ANSWERS_FULL, span_of(one->sid, sizeof one->sid), SPAN_LIT(""));
        survey->missed++;
    } else {
        buf_append(&one->answer, body);
        survey->bytes += body.len;
    }
    end_if_all(survey);
}

/* Each such answer is mail to all: too many of a client count as changes for others. */
static void pass_on(struct subscriber *subscriber, struct span id, struct span body)
{
    struct sessions *sessions = subscriber_sessions(subscriber);
    struct buf mail = {0};
    session_change(subscriber->session, 1);
    if (body.len > SURVEY_ANSWER_BYTES_MAX) {
        refusals_note(&sessions->refusals, REFUSAL_ANSWERS_FULL, subscriber_sid(subscriber), SPAN_LIT(""));
        body = SPAN_LIT("");
    }
    buf_printf(&mail, "late " SPAN_FMT " " SPAN_FMT "\n", SPAN_ARG(id), SPAN_ARG(subscriber_sid(subscriber)));
    buf_append(&mail, body);
    mail_send(hub_broker(sessions->hub), SPAN_LIT(""), buf_span(&mail), NULL, NULL);
    buf_finish(&mail);
}

/* An empty body: there will be no answer. False: the id is none of a survey. */
static bool answered(struct subscriber *subscriber, struct span id, struct span body)
{
    struct surveys *surveys = subscriber_sessions(subscriber)->surveys;
    struct surveyed *one;
    uint64_t number;
    if (surveys == NULL || !span_to_u64(id, &number) || number < survey_number_min || number >= survey_number_end)
        return false;
    struct survey *survey = find(surveys, number, subscriber_sid(subscriber), &one);
    if (survey != NULL)
        take(survey, one, body);
    else
        pass_on(subscriber, id, body);
    return survey != NULL;
}

void survey_answered(struct subscriber *subscriber, struct span id, const struct content *content)
{
    struct buf body = {0};
    content_encode(&body, content);
    if (answered(subscriber, id, buf_span(&body))) {
        subscriber->session->moved = true;
        subscriber_sessions(subscriber)->counters.answered++;
    }
    buf_finish(&body);
}

void survey_unanswered(struct subscriber *subscriber, struct span id)
{
    answered(subscriber, id, SPAN_LIT(""));
}

bool survey_answer_read(struct span body, struct content *content)
{
    return body.len > 0 && content_decode_text(body, content) && json_type(content->args) == JSON_ARRAY &&
           json_is_valid(content->args);
}

void survey_late(struct surveys *surveys, struct span message)
{
    struct surveyed *one;
    struct span sid;
    struct content content;
    uint64_t number;
    if (!span_take_u64(&message, ' ', &number) || !span_next(&message, '\n', &sid) || message.data == NULL ||
        (message.len > 0 && !survey_answer_read(message, &content)))
        return;
    struct survey *survey = find(surveys, number, sid, &one);
    if (survey != NULL)
        take(survey, one, message);
}

void survey_left(struct subscriber *subscriber, bool may_return)
{
    struct surveys *surveys = subscriber_sessions(subscriber)->surveys;
    if (surveys == NULL || (may_return && subscriber->lease != NULL))
        return; /* without a lease it cannot come back as the same socket */
    list_each (node, &surveys->all) {
        struct survey *survey = container_of(node, struct survey, node);
        struct map_node *asked = map_find(&survey->asked, subscriber_sid(subscriber));
        if (asked != NULL)
            take(survey, container_of(asked, struct surveyed, by_sid), SPAN_LIT(""));
    }
}

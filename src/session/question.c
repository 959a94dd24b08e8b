/* question: takes turns among the sessions with questions, and closes sessions that do not read their answers. */
#include "session/question.h"

#include <stdlib.h>

#include "base/mem.h"
#include "session/polling_parts.h"
#include "session/subscriber.h"

enum { ASK_QUEUED_MAX = 64 << 10 }; /* with more in its queue, a session's next question waits */

static void question_destroy(struct question *question)
{
    buf_finish(&question->room);
    call_end(&question->call);
    free(question);
}

bool question_is_awaited(const struct question *question)
{
    return question->call.session != NULL && subscriber_is_connected(question->call.subscriber);
}

struct question *question_create(struct subscriber *subscriber, struct span room, struct span ack_id)
{
    struct question *question = mem_zero(1, sizeof *question);
    subscriber_room_name(&question->room, subscriber->nsp, room);
    call_begin(&question->call, subscriber->session, subscriber, ack_id, sizeof *question + question->room.len);
    return question;
}

void question_put(struct question *question, void (*ask)(struct question *question))
{
    struct session *session = question->call.session;
    question->ask = ask;
    list_append(&session->load->questions, &question->call.node);
    questions_ask_for(session);
}

/* Whether the session's queue has room for an answer; it must send older output first. */
static bool has_room(struct session *session)
{
    if (!transport_is_open(session->transport))
        return false;
    if (polling_carries(session))
        return true;
    if (session->load->answer_bytes == 0 && transport_queued(session->transport) < ASK_QUEUED_MAX)
        return true;
    transport_await_drained(session->transport);
    return false;
}

/* Whether another answer may be held. If not, closes the session that has not read its answer for longest, if that is
 * long enough. */
static bool total_has_room(struct sessions *sessions)
{
    struct loads *loads = &sessions->loads;
    if (loads->answer_bytes < sessions->limits.answer_bytes_total_max)
        return true;
    struct load *oldest = container_of(loads->holders.next, struct load, holder);
    if (loop_now_us(sessions->loop) - oldest->answered_us >= LOOP_MS(ANSWER_STALL_MS))
        oldest->session->transport->type->abort(oldest->session->transport,
                                                CLOSE_SLOW_CONSUMER); /* no Close frame would reach it */
    loads_look_later(sessions);
    return false;
}

/* The next question of the session; drops those of subscribers that have left the namespace. */
static struct question *next_of(struct load *load)
{
    struct list *node;
    while ((node = list_take(&load->questions)) != NULL) {
        struct question *question = container_of(node, struct question, call.node);
        if (question_is_awaited(question))
            return question;
        question_destroy(question);
    }
    return NULL;
}

void questions_ask(struct sessions *sessions)
{
    struct loads *loads = &sessions->loads;
    while (loads->asking < QUESTIONS_MAX && !list_empty(&loads->askers) && total_has_room(sessions)) {
        struct load *load = container_of(list_take(&loads->askers), struct load, asker);
        struct session *session = load->session;
        if (!has_room(session))
            continue; /* when it has drained, its turn comes again */
        load->asking = true;
        struct question *question = next_of(load);
        if (question == NULL) {
            load->asking = false;
            load_release(session);
            continue;
        }
        loads->asking++;
        question->ask(question);
    }
}

void questions_ask_for(struct session *session)
{
    struct load *load = session->load;
    if (!load->asking && list_empty(&load->asker) && !list_empty(&load->questions))
        list_append(&session->sessions->loads.askers, &load->asker);
    questions_ask(session->sessions);
}

void question_answered(struct question *question, const struct content *content)
{
    struct sessions *sessions = question->call.sessions;
    struct session *session = question->call.session;
    sessions->loads.asking--;
    if (session != NULL)
        session->load->asking = false;
    if (content->args.len != 0 && question_is_awaited(question)) {
        subscriber_answer(question->call.subscriber, call_id(&question->call), content);
        load_answered(session, content_bytes(content));
    }
    if (session != NULL && !list_empty(&session->load->questions) && list_empty(&session->load->asker))
        list_append(&sessions->loads.askers, &session->load->asker);
    question_destroy(question);
    questions_ask(sessions);
}

void questions_drop(struct session *session)
{
    struct list *node;
    while ((node = list_take(&session->load->questions)) != NULL)
        question_destroy(container_of(node, struct question, call.node));
}

/* ask: questions to a client: sent with an id, and answered by its acknowledgement, or ended by time. */
#include <stdlib.h>

#include "base/mem.h"
#include "embed/embed_parts.h"
#include "session/survey.h"

enum { TIMEOUT_MS_MAX = 3600000 };

struct asked {
    struct list node;
    struct timer timer;
    struct embed *embed;
    struct embed_socket *socket;
    struct deed_handler done;
    uint64_t number;
};

/* Calls `done` with the answer (NULL: there is none, because of `error`), and ends the question. */
static void asked_end(struct asked *asked, const struct content *content, const char *error)
{
    struct embed *embed = asked->embed;
    struct embed_event *event = event_create(embed, asked->socket->nsp, "answer");
    struct deed_handler done = asked->done;
    event_socket_set(event, asked->socket);
    event->error = error;
    if (content != NULL)
        event->content = *content;
    asked->socket->asked--;
    timer_stop(embed->loop, &asked->timer);
    list_remove(&asked->node);
    free(asked);
    event_run(event, done);
}

static void timed_out(struct timer *timer)
{
    asked_end(container_of(timer, struct asked, timer), NULL, "timeout");
}

void asked_drop(struct embed *embed, struct embed_socket *socket)
{
    struct list dropped, *node;
    list_init(&dropped);
    list_each (at, &embed->asked) {
        if (socket != NULL && container_of(at, struct asked, node)->socket != socket)
            continue;
        list_remove(at);
        list_append(&dropped, at);
    }
    while ((node = list_take(&dropped)) != NULL)
        asked_end(container_of(node, struct asked, node), NULL, "gone");
}

bool embed_answered(struct session_app *app, struct subscriber *subscriber, struct span id,
                    const struct content *content)
{
    struct embed *embed = embed_of(app);
    uint64_t number;
    if (!span_to_u64(id, &number))
        return false;
    list_each (node, &embed->asked) {
        struct asked *asked = container_of(node, struct asked, node);
        if (asked->number != number || asked->socket != subscriber_has(subscriber).part)
            continue;
        asked_end(asked, content, NULL);
        return true;
    }
    return false;
}

static bool ask(sennit_socket *handle, uint64_t timeout_ms, struct deed_handler done, const char *call,
                struct format_result *what)
{
    struct embed_socket *socket = embed_socket_find(handle, call);
    bool good = socket != NULL;
    if (good && (done.call == NULL || timeout_ms == 0 || timeout_ms > TIMEOUT_MS_MAX)) {
        handle_misused(call, "a question has a handler, and a timeout from 1 to 3600000 ms");
        good = false;
    } else if (good && socket->subscriber->session->protocol->ask == NULL) {
        handle_misused(call, "the client speaks a protocol without acknowledgements of its own");
        good = false;
    } else if (good && socket->asked == SENNIT_ASKED_MAX) {
        handle_misused(call, "1000 questions to this socket wait for an answer");
        good = false;
    }
    if (good) {
        struct embed *embed = socket->nsp->embed;
        struct asked *asked = mem_zero(1, sizeof *asked);
        struct buf id = {0};
        *asked = (struct asked){
            .embed = embed, .socket = socket, .done = done, .number = ++embed->next_ask % survey_number_min};
        list_init(&asked->node);
        list_append(&embed->asked, &asked->node);
        socket->asked++;
        timer_init(&asked->timer, timed_out);
        timer_start(embed->loop, &asked->timer, LOOP_MS(timeout_ms));
        buf_append_u64(&id, asked->number);
        socket->subscriber->session->protocol->ask(socket->subscriber, buf_span(&id), &what->content);
        buf_finish(&id);
    }
    buf_finish(&what->text);
    return good;
}

bool sennit_ask(sennit_socket *socket, uint64_t timeout_ms, sennit_handler *done, void *data, const char *name,
                struct sennit_args args)
{
    struct format_result what;
    return args_build(&what, "sennit_ask", name != NULL ? name : "", args) &&
           ask(socket, timeout_ms, (struct deed_handler){done, data}, "sennit_ask", &what);
}

bool sennit_askf(sennit_socket *socket, uint64_t timeout_ms, sennit_handler *done, void *data, const char *name,
                 const char *format, ...)
{
    struct format_result what;
    va_list values;
    va_start(values, format);
    bool good = args_format(&what, "sennit_askf", name != NULL ? name : "", format, values);
    va_end(values);
    return good && ask(socket, timeout_ms, (struct deed_handler){done, data}, "sennit_askf", &what);
}

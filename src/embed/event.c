/* event: what a handler is called with: made, run, kept and ended; and what it says of itself. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "embed/embed_parts.h"

enum { BLOCKED_MS = 100 };

/* Memory that is given out, in front of what it holds. */
struct given {
    struct list node;
    char bytes[];
};

struct embed_event *event_create(struct embed *embed, struct embed_nsp *nsp, const char *name)
{
    struct embed_event *event = mem_zero(1, sizeof *event);
    event->embed = embed;
    event->nsp = embed_nsp_use(nsp);
    event->name = name;
    event->handle = handle_create(HANDLE_EVENT, event);
    event->content = content_of(SPAN_LIT("[]"));
    list_init(&event->memory);
    list_init(&event->node);
    list_append(&embed->events, &event->node);
    return event;
}

void event_socket_set(struct embed_event *event, const struct embed_socket *socket)
{
    event->socket = socket != NULL ? socket->handle : NULL;
    if (socket != NULL)
        memcpy(event->sid, socket->sid, sizeof event->sid);
}

void *event_memory(struct embed_event *event, size_t size)
{
    struct given *given = mem_alloc(sizeof *given + size);
    list_init(&given->node);
    list_append(&event->memory, &given->node);
    return given->bytes;
}

char *event_text(struct embed_event *event, struct span text)
{
    char *to = event_memory(event, text.len + 1);
    if (text.len > 0)
        memcpy(to, text.data, text.len);
    to[text.len] = '\0';
    return to;
}

void event_destroy(struct embed_event *event)
{
    struct list *node;
    if (event->kept)
        event->embed->kept--;
    owed_drop(&event->owed);
    embed_nsp_drop(event->nsp);
    handle_end(event->handle);
    list_remove(&event->node);
    while ((node = list_take(&event->memory)) != NULL)
        free(container_of(node, struct given, node));
    free(event);
}

void embed_took(const char *handler, int64_t begun_ms)
{
    int64_t took_ms = loop_clock_ms() - begun_ms;
    if (took_ms >= BLOCKED_MS)
        log_event(LOG_WARNING, "a handler blocked the instance: give long work to a thread or a process",
                  LOG_C("handler", handler), LOG_N("ms", took_ms));
}

void event_run(struct embed_event *event, struct deed_handler handler)
{
    if (handler.call != NULL) {
        int64_t begun_ms = loop_clock_ms();
        event->is_running = true;
        handler.call(event->handle, handler.data);
        event->is_running = false;
        event->admission = NULL;
        event->proof = NULL;
        event->asked = NULL;
        embed_took(event->name, begun_ms);
    }
    if (!event->kept)
        event_destroy(event);
}

bool sennit_event_keep(sennit_event *handle)
{
    struct embed_event *event = handle_object(handle, HANDLE_EVENT, "sennit_event_keep");
    if (event == NULL || event->kept || event->embed->kept == SENNIT_KEPT_MAX) {
        if (event != NULL)
            handle_misused("sennit_event_keep", event->kept ? "the event is kept already" : "too many events are kept");
        return false;
    }
    event->kept = true;
    event->embed->kept++;
    owed_promise(&event->owed);
    event->content.args.data = event_text(event, event->content.args);
    for (size_t i = 0; i < event->part_count; i++)
        for (uint32_t k = 0; k < event->parts[i].count; k++)
            event->parts[i].attachments[k].data = event_text(event, event->parts[i].attachments[k]);
    for (uint32_t i = 0; i < event->content.count; i++)
        event->content.attachments[i].data = event_text(event, event->content.attachments[i]);
    return true;
}

void sennit_event_free(sennit_event *handle)
{
    struct embed_event *event = handle_object(handle, HANDLE_EVENT, "sennit_event_free");
    if (event == NULL)
        return;
    if (!event->kept) {
        handle_misused("sennit_event_free", "the event was not kept: it ends with its handler");
        return;
    }
    if (!event->is_running) {
        event_destroy(event);
        return;
    }
    event->kept = false; /* it ends with its handler */
    event->embed->kept--;
}

const char *sennit_event_name(sennit_event *handle)
{
    struct embed_event *event = handle_object(handle, HANDLE_EVENT, "sennit_event_name");
    return event != NULL ? event->name : NULL;
}

sennit_socket *sennit_event_socket(sennit_event *handle)
{
    struct embed_event *event = handle_object(handle, HANDLE_EVENT, "sennit_event_socket");
    return event != NULL ? event->socket : NULL;
}

sennit_nsp *sennit_event_nsp(sennit_event *handle)
{
    struct embed_event *event = handle_object(handle, HANDLE_EVENT, "sennit_event_nsp");
    return event != NULL && event->nsp != NULL ? event->nsp->handle : NULL;
}

const char *sennit_event_reason(sennit_event *handle)
{
    struct embed_event *event = handle_object(handle, HANDLE_EVENT, "sennit_event_reason");
    return event != NULL ? event->reason : NULL;
}

const char *sennit_event_error(sennit_event *handle)
{
    struct embed_event *event = handle_object(handle, HANDLE_EVENT, "sennit_event_error");
    return event != NULL ? event->error : NULL;
}

/* directive: the encoding, and the list of those to be obeyed at the end of the turn, when the hub walks no rooms. */
#include "session/directive.h"

#include <stdlib.h>

#include "base/mem.h"
#include "session/subscriber_parts.h"

struct given {
    struct list node;
    struct subscriber *subscriber; /* a reference */
    struct entry *entry;           /* a reference */
};

void directive_encode(struct buf *to, const struct directive *directive)
{
    buf_append_char(to, (char)directive->op);
    for (size_t i = 0; i < directive->room_count; i++) {
        buf_append_u64(to, directive->rooms[i].len);
        buf_append_char(to, ' ');
        buf_append(to, directive->rooms[i]);
    }
}

static bool room_take(struct span *rest, struct span *room)
{
    uint64_t len;
    return span_take_u64(rest, ' ', &len) && len > 0 && span_take(rest, len, room);
}

bool directive_decode(struct span body, struct directive *directive)
{
    if (body.len == 0)
        return false;
    directive->op = (enum directive_op)body.data[0];
    directive->room_count = 0;
    for (body = span_from(body, 1); body.len > 0; directive->room_count++) {
        if (directive->room_count == DIRECTIVE_ROOMS_MAX || !room_take(&body, &directive->rooms[directive->room_count]))
            return false;
    }
    switch (directive->op) {
    case DIRECTIVE_JOIN:
    case DIRECTIVE_LEAVE:
        return directive->room_count > 0;
    case DIRECTIVE_DISCONNECT:
    case DIRECTIVE_CLOSE:
        return directive->room_count == 0;
    }
    return false;
}

/* A client whose protocol has no word for it is closed instead. A polling client closes by itself once it has been told
 * of all its namespaces; a farewell in the same answer would be read before, and the client would come back. */
static void disconnect(struct subscriber *subscriber, bool whole)
{
    struct session *session = subscriber->session;
    const struct protocol *protocol = session->protocol;
    whole = whole || protocol->disconnected == NULL;
    subscribers_each(other, session)
    {
        if (other != subscriber && !whole)
            continue;
        if (protocol->disconnected != NULL && subscriber_is_connected(other))
            protocol->disconnected(other);
        subscriber_disconnect(other);
    }
    if (whole && (session->transport->format != TRANSPORT_POLLING || protocol->disconnected == NULL))
        session_close(session, CLOSE_DISCONNECTED);
    else
        session_stirred(session);
}

static void obey(struct subscriber *subscriber, const struct entry *entry)
{
    struct directive directive;
    if (subscriber->state != SUBSCRIBER_CONNECTED)
        return; /* it has ended since */
    subscriber_sessions(subscriber)->counters.directed++;
    if (!directive_decode(entry_body(entry), &directive)) {
        refusals_note(&subscriber_sessions(subscriber)->refusals, REFUSAL_EVENT_DAMAGED, subscriber_sid(subscriber),
                      subscriber->nsp->name);
        subscriber_join_directed(subscriber, NULL, 0, entry->seq); /* it joins nothing, and goes on */
        return;
    }
    switch (directive.op) {
    case DIRECTIVE_JOIN:
        subscriber_join_directed(subscriber, directive.rooms, directive.room_count, entry->seq);
        break;
    case DIRECTIVE_LEAVE:
        subscriber_leave_directed(subscriber, directive.rooms, directive.room_count, entry->seq);
        break;
    case DIRECTIVE_DISCONNECT:
    case DIRECTIVE_CLOSE:
        disconnect(subscriber, directive.op == DIRECTIVE_CLOSE);
        break;
    }
}

static void obey_all(struct task *task)
{
    struct sessions *sessions = container_of(task, struct sessions, obey);
    struct list *node;
    while ((node = list_take(&sessions->given)) != NULL) {
        struct given *given = container_of(node, struct given, node);
        obey(given->subscriber, given->entry);
        entry_unref(given->entry);
        subscriber_unref(given->subscriber);
        free(given);
    }
}

void subscriber_directed(struct member *member, struct entry *entry)
{
    struct subscriber *subscriber = container_of(member, struct subscriber, member);
    struct given *given = mem_zero(1, sizeof *given);
    given->subscriber = subscriber;
    given->entry = entry_ref(entry);
    subscriber->refs++;
    list_init(&given->node);
    list_append(&subscriber_sessions(subscriber)->given, &given->node);
    loop_at_flush(subscriber_sessions(subscriber)->loop, &subscriber_sessions(subscriber)->obey);
}

void directives_init(struct sessions *sessions)
{
    list_init(&sessions->given);
    task_init(&sessions->obey, obey_all);
}

void directives_finish(struct sessions *sessions)
{
    struct list *node;
    task_cancel(&sessions->obey);
    while ((node = list_take(&sessions->given)) != NULL) {
        struct given *given = container_of(node, struct given, node);
        entry_unref(given->entry);
        subscriber_unref(given->subscriber);
        free(given);
    }
}

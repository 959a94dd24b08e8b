/* notes: the session layer says that sockets came and went, from deep inside. It is noted here, and at the end of the
 * turn, or before the next event of a client, the handlers are told. A socket that came is referred to until the end of
 * the turn: so its session is here when its handler is told, although another instance may wait for it already. */
#include <stdlib.h>

#include "base/mem.h"
#include "embed/embed_parts.h"

enum note_kind { NOTE_CONNECT, NOTE_RESUMED, NOTE_MOVED, NOTE_DISCONNECT, NOTE_LEFT, NOTE_GONE };

struct note {
    struct list node;
    enum note_kind kind;
    struct embed_socket *socket; /* of DISCONNECT and GONE it ends with the note */
    struct subscriber *arrived;  /* a reference; NULL: none came, or no handler is to be told */
    struct away *away;           /* of DISCONNECT; NULL: none */
    sennit_socket *handle;
    char *reason;
};

static struct embed_socket *socket_create(struct embed_nsp *nsp, struct span sid)
{
    struct embed_socket *socket = mem_zero(1, sizeof *socket);
    socket->nsp = embed_nsp_use(nsp);
    socket->handle = handle_create(HANDLE_SOCKET, socket);
    memcpy(socket->sid, sid.data, sid.len < ENGINEIO_SID_BYTES ? sid.len : ENGINEIO_SID_BYTES);
    return socket;
}

static void socket_destroy(struct embed_socket *socket)
{
    embed_nsp_drop(socket->nsp);
    handle_end(socket->handle);
    free(socket->data);
    free(socket);
}

static void data_copy(struct embed_socket *socket, struct span data)
{
    free(socket->data);
    socket->data = data.len > 0 ? mem_text(data) : NULL;
    socket->data_len = data.len;
}

static struct note *note(enum note_kind kind, struct embed_socket *socket)
{
    struct embed *embed = socket->nsp->embed;
    struct note *made = mem_zero(1, sizeof *made);
    made->kind = kind;
    made->socket = socket;
    made->handle = socket->handle;
    list_init(&made->node);
    list_append(&embed->notes, &made->node);
    if (embed->is_open)
        loop_at_flush(embed->loop, &embed->act);
    return made;
}

void note_disconnect(struct embed_socket *socket, const char *reason, struct away *away)
{
    struct note *made = note(NOTE_DISCONNECT, socket);
    made->reason = mem_text(span_str(reason));
    made->away = away;
}

void note_gone(struct embed_socket *socket)
{
    note(NOTE_GONE, socket);
}

struct embed_socket *embed_socket_left(struct embed_nsp *nsp, const struct leaver *leaver)
{
    struct embed_socket *socket = leaver->part;
    if (socket == NULL)
        socket = socket_create(nsp, leaver->sid);
    socket->subscriber = NULL;
    data_copy(socket, leaver->data);
    return socket;
}

/* The handlers in the order of the kinds that have one. */
static struct deed_handler handler_of(const struct embed_nsp *nsp, enum note_kind kind)
{
    const struct deed_handler handlers[] = {nsp->like->connect, nsp->like->resumed, nsp->like->moved,
                                            nsp->like->disconnect};
    return handlers[kind];
}

void embed_arrived(struct session_app *app, struct subscriber *subscriber, enum arrival arrival)
{
    static const enum note_kind kinds[] = {
        [ARRIVAL_NEW] = NOTE_CONNECT, [ARRIVAL_RESUMED] = NOTE_RESUMED, [ARRIVAL_MOVED] = NOTE_MOVED};
    struct embed *embed = embed_of(app);
    struct embed_nsp *nsp = embed_nsp_of(embed, subscriber->nsp);
    if (nsp == NULL)
        return;
    struct embed_socket *socket = socket_create(nsp, subscriber_sid(subscriber));
    socket->subscriber = subscriber;
    subscriber_extra(subscriber)->part = socket;
    if (arrival != ARRIVAL_NEW)
        away_returned(embed, subscriber_lease_name(subscriber));
    struct note *made = note(kinds[arrival], socket);
    if (handler_of(nsp, made->kind).call == NULL || !embed->is_open)
        return;
    made->arrived = subscriber;
    subscriber->refs++;
}

void embed_departed(struct session_app *app, const struct leaver *leaver, enum departure departure,
                    enum close_reason reason)
{
    struct embed *embed = embed_of(app);
    struct embed_nsp *nsp = embed_nsp_of(embed, leaver->nsp);
    if (nsp == NULL)
        return;
    const char *why = reason == CLOSE_NONE ? "left" : close_reason_name(reason);
    if (departure == DEPARTURE_CUT)
        away_cut(nsp, leaver, why);
    if (departure != DEPARTURE_ENDED && leaver->part == NULL)
        return;
    struct embed_socket *socket = embed_socket_left(nsp, leaver);
    if (departure != DEPARTURE_ENDED) {
        note_gone(socket);
    } else if (leaver->lease.len != 0 && nsp->config->nsp.watch.len != 0) {
        note(NOTE_LEFT, socket);
        away_ended(nsp, leaver, why, socket);
    } else {
        note_disconnect(socket, why, NULL);
    }
}

static void tell(struct embed *embed, const struct note *note)
{
    static const char *const names[] = {"connect", "resumed", "moved", "disconnect"};
    struct embed_socket *socket = handle_peek(note->handle, HANDLE_SOCKET);
    if (socket == NULL || note->kind >= NOTE_LEFT)
        return;
    struct embed_nsp *nsp = socket->nsp;
    struct embed_event *event = event_create(embed, nsp, names[note->kind]);
    event_socket_set(event, socket);
    if (note->reason != NULL)
        event->reason = event_text(event, span_str(note->reason));
    embed->acting = note->arrived;
    event_run(event, handler_of(nsp, note->kind));
    embed->acting = NULL;
}

static void arrived_drop(struct note *note)
{
    if (note->arrived != NULL)
        subscriber_unref(note->arrived);
    note->arrived = NULL;
}

static void note_destroy(struct embed *embed, struct note *note)
{
    if (note->kind >= NOTE_DISCONNECT && embed->is_open)
        asked_drop(embed, note->socket);
    if (note->kind == NOTE_DISCONNECT || note->kind == NOTE_GONE)
        socket_destroy(note->socket);
    if (note->away != NULL)
        away_told(note->away);
    free(note->reason);
    note->reason = NULL;
    if (note->arrived != NULL)
        list_append(&embed->arrived, &note->node);
    else
        free(note);
}

/* Their sessions may move from here on. Not within another session's event: what this sets off would be read then. */
static void arrived_let_go(struct embed *embed)
{
    struct list *node;
    while ((node = list_take(&embed->arrived)) != NULL) {
        struct note *note = container_of(node, struct note, node);
        arrived_drop(note);
        free(note);
    }
}

void notes_act(struct embed *embed)
{
    struct list *node;
    while ((node = list_take(&embed->notes)) != NULL) {
        struct note *note = container_of(node, struct note, node);
        tell(embed, note);
        note_destroy(embed, note);
    }
}

static void act(struct task *task)
{
    struct embed *embed = container_of(task, struct embed, act);
    notes_act(embed);
    arrived_let_go(embed);
}

void notes_init(struct embed *embed)
{
    list_init(&embed->notes);
    list_init(&embed->arrived);
    task_init(&embed->act, act);
}

void notes_close(struct embed *embed)
{
    list_each (node, &embed->notes)
        arrived_drop(container_of(node, struct note, node));
    arrived_let_go(embed);
}

void notes_finish(struct embed *embed)
{
    struct list *node;
    task_cancel(&embed->act);
    while ((node = list_take(&embed->notes)) != NULL)
        note_destroy(embed, container_of(node, struct note, node));
}

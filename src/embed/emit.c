/* emit: sends events and acknowledgements, and tells sockets of the fleet to join, leave or end. */
#include <stdlib.h>

#include "base/mem.h"
#include "embed/embed_parts.h"
#include "session/backend.h"
#include "session/call.h"

enum { MESSAGE_NAME_BYTES_MAX = 128, ROOM_BYTES_MAX = BROKER_ROOM_BYTES_MAX - 1 };

/* A publish, until the broker has answered. */
struct sent {
    struct embed *embed;
    struct call *call; /* of the client whose event is being handled; NULL: of none */
    struct embed_nsp *nsp;
    struct owed owed; /* is due then */
    char *what;       /* the message's name, or its room, for the log; NULL: neither */
};

static void sent_end(struct sent *sent)
{
    if (sent->call != NULL) {
        call_end(sent->call);
        free(sent->call);
    }
    owed_drop(&sent->owed);
    embed_nsp_drop(sent->nsp);
    free(sent->what);
    free(sent);
}

/* The broker has refused it for good. The client that waits for its acknowledgement is told as by `sennit serve`. */
static void refuse(struct sent *sent, enum broker_result result)
{
    struct span what = sent->what != NULL ? span_str(sent->what) : SPAN_LIT("");
    struct subscriber *subscriber = owed_subscriber(&sent->owed);
    if (subscriber != NULL)
        subscriber_refuse_publish(subscriber, result, what, buf_span(&sent->owed.id));
    else
        refusals_note(&sent->embed->server.sessions.refusals, subscriber_refusal_of(result), SPAN_LIT("sennit.h"),
                      what);
}

static void sent_done(void *arg, enum broker_result result)
{
    struct sent *sent = arg;
    struct content nothing = content_of(SPAN_LIT("[]"));
    if (result == BROKER_OK)
        owed_pay(&sent->owed, sent->nsp, &nothing);
    else if (broker_refusal_text(result) != NULL)
        refuse(sent, result);
    sent_end(sent);
}

static bool rooms_read(const char *const *from, size_t count, struct span *to)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = span_str(from[i]);
        if (to[i].len == 0 || to[i].len > ROOM_BYTES_MAX)
            return false;
    }
    return true;
}

/* A single room that is a socket's id is that socket. */
static void socket_read(struct receivers *to, const struct sennit_target *target)
{
    if (target->only_socket)
        to->emit.to_sid = span_str(target->socket);
    if (to->emit.room_count == 1 && engineio_sid_is_valid(to->rooms[0])) {
        to->emit.to_sid = to->rooms[0];
        to->emit.room_count = 0;
    }
    if (target->except_socket)
        to->excepts[to->emit.except_count++] = span_str(target->socket);
}

static bool log_read(struct receivers *to, const struct sennit_target *target, const char *call)
{
    const struct nsp *nsp = &to->nsp->config->nsp;
    to->emit.is_volatile = target->is_volatile;
    if (target->is_volatile && target->logged) {
        handle_misused(call, "an event is volatile, or it is logged");
        return false;
    }
    if (!target->logged)
        return true;
    to->emit.retention = relay_retention(nsp, SPAN_LIT(""), to->emit.room_count == 1 ? to->rooms[0] : SPAN_LIT(""));
    if (to->emit.retention == NULL) {
        handle_misused(call, "the YAML file has this namespace, and no event in it is logged");
        return false;
    }
    if (target->name == NULL)
        return true;
    struct span name = span_str(target->name);
    buf_append_char(&to->id, '"'); /* as clients give it to `sennit serve` */
    buf_append_json(&to->id, name);
    buf_append_char(&to->id, '"');
    to->emit.id = buf_span(&to->id);
    if (name.len == 0 || to->id.len > MESSAGE_NAME_BYTES_MAX + 2) {
        handle_misused(call, "a message's name has 1 to 128 bytes");
        return false;
    }
    return true;
}

bool receivers_read(struct receivers *to, const struct sennit_target *target, const char *call)
{
    *to = (struct receivers){.nsp = embed_nsp_single(target->nsp, call)};
    if (to->nsp == NULL)
        return false;
    if (target->room_count > SENNIT_ROOMS_MAX || target->except_count > SENNIT_ROOMS_MAX ||
        !rooms_read(target->rooms, target->room_count, to->rooms) ||
        !rooms_read(target->excepts, target->except_count, to->excepts)) {
        handle_misused(call,
                       "the target has a room without a name (NULL, \"\", or a socket that has ended) or with over "
                       "about 1000 bytes, or more than 16 rooms or exceptions");
        return false;
    }
    to->emit.rooms = to->rooms;
    to->emit.room_count = target->room_count;
    to->emit.excepts = to->excepts;
    to->emit.except_count = target->except_count;
    socket_read(to, target);
    return log_read(to, target, call);
}

/* What a client's event makes us send counts as its call: a client that sends faster than the broker takes is not read
 * for a while. */
static struct sent *sent_begin(struct embed *embed, const struct sennit_target *target, size_t bytes)
{
    struct sent *sent = mem_zero(1, sizeof *sent);
    sent->embed = embed;
    if (target->name != NULL || (target->logged && target->room_count > 0))
        sent->what = mem_text(span_str(target->name != NULL ? target->name : target->rooms[0]));
    struct subscriber *current = embed->current;
    struct embed_event *answers =
        target->answers != NULL ? handle_object(target->answers, HANDLE_EVENT, "sennit_acknowledging") : NULL;
    if (current != NULL && current->session != NULL)
        sent->call = call_create(current->session, current, (struct span){NULL, 0}, bytes);
    if (answers != NULL) {
        sent->nsp = embed_nsp_use(answers->nsp);
        owed_take(&sent->owed, &answers->owed);
    }
    return sent;
}

static bool publish(const char *call, const struct sennit_target *target, struct format_result *what)
{
    struct receivers to;
    bool taken = false;
    if (receivers_read(&to, target, call)) {
        struct embed *embed = to.nsp->embed;
        struct sent *sent = sent_begin(embed, target, content_bytes(&what->content));
        to.emit.content = &what->content;
        taken = backend_publish(&embed->server.sessions, &to.nsp->config->nsp, &to.emit, sent_done, sent);
        if (!taken) {
            handle_misused(call, "the event is too large, or the broker is away and too much waits for it");
            sent_end(sent);
        }
    }
    buf_finish(&to.id);
    buf_finish(&what->text);
    return taken;
}

bool sennit_emit(struct sennit_target target, const char *name, struct sennit_args args)
{
    struct format_result what;
    return args_build(&what, "sennit_emit", name != NULL ? name : "", args) && publish("sennit_emit", &target, &what);
}

bool sennit_emitf(struct sennit_target target, const char *name, const char *format, ...)
{
    struct format_result what;
    va_list values;
    va_start(values, format);
    bool good = args_format(&what, "sennit_emitf", name != NULL ? name : "", format, values);
    va_end(values);
    return good && publish("sennit_emitf", &target, &what);
}

static bool answer(sennit_event *handle, const char *call, struct format_result *what)
{
    struct embed_event *event = handle_object(handle, HANDLE_EVENT, call);
    bool paid = event != NULL && owed_pay(&event->owed, event->nsp, &what->content);
    if (event != NULL)
        owed_drop(&event->owed);
    buf_finish(&what->text);
    return paid;
}

bool sennit_ack(sennit_event *event, struct sennit_args args)
{
    struct format_result what;
    return args_build(&what, "sennit_ack", NULL, args) && answer(event, "sennit_ack", &what);
}

bool sennit_ackf(sennit_event *event, const char *format, ...)
{
    struct format_result what;
    va_list values;
    va_start(values, format);
    bool good = args_format(&what, "sennit_ackf", NULL, format, values);
    va_end(values);
    return good && answer(event, "sennit_ackf", &what);
}

bool sennit_wants_ack(sennit_event *handle)
{
    struct embed_event *event = handle_object(handle, HANDLE_EVENT, "sennit_wants_ack");
    return event != NULL && event->owed.id.len > 0;
}

static bool direct(const char *call, struct sennit_target *target, const struct directive *directive)
{
    struct receivers to;
    bool taken = false;
    target->logged = true; /* so that it reaches those that are cut off, too */
    target->is_volatile = false;
    target->name = NULL;
    if (receivers_read(&to, target, call)) {
        struct embed *embed = to.nsp->embed;
        target->answers = NULL;
        struct sent *sent = sent_begin(embed, target, 0);
        taken = backend_direct(&embed->server.sessions, &to.nsp->config->nsp, &to.emit, directive, sent_done, sent);
        if (!taken)
            sent_end(sent);
    }
    buf_finish(&to.id);
    return taken;
}

static bool direct_room(const char *call, struct sennit_target *target, enum directive_op op, const char *room)
{
    struct directive directive = {.op = op, .room_count = 1, .rooms = {span_str(room)}};
    if (directive.rooms[0].len == 0 || directive.rooms[0].len > ROOM_BYTES_MAX) {
        handle_misused(call, "a room's name has 1 to about 1000 bytes");
        return false;
    }
    return direct(call, target, &directive);
}

bool sennit_make_join(struct sennit_target target, const char *room)
{
    return direct_room("sennit_make_join", &target, DIRECTIVE_JOIN, room);
}

bool sennit_make_leave(struct sennit_target target, const char *room)
{
    return direct_room("sennit_make_leave", &target, DIRECTIVE_LEAVE, room);
}

bool sennit_make_disconnect(struct sennit_target target)
{
    return direct("sennit_make_disconnect", &target, &(struct directive){.op = DIRECTIVE_DISCONNECT});
}

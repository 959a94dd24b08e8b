/* act: delivers what a server behind the bridge sends to sockets, and carries out what it orders. Each instance does so
 * for its own sockets; what is logged goes to the broker instead, under a name, and comes back from there. */
#include "app/relay.h"
#include "bridge/bridge_parts.h"
#include "session/backend.h"

/* The bridge may be gone by then, the sessions are not. */
static void published(void *arg, enum broker_result result)
{
    struct sessions *sessions = arg;
    static const struct {
        enum broker_result result;
        enum refusal refusal;
    } table[] = {{BROKER_FULL, REFUSAL_BROKER_FULL},
                 {BROKER_FULL_ROOMS, REFUSAL_BROKER_ROOMS_FULL},
                 {BROKER_TAKEN, REFUSAL_ID_TAKEN},
                 {BROKER_SPOILED, REFUSAL_BROKER_SPOILED}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (result == table[i].result)
            refusals_note(&sessions->refusals, table[i].refusal, SPAN_LIT("bridge"), SPAN_LIT(""));
}

static struct subscriber_emit emit_of(const struct adapter_message *message)
{
    return (struct subscriber_emit){
        .rooms = message->rooms.list,
        .room_count = message->rooms.count,
        .excepts = message->excepts.list,
        .except_count = message->excepts.count,
        .is_volatile = message->is_volatile,
        .content = &message->content,
    };
}

static struct span only_room(const struct subscriber_emit *emit)
{
    return emit->room_count == 1 && !engineio_sid_is_valid(emit->rooms[0]) ? emit->rooms[0] : (struct span){NULL, 0};
}

/* The names of rooms at the broker have a bound. */
static bool rooms_fit(struct bridge *bridge, const struct bridged *bridged, const struct adapter_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        struct span room = names->list[i];
        if (room.len > 0 && bridged->nsp->name.len + 1 + room.len <= BROKER_ROOM_BYTES_MAX)
            continue;
        refusals_note(&bridge->sessions->refusals, REFUSAL_ROOM_INVALID, SPAN_LIT("bridge"), room);
        return false;
    }
    return true;
}

/* Names the message; false: other instances log it. */
static bool name_it(struct bridge *bridge, struct span payload, struct buf *name, struct subscriber_emit *emit)
{
    if (!once_name(&bridge->once, payload, name))
        return false;
    emit->id = buf_span(name);
    bridge->counters.logged++;
    return true;
}

static void taken(struct bridge *bridge, const struct bridged *bridged, bool is_taken)
{
    if (!is_taken)
        refusals_note(&bridge->sessions->refusals, REFUSAL_BROKER_BACKLOG, SPAN_LIT("bridge"), bridged->nsp->name);
}

void bridge_deliver(struct bridge *bridge, const struct bridged *bridged, const struct adapter_message *message,
                    struct span payload)
{
    struct sessions *sessions = bridge->sessions;
    struct subscriber_emit emit = emit_of(message);
    struct buf name = {0};
    if (!rooms_fit(bridge, bridged, &message->rooms) || !rooms_fit(bridge, bridged, &message->excepts))
        return;
    if (!message->is_volatile)
        emit.retention = relay_retention(bridged->nsp, message->event, only_room(&emit));
    if (emit.retention == NULL) {
        backend_publish_here(sessions, bridged->nsp, &emit);
    } else if (name_it(bridge, payload, &name, &emit)) {
        bridge->acting = true;
        taken(bridge, bridged, backend_publish(sessions, bridged->nsp, &emit, published, sessions));
        bridge->acting = false;
    }
    buf_finish(&name);
}

static void direct(struct bridge *bridge, const struct bridged *bridged, const struct subscriber_emit *to,
                   const struct directive *directive)
{
    struct sessions *sessions = bridge->sessions;
    if (to->retention == NULL) {
        backend_direct_here(sessions, bridged->nsp, to, directive);
        return;
    }
    bridge->acting = true;
    taken(bridge, bridged, backend_direct(sessions, bridged->nsp, to, directive, published, sessions));
    bridge->acting = false;
}

/* A directive has a bound of rooms, so it may take several; each has a name of its own. */
static void rooms_direct(struct bridge *bridge, const struct bridged *bridged, struct subscriber_emit *to,
                         enum directive_op op, const struct adapter_names *targets)
{
    struct span name = to->id;
    for (size_t at = 0; at < targets->count;) {
        struct directive directive = {.op = op};
        struct buf part = {0};
        for (; at < targets->count && directive.room_count < DIRECTIVE_ROOMS_MAX; at++)
            directive.rooms[directive.room_count++] = targets->list[at];
        if (to->retention != NULL) {
            buf_append(&part, name);
            buf_printf(&part, ":%zu", at);
            to->id = buf_span(&part);
        }
        direct(bridge, bridged, to, &directive);
        buf_finish(&part);
    }
}

/* No room that sockets join has the form of a socket's id. */
static bool targets_fit(struct bridge *bridge, const struct bridged *bridged, const struct adapter_names *targets)
{
    for (size_t i = 0; i < targets->count; i++) {
        if (!engineio_sid_is_valid(targets->list[i]))
            continue;
        refusals_note(&bridge->sessions->refusals, REFUSAL_ROOM_IS_SOCKET, SPAN_LIT("bridge"), targets->list[i]);
        return false;
    }
    return rooms_fit(bridge, bridged, targets);
}

void bridge_direct(struct bridge *bridge, const struct bridged *bridged, const struct adapter_message *message,
                   struct span payload)
{
    struct subscriber_emit to = emit_of(message);
    struct buf name = {0};
    if (!rooms_fit(bridge, bridged, &message->rooms) || !rooms_fit(bridge, bridged, &message->excepts) ||
        !targets_fit(bridge, bridged, &message->targets))
        return;
    to.is_volatile = false;
    to.retention = relay_retention(bridged->nsp, SPAN_LIT(""), only_room(&to));
    if (to.retention == NULL || name_it(bridge, payload, &name, &to)) {
        struct directive end = {.op = message->whole ? DIRECTIVE_CLOSE : DIRECTIVE_DISCONNECT};
        if (message->kind == ADAPTER_DISCONNECT)
            direct(bridge, bridged, &to, &end);
        else
            rooms_direct(bridge, bridged, &to, message->kind == ADAPTER_JOIN ? DIRECTIVE_JOIN : DIRECTIVE_LEAVE,
                         &message->targets);
    }
    buf_finish(&name);
}

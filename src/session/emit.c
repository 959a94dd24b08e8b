/* emit: names the room, and encodes the audience and the body. */
#include "session/emit.h"

#include "hub/audience.h"
#include "session/directive.h"
#include "session/subscriber.h"

static void room_add(struct buf *to, enum audience_sign sign, const struct nsp *nsp, struct span room)
{
    struct buf name = {0};
    subscriber_room_name(&name, nsp, room);
    audience_add(to, sign, buf_span(&name));
    buf_finish(&name);
}

/* A subscriber's id counts as a room: its own. */
static void rooms_add(struct buf *to, const struct nsp *nsp, const struct subscriber_emit *from)
{
    for (size_t i = 0; i < from->room_count; i++) {
        if (engineio_sid_is_valid(from->rooms[i]))
            audience_add(to, AUDIENCE_TO_SID, from->rooms[i]);
        else
            room_add(to, AUDIENCE_TO, nsp, from->rooms[i]);
    }
}

static void excepts_add(struct buf *to, const struct nsp *nsp, const struct subscriber_emit *from)
{
    for (size_t i = 0; i < from->except_count; i++) {
        room_add(to, AUDIENCE_EXCEPT, nsp, from->excepts[i]);
        if (engineio_sid_is_valid(from->excepts[i]))
            audience_add(to, AUDIENCE_EXCEPT_SID, from->excepts[i]);
    }
}

static bool is_for_one_room(const struct subscriber_emit *from)
{
    return from->room_count == 1 && from->to_sid.len == 0 && !engineio_sid_is_valid(from->rooms[0]);
}

/* The room in whose log it is. */
static void room_name(struct emit *emit, const struct nsp *nsp, const struct subscriber_emit *from)
{
    subscriber_room_name(&emit->room, nsp, is_for_one_room(from) ? from->rooms[0] : (struct span){NULL, 0});
}

void emit_event(struct emit *emit, const struct nsp *nsp, struct span sender, const struct subscriber_emit *from)
{
    *emit = (struct emit){.room = {0}};
    if (from->to_sid.len != 0 && nsp->direct)
        subscriber_own_room_name(&emit->room, nsp, from->to_sid);
    else
        room_name(emit, nsp, from);
    if (from->to_sid.len != 0 && !nsp->direct)
        audience_add(&emit->audience, AUDIENCE_TO_SID, from->to_sid);
    else if (!is_for_one_room(from))
        rooms_add(&emit->audience, nsp, from);
    excepts_add(&emit->audience, nsp, from);
    if (from->except_self)
        audience_add(&emit->audience, AUDIENCE_SENDER, sender);
    emit->body = from->content->args;
    if (from->is_volatile)
        buf_append_char(&emit->encoded, CONTENT_VOLATILE);
    if (from->is_volatile || from->content->count > 0) {
        content_encode(&emit->encoded, from->content);
        emit->body = buf_span(&emit->encoded);
    }
}

void emit_directive(struct emit *emit, const struct nsp *nsp, const struct subscriber_emit *from,
                    const struct directive *directive)
{
    *emit = (struct emit){.room = {0}};
    room_name(emit, nsp, from);
    audience_directive(&emit->audience);
    if (from->to_sid.len != 0)
        audience_add(&emit->audience, AUDIENCE_TO_SID, from->to_sid);
    else if (from->room_count > 0)
        rooms_add(&emit->audience, nsp, from);
    else
        room_add(&emit->audience, AUDIENCE_TO, nsp, (struct span){NULL, 0});
    excepts_add(&emit->audience, nsp, from);
    directive_encode(&emit->encoded, directive);
    emit->body = buf_span(&emit->encoded);
}

void emit_finish(struct emit *emit)
{
    buf_finish(&emit->room);
    buf_finish(&emit->audience);
    buf_finish(&emit->encoded);
}

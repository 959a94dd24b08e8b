/* target: who gets an event: the values that sennit_emit takes. */
#include "embed/embed_parts.h"

enum { NOBODY = SENNIT_ROOMS_MAX + 1 }; /* as a number of rooms: what is sent to it is refused */

struct sennit_target sennit_to_all(sennit_nsp *nsp)
{
    return (struct sennit_target){.nsp = nsp};
}

struct sennit_target sennit_and(struct sennit_target target, const char *room)
{
    if (room == NULL || target.room_count >= SENNIT_ROOMS_MAX)
        target.room_count = NOBODY;
    else
        target.rooms[target.room_count++] = room;
    return target;
}

struct sennit_target sennit_to_room(sennit_nsp *nsp, const char *room)
{
    return sennit_and(sennit_to_all(nsp), room);
}

/* The namespace of an event, and the id of its socket, wherever that is by now. */
static struct sennit_target from(sennit_event *handle, const char *call)
{
    struct embed_event *event = handle_object(handle, HANDLE_EVENT, call);
    struct sennit_target target = {.nsp = event != NULL && event->nsp != NULL ? event->nsp->handle : NULL};
    if (event != NULL && event->sid[0] != '\0')
        memcpy(target.socket, event->sid, sizeof event->sid);
    else
        target.room_count = NOBODY;
    return target;
}

struct sennit_target sennit_to_sender(sennit_event *event)
{
    struct sennit_target target = from(event, "sennit_to_sender");
    target.only_socket = true;
    return target;
}

struct sennit_target sennit_to_others(sennit_event *event)
{
    struct sennit_target target = from(event, "sennit_to_others");
    target.except_socket = true;
    return target;
}

struct sennit_target sennit_to_room_others(sennit_event *event, const char *room)
{
    return sennit_and(sennit_to_others(event), room);
}

struct sennit_target sennit_to_socket(sennit_socket *handle)
{
    struct embed_socket *socket = handle_object(handle, HANDLE_SOCKET, "sennit_to_socket");
    struct sennit_target target = {.only_socket = true, .room_count = socket == NULL ? NOBODY : 0};
    if (socket != NULL) {
        target.nsp = socket->nsp->handle;
        memcpy(target.socket, socket->sid, sizeof socket->sid);
    }
    return target;
}

struct sennit_target sennit_except(struct sennit_target target, const char *room)
{
    if (room == NULL || target.except_count >= SENNIT_ROOMS_MAX)
        target.room_count = NOBODY;
    else
        target.excepts[target.except_count++] = room;
    return target;
}

struct sennit_target sennit_volatile(struct sennit_target target)
{
    target.is_volatile = true;
    return target;
}

struct sennit_target sennit_logged(struct sennit_target target)
{
    target.logged = true;
    return target;
}

struct sennit_target sennit_named(struct sennit_target target, const char *name)
{
    if (name == NULL)
        target.room_count = NOBODY;
    target.logged = true;
    target.name = name;
    return target;
}

struct sennit_target sennit_acknowledging(struct sennit_target target, sennit_event *event)
{
    target.answers = event;
    return target;
}

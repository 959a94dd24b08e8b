/* namespace: what the session layer must know of a Socket.IO namespace, and whom it asks. The layer above fills both.
 */
#ifndef SENNIT_SESSION_NAMESPACE_H
#define SENNIT_SESSION_NAMESPACE_H

#include "base/list.h"
#include "hub/hub.h"

struct socket;
struct socketio_packet;

/* How members of a room are treated. */
struct room_policy {
    enum start_mode replay;  /* what a new member is sent: START_NOW, START_OLDEST or START_NEWEST */
    uint64_t replay_entries; /* for START_NEWEST */
    bool presence;           /* the others are told who comes and leaves, a new member who is there */
};

struct namespace
{
    struct span name; /* "/", "/chat" */
    /* Logs anything: sockets get a pid, events a token, and a cut client resumes. */
    bool recoverable;
    uint64_t recovery_ms; /* a socket may come back for at least so long after a cut */
    bool direct;          /* sockets can be sent to one by one: each has a room of its own */
    bool announce;        /* tell each socket its instance and deadline with the event `sennit` */
    char *presence_key;   /* member of the CONNECT payload that a socket tells the others of itself; NULL: nothing */
};

/* Whom the session layer asks and tells. */
struct session_app {
    /* NULL: "Invalid namespace". */
    const struct namespace *(*namespace_find)(struct session_app *app, struct span name);
    /* How a room is kept; an empty name is the namespace itself. */
    const struct room_policy *(*room_policy)(struct session_app *app, const struct namespace *nsp, struct span room);
    /* An event of a connected socket; the packet is borrowed. */
    void (*event)(struct session_app *app, struct socket *socket, const struct socketio_packet *packet);
};

#endif

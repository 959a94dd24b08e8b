/* namespace: the session layer's interface to the application: settings of a Socket.IO namespace, and functions that
 * choose them and take events. `app` fills both; the tests have their own. */
#ifndef SENNIT_SESSION_NAMESPACE_H
#define SENNIT_SESSION_NAMESPACE_H

#include "base/list.h"
#include "hub/member.h"
#include "session/transport.h"

struct socket;
struct socketio_packet;

/* How members of a room are treated. */
struct room_policy {
    enum start_mode replay;  /* a new member is sent entries from here: START_NOW, START_OLDEST or START_NEWEST */
    uint64_t replay_entries; /* for START_NEWEST */
    bool presence;           /* members are told about joins and leaves, and a new member gets the list */
};

struct nsp {
    struct span name; /* "/", "/chat" */
    /* It logs some event: sockets get a pid, events a token, and a cut client resumes. */
    bool recoverable;
    uint64_t recovery_ms;            /* a socket may come back for at least this long after a cut */
    bool direct;                     /* events can go to one socket: each socket has a room of its own */
    bool announce;                   /* tell each socket its instance and deadline with the event `sennit` */
    char formats[TRANSPORT_FORMATS]; /* their addresses are the keys of frames encoded for it, see entry_frame */
    char *presence_key; /* member of the CONNECT payload that becomes the socket's presence data; NULL: none */
};

/* The application's functions, called by the session layer. */
struct session_app {
    /* NULL: "Invalid namespace". */
    const struct nsp *(*nsp_find)(struct session_app *app, struct span name);
    /* The policy of a room; an empty name is the namespace itself. */
    const struct room_policy *(*room_policy)(struct session_app *app, const struct nsp *nsp, struct span room);
    /* An event of a connected socket; the packet is borrowed. */
    void (*event)(struct session_app *app, struct socket *socket, const struct socketio_packet *packet);
};

#endif

/* namespace: the session layer's interface to the application: settings of a Socket.IO namespace, and functions that
 * choose them and take events. `app` fills both; the tests have their own. */
#ifndef SENNIT_SESSION_NAMESPACE_H
#define SENNIT_SESSION_NAMESPACE_H

#include "base/list.h"
#include "hub/member.h"
#include "net/refusals.h"
#include "session/content.h"
#include "session/protocol.h"
#include "session/transport.h"

struct subscriber;

/* How members of a room are treated. */
struct room_policy {
    enum start_mode replay;  /* a new member is sent entries from here: START_NOW, START_OLDEST or START_NEWEST */
    uint64_t replay_entries; /* for START_NEWEST */
    bool presence;           /* members are told about joins and leaves, and a new member gets the list */
};

struct nsp {
    struct span name; /* "/", "/chat" */
    /* It logs some event: subscribers get a pid, events a token, and a cut client resumes. */
    bool recoverable;
    uint64_t recovery_ms; /* a subscriber may come back for at least this long after a cut */
    bool direct;          /* events can go to one subscriber: each subscriber has a room of its own */
    bool announce;        /* tell each subscriber its instance and deadline with the event `sennit` */
    char formats[PROTOCOLS][TRANSPORT_FORMATS]; /* their addresses are the keys of its frames, see entry_frame */
    char *presence_key; /* member of the CONNECT payload that becomes the subscriber's presence data; NULL: none */
};

/* What a client sends to the application, in any protocol. */
struct client_event {
    struct span name;       /* a JSON string */
    struct content content; /* its arguments are a JSON array, the name first */
    struct span id;         /* of the answer that it asks for; empty: none */
};

/* The application's functions, called by the session layer. */
struct session_app {
    /* The namespace of this name, which may be made for the first of its users: a reference for the caller. NULL: the
     * client is refused, for the reason in `refusal`. */
    const struct nsp *(*nsp_find)(struct session_app *app, struct span name, enum refusal *refusal);
    /* The policy of a room; an empty name is the namespace itself. */
    const struct room_policy *(*room_policy)(struct session_app *app, const struct nsp *nsp, struct span room);
    /* An event of a connected client; its spans are borrowed. */
    void (*event)(struct session_app *app, struct subscriber *subscriber, const struct client_event *event);
    /* One reference more, and one less; without any, the namespace may end. Both NULL: namespaces live as long as the
     * application. */
    void (*nsp_ref)(struct session_app *app, const struct nsp *nsp);
    void (*nsp_unref)(struct session_app *app, const struct nsp *nsp);
};

static inline const struct nsp *nsp_ref(struct session_app *app, const struct nsp *nsp)
{
    if (app->nsp_ref != NULL)
        app->nsp_ref(app, nsp);
    return nsp;
}

/* Accepts NULL. */
static inline void nsp_unref(struct session_app *app, const struct nsp *nsp)
{
    if (nsp != NULL && app->nsp_unref != NULL)
        app->nsp_unref(app, nsp);
}

#endif

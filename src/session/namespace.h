/* namespace: the session layer's interface to the application: settings of a Socket.IO namespace, and functions that
 * choose them and take events. `app` fills both; the tests have their own. */
#ifndef SENNIT_SESSION_NAMESPACE_H
#define SENNIT_SESSION_NAMESPACE_H

#include "base/list.h"
#include "hub/member.h"
#include "net/close_reasons.h"
#include "net/refusals.h"
#include "session/content.h"
#include "session/identity.h"
#include "session/protocol.h"
#include "session/transport.h"

struct subscriber;

/* How members of a room are treated. */
struct room_policy {
    enum start_mode replay;  /* a new member is sent entries from here: START_NOW, START_OLDEST or START_NEWEST */
    uint64_t replay_entries; /* for START_NEWEST */
    bool presence;           /* members are told about joins and leaves, and a new member gets the list */
};

/* What becomes of events for a client that reads too slowly. Logged ones are dropped and read again from the log,
 * unless its session is closed. */
enum slow_policy {
    SLOW_REREAD, /* events that are not logged wait, until the queue is full */
    SLOW_DROP,   /* they are dropped */
    SLOW_CLOSE,  /* the session is closed at once: its client connects again and resumes */
};

struct nsp {
    struct span name; /* "/", "/chat" */
    /* It logs some event: subscribers get a pid, events a token, and a cut client resumes. */
    bool recoverable;
    uint64_t recovery_ms; /* a subscriber may come back for at least this long after a cut */
    bool direct;          /* events can go to one subscriber: each subscriber has a room of its own */
    enum slow_policy slow;
    bool announce; /* tell each subscriber its instance and deadline with the event `sennit` */
    char formats[PROTOCOLS][TRANSPORT_FORMATS]; /* their addresses are the keys of its frames, see entry_frame */
    uint64_t notice_ms;                         /* a subscriber is told so long before its identity expires */
    struct span watch;  /* the application calls broker_lease_lapsed with this, and ends the leases of subscribers that
                         * it  is told have ended; empty: it does neither */
    char *presence_key; /* member of the CONNECT payload that becomes the subscriber's presence data; NULL: none */
};

/* What a client sends to the application, in any protocol. */
struct client_event {
    struct span name;       /* a JSON string */
    struct content content; /* its arguments are a JSON array, the name first */
    struct span id;         /* of the answer that it asks for; empty: none */
    /* Given apart from the arguments, as raw JSON; empty: the application's rule says which argument it is. */
    struct span room;       /* one room, or a list */
    struct span message_id; /* the client's name for the message */
    bool except_self;       /* not for the sender, whatever the rule says */
};

/* What a client asks for in a protocol that has messages of its own for it. */
enum client_verb { CLIENT_JOIN, CLIENT_LEAVE, CLIENT_PRESENCE, CLIENT_HISTORY };

struct client_request {
    enum client_verb verb;
    /* Raw JSON; empty: absent. */
    struct span room;                         /* one room, or a list; absent: the namespace itself */
    struct span before, after, limit, cursor; /* options of a question */
    struct span id;                           /* of the answer that it asks for */
};

/* What a client shows when it connects to a namespace; each may be empty. The application says which of them counts. */
struct client_proof {
    struct span auth;           /* JSON, the payload of CONNECT: an object */
    struct span token;          /* that came with the client's request, in a header or a cookie */
    struct span handshake;      /* that its session keeps: session_handshake_set */
    const struct addr_ip *peer; /* the client's address; NULL: it shows a new token on a connection that it has */
};

/* What the application answers to it. */
struct admission {
    enum refusal refusal;      /* REFUSAL_COUNT: the client may connect */
    struct identity *identity; /* the subscriber's from then on; NULL: none is known */
    char *presence_data;       /* JSON, likewise; NULL: the client says it itself */
    char *denial; /* with REFUSAL_BY_APPLICATION: JSON, an object with `message` and perhaps `data`, for the client */
};

/* How a subscriber has come to be connected here. */
enum arrival {
    ARRIVAL_NEW,
    ARRIVAL_RESUMED, /* after a cut, from this instance or another one */
    ARRIVAL_MOVED,   /* its session has come from another instance, without its client's knowledge */
};
/* How one has gone from here. */
enum departure {
    DEPARTURE_ENDED, /* for good: nobody can resume it */
    DEPARTURE_CUT,   /* its lease stays for a while: whoever claims it resumes */
    DEPARTURE_MOVED, /* it is on another instance, or on its way there, or on another connection */
};
/* One that has gone. Its spans are borrowed. */
struct leaver {
    const struct nsp *nsp;
    struct span sid;
    struct span lease;   /* the lease's name; empty: it had none */
    struct span data;    /* the application's, see subscriber_data_set */
    void *part;          /* as in struct subscriber; NULL: it has never been connected here */
    uint64_t generation; /* of its lease */
};

/* What rules are asked about. */
enum deed {
    DEED_JOIN,    /* to be in the room, which a new socket, a resumed one, and a question about its members need */
    DEED_HISTORY, /* to read its log, by a question or as the replay to a new member */
};

/* The application's functions, called by the session layer. */
struct session_app {
    /* The namespace of this name, which may be made for the first of its users: a reference for the caller. NULL: the
     * client is refused, for the reason in `refusal`. */
    const struct nsp *(*nsp_find)(struct session_app *app, struct span name, enum refusal *refusal);
    /* The policy of a room; an empty name is the namespace itself. */
    const struct room_policy *(*room_policy)(struct session_app *app, const struct nsp *nsp, struct span room);
    /* A client asks to connect. NULL: everybody may. */
    void (*admit)(struct session_app *app, const struct nsp *nsp, const struct client_proof *proof,
                  struct admission *admission);
    /* Whether this subscriber may do it in a room of its namespace (empty: the namespace itself). NULL: it may. */
    bool (*may)(struct session_app *app, const struct subscriber *subscriber, enum deed deed, struct span room);
    /* An event of a connected client; its spans are borrowed. */
    void (*event)(struct session_app *app, struct subscriber *subscriber, const struct client_event *event);
    /* A request of a connected client of sennit.v1; its spans are borrowed. */
    void (*request)(struct session_app *app, struct subscriber *subscriber, const struct client_request *request);
    /* One reference more, and one less; without any, the namespace may end. Both NULL: namespaces live as long as the
     * application. */
    void (*nsp_ref)(struct session_app *app, const struct nsp *nsp);
    void (*nsp_unref)(struct session_app *app, const struct nsp *nsp);
    /* A subscriber is connected; it is told so already. Called from deep inside: takes notes, and acts later. NULL:
     * this and the next four are of no interest. */
    void (*arrived)(struct session_app *app, struct subscriber *subscriber, enum arrival arrival);
    /* One has gone, for this reason (CLOSE_NONE: the namespace alone was left). Called likewise. */
    void (*departed)(struct session_app *app, const struct leaver *leaver, enum departure departure,
                     enum close_reason reason);
    /* Another instance has claimed the lease of one that departed from here. */
    void (*returned)(struct session_app *app, struct span lease);
    /* Somebody has come to a room with presence (as the broker names it) in which this instance has members, or has
     * left it; now there are `count`. Called likewise. */
    void (*presence)(struct session_app *app, struct span room, const struct broker_present *who, bool entered,
                     uint64_t count);
    /* The client answers what was asked under this id (struct protocol, `ask`); its spans are borrowed. False: the
     * application has not asked this. */
    bool (*answered)(struct session_app *app, struct subscriber *subscriber, struct span id,
                     const struct content *content);
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

/* relay: the application that `sennit serve` runs without any code: for each namespace, the rules say which events go
 * to which sockets, which events are logged and for how long, what a new member is sent, and which sockets learn of
 * each other's presence.
 *
 *     namespaces:
 *       /:
 *         auth: none
 *         log: {entries: 100000, age: 24h}
 *         replay: all
 *         events:
 *           drawing: {to: others, log: true, id: 0.id}
 *
 * The name of a namespace may be a pattern, like the name of a room. Payloads pass through as the bytes they came as.
 * Events without a rule are dropped. */
#ifndef SENNIT_APP_RELAY_H
#define SENNIT_APP_RELAY_H

#include "app/access.h"
#include "app/jwt.h"
#include "session/subscriber.h"
#include "wire/yaml.h"

enum relay_action {
    RELAY_OTHERS,      /* everybody in the namespace but the sender */
    RELAY_EVERYONE,    /* the sender too */
    RELAY_ROOM,        /* everybody in a room, or in one of several, the sender too; it must be in all of them */
    RELAY_ROOM_OTHERS, /* the same but the sender */
    RELAY_SOCKET,      /* the one socket with this id */
    RELAY_JOIN,        /* the sender enters the room */
    RELAY_LEAVE,       /* the sender leaves it */
    RELAY_WHO,         /* the sender asks who is in the room */
    RELAY_HISTORY,     /* the sender reads the room's log */
    RELAY_ACTIONS,
};

enum {
    RELAY_ROOMS_MAX = 32,              /* that one event may name */
    RELAY_NAMESPACES_MADE_MAX = 10000, /* by patterns, unless configured (relay.made_max) */
    /* Of a namespace's name. `NAMESPACE,ROOM` names a room at the broker (BROKER_ROOM_BYTES_MAX), so that clients have
     * the rest, 895 bytes at least, for their rooms. */
    RELAY_NAMESPACE_BYTES_MAX = 128,
    RELAY_CLAIMS_MAX = 16, /* of a token, that presence shows */
};

struct relay_rule {
    struct map_node by_event;
    char *event;
    enum relay_action action;
    bool logged;
    bool own_retention; /* else the room's */
    struct broker_retention retention;
    uint32_t argument; /* that names the room or the socket, counted from 0 behind the event's name */
    uint32_t
        ask_ms; /* the receiver's answer is the acknowledgement, and is awaited for so long; 0: none is asked for */
    bool is_volatile, is_local; /* see struct subscriber_emit */
    bool has_except;
    uint32_t except_argument;
    bool has_id;
    uint32_t id_argument;
    char *id_member;   /* NULL: the argument itself is the id */
    bool weak_id_told; /* the log line about names that can be guessed was written */
};

/* The settings of rooms whose names match a pattern. */
struct relay_rooms {
    struct list of_nsp;
    char *pattern; /* see base/pattern.h; may hold any byte */
    size_t pattern_len;
    struct room_policy policy;
    struct broker_retention retention;
};

/* A namespace of the configuration, a pattern of names, or a namespace that a pattern has made. */
struct relay_nsp {
    struct map_node by_name;
    struct list of_patterns;      /* of a pattern */
    const struct relay_nsp *like; /* the one whose rules count: itself, or the pattern that has made it */
    size_t refs;                  /* of one that a pattern has made: its clients */
    void *part;                   /* what a program keeps with it (layer embed); NULL: nothing */
    char *name;
    struct nsp nsp;
    bool logs; /* any of its events */
    struct map rules;
    const struct relay_rule *first[RELAY_ACTIONS]; /* the first rule of each action; NULL: none */
    struct relay_rooms all;                        /* of the namespace itself, and of rooms that match no pattern */
    struct list rooms;                             /* the first one that matches counts */
    /* Filled by relay_access_read. */
    bool needs_token;
    struct access access;
    char *presence_claims[RELAY_CLAIMS_MAX];
    size_t presence_claim_count;
};

struct relay {
    struct session_app app;
    struct loop *loop;
    struct jwt jwt;
    struct map namespaces;
    struct relay_nsp raw;  /* of raw clients (session/raw.h); no name leads to it */
    struct list patterns;  /* in their order */
    size_t made, made_max; /* namespaces that patterns have made, see relay_nsp.c */
    uint64_t weak_ids;     /* messages whose names others could guess */
};

/* Reads the mapping under `namespaces:`; false with `err` set. The relay is to be finished in either case. */
bool relay_init(struct relay *relay, struct loop *loop, const struct yaml_node *namespaces, struct err *err);
void relay_finish(struct relay *relay); /* accepts zeroed */

/* A namespace that a program has beside those of the configuration: everybody may connect, its sockets resume and can
 * be sent to, and no event has a rule. A name with `*` makes a pattern. The relay owns it; its name is not taken yet,
 * and is one that relay_nsp_name_is_valid takes. */
struct relay_nsp *relay_nsp_open(struct relay *relay, struct span name);
bool relay_nsp_name_is_valid(struct span name);

/* The retention of a message without a sender, of the relay's namespace `nsp`: as the event's rule says. An event
 * without a rule (its name in plain text), and a directive (no name), is logged as other events of the room are, if the
 * namespace logs any. NULL: it is not logged. `room` is empty for the namespace itself and for several rooms. */
const struct broker_retention *relay_retention(const struct nsp *nsp, struct span event, struct span room);

/* For the configuration's reader: whether the key of the mapping under `namespaces:` can name a namespace. */
bool relay_nsp_name_check(const struct yaml_pair *pair, struct err *err);
/* For the configuration's reader: fills a namespace from its YAML mapping. */
bool relay_nsp_read(struct relay_nsp *config, const struct yaml_node *node, const uint64_t seed[2], struct err *err);
/* An event whose room is given apart from its arguments: the rule says where it belongs. */
void relay_event_to_room(struct subscriber *subscriber, const struct relay_rule *rule,
                         const struct client_event *asked);
/* For struct session_app: the namespace's first rule that does what is asked for decides. */
void relay_request(struct session_app *app, struct subscriber *subscriber, const struct client_request *asked);
/* The settings of a room; an empty name stands for the namespace itself. */
const struct relay_rooms *relay_rooms_find(const struct relay_nsp *config, struct span room);

/* relay_nsp.c, for the relay's own files. The first three are the application's functions (session/namespace.h). */
const struct nsp *relay_nsp_find(struct session_app *app, struct span name, enum refusal *refusal);
void relay_nsp_ref(struct session_app *app, const struct nsp *nsp);
void relay_nsp_unref(struct session_app *app, const struct nsp *nsp);
/* Adds a namespace of the configuration, or a pattern of names, without rules yet. */
struct relay_nsp *relay_nsp_add(struct relay *relay, struct span name);
/* Finds what relay_nsp_add has added under this name, a pattern by its own text. NULL: nothing. */
struct relay_nsp *relay_nsp_configured(struct relay *relay, struct span name);
/* The first pattern that matches a name, or NULL. */
const struct relay_nsp *relay_pattern_find(const struct relay *relay, struct span name);
/* Frees all of them; no client is left. */
void relay_nsps_finish(struct relay *relay);

#endif

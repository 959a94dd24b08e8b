/* relay: the application that `sennit serve` runs without any code: per namespace, which events go to whom, which are
 * logged and for how long, and what a new member is sent.
 *
 *     namespaces:
 *       /:
 *         log: {entries: 100000, age: 24h}
 *         replay: all
 *         events:
 *           drawing: {to: others, log: true, id: 0.id}
 *
 * Payloads pass through as the bytes they came as. Events without a rule are dropped. */
#ifndef SENNIT_APP_RELAY_H
#define SENNIT_APP_RELAY_H

#include "session/socket.h"
#include "wire/yaml.h"

enum relay_target {
    RELAY_OTHERS,      /* everybody in the namespace but the sender */
    RELAY_EVERYONE,    /* the sender too */
    RELAY_ROOM,        /* everybody in a room, the sender too; it must be in it */
    RELAY_ROOM_OTHERS, /* everybody in a room but the sender; it must be in it */
    RELAY_JOIN,        /* the sender enters the room */
    RELAY_LEAVE,       /* the sender leaves it */
};

struct relay_rule {
    struct map_node by_event;
    char *event;
    enum relay_target target;
    bool logged;
    struct broker_retention retention;
    uint32_t room_argument; /* counted from 0 behind the event's name */
    bool has_id;
    uint32_t id_argument;
    char *id_member; /* NULL: the argument itself is the id */
};

struct relay_namespace {
    struct map_node by_name;
    char *name;
    struct namespace nsp;
    struct map rules;
};

struct relay {
    struct session_app app;
    struct map namespaces;
    uint64_t events_dropped;
};

/* Reads the mapping under `namespaces:`; false with `err` set. The relay is to be finished in either case. */
bool relay_init(struct relay *relay, struct loop *loop, const struct yaml_node *namespaces, struct err *err);
void relay_finish(struct relay *relay); /* accepts zeroed */

/* For the configuration's reader: fills a namespace from its YAML mapping. */
bool relay_namespace_read(struct relay_namespace *namespace, const struct yaml_node *node, const uint64_t seed[2],
                          struct err *err);

#endif

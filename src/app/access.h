/* access: the rules of a namespace: who may connect to it, be in its rooms, send events and read logs, by the claims of
 * their tokens. Pure, but for reading them from the configuration.
 *
 *     access:
 *       connect: {role: [user, admin]}
 *       rooms:
 *         "team-{team}": {join: [own, {role: admin}], send: {role: [editor, admin]}}
 *         "*": {join: anyone}
 *       events:
 *         announce: {role: admin}
 *
 * A condition is `anyone`, `nobody`, `own`, a mapping of claims to values, all of which must hold, or a list of such,
 * one of which must. In a room's pattern, `*` stands for any text, and `{claim}` too, when the rule for a room is
 * looked for: the first pattern that fits counts. `own` then asks that what stands in these places be the client's
 * claims. */
#ifndef SENNIT_APP_ACCESS_H
#define SENNIT_APP_ACCESS_H

#include "base/list.h"
#include "session/namespace.h"
#include "wire/yaml.h"

enum {
    ACCESS_LIST_MAX = 64, /* ways, claims and values of one condition, and claims of one pattern */
    ACCESS_PATTERN_BYTES_MAX = 256,
};

/* One way to fulfil a condition. */
enum access_kind { ACCESS_ANYONE, ACCESS_NOBODY, ACCESS_OWN, ACCESS_CLAIMS };
struct access_demand {
    char *claim;
    char **values; /* one of them; `*` stands for any text */
    size_t count;
};
struct access_way {
    enum access_kind kind;
    struct access_demand *demands; /* all of them */
    size_t count;
};
struct access_condition {
    struct access_way *ways; /* one of them; without any: anyone */
    size_t count;
};

/* The rule of the rooms, or of the events, whose names fit a pattern. */
struct access_rule {
    struct list node;
    char *pattern, *shape;                       /* the shape has `*` in place of `{claim}` */
    struct access_condition join, send, history; /* of an event: `send` alone */
    bool has_send, has_history;                  /* else as for join */
};

struct access {
    struct access_condition connect, send, history; /* the latter two of the namespace as a whole */
    struct list rooms, events;                      /* rules; the first that fits */
    bool has_rooms;                                 /* else every room is free */
};

void access_init(struct access *access);
/* Reads `access:`; NULL: everybody may do everything. False with `err` set; finish it in either case. */
bool access_rules_read(struct access *access, const struct yaml_node *node, struct err *err);
void access_finish(struct access *access);

/* Whether a client may; `identity` NULL: nothing is known of it. */
bool access_connects(const struct access *access, const struct identity *identity);
/* An empty room is the namespace. */
bool access_allows(const struct access *access, const struct identity *identity, enum deed deed, struct span room);
/* Sends an event, to a room or to the whole namespace. */
bool access_sends(const struct access *access, const struct identity *identity, struct span event, struct span room);
/* The same for an event that has one receiver, for which no room's rule is asked. */
bool access_sends_event(const struct access *access, const struct identity *identity, struct span event);

#endif

/* bridge: rooms shared with Node servers that have Socket.IO's Redis adapter, and with backends that have its emitter.
 * This instance takes part in their Pub/Sub as one server more: what they send reaches its sockets, what they ask it
 * answers for its sockets, and what is published here reaches theirs.
 *
 *     Node server --+                            +-- instance --+
 *     Node server --+-- Redis, the adapter's ----+-- instance --+-- broker: log, leases, presence
 *     emitter ------+                            +-- instance --+
 *
 * Instances of one fleet ignore each other there, as they have the broker. A bridge is no broker: that format has no
 * log, so what is published while a link is away is lost, for those behind it. What comes from there is delivered by
 * each instance to its own sockets; a message that the namespace logs goes to the broker under a name on which all
 * instances agree (once.h), so it is logged once and reaches clients from the log.
 *
 * `serve` creates the bridge. It watches the sessions (session/outward.h) and needs the relay's rules for what is
 * logged, so its layer stands between those two. */
#ifndef SENNIT_BRIDGE_BRIDGE_H
#define SENNIT_BRIDGE_BRIDGE_H

#include "app/relay.h"
#include "base/err.h"
#include "net/net.h"
#include "session/session.h"

enum {
    BRIDGE_NAMESPACES_MAX = 64,
    BRIDGE_KEY_BYTES_MAX = 128,
    BRIDGE_ASKS_MAX = 100000,           /* clients whose answers servers await */
    BRIDGE_QUESTIONS_MAX = 1000,        /* of servers, that ask them */
    BRIDGE_FETCHES_MAX = 16,            /* questions of ours to servers */
    BRIDGE_FETCH_MS = 1800,             /* how long their answers are awaited */
    BRIDGE_ANSWER_BYTES_MAX = 16 << 20, /* what this instance tells of its sockets in one answer */
    BRIDGE_ASK_MS = 10000,              /* how long answers are awaited when the server does not say it; */
    BRIDGE_ASK_MS_MAX = 300000          /* and at most */
};

struct bridge_config {
    char *url; /* NULL: there is no bridge */
    char *key; /* the adapter's option `key`, or `channelPrefix` of the sharded one */
    bool sharded;
    char *namespaces[BRIDGE_NAMESPACES_MAX]; /* none: all of the relay, but those of patterns */
    size_t namespace_count;
};

struct bridge_counters {
    uint64_t received; /* messages of other servers and emitters */
    uint64_t sent;     /* messages and answers to them */
    uint64_t logged;   /* messages of theirs handed to the broker under a name */
    uint64_t asked;    /* clients asked for an answer, on behalf of a server */
};

struct bridge;

/* Begins to connect. All pointers are borrowed for the bridge's life. `fleet`: instances with the same broker have the
 * same one, and others another one. NULL with `err` set: the URL, or a file that it names, is wrong. */
struct bridge *bridge_create(struct sessions *sessions, struct relay *relay, struct net *net,
                             const struct bridge_config *config, struct span fleet, struct err *err);
/* Before the sessions and the broker end. Accepts NULL. */
void bridge_destroy(struct bridge *bridge);
const struct bridge_counters *bridge_counters(const struct bridge *bridge);
bool bridge_is_up(const struct bridge *bridge);
/* Clients whose answers are awaited. */
size_t bridge_asks(const struct bridge *bridge);
/* Frees the texts. Accepts zeroed memory. */
void bridge_config_finish(struct bridge_config *config);

#endif

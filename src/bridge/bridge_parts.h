/* bridge_parts: the state that the files of the bridge share. For src/bridge/ only. */
#ifndef SENNIT_BRIDGE_BRIDGE_PARTS_H
#define SENNIT_BRIDGE_BRIDGE_PARTS_H

#include "bridge/adapter_message.h"
#include "bridge/bridge.h"
#include "bridge/once.h"
#include "bridge/redis_pair.h"
#include "session/inquiry.h"

/* A namespace that is shared, and its channels. */
struct bridged {
    struct list of_bridge;
    const struct nsp *nsp;
    char *broadcasts; /* `KEY#NSP#`; behind it, a room and `#` */
    char *pattern;    /* of those and their rooms, classic */
    char *requests;   /* `KEY-request#NSP#`, classic */
    char *responses;  /* `KEY-response#NSP#`, classic */
    char *own;        /* where answers to this instance may come: `KEY-response#NSP#UID#`, sharded `KEY#NSP#UID#` */
};

struct bridge {
    struct sessions *sessions;
    struct relay *relay;
    struct loop *loop;
    const struct bridge_config *config;
    struct outward outward;
    struct redis_pair pair;
    struct list namespaces; /* struct bridged */
    char *fleet;            /* in front of the uid of each instance of this fleet */
    char *uid;
    char *marks; /* the channel for marks */
    struct once once;
    uint64_t marks_sent;
    bool acting; /* it publishes what came from there, so it must not go back */
    bool logs;   /* a shared namespace logs some event, so messages need names */
    bool patterns_told, was_confirmed;
    struct list questions; /* answers.c */
    size_t question_count, ask_count;
    uint64_t next_question;
    struct list fetches; /* fetch.c */
    size_t fetch_count;
    uint64_t next_fetch;
    struct bridge_counters counters;
};

/* What is common to everything that is sent about a namespace. */
struct adapter_outgoing bridge_outgoing(const struct bridge *bridge, const struct bridged *bridged);
/* Sends a message, and finishes it; counts one that is lost because the link is down. */
void bridge_send(struct bridge *bridge, struct span channel, struct buf *message);
/* Answers the request of a server on the channel that it listens to. Finishes the message. */
void bridge_answer(struct bridge *bridge, const struct bridged *bridged, struct span uid, struct buf *message);

/* Sends a mark, see once.h. */
void bridge_mark(struct bridge *bridge);

/* act.c: what a server told is done here. `payload` is what `message` was read from. */
void bridge_deliver(struct bridge *bridge, const struct bridged *bridged, const struct adapter_message *message,
                    struct span payload);
void bridge_direct(struct bridge *bridge, const struct bridged *bridged, const struct adapter_message *message,
                   struct span payload);

/* answers.c: what a server asks is answered for the sockets of this instance. */
void bridge_fetch(struct bridge *bridge, const struct bridged *bridged, const struct adapter_message *message);
void bridge_rooms(struct bridge *bridge, const struct bridged *bridged, const struct adapter_message *message);
/* An event whose receivers are asked for an answer. */
void bridge_ask(struct bridge *bridge, const struct bridged *bridged, const struct adapter_message *message);
/* For struct outward. */
bool bridge_answered(void *arg, struct subscriber *subscriber, struct span id, const struct content *content);
void bridge_questions_finish(struct bridge *bridge);

/* fetch.c: what the fleet is asked about its sockets, the servers are asked, too. For struct outward. */
bool bridge_inquired(void *arg, struct inquiries *inquiries, const struct inquiry_question *question, uint64_t number);
/* An answer (ADAPTER_FETCHED) has come. */
void bridge_fetched(struct bridge *bridge, const struct adapter_message *message);
/* An instance of our fleet asks; it has the broker for our sockets, so there are none. */
void bridge_fetch_nothing(struct bridge *bridge, const struct bridged *bridged, const struct adapter_message *message);
void bridge_fetches_finish(struct bridge *bridge);

/* rooms.c: rooms that have members here, in sharded mode, are subscribed to. The first subscribes to all of them. */
void bridge_rooms_subscribe(struct bridge *bridge);
/* For struct outward. */
void bridge_room_filled(void *arg, struct span room, bool filled);

/* send.c: for struct outward. */
void bridge_emitted(void *arg, const struct nsp *nsp, struct span sender, const struct subscriber_emit *emit);
void bridge_directed(void *arg, const struct nsp *nsp, const struct subscriber_emit *to,
                     const struct directive *directive);
/* The shared namespace, or NULL: it is not shared. */
struct bridged *bridge_find(struct bridge *bridge, const struct nsp *nsp);

#endif

/* adapter_message: what Socket.IO servers send each other through Redis, read and written: by the classic adapter
 * (`createAdapter` of @socket.io/redis-adapter 8), by its sharded mode (`createShardedAdapter`), and by
 * @socket.io/redis-emitter 5. Pure.
 *
 *     classic    broadcast   MessagePack  [uid, {type: 2, data: [event, ...], nsp}, {rooms, except, flags}]
 *                request     JSON, or MessagePack of the same  {uid, requestId, type, opts: {rooms, except}, ...}
 *                response    JSON, or MessagePack of the same  {requestId, type, ...}
 *     sharded    all         JSON, or MessagePack if bytes are in it  {type, uid, nsp, data: {...}}
 *
 * Whatever the encoding, a message becomes JSON with placeholders for bytes (wire/msgpack.h), and is read from there.
 * So a payload passes through as the JSON that it came as. */
#ifndef SENNIT_BRIDGE_ADAPTER_MESSAGE_H
#define SENNIT_BRIDGE_ADAPTER_MESSAGE_H

#include "session/content.h"

enum {
    ADAPTER_BYTES_MAX = 4 << 20,       /* of a message in MessagePack, which may grow to eight times that; */
    ADAPTER_JSON_BYTES_MAX = 16 << 20, /* and in JSON. Longer ones are not read */
    ADAPTER_NAMES_MAX = 1024,          /* rooms of one list in a message */
    ADAPTER_TEXT_BYTES_MAX = 256,      /* of a uid, the id of a request, and the name of an event */
};

enum adapter_form { ADAPTER_BROADCASTS, ADAPTER_REQUESTS, ADAPTER_RESPONSES, ADAPTER_CLUSTER };

enum adapter_kind {
    ADAPTER_BROADCAST,   /* an event; with a request's id, each receiver's answer is asked for */
    ADAPTER_JOIN,        /* sockets join rooms */
    ADAPTER_LEAVE,       /* sockets leave rooms */
    ADAPTER_DISCONNECT,  /* sockets end */
    ADAPTER_FETCH,       /* which sockets are there? */
    ADAPTER_SIDS,        /* the same, the ids alone */
    ADAPTER_ROOMS,       /* which rooms are there? */
    ADAPTER_SERVER_EMIT, /* an event for the servers themselves; with a request's id, an answer is asked for */
    ADAPTER_FETCHED,     /* the answer to ADAPTER_FETCH */
    ADAPTER_OTHER,       /* anything else that a server may send, and that concerns nobody here */
};

/* A list of rooms; a socket's id counts as one. */
struct adapter_names {
    struct buf text;
    size_t *ends;
    struct span *list;
    size_t count;
};

struct adapter_message {
    enum adapter_kind kind;
    struct buf json;                     /* the message; spans below point into it, */
    struct buf text;                     /* or into this */
    struct span uid;                     /* of the server; empty: none was given */
    struct span nsp;                     /* empty: none was given */
    struct span request;                 /* the request's id; empty: no answer is asked for */
    struct span event;                   /* of BROADCAST */
    struct content content;              /* of BROADCAST: its arguments, the name first */
    struct span sockets;                 /* of FETCHED: a JSON array */
    uint32_t deepest;                    /* levels of JSON */
    struct adapter_names rooms, excepts; /* the sockets that it is for; no rooms: all of the namespace */
    struct adapter_names targets;        /* of JOIN and LEAVE */
    bool is_volatile;
    bool whole;          /* of DISCONNECT: the whole session */
    uint64_t timeout_ms; /* of a BROADCAST that asks; 0: none was given */
};

/* Reads a message within those bounds. NULL: it is read, and to be finished. Otherwise what is wrong
 * with it, a static text, and it needs not be finished. `payload` is to outlive it: attachments point into it. */
const char *adapter_message_read(struct adapter_message *message, enum adapter_form form, struct span payload);
void adapter_message_finish(struct adapter_message *message);

/* What is sent. Of names, any may be none; those of a socket are ids. */
struct adapter_outgoing {
    bool sharded;
    struct span uid, nsp;
    struct span request; /* empty: none */
    const struct span *rooms, *excepts, *targets;
    size_t room_count, except_count, target_count;
    const struct content *content;
    bool is_volatile, whole;
};

/* Appends a message of ours: BROADCAST, JOIN, LEAVE, DISCONNECT or FETCH. */
void adapter_message_write(struct buf *to, enum adapter_kind kind, const struct adapter_outgoing *outgoing);
/* Appends our answers to a request. `sockets` (for FETCH and SIDS) and `rooms` are JSON arrays. */
void adapter_fetched_write(struct buf *to, const struct adapter_outgoing *outgoing, struct span sockets);
void adapter_rooms_write(struct buf *to, const struct adapter_outgoing *outgoing, struct span rooms);
/* To a BROADCAST that asks: how many clients are asked here; and the first argument of what one of them answers. */
void adapter_count_write(struct buf *to, const struct adapter_outgoing *outgoing, size_t count);
void adapter_ack_write(struct buf *to, const struct adapter_outgoing *outgoing);
/* To a SERVER_EMIT that asks: nothing. */
void adapter_nothing_write(struct buf *to, const struct adapter_outgoing *outgoing);

#endif

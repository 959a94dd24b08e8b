/* websocket: the transport of a session over one WebSocket connection (RFC 6455).
 *
 * The owner of an upgraded connection embeds struct websocket, opens it, and passes the connection's events on. The
 * owner keeps the connection; nothing else in the session layer sees it. */
#ifndef SENNIT_SESSION_WEBSOCKET_H
#define SENNIT_SESSION_WEBSOCKET_H

#include "base/list.h"
#include "session/transport.h"

struct compression_context;
struct conn;
struct deflate_terms;
struct moved;
struct polling;
struct protocol;
struct sessions;
struct websocket_extra;

struct websocket {
    struct transport transport;
    struct conn *conn;             /* the owner's */
    struct websocket_extra *extra; /* NULL: none of it */
};

/* Begins a session of this protocol on an upgraded connection, which outlives it, and sends the open packet. */
void websocket_open(struct websocket *websocket, struct sessions *sessions, const struct protocol *protocol,
                    struct conn *conn);
/* For polling_upgrade: opens a connection that has no session yet. Its `polling` (websocket_polling_set) is told of its
 * text messages until then, and of its end (polling_websocket_closed). */
void websocket_open_probe(struct websocket *websocket, struct sessions *sessions, struct conn *conn);
/* The session that it is to take over; NULL: none. */
void websocket_polling_set(struct websocket *websocket, struct polling *polling);
/* It has taken the session over: `polling` is told no more. `moved` (moved.h; may be NULL) is ended with it. */
void websocket_moved(struct websocket *websocket, struct moved *moved);
/* While it waits for the session, nothing that comes in is read. */
void websocket_wait(struct websocket *websocket, bool waits);
/* Of a WebSocket just opened: permessage-deflate was agreed on with these terms (compression_agree). */
void websocket_compress(struct websocket *websocket, const struct deflate_terms *terms);
/* Ends a connection without a session. `polling` is told no more. */
void websocket_refuse(struct websocket *websocket, enum close_reason reason);
/* Bytes from the connection, changed in place. Returns the number consumed. That is not all if the session has too many
 * calls under way; the owner keeps the rest and gives it again when the connection is read again. */
size_t websocket_received(struct websocket *websocket, char *bytes, size_t len);
/* The connection's output queue is empty. */
void websocket_drained(struct websocket *websocket);
/* The connection is gone: ends the session. Harmless for one that was never opened. */
void websocket_closed(struct websocket *websocket, enum close_reason reason);

#endif

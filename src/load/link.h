/* link: one WebSocket connection of a client: TCP, the upgrade, frames in both directions, and the kinds of cuts.
 *
 *     link_open -> CONNECTING -> UPGRADING -> OPEN -> closed
 *                                              |
 *                                              +--- link_cut: nobody's, goes on alone for a while -> closed
 *
 * A link that is cut has no client any more, and drops everything that still arrives. Links are freed at the end of the
 * turn in which they close. */
#ifndef SENNIT_LOAD_LINK_H
#define SENNIT_LOAD_LINK_H

#include "load/options.h"
#include "load/packed.h"
#include "net/conn.h"
#include "wire/ws.h"

struct client;
struct run;

enum { LINK_WHY_BYTES = 160, LINK_LINGER_MS = 5000, LINK_HALF_OPEN_MS = 10000 };

struct link {
    struct list of_run;
    struct run *run;
    struct client *client; /* NULL: cut */
    struct io connecting;  /* until TCP is up: connections are made from chosen addresses, which conn does not know */
    struct conn conn;
    struct ws_decoder decoder;
    struct packed packed;
    struct timer drop; /* of one that was cut */
    size_t head_seen;
    bool open; /* upgraded */
    char key[WS_KEY_BYTES];
    char why[LINK_WHY_BYTES]; /* why it ended, when the connection itself does not know */
};

/* Opens a link for `client`: client_link_opened or client_link_closed follows, never before this returns. */
struct link *link_open(struct run *run, struct client *client);
/* Sends a text message at once. Dropped silently unless it is open. */
void link_send(struct link *link, struct span text);
/* The same for a binary message. */
void link_send_binary(struct link *link, struct span bytes);
/* Cuts the link. The client has no link now, and no function of it is called. */
void link_cut(struct link *link, enum cut_kind kind);
/* Ends the link at once, in any state, without a call to the client. Harmless for one that was cut. */
void link_drop(struct link *link);

#endif

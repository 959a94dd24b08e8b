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

#include "load/dial.h"
#include "load/packed.h"
#include "wire/ws.h"

struct client;
struct run;

enum { LINK_WHY_BYTES = 160 };

/* What a link tells the client that has it. */
struct link_events {
    void (*opened)(struct client *client); /* the handshake is complete */
    void (*received)(struct client *client, struct span text);
    void (*received_binary)(struct client *client, struct span bytes);
    /* A ping came, and was answered; may be NULL. */
    void (*pinged)(struct client *client);
    /* The client has no link now. */
    void (*closed)(struct client *client, const char *why);
};

struct link {
    struct dial dial;
    struct client *client; /* NULL: cut */
    const struct link_events *events;
    char *target; /* of the request line, until it is sent */
    struct ws_decoder decoder;
    struct packed packed;
    size_t head_seen;
    bool open; /* upgraded */
    char key[WS_KEY_BYTES];
    char why[LINK_WHY_BYTES]; /* why it ended, when the connection itself does not know */
};

/* Opens a link for `client`, with a GET of `target`: `opened` or `closed` of `events` follows, never before this
 * returns. */
struct link *link_open(struct run *run, struct client *client, const struct link_events *events, struct span target);
/* Sends a text message at once. Dropped silently unless it is open. */
void link_send(struct link *link, struct span text);
/* The same for a binary message. */
void link_send_binary(struct link *link, struct span bytes);
/* Cuts the link, which is open. The client has no link now, and no function of it is called. */
void link_cut(struct link *link, enum cut_kind kind);
/* Ends the link at once, in any state, without a call to the client. */
void link_drop(struct link *link);

#endif

/* client: a Socket.IO client over WebSocket, as much of one as a load needs: it connects, resumes, and counts events.
 *
 *     client_connect -> connected -> received ... -> client_cut, or closed, which is the server's doing
 *
 * The decoding is that of src/wire; nothing is checked that another client would not check. */
#ifndef SENNIT_BENCH_CLIENT_H
#define SENNIT_BENCH_CLIENT_H

#include "net/conn.h"
#include "wire/ws.h"

struct client;

struct client_events {
    /* The namespace is joined; `recovered`: as the socket that it was. */
    void (*connected)(struct client *client, bool recovered);
    /* An event's array, borrowed. */
    void (*received)(struct client *client, struct span array);
    void (*acknowledged)(struct client *client);
    void (*closed)(struct client *client, const char *why);
};

struct client {
    const struct client_events *events;
    void *owner;
    struct conn conn;
    struct ws_decoder decoder;
    bool upgraded, cut;
    struct buf pid, offset; /* raw JSON, empty: none */
};

void client_init(struct client *client, struct net *net, const struct client_events *events, void *owner);
/* Connects, and resumes if it has a pid. Only while it is not connected. */
void client_connect(struct client *client, const struct addr *addr);
/* Ends its connection without a word; `closed` does not follow. */
void client_cut(struct client *client);
/* Sends one Engine.IO packet. */
void client_send(struct client *client, struct span text);
/* The offset for a resume: the last string of this event. */
void client_offset_take(struct client *client, struct span array);

#endif

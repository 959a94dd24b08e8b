/* client: one client of the server under load: connects, joins, publishes, is cut and comes back, as socket.io-client
 * does.
 *
 *     IDLE -> CONNECTING -> OPENING -> JOINING -> READY
 *                 ^            |          |         |
 *                 +--- AWAY <--+----------+---------+      any of them -> GONE
 *
 * CONNECTING: no open packet yet. OPENING: no reply to the CONNECT packet yet. JOINING: joins are not confirmed. AWAY:
 * waits until it connects again. GONE: disconnected by the server, or refused; neither the stock client nor this one
 * comes back then. A client of bare WebSocket goes from CONNECTING to READY. */
#ifndef SENNIT_LOAD_CLIENT_H
#define SENNIT_LOAD_CLIENT_H

#include "base/buf.h"
#include "load/options.h"
#include "load/outbox.h"
#include "loop/loop.h"

struct link;
struct link_events;
struct polling;
struct run;

enum client_state {
    CLIENT_IDLE,
    CLIENT_CONNECTING,
    CLIENT_OPENING,
    CLIENT_JOINING,
    CLIENT_READY,
    CLIENT_AWAY,
    CLIENT_GONE,
};

struct client {
    struct run *run;
    struct link *link;       /* its carrier (carrier.h): a link, */
    struct polling *polling; /* or this; both NULL: IDLE, AWAY or GONE */
    uint32_t index;
    uint8_t state; /* enum client_state */
    uint8_t attempts;
    bool was_ready;
    bool was_back;        /* while settling: was READY once since publishing ended */
    struct timer timer;   /* AWAY: time to come back; else: the server has been silent for too long */
    uint64_t ping_us_max; /* a ping comes at least so often */
    struct buf sid, pid;  /* of the socket, as raw JSON */
    struct buf offset;    /* the offset, or position, that a resume begins from, as raw JSON */
    struct buf held;      /* events that came before the CONNECT reply: each its length, and its bytes */
    struct buf awaiting;  /* an event whose attachment has not come yet; empty: none */
    uint8_t *joined;      /* rooms_each of them: the join is confirmed; NULL without rooms */
    uint32_t joins_waiting;
    struct outbox outbox;
    uint32_t published; /* messages, so far */
    uint32_t ready_at;  /* messages published by all when it became ready last */
};

void client_init(struct client *client, struct run *run, uint32_t index);
void client_finish(struct client *client);

/* IDLE only: begins to connect. */
void client_start(struct client *client);
/* READY only: its connection is cut in this way, and it comes back. */
void client_cut(struct client *client, enum cut_kind kind);
/* Says goodbye and stays away. */
void client_leave(struct client *client);
/* Publishes a message, which is in its outbox already if it is to be acknowledged. Unless the client is READY, nothing
 * is sent now. */
void client_publish(struct client *client, uint32_t message);
/* Its room `slot`, below rooms_each. */
uint32_t client_room(const struct client *client, uint32_t slot);

/* Called by its carrier; as the events of a link: client_link_events. client_packet.c reads the messages. */
extern const struct link_events client_link_events;
void client_link_opened(struct client *client);
void client_link_received(struct client *client, struct span text);
void client_link_received_binary(struct client *client, struct span bytes);
void client_link_closed(struct client *client, const char *why);

/* Called by client_packet.c and client_plain.c: for the open packet or the welcome; for a ping, which was answered; for
 * the reply to its connect (`sid` and `pid`, by which it resumes, as raw JSON, `pid` with NULL data where there is
 * none); for a confirmed join; and when the server refuses or disconnects the client. */
void client_opened(struct client *client, uint32_t ping_interval_ms, uint32_t ping_timeout_ms);
void client_pinged(struct client *client);
void client_connected(struct client *client, struct span sid, struct span pid, bool recovered);
void client_join_confirmed(struct client *client, uint32_t slot);
void client_refused(struct client *client, const char *why);
/* Called for each event that arrives while it is in the namespace: `[...]`. */
void client_event_received(struct client *client, struct span array);
/* The server answered the request with this number: a slot, or LOAD_ROOMS_EACH_MAX and a message. `refusal`: the error;
 * NULL data: it was accepted. */
void client_answered(struct client *client, uint64_t number, struct span refusal);
/* A message of this run was received, if `text` has the id of one; else an event of another kind. */
void client_message_take(struct client *client, struct span text);
/* Whether these are the bytes that were published with the message whose id is in `text`. */
bool client_bytes_are_whole(const struct client *client, struct span text, struct span bytes);

#endif

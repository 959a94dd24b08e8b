/* stock_client_parts: declarations that the files of the stock client share. */
#ifndef SENNIT_SIM_STOCK_CLIENT_PARTS_H
#define SENNIT_SIM_STOCK_CLIENT_PARTS_H

#include "stock_client.h"
#include "wire/socketio.h"

/* Below it are the rooms that it enters and leaves by itself. */
static inline int client_rooms(const struct client_world *world)
{
    return world->directs ? ROOM_DIRECTED : ROOMS;
}

/* stock_client.c: prints an action of the traced client. */
void client_trace(const struct stock_client *client, const char *what, struct span text);
void client_send(struct stock_client *client, struct span text);
void client_send_bytes(struct stock_client *client, struct span bytes);
/* The members of its rooms may change because of it. */
void client_rooms_changed(struct stock_client *client);
void client_hang_up(struct stock_client *client);
/* The client gives up its connection if nothing comes within this time. */
void client_patience(struct stock_client *client, uint64_t us);
/* The position that its instance has reached by now, at least. */
struct check_ask client_ask(const struct stock_client *client);

/* A packet as Socket.IO's clients get it, whatever the client speaks. */
void client_hears(struct stock_client *client, struct span text);
/* After so long it opens another connection, and listens no longer to this one. */
void client_moves_soon(struct stock_client *client, uint64_t us);

/* stock_client_plain.c: the same packets, as messages of the plain protocol; and a message that came. */
void client_plain_send(struct stock_client *client, struct span text);
void client_plain_send_bytes(struct stock_client *client, struct span bytes);
void client_plain_hears(struct stock_client *client, struct span message);

/* stock_client_act.c: its own actions, and messages that it sends again. */
void client_act(struct timer *timer);
void client_stall_over(struct timer *timer);
void client_publish_send(struct stock_client *client, size_t index);
void client_room_send(struct stock_client *client, int room);
void client_page_more(struct stock_client *client, bool more, const char *first, const char *last);

/* stock_client_hear.c: Socket.IO packets. */
void client_packet(struct stock_client *client, struct span text);
void client_attachment(struct stock_client *client, struct span bytes);

#endif

/* stock_client_parts: declarations that the files of the stock client share. */
#ifndef SENNIT_SIM_STOCK_CLIENT_PARTS_H
#define SENNIT_SIM_STOCK_CLIENT_PARTS_H

#include "stock_client.h"
#include "wire/socketio.h"

/* stock_client.c: prints an action of the traced client. */
void client_trace(const struct stock_client *client, const char *what, struct span text);
void client_send(struct stock_client *client, struct span text);
void client_send_bytes(struct stock_client *client, struct span bytes);
/* Who is in its rooms may change for its sake. */
void client_rooms_changed(struct stock_client *client);
void client_hang_up(struct stock_client *client);
/* The client gives up its connection if nothing comes within this time. */
void client_patience(struct stock_client *client, uint64_t us);
/* The position that its instance has reached by now, at least. */
struct check_ask client_ask(const struct stock_client *client);

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

/* redis_window: commands of which there may be very many at once: when a link comes up, every room is subscribed and
 * everybody present enters again. The number of unanswered commands is bounded, and the rest waits here: else the
 * link's queue, or Redis' buffer of a subscriber, would overflow, the link break, and all begin anew, for ever. */
#ifndef SENNIT_BROKER_REDIS_WINDOW_H
#define SENNIT_BROKER_REDIS_WINDOW_H

#include "broker/redis_link.h"

enum { WINDOW_COMMANDS_MAX = 1000, WINDOW_BYTES_MAX = 1 << 20 };

struct redis_window {
    struct redis_link *link;
    struct list waiting, sent;
    size_t sent_count, sent_bytes;
};

void redis_window_init(struct redis_window *window, struct redis_link *link);
/* Sends an encoded command, now or in its turn. `done` gets the reply; it is not called when the link breaks before,
 * nor on a subscriber link, where redis_window_answered tells that the oldest one has been answered. */
void redis_window_send(struct redis_window *window, struct span command, redis_reply_fn *done, void *arg);
void redis_window_answered(struct redis_window *window);
/* The link broke: everything is forgotten. */
void redis_window_drop(struct redis_window *window);

#endif

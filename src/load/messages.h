/* messages: all messages published in this run, in order of publishing.
 *
 * A message's index is its number on the wire, so a receiver finds it without a search. The table grows by whole
 * pieces, so its contents never move. */
#ifndef SENNIT_LOAD_MESSAGES_H
#define SENNIT_LOAD_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MESSAGES_PIECE = 16384,
    MESSAGE_NONE = UINT32_MAX, /* of an index, a place or an edge */
};

struct message {
    uint64_t sent_us;   /* loop time of its first publication */
    uint32_t publisher; /* the client */
    uint32_t room;
    uint32_t number;   /* among those of its room, by the order of publishing */
    uint32_t place;    /* in its room's order, as far as that is known: see order.h; MESSAGE_NONE: nobody has seen it */
    uint32_t edges;    /* see order.h */
    bool acknowledged; /* the server has acknowledged it */
    bool refused;      /* the server has answered with an error; it is not sent again */
    bool resent;       /* published again, under the same id, after a reconnect */
    bool marked;       /* used by order */
};

struct messages {
    struct message **pieces;
    uint32_t count, piece_count;
};

void messages_finish(struct messages *messages); /* accepts zeroed */

/* Adds a message; returns its index. */
uint32_t messages_add(struct messages *messages, uint32_t publisher, uint32_t room, uint32_t number, uint64_t sent_us);

/* `index` is below `count`. */
static inline struct message *messages_at(const struct messages *messages, uint32_t index)
{
    return &messages->pieces[index / MESSAGES_PIECE][index % MESSAGES_PIECE];
}

/* The server acknowledged it; false when it had done so before. */
static inline bool messages_acknowledge(struct messages *messages, uint32_t index)
{
    struct message *message = messages_at(messages, index);
    bool first = !message->acknowledged;
    message->acknowledged = true;
    return first;
}

#endif

/* visitor: a Socket.IO client of one namespace that is not what stock_client checks: of a program (program_client.h),
 * or one that asks others (ask_client.h). Here is what these have in common: it connects, again after each end, gives
 * up a connection that is silent for too long, and acts at times of its own. Its owner, which embeds it, says what it
 * says, and looks at what it hears. */
#ifndef SENNIT_SIM_VISITOR_H
#define SENNIT_SIM_VISITOR_H

#include "stock_client.h"
#include "wire/socketio.h"

struct visitor;

struct visitor_events {
    void (*dials)(struct visitor *visitor); /* it is about to connect */
    /* The session is open: says its CONNECT. */
    void (*opened)(struct visitor *visitor);
    /* A packet of the namespace; `ack`: its id, if it has one. */
    void (*heard)(struct visitor *visitor, const struct socketio_packet *packet, bool has_id, uint64_t ack);
    void (*bytes)(struct visitor *visitor, struct span bytes);
    /* Its connection has ended. Returns after how many microseconds it comes back. */
    uint64_t (*away)(struct visitor *visitor);
    /* It is connected, and may do something; `dice`: below VISITOR_STAYS. */
    void (*act)(struct visitor *visitor, uint64_t dice);
    void (*reply)(struct visitor *visitor); /* its timer `reply` is over */
};

enum { VISITOR_STAYS = 94 /* in a hundred turns; in the others it goes away */ };

struct visitor {
    struct client_world *world;
    struct check *check; /* gets the failures */
    const struct visitor_events *events;
    const char *nsp, *name; /* borrowed */
    int number;
    struct engine_client engine;
    struct timer again, silence, act, reply;
    uint8_t state; /* enum client_state */
    bool quiet;
    char pid[SID_TEXT * 2];
    uint64_t patience_us;
};

void visitor_init(struct visitor *visitor, struct client_world *world, struct check *check,
                  const struct visitor_events *events, enum engine_kind kind);
/* Sends a packet; printf's rules. */
void visitor_say(struct visitor *visitor, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The reply to CONNECT came. */
void visitor_connected(struct visitor *visitor);
/* Ends the connection, in an orderly way or not. */
void visitor_hang_up(struct visitor *visitor);
/* Does nothing by itself any more, comes back if it is away, and stays connected. */
void visitor_quiet(struct visitor *visitor);
void visitor_finish(struct visitor *visitor);
/* The text of a member, cut to what `to` holds. */
void visitor_text_get(struct span object, const char *name, char *to, size_t size);

#endif

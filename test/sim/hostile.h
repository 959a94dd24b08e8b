/* hostile: a client that has read the source and means harm: it claims what is not its own, forges positions, names
 * rooms like sockets, asks without end, publishes without end, comes and goes while calls are under way, and does not
 * read.
 *
 * Whatever it does stays in rooms and a namespace of its own, whose names hold "evil", so that anything of it that
 * reaches another client is a fault, and so is anything of a room of others that reaches it. */
#ifndef SENNIT_SIM_HOSTILE_H
#define SENNIT_SIM_HOSTILE_H

#include "stock_client.h"
#include "ws_stream.h"

/* The attacks. A plan can switch off each one. */
enum hostile_kind {
    HOSTILE_PIDS,    /* pids of another namespace, and guessed ones */
    HOSTILE_TOKENS,  /* forged offsets, and forged positions in rooms that it is not in */
    HOSTILE_ROOMS,   /* rooms named like sockets, with NUL and control bytes, too long, in wrong shapes */
    HOSTILE_EXCEPTS, /* exceptions in wrong shapes, to everybody */
    HOSTILE_PUBLISH, /* publishes without end */
    HOSTILE_ASK,     /* questions without end */
    HOSTILE_JOIN,    /* joins and leaves without end */
    HOSTILE_CYCLES,  /* leaves a namespace and comes back with publishes under way */
    HOSTILE_HALF,    /* half a frame, then nothing, or the end */
    HOSTILE_DEAF,    /* reads nothing */
    HOSTILE_KINDS
};

struct hostile {
    struct client_world *world;
    uint32_t kinds; /* a bit for each */
    int number;
    struct sim_end *end;
    uint16_t port;
    struct timer again, act;
    enum { HOSTILE_AWAY, HOSTILE_DIALLING, HOSTILE_OPEN } state;
    bool over, deaf, inside, spoiled; /* inside: `/` was asked for on this connection; spoiled: half a frame was sent */
    struct ws_stream stream;
    char pids[2][SID_TEXT], sids[2][SID_TEXT]; /* of `/` and of `/evil` */
    uint64_t joined_us;                        /* when it asked for `/` on this connection, first */
    uint32_t ack_next;
    uint64_t sent;
};

void hostile_init(struct hostile *hostile, struct client_world *world, int number, uint32_t kinds);
/* Does nothing by itself any more, and goes. */
void hostile_finish(struct hostile *hostile);

#endif

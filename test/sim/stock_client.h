/* stock_client: the stock Socket.IO client as a model: what it keeps over a cut, what it sends, what it never forgets.
 *
 * It remembers its pid and, as its offset, the last string at the end of any event without an ack id. Publishes wait
 * for their acknowledgement and are sent again on every connect, under the same id, as the whiteboard does. It wants to
 * be in some rooms; joins that were not answered are asked for again. */
#ifndef SENNIT_SIM_STOCK_CLIENT_H
#define SENNIT_SIM_STOCK_CLIENT_H

#include "check.h"
#include "wire/ws.h"

struct client_world {
    struct sim *sim;
    struct check *check;
    /* The port of a random instance that lives, or 0. */
    uint16_t (*instance_pick)(void *arg);
    void *arg;
    bool replay_all, quiet; /* as in the plan */
    bool leases_follow;     /* nothing keeps an instance from telling a broker that lost data what it knows */
    bool resumes_may_fail;  /* logs are trimmed, or the broker loses data */
    int traced;             /* the number of a client that says what it does; -1: none */
};

enum client_state {
    CLIENT_AWAY,
    CLIENT_DIALLING,
    CLIENT_UPGRADING,
    CLIENT_OPENING,
    CLIENT_CONNECTING,
    CLIENT_CONNECTED
};
enum room_wish { WISH_OUT, WISH_JOINING, WISH_IN, WISH_LEAVING };

struct stock_client {
    struct client_world *world;
    int number;
    struct witness witness;
    struct sim_end *end;
    struct timer again, silence, act;
    uint8_t state;
    bool quiet;                    /* publishes no more */
    bool doubtful;                 /* the broker has lost what it knew of this client's rooms */
    uint64_t sure_us;              /* by then its instance has told the broker again; 0: not known to be back itself */
    char epoch[CHECK_EPOCH_BYTES]; /* of the last event */
    bool left_once;                /* its last session was ended by its own 41: it will not be recovered */
    struct buf head, offset;
    struct ws_decoder decoder;
    char pid[CHECK_SID_MAX];
    uint64_t patience_us;
    uint8_t wishes[CHECK_ROOMS];
    uint32_t ack_next;
    struct {
        uint32_t ack; /* of this connection; 0: not sent on it */
        uint32_t message;
        bool others;
    } * waiting;
    size_t waiting_count, waiting_cap;
    uint32_t room_acks[CHECK_ROOMS];
    uint64_t rooms_us; /* when it last entered or left one */
    uint64_t connected_at_us;
};

void stock_client_init(struct stock_client *client, struct client_world *world, int number);
void stock_client_finish(struct stock_client *client);
/* The broker has come back with what it knew at `snapshot_us`: this client asks for its rooms again when it is back. */
void stock_client_broker_lost(struct stock_client *client, uint64_t snapshot_us);
/* Publishes no more, stays connected. */
void stock_client_quiet(struct stock_client *client);

#endif

/* raw_client: a page that knows no protocol: a WebSocket to /raw/wN, messages in and out, and nothing else. It comes
 * back after each end, sometimes in another room, and leaves by itself now and then. */
#ifndef SENNIT_SIM_RAW_CLIENT_H
#define SENNIT_SIM_RAW_CLIENT_H

#include "raw_check.h"
#include "stock_client.h"

struct raw_client {
    struct client_world *world;
    struct raw_check *check;
    struct raw_member member;
    struct sim_end *end; /* NULL: it is away */
    struct ws_stream stream;
    struct timer again, act, silence, deadline;
    uint16_t port;
    uint64_t dialled_us;
    bool quiet;
};

void raw_client_init(struct raw_client *client, struct client_world *world, struct raw_check *check, int number);
/* It leaves no more by itself, and goes on sending. */
void raw_client_quiet(struct raw_client *client);
/* It is connected, long enough to be in its room. */
bool raw_client_is_settled(const struct raw_client *client);
/* Closes its connection, and ends. */
void raw_client_finish(struct raw_client *client);

#endif

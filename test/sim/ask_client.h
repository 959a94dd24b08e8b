/* ask_client: a client that asks others, and is asked (`ack: receiver`), on every way that stock clients take.
 *
 * It keeps its pid over a cut, so its socket goes on. It answers mostly at once, some questions late, also on its next
 * connection, some twice, some with bytes, some never. Half of the clients begin their ids anew on each connection, as
 * python-socketio does; the others go on counting, as socket.io-client does. */
#ifndef SENNIT_SIM_ASK_CLIENT_H
#define SENNIT_SIM_ASK_CLIENT_H

#include "ask_check.h"
#include "visitor.h"

enum { ASKS_WAITING_MAX = 16 };

struct ask_waiting {
    uint32_t ack, number; /* number 0: none */
};

struct ask_client {
    struct visitor visitor;
    struct ask_check *check;
    struct ask_member member;
    struct ask_client *others; /* all of them */
    int count;
    bool restarts;
    char before[SID_TEXT]; /* the socket that it had before this one */
    uint32_t ack_next;
    struct ask_waiting waiting[ASKS_WAITING_MAX];
    uint64_t late_ack; /* of a question that is answered late; late_number 0: none */
    uint32_t late_number;
    struct buf text; /* the arguments of an answer whose bytes are still to come; empty: of none */
    uint64_t text_ack;
};

void ask_client_init(struct ask_client *client, struct client_world *world, struct ask_check *check,
                     struct ask_client *all, int count, int number, enum engine_kind kind);
/* It is connected, and no question of its waits. The check: it must be by now. */
bool ask_client_is_settled(const struct ask_client *client);
void ask_client_check(struct ask_client *client);
void ask_client_finish(struct ask_client *client);

#endif

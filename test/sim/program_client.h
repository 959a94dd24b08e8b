/* program_client: a client of the program (program.h): in its namespace alone, on every way that stock clients take.
 *
 * It keeps its pid and offset over a cut, answers questions (mostly at once, some late, some twice, some
 * never), and leaves now and then. It stays away for a moment, or about as long as its socket may be away, or longer.
 */
#ifndef SENNIT_SIM_PROGRAM_CLIENT_H
#define SENNIT_SIM_PROGRAM_CLIENT_H

#include "program_check.h"
#include "visitor.h"

enum { PROGRAM_WAITING_MAX = 16 };

/* Of an acknowledgement that has not come. */
struct program_waiting {
    uint32_t ack; /* 0: none */
    uint32_t number;
    bool at_once; /* the handler acknowledges before it returns */
};

struct program_client {
    struct visitor visitor;
    struct program_check *check;
    char name[24];
    bool is_refused;
    char sid[SID_TEXT];
    struct buf offset;
    uint32_t ack_next, number_next;
    struct program_waiting waiting[PROGRAM_WAITING_MAX];
    uint64_t late_ack; /* of a question that is answered late; 0: none */
    uint32_t late_number;
};

void program_client_init(struct program_client *client, struct client_world *world, struct program_check *check,
                         int number, enum engine_kind kind);
/* It is connected, and has every answer that its handlers gave at once. The check: it must be by now. */
bool program_client_is_settled(const struct program_client *client);
void program_client_check(struct program_client *client);
void program_client_finish(struct program_client *client);

#endif

/* survey_client: a client that is asked by surveys (survey_check.h), on every way that stock clients take.
 *
 * It keeps its pid over a cut, so its socket goes on, and enters its room again when it has a new one. It answers
 * mostly at once, some questions late, also on its next connection, some twice, some with bytes, some never. Now and
 * then it lets the program ask all the others. */
#ifndef SENNIT_SIM_SURVEY_CLIENT_H
#define SENNIT_SIM_SURVEY_CLIENT_H

#include "survey_check.h"
#include "visitor.h"

struct survey_client {
    struct visitor visitor;
    struct survey_check *check;
    struct survey_member member;
    bool was_moved;     /* its session was on a WebSocket when that was looked at last */
    uint32_t enter_ack; /* of its request to enter the room; 0: none is under way */
    uint64_t late_ack;  /* of a question that is answered late; late_number 0: none */
    uint32_t late_number;
};

void survey_client_init(struct survey_client *client, struct client_world *world, struct survey_check *check,
                        int number, enum engine_kind kind);
/* To be called now and then: tells the check when its session has gone to a WebSocket, or has ended without its
 * knowledge. */
void survey_client_look(struct survey_client *client);
/* It is connected, and in its room. The check: it must be by now. */
bool survey_client_is_settled(const struct survey_client *client);
void survey_client_check(struct survey_client *client);
void survey_client_finish(struct survey_client *client);

#endif

/* api_caller: a backend that asks instances by their HTTP API, now and then, until it is told to be quiet: it
 * publishes, and it gives directives to sockets: to enter the room of directives, to leave it, or to end. Each request
 * goes to a random instance, once. So a directive whose answer is lost was obeyed or was not; the broker knows. */
#ifndef SENNIT_SIM_API_CALLER_H
#define SENNIT_SIM_API_CALLER_H

#include "poll_line.h"
#include "stock_client.h"

struct api_caller {
    struct client_world *world;
    struct witness witness;
    struct poll_line line;
    struct timer act;
    uint64_t asked;   /* the tag of the request under way; 0: none */
    uint32_t message; /* of that */
    uint64_t refused; /* how many were not answered with 200 */
    struct {
        uint64_t directives, published;
    } counts;
};

void api_caller_init(struct api_caller *caller, struct client_world *world);
/* Nothing is under way any more, and nothing begins. */
void api_caller_finish(struct api_caller *caller);

#endif

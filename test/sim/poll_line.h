/* poll_line: a client's HTTP requests in the simulator. Each goes to the instance that its owner names, on a connection
 * of its own or on one that an earlier request to that instance has left. A request outlives the session for which it
 * was made, as in a browser: then nobody reads its answer. */
#ifndef SENNIT_SIM_POLL_LINE_H
#define SENNIT_SIM_POLL_LINE_H

#include "base/list.h"
#include "sim.h"

/* The answer to the request with this tag is whole; or, status 0, there will be none. */
typedef void poll_line_done_fn(void *owner, uint64_t tag, int status, struct span body);

struct poll_line {
    struct sim *sim;
    poll_line_done_fn *done;
    void *owner;
    bool keeps;          /* connections carry more than one request */
    uint64_t timeout_us; /* an ingress cuts a request that is older; 0: none does */
    uint64_t tags;
    struct list conns;
};

void poll_line_init(struct poll_line *line, struct sim *sim, poll_line_done_fn *done, void *owner);
/* Closes every connection; `done` is not called. */
void poll_line_finish(struct poll_line *line);

/* Sends a whole request; its tag, > 0. */
uint64_t poll_line_ask(struct poll_line *line, uint16_t port, struct span request);
/* The client has stopped waiting for this request: its connection ends, `done` is not called. Harmless for an unknown
 * tag. */
void poll_line_drop(struct poll_line *line, uint64_t tag, bool reset);
/* Reads no answer while it is held. */
void poll_line_hold(struct poll_line *line, bool held);

#endif

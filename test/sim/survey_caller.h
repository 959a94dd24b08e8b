/* survey_caller: a backend that asks many clients by the HTTP API (survey_check.h), each time through a random
 * instance. */
#ifndef SENNIT_SIM_SURVEY_CALLER_H
#define SENNIT_SIM_SURVEY_CALLER_H

#include "poll_line.h"
#include "stock_client.h"
#include "survey_check.h"

enum { SURVEY_CALLS_MAX = 8 };

struct survey_caller {
    struct client_world *world; /* NULL: there is none */
    struct survey_check *check;
    struct poll_line line;
    struct timer act;
    bool quiet;
    struct {
        uint64_t tag; /* 0: none */
        uint32_t number;
    } calls[SURVEY_CALLS_MAX];
};

void survey_caller_init(struct survey_caller *caller, struct client_world *world, struct survey_check *check);
/* Asks nothing more; what it has asked goes on. */
void survey_caller_quiet(struct survey_caller *caller);
/* Nothing is under way. */
bool survey_caller_is_settled(const struct survey_caller *caller);
void survey_caller_finish(struct survey_caller *caller);

#endif

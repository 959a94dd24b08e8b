/* survey_program: a small application on sennit.h that asks all clients of /survey (survey_check.h), or some of them,
 * by a timer, and when a client says so. It runs on each instance of a fleet with surveys. */
#ifndef SENNIT_SIM_SURVEY_PROGRAM_H
#define SENNIT_SIM_SURVEY_PROGRAM_H

#include <sennit.h>

#include "survey_check.h"

struct survey_program {
    struct sim *sim;
    struct survey_check *check;
    int instance;
    sennit_nsp *nsp;
    struct list asked; /* struct survey_asked */
    bool is_gone;      /* the process was killed: whatever is called now is not called in truth */
    bool is_quiet;     /* does nothing by itself any more */
};

/* Sets handlers and timers on a server that was opened just now. `program` outlives the server. */
void survey_program_start(struct survey_program *program, struct sim *sim, struct survey_check *check, int instance,
                          sennit_server *server);
/* Behind the end of its server: each survey has ended. Accepts zeroed memory. */
void survey_program_finish(struct survey_program *program);

/* Whom a survey is for, at random. */
void survey_target_pick(struct survey_check *check, struct survey_target *target);
uint64_t survey_timeout_pick(struct survey_check *check);
/* The name of a room. */
const char *survey_room(int room);

#endif

/* tape: everything that a fleet sent to Redis and received from it, in order, so that a real Redis can be asked the
 * same. */
#ifndef SENNIT_SIM_TAPE_H
#define SENNIT_SIM_TAPE_H

#include "base/buf.h"

enum tape_kind {
    TAPE_RAN,     /* a command of a client: its arguments, and behind them the reply */
    TAPE_HEARD,   /* a client was told, by the command that ran next: channel and message */
    TAPE_EXPIRED, /* a key was over when the command that ran next looked for it */
    TAPE_LEFT,    /* a client is gone */
    TAPE_SCRIPTS, /* all scripts are forgotten */
};

struct tape_event {
    enum tape_kind kind;
    uint64_t client;
    int64_t clock_us;
    size_t count; /* texts */
    struct span *texts;
};

struct tape {
    struct tape_event *events;
    size_t count, cap;
};

void tape_finish(struct tape *tape); /* accepts zeroed */
void tape_ran(struct tape *tape, uint64_t client, int64_t clock_us, const struct span *args, size_t count,
              struct span reply);
void tape_heard(struct tape *tape, uint64_t client, struct span channel, struct span message);
void tape_expired(struct tape *tape, struct span key);
void tape_left(struct tape *tape, uint64_t client);
void tape_scripts_forgotten(struct tape *tape);

#endif

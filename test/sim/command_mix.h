/* command_mix: random Redis commands from a seed: likely ones, unlikely ones, and some that are wrong. */
#ifndef SENNIT_SIM_COMMAND_MIX_H
#define SENNIT_SIM_COMMAND_MIX_H

#include "base/buf.h"

enum { COMMAND_ARGS_MAX = 96 };

struct command {
    struct span args[COMMAND_ARGS_MAX];
    size_t count;
    bool waits; /* a key was given a few milliseconds: to be compared again once they are over */
    struct buf bytes;
};

struct command_mix {
    uint64_t random[2];
    uint64_t ids; /* stream ids rise, mostly */
    char only;    /* commands that begin so, on one key; 0: all */
};

void command_mix_init(struct command_mix *mix, uint64_t seed);
uint64_t command_mix_below(struct command_mix *mix, uint64_t below);
/* Makes the next one; the last one's arguments are gone. */
void command_mix_next(struct command_mix *mix, struct command *command);
void command_begin(struct command *command);
void command_add(struct command *command, struct span arg);
/* Each of the words between single spaces. */
void command_add_words(struct command *command, const char *words);
/* Printf's rules. */
void command_addf(struct command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
void command_finish(struct command *command);

#endif

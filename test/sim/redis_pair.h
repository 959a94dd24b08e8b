/* redis_pair: a real Redis and a fake one, given the same bytes, compared byte by byte. */
#ifndef SENNIT_SIM_REDIS_PAIR_H
#define SENNIT_SIM_REDIS_PAIR_H

#include "command_mix.h"
#include "fake_redis.h"
#include "real_redis.h"

struct rivals {
    struct real_redis real;
    struct fake_redis *fake;
    bool words_compared; /* of errors; other versions word them in other ways, then their codes must do */
};

/* False when there is no redis-server here. */
bool rivals_open(struct rivals *rivals);
void rivals_close(struct rivals *rivals);

/* One connection to each. */
struct pair {
    struct rivals *rivals;
    int fd;
    struct fake_redis_client *client;
    struct buf real, fake; /* replies not compared yet */
};

/* Where a comparison stands, to be said when it fails. */
struct step {
    uint64_t seed;
    int number;
    const struct command *command; /* NULL: none in particular */
};

void pair_open(struct pair *pair, struct rivals *rivals);
void pair_close(struct pair *pair);
/* Gives the fake this machine's clock, which the real one has too. */
void pair_clock_sync(struct pair *pair);
/* Sends a command and takes its one reply. To the fake in pieces, where `mix` (may be NULL) cuts them. */
void pair_send_real(struct pair *pair, const struct span *args, size_t count);
void pair_send_fake(struct pair *pair, struct command_mix *mix, const struct span *args, size_t count);
/* Compares what both have replied, and forgets it. Ends the test when it differs. */
void pair_compare(struct pair *pair, const struct step *step);
/* The command to both, and their replies compared. */
void pair_run(struct pair *pair, struct command_mix *mix, const struct step *step);
/* The same for words. */
void pair_run_words(struct pair *pair, const char *const *words, size_t count);
#define PAIR_RUN(pair, ...) \
    pair_run_words((pair), (const char *const[]){__VA_ARGS__}, \
                   sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
/* A subscriber's: compares all that has come so far. */
void pair_hear(struct pair *pair, const struct step *step);

#endif

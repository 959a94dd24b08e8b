/* check_story: a small world for the tests of the checker: two clients, a broker that accepts the entries of the test,
 * and the events that the test shows to clients, one by one. */
#ifndef SENNIT_SIM_CHECK_STORY_H
#define SENNIT_SIM_CHECK_STORY_H

#include "check.h"

enum { STORY_CLIENTS = 2 };

struct story {
    struct sim *sim;
    struct check check;
    struct witness witnesses[STORY_CLIENTS];
    uint64_t seq, last[ROOMS + 1]; /* of the newest entry; of each log */
    uint64_t oldest;               /* entries below it are gone from every log */
};

extern struct story story;

/* Client 0 is connected and in rooms 0 and 1 since the beginning, client 1 likewise; cmocka's rules. */
int story_set_up(void **state);
int story_tear_down(void **state);
/* As above, under these rules. */
void story_begin(const struct check_rules *rules);
void story_end(void);
void story_wait(uint64_t us);
/* The lease of a client, as it is written: all of the namespace, its own room, and room 1 from `start` on (joined at
 * `since`); `more`: further rooms. */
void story_lease(int client, uint64_t start, uint64_t since, const char *more);
/* A client comes (back), to be told that it was recovered, or not. */
void story_connect(int client, bool came_back, bool recovered);
/* Client 1 sends it to a room; its number. */
uint32_t story_send(int room);
/* The broker accepts it; its seq. */
uint64_t story_accept(uint32_t message, const char *audience);
/* Both. */
uint32_t story_say(int room);
/* Client 0 is shown a message with a token of this seq, of the epoch that lasts. */
void story_show(uint32_t message, uint64_t token_seq);
/* Asserts that the checker has objected, or that it has not. */
void story_fails(const char *words);
void story_is_well(void);

#endif

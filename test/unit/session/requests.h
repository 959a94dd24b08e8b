/* requests: requests of one polling session, as a test makes them. Each keeps its answer. */
#ifndef SENNIT_TEST_SESSION_REQUESTS_H
#define SENNIT_TEST_SESSION_REQUESTS_H

#include "fixture.h"
#include "session/polling.h"

enum { REQUESTS = 8 };

struct request {
    struct polling_exchange exchange;
    bool answered;
    enum polling_outcome outcome;
    struct buf payload;
};

extern struct request requests[REQUESTS];
extern uint32_t request_packets_max;         /* see struct polling_exchange */
extern char request_sid[ENGINEIO_SID_BYTES]; /* of the session */
/* Called behind each answer, unless NULL. */
extern void (*requests_answered)(void);

struct span own_sid(void);
/* Makes a request of this number, and forgets the one before; get and post hand it to the session. */
struct request *prepare(int number);
struct request *get(int number);
struct request *post(int number, const char *body);
/* Some request has not been answered. */
bool requests_are_under_way(void);
/* Frees the answers, at the end of a test. */
void requests_finish(void);

#endif

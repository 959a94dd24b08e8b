/* moved: a polling session that is on the broker between its requests. The broker's records are kept here, by a script
 * that also plays the other instances. Whenever no request is under way, this instance must have nothing of the
 * session: it may be frozen then. */
#ifndef SENNIT_TEST_SESSION_MOVED_H
#define SENNIT_TEST_SESSION_MOVED_H

#include "requests.h"

enum { RECORD_MAX = 8192, OTHERS = 999999 };

/* The record of the one session. */
struct record_kept {
    bool exists, moved, probing, deaf; /* deaf: passes are answered as if the link broke */
    uint64_t holder;                   /* a ticket; 0: nobody; OTHERS: another instance */
    enum record_want kind;             /* of the holder's request */
    char text[RECORD_MAX];
    size_t len;
    uint64_t life_ms;
    int opened, asked, passed, ended;
};
extern struct record_kept record;
extern uint64_t away_ms; /* since the session was passed, as the broker says */

/* Waits for the answer, behind which this instance has nothing of the session. */
void await(struct request *request);
/* Another client, on a WebSocket. */
struct browser *walk_in(void);
/* A POST that is accepted. */
void post_now(const char *body);
/* The payload that answers this GET. */
struct span payload(struct request *request);
/* How often `part` is in it. */
size_t times(struct span text, const char *part);
/* Begins the session; join also connects it to "/". */
void begin(void);
void join(void);

int moves_set_up(void **state);
int moves_tear_down(void **state);

#endif

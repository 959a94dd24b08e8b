/* records: the broker's records of polling sessions, kept by the test: a script that also plays the other instances. */
#ifndef SENNIT_TEST_SESSION_RECORDS_H
#define SENNIT_TEST_SESSION_RECORDS_H

#include "requests.h"

enum { RECORD_MAX = 65536, LEASES = 4, OTHERS = 999999 };

/* The record of the one session. */
struct record {
    bool exists, moved, probing, deaf; /* deaf: passes are answered as if the link broke */
    bool slow;                         /* who asks for it waits for record_answer_late */
    uint64_t holder;                   /* a ticket; 0: nobody; OTHERS: another instance */
    enum record_want kind;             /* what for */
    char text[RECORD_MAX];
    size_t len;
    struct {
        char pid[64];
        uint64_t generation;
    } leases[LEASES];
    size_t lease_count;
    const struct record_kept *kept; /* that came meanwhile */
    size_t kept_count;
    uint64_t kept_lost;
    uint64_t life_ms, pong_us; /* pong_us: 0: none */
    bool awaits_pong;
    uint64_t away_ms; /* since the session was passed, as the broker says */
    int opened, asked, passed, ended, disowned, ponged;
};
extern struct record record;

/* Answers the call that waits for this. */
void record_answer_late(void);
/* Waits for the answer; no request is under way then, or the session is held here for one that is. */
void await(struct request *request);
/* Another client, on a WebSocket. */
struct browser *walk_in(void);
void post_now(const char *body);
struct span payload(struct request *request);
size_t times(struct span text, const char *part);
/* Begins the session; and joins "/". */
void begin(void);
void join(void);
/* The answer to a claim that the test made for a record. */
void record_claimed(void *arg, enum broker_result result, const struct broker_lease *lease, bool position_ok);
int moves_set_up(void **state);
int moves_tear_down(void **state);

#endif

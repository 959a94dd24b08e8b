/* ask_check: compares the answers that clients of `ack: receiver` get with docs/asks.md.
 *
 * Each question has a number, which its receiver sends back. So an answer belongs to one question, on the connection on
 * which it was asked; it comes once; its receiver has given it; and a question reaches its receiver once at most. What
 * ends a question without an answer is true: its time is over, or its receiver's connection has ended. */
#ifndef SENNIT_SIM_ASK_CHECK_H
#define SENNIT_SIM_ASK_CHECK_H

#include "check.h"

enum { ASK_MEMBERS_MAX = 40, ASK_TIMEOUT_MS = 3000, ASK_NOBODY = -1 };

/* A client as the check sees it. */
struct ask_member {
    char name[24];
    int number;
    char sid[SID_TEXT];  /* of its socket, now or last */
    bool connected;      /* and nothing is known to be wrong */
    uint64_t changed_us; /* when that changed last, or its socket did */
};

struct ask {
    int asker, receiver;                     /* numbers; ASK_NOBODY: no client has this socket now */
    char sid[SID_TEXT];                      /* that is asked */
    uint64_t asked_us, heard_us, replied_us; /* 0: not yet */
    bool over;
};

struct ask_check {
    struct check *check; /* gets the failures */
    const struct ask_member *members[ASK_MEMBERS_MAX];
    int count;
    bool calm; /* nothing goes wrong but that connections end */
    uint64_t slack_us;
    struct ask *asks; /* by number, from 1 on */
    uint32_t ask_count, ask_cap;
    struct {
        uint64_t asked, heard, answered, late, gone, refused;
    } counts;
};

void ask_check_init(struct ask_check *asks, struct check *check, bool calm, uint64_t slack_us);
void ask_check_finish(struct ask_check *asks);
void ask_check_add(struct ask_check *asks, struct ask_member *member, int number);

/* A client is about to ask this socket; the question's number. */
uint32_t ask_check_asked(struct ask_check *asks, const struct ask_member *asker, const char *sid);
/* Its connection has ended: it hears no more of the question. */
void ask_check_given_up(struct ask_check *asks, uint32_t number);
/* A question came; it is answered. */
void ask_check_heard(struct ask_check *asks, const struct ask_member *member, uint64_t number, struct span sid);
void ask_check_replied(struct ask_check *asks, uint32_t number);
/* The answer to the question of this number: the number in it, or the reason why there is none. */
void ask_check_answered(struct ask_check *asks, uint32_t number, uint64_t value);
void ask_check_failed(struct ask_check *asks, uint32_t number, struct span reason);

#endif

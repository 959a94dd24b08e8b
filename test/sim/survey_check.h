/* survey_check: compares what programs and backends are told that ask many clients (sennit_ask_all, POST /api/v1/ask)
 * with docs/sennit.h.md and docs/api.md.
 *
 * Each survey has a number, which its clients send back with the id of their socket. So an answer belongs to one survey
 * and one socket, its client has given it, and its bytes are those that the client sent; a client is asked once at
 * most, and only if it may be among those who were meant. The two lists are sorted and have each socket once. A client
 * that was there all the while is in one of them, unless the asker is told that something is missing; it is in the
 * right one; and the end comes once, in time, and not before it must. */
#ifndef SENNIT_SIM_SURVEY_CHECK_H
#define SENNIT_SIM_SURVEY_CHECK_H

#include "check.h"

enum { SURVEY_MEMBERS_MAX = 40, SURVEY_INSTANCES_MAX = 16, SURVEY_ROOMS = 2, SURVEY_NOWHERE = -1 };

/* A client as the check sees it. */
struct survey_member {
    char name[24];
    int number, room;    /* room: the one that it enters, 0 or 1 */
    char sid[SID_TEXT];  /* of its socket, now or last */
    bool connected;      /* and nothing is known to be wrong */
    int instance;        /* to which its WebSocket goes; SURVEY_NOWHERE: it polls */
    uint64_t changed_us; /* when that changed last, or its socket did, or the way that its session takes */
    uint64_t entered_us; /* when its socket was told that it is in the room; 0: not yet */
};

/* Who is asked. */
struct survey_target {
    uint8_t rooms, excepts;    /* a bit for each; no rooms: all */
    char sid[SID_TEXT];        /* this socket alone; empty: all */
    char except_sid[SID_TEXT]; /* not this one; empty: nobody */
};

struct surveyed;

struct survey_check {
    struct check *check; /* gets the failures */
    struct survey_member *members[SURVEY_MEMBERS_MAX];
    int count;
    bool calm; /* nothing goes wrong but that connections end */
    uint64_t slack_us;
    struct surveyed **surveys; /* by number, from 1 on */
    uint32_t survey_count, survey_cap, judged;
    struct {
        char sid[SID_TEXT];
        int member;
    } * sockets; /* all that ever were */
    size_t socket_count, socket_cap;
    uint64_t trouble_us[SURVEY_INSTANCES_MAX]; /* until when something may be wrong with an instance */
    struct {
        uint64_t asked, heard, answers, missing, incomplete, failed, judged;
    } counts;
};

void survey_check_init(struct survey_check *surveys, struct check *check, bool calm, uint64_t slack_us);
void survey_check_finish(struct survey_check *surveys);
void survey_check_add(struct survey_check *surveys, struct survey_member *member, int number);

/* The member's connection is there or not, or goes another way. `sid`: of its socket; empty: as before. */
void survey_check_changed(struct survey_check *surveys, struct survey_member *member, bool connected, struct span sid);

/* A survey is about to be sent, by a program of this instance, or by a backend through it. Its number. */
uint32_t survey_check_asked(struct survey_check *surveys, const struct survey_target *target, uint64_t timeout_ms,
                            int instance);
/* A client gets the question; it is about to answer it. False: the client has another socket by now. */
void survey_check_heard(struct survey_check *surveys, const struct survey_member *member, uint64_t number);
bool survey_check_replied(struct survey_check *surveys, const struct survey_member *member, uint32_t number);
/* Whether an answer to this survey comes with bytes, the digits of this number, from this member. */
bool survey_has_bytes(uint32_t number, int member);

/* The end of a survey: first a call for each socket in the order of the lists, then one for the end. `bytes`: NULL data
 * where there are none. */
struct survey_answer {
    uint64_t number;
    struct span sid, bytes;
};
void survey_check_answer(struct survey_check *surveys, uint32_t number, struct span sid,
                         const struct survey_answer *answer);
void survey_check_missing(struct survey_check *surveys, uint32_t number, struct span sid);
void survey_check_over(struct survey_check *surveys, uint32_t number, bool complete);
/* There is no answer, since the asker's instance ends or its connection did. */
void survey_check_failed(struct survey_check *surveys, uint32_t number);
bool survey_is_over(const struct survey_check *surveys, uint32_t number);

/* Something is wrong with this instance for so long; -1: with all. */
void survey_check_trouble(struct survey_check *surveys, int instance, uint64_t lasts_us);
/* Surveys that ended a while ago are judged. All: those that must have ended have. */
void survey_check_due(struct survey_check *surveys, bool all);

#endif

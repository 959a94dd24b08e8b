/* survey: an event that asks many sockets for an answer. Each instance asks its own that a question selects (inquiry.h,
 * INQUIRY_ANSWERS), gathers what they answer, and tells it once: when all have answered or have gone for good, or when
 * the time is over.
 *
 * All clients get the question under its number. A socket may be on another instance by the time it answers; that one
 * does not know the question, and passes the answer on by mail to all. The instance that has asked the socket takes it.
 *
 * The event has no place in the order of other events, is not logged, and carries no token (as asking.h says). */
#ifndef SENNIT_SESSION_SURVEY_H
#define SENNIT_SESSION_SURVEY_H

#include "session/inquiry.h"

enum {
    SURVEYS_MAX = 64,                   /* under way, of one instance: asked by it, and answered by it */
    SURVEY_ANSWER_BYTES_MAX = 64 << 10, /* of one socket; all of an instance: INQUIRY_ANSWER_BYTES */
};
/* Numbers of surveys are ids for clients: ids of other questions to them lie below (session/asking.c, embed/ask.c) or
 * far above (the bridge). Not every client reads more than 31 bits. */
static const uint64_t survey_number_min = UINT64_C(1) << 30, survey_number_end = UINT64_C(1) << 31;

struct surveys;
/* The answer of this instance, as inquiry_find writes it: each socket with its answer and the number 1, or with nothing
 * and 0. Its total is the number of its items, and one more for each socket that was not asked or whose answer was too
 * large. `from` and `number` are those of survey_begin. May be called within it. */
typedef void survey_told_fn(void *arg, struct span from, uint64_t number, struct span text);

/* Attaches itself to the sessions. */
struct surveys *surveys_create(struct sessions *sessions, survey_told_fn *told, void *arg);
/* Forgets what is under way. Accepts NULL. */
void surveys_destroy(struct surveys *surveys);
/* Asks the sockets of this instance that the question selects. */
void survey_begin(struct surveys *surveys, struct span from, uint64_t number, const struct inquiry_question *question);
/* Another instance passes an answer on: what follows the word `late` in its mail. */
void survey_late(struct surveys *surveys, struct span message);

/* A client answers what was asked under this id. One that cannot be a survey's is ignored. */
void survey_answered(struct subscriber *subscriber, struct span id, const struct content *content);
/* The subscriber ends; it may come back if it has moved or was cut off. */
void survey_left(struct subscriber *subscriber, bool may_return);

#endif

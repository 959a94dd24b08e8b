/* survey: an event that asks many sockets for an answer. Each instance asks its own that a question selects (inquiry.h,
 * INQUIRY_ANSWERS), gathers what they answer, and tells it once: when all have answered or have gone for good, or when
 * the time is over. An answer is a body (content.h), with its attachments.
 *
 * All clients get the question under its number. A socket may be on another instance by the time it answers; that one
 * does not know the question, and passes the answer on by mail to all. The instance that has asked the socket takes it.
 *
 * A polling session that moves is on no instance between two requests. Those that the broker lists are asked by the
 * instance that began: it publishes one unlogged event to the room, which names their sockets (asking_entry.h). An
 * instance that has such a session gets it at once, and otherwise the broker keeps it until the next poll. Its answer
 * goes by mail to the instance that began. No other instance asks a socket that was named there, so none is asked
 * twice.
 *
 * The event has no place in the order of other events, is not logged, and carries no token (as asking.h says). */
#ifndef SENNIT_SESSION_SURVEY_H
#define SENNIT_SESSION_SURVEY_H

#include "session/content.h"
#include "session/inquiry.h"

enum {
    SURVEYS_MAX = 128, /* under way, of one instance: asked by it, and answered by it */
    SURVEY_ANSWER_BYTES_MAX =
        64 << 10, /* of one socket, attachments included; all of an instance: INQUIRY_ANSWER_BYTES */
};
/* Numbers of surveys are ids for clients: ids of other questions to them lie below (session/asking.c, embed/ask.c) or
 * far above (the bridge). Not every client reads more than 31 bits. */
static const uint64_t survey_number_min = UINT64_C(1) << 30, survey_number_end = UINT64_C(1) << 31;

struct surveys;
/* The answer of this instance, as inquiry_find writes it: each socket with its answer and the number 1, or with nothing
 * and 0. Its total is the number of its items, and one more for each socket that was not asked or whose answer was too
 * large. `from` and `number` are those of survey_begin. May be called within it. `polls`: it is of the sockets that
 * poll. */
typedef void survey_told_fn(void *arg, struct span from, uint64_t number, bool polls, struct span text);

/* Attaches itself to the sessions. */
struct surveys *surveys_create(struct sessions *sessions, survey_told_fn *told, void *arg);
/* Forgets what is under way. Accepts NULL. */
void surveys_destroy(struct surveys *surveys);
/* Asks the sockets of this instance that the question selects. */
void survey_begin(struct surveys *surveys, struct span from, uint64_t number, const struct inquiry_question *question);
/* Asks the sockets of polling sessions with these sids, which rise; the question selects them, too. `left` more are not
 * asked. What they answer is told with an empty `from`. */
void survey_begin_polls(struct surveys *surveys, uint64_t number, const struct inquiry_question *question,
                        const struct span *sids, size_t count, size_t left);
/* Another instance passes an answer on: what follows the word `late` in its mail. */
void survey_late(struct surveys *surveys, struct span message);

/* A client answers what was asked under this id. One that cannot be a survey's is ignored. */
void survey_answered(struct subscriber *subscriber, struct span id, const struct content *content);
/* This client was asked for a survey of another instance, and will not answer. */
void survey_unanswered(struct subscriber *subscriber, struct span id);
/* Reads an answer (an item of INQUIRY_ANSWERS). False: there is none, or it is damaged: another instance has written
 * it, or another program that writes on the broker. */
bool survey_answer_read(struct span body, struct content *content);
/* The subscriber ends; it may come back if it has moved or was cut off. */
void survey_left(struct subscriber *subscriber, bool may_return);

#endif

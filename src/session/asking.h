/* asking: events that ask the client for an answer: Socket.IO's acknowledgements from the server's side. One socket
 * asks another one, on any instance; the answer goes back to the first, as the acknowledgement of its event.
 *
 *     A --421["ask",...]--> instance 1 ==question==> instance 2 --429301["ask",...]--> B
 *     A <--431["yes"]------ instance 1 <==answer==== instance 2 <--439301["yes"]------ B
 *
 * Each socket has two tables: the questions that it has asked (instance 1 has A's), and those that its client has been
 * asked and has not answered yet (instance 2 has B's). Every question that was taken is answered once: by its receiver;
 * by a failure, when the receiver's connection ends, or the answer exceeds a bound; or by a failure when its time is
 * over. A later answer is ignored. Both tables move with a session that moves (parcel.h).
 *
 * A program's answer to an event, given later, takes the same way if its client polls: the event counts as a question
 * of its client, which the program has taken.
 *
 * A question is delivered at most once and carries no token: the stock client takes no offset from an event that asks
 * for an answer, and would find the token among the handler's arguments. */
#ifndef SENNIT_SESSION_ASKING_H
#define SENNIT_SESSION_ASKING_H

#include "session/subscriber.h"

/* Asks the one socket `emit->to_sid` for an answer to the event `emit->content`, on behalf of a subscriber whose client
 * awaits it under the id `emit->ack_id` (not empty), for `timeout_ms`, 1 to ASKING_MS_MAX. Of `emit` nothing else is
 * read. */
void asking_ask(struct subscriber *subscriber, const struct subscriber_emit *emit, uint32_t timeout_ms);
/* An entry for this subscriber (asking_is_entry): its client is asked, or gets an answer. */
void asking_deliver(struct subscriber *subscriber, struct span body);
/* The client has answered the question with this id. False: it is not known, or it was a survey's (survey_answered). */
bool asking_answered(struct subscriber *subscriber, struct span id, const struct content *content);
/* Its answer exceeds a bound, for which this refusal stands. An id that is not known is ignored. */
void asking_answer_refused(struct subscriber *subscriber, struct span id, enum refusal refusal);
/* The program will answer an event of this subscriber's client later: perhaps when the session has moved. Returns the
 * id under which it does (it lasts as long as the promise); none, if the session does not move, or too much is awaited.
 * If no answer comes for ASKING_MS_MAX, the client is told so. */
struct span asking_promise(struct subscriber *subscriber, struct span ack_id);
/* The answer, where the subscriber is (connected); NULL withdraws the promise. False: it is over. */
bool asking_keep(struct subscriber *subscriber, struct span id, const struct content *content);
/* The answer, from an instance that the subscriber has left. False: too much waits for the broker. */
bool asking_keep_elsewhere(struct sessions *sessions, const struct nsp *nsp, struct span sid, struct span id,
                           const struct content *content);
/* The subscriber ends; unless it is `parked`, those who asked its client are told: a survey only if it cannot come
 * back. */
void asking_end(struct subscriber *subscriber, bool parked, bool may_return);

/* Appends both tables, for another instance; nothing when both are empty and no id was given out. */
void asking_park(const struct subscriber *subscriber, struct buf *to);
/* Goes on with what another instance has parked `away_ms` ago. What it cannot read, it forgets. */
void asking_restore(struct subscriber *subscriber, struct span parked, uint64_t away_ms);

#endif

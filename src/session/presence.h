/* presence: sends subscribers the members of their rooms, across the fleet, in the event `presence`:
 *
 *     {"room":"lobby","members":[{"id":"<sid>","data":...}],"count":2}        to a subscriber that entered, resumed, or
 *                                                                             may have missed a change
 *     {"room":"lobby","entered":[{"id":"<sid>","data":...}],"count":3}        to the others
 *     {"room":"lobby","left":[{"id":"<sid>","data":...}],"count":2}           to the others
 *
 * `room` is null for the namespace itself. The first form lists PRESENCE_LISTED members at most; `more` says that there
 * are others, and `count` is right all the same. These events are not logged: a subscriber that may have missed one
 * gets the whole list again. Subscribers of one room that need the list at the same time share one request to the
 * broker. */
#ifndef SENNIT_SESSION_PRESENCE_H
#define SENNIT_SESSION_PRESENCE_H

#include "session/subscriber.h"

enum { PRESENCE_LISTED = 100 };

void presence_init(struct sessions *sessions);
void presence_finish(struct sessions *sessions);

/* Registers the subscriber with the broker in all of its rooms that have presence and where it is not registered yet.
 */
void presence_enter(struct subscriber *subscriber);
/* The link to the broker is new: registers all subscribers again. */
void presence_enter_again(struct sessions *sessions);
/* Leaves one room; or all rooms, for good or (`may_return`) because the connection was cut. */
void presence_leave(struct subscriber *subscriber, struct membership *membership);
void presence_leave_all(struct subscriber *subscriber, bool may_return);
/* News that the broker kept for a client whose session was nowhere: it is told in its place among the events. */
void presence_keep(struct subscriber *subscriber, const struct record_kept *kept);
/* The client has the lists of all rooms that it is in, and is told what changed since, although its session has just
 * come here: a polling client would get them with every poll, and poll again at once. */
void presence_known(struct subscriber *subscriber);
/* The member is settled: sends the lists that are due. */
void presence_settled(struct subscriber *subscriber);
/* The broker reports a change. */
void presence_changed(struct sessions *sessions, struct span room, const struct broker_present *who, bool entered,
                      uint64_t count);
/* Answers with `{"members":[...],"count":n,"cursor":"..."}` (cursor null: the last page). */
void presence_who(struct subscriber *subscriber, struct span room, uint64_t cursor, uint32_t limit, struct span ack_id);

#endif

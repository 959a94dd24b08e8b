/* presence: tells sockets who is in their rooms, over the fleet, by the event `presence`:
 *
 *     {"room":"lobby","members":[{"id":"<sid>","data":...}],"count":2}        to whoever entered, resumed, or missed
 * some
 *     {"room":"lobby","entered":[{"id":"<sid>","data":...}],"count":3}        to the others
 *     {"room":"lobby","left":[{"id":"<sid>","data":...}],"count":2}
 *
 * `room` is null for the namespace itself. The first form lists PRESENCE_LISTED at most (`count` is right all the same;
 * `more` says that there are more). They are not logged: whoever may have missed one is told everything again. Sockets
 * of one room that need the list at the same time share one question to the broker. */
#ifndef SENNIT_SESSION_PRESENCE_H
#define SENNIT_SESSION_PRESENCE_H

#include "session/socket.h"

enum { PRESENCE_LISTED = 100 };

void presence_init(struct sessions *sessions);
void presence_finish(struct sessions *sessions);

/* The socket is in these rooms for the broker, too: enters all of its rooms that have presence and in which it is not
 * yet. */
void presence_enter(struct socket *socket);
/* The link to the broker is new: everybody enters again. */
void presence_enter_again(struct sessions *sessions);
/* Leaves one room; or all of them, for good or because the connection was cut. */
void presence_leave(struct socket *socket, struct membership *membership);
void presence_leave_all(struct socket *socket, bool may_return);
/* The member is settled: whoever is due gets the list. */
void presence_settled(struct socket *socket);
/* From the broker. */
void presence_changed(struct sessions *sessions, struct span room, const struct broker_present *who, bool entered,
                      uint64_t count);
/* Acknowledges with `{"members":[...],"count":n,"cursor":"..."}` (cursor null: that was all). */
void presence_who(struct socket *socket, struct span room, uint64_t cursor, uint32_t limit, struct span ack_id);

#endif

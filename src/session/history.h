/* history: lets a client read a room's log, a page at a time. The acknowledgement is
 *
 *     {"entries":[{"at":"<position>","time":<ms since 1970>,"args":["event",...]}],"more":true,"gap":false}
 *
 * Entries come oldest first. `at` is a position for a next request, `before` or `after` it. `more`: there are more
 * entries in that direction. `gap`: entries behind the given position are no longer in the log. Entries whose audience
 * does not include the subscriber are left out. */
#ifndef SENNIT_SESSION_HISTORY_H
#define SENNIT_SESSION_HISTORY_H

#include "session/subscriber.h"

enum { HISTORY_LIMIT_DEFAULT = 50 };

struct history_range {
    struct span after, before; /* positions, at most one of them; empty: the newest */
    uint32_t limit;            /* 1 to BROKER_READ_LIMIT_MAX */
};

/* The subscriber must be in the room (empty: the namespace). A foreign position is refused, and
 * so is a client that the rules do not let read it. */
void history_read(struct subscriber *subscriber, struct span room, const struct history_range *range,
                  struct span ack_id);

#endif

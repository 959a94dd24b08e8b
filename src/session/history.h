/* history: a room's log, read by a client a page at a time. Acknowledged with
 *
 *     {"entries":[{"at":"<position>","time":<ms since 1970>,"args":["event",...]}],"more":true,"gap":false}
 *
 * rising. `at` is a position to go on from, before or after it. `more`: there is more in that direction. `gap`: behind
 * the given position something is no longer in the log. Entries that were for other rooms only are left out. */
#ifndef SENNIT_SESSION_HISTORY_H
#define SENNIT_SESSION_HISTORY_H

#include "session/socket.h"

enum { HISTORY_LIMIT_DEFAULT = 50 };

struct history_range {
    struct span after, before; /* positions, at most one of them; empty: the newest */
    uint32_t limit;            /* 1 to BROKER_READ_LIMIT_MAX */
};

/* The socket is in the room (empty: the namespace). A position that is not ours is acknowledged with
 * `{"error":"..."}`. */
void history_read(struct socket *socket, struct span room, const struct history_range *range, struct span ack_id);

#endif

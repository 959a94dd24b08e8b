/* times: when each session's next ping, its pong and its end are due. For session.c, which acts on them.
 *
 * Memory of an idle client counts, so a session has no timer. All pings are due the same interval after the last pong,
 * and all pongs the same time after their ping. So sessions stand in two lists, RESTING and ASKED: who is heard goes to
 * the end of one, who is asked to the end of the other, and the first in each is the first that is due. A session whose
 * heartbeat is due at another time (it came from another instance, say) or never is in the third list, APART. Together
 * the three are all sessions of the instance (sessions_each). Few sessions have times of their own; those are in heaps.
 * One timer waits for the earliest of all. */
#ifndef SENNIT_SESSION_TIMES_H
#define SENNIT_SESSION_TIMES_H

#include "base/due_heap.h"
#include "base/list.h"
#include "loop/loop.h"

struct session;
struct sessions;

enum times_list { TIMES_RESTING, TIMES_ASKED, TIMES_APART, TIMES_LISTS };

struct times {
    struct list lists[TIMES_LISTS]; /* of sessions, the first due in front */
    struct due_heap apart;          /* heartbeats of sessions that are APART */
    struct due_heap deadlines;
    struct timer timer;
    uint64_t due_us; /* what the timer waits for; UINT64_MAX: nothing */
};

void times_init(struct sessions *sessions);
void times_finish(struct sessions *sessions); /* without sessions */
/* A new session is APART: nothing is due. */
void times_begin(struct session *session);
void times_end(struct session *session);

/* The next ping is due ping_interval_ms after session.pinged_us, which is now. */
void times_rest(struct session *session);
/* The pong is due ping_timeout_ms after session.pinged_us, which is now. */
void times_ask(struct session *session);
/* The next heartbeat is due at a time of its own; UINT64_MAX: never. */
void times_beat_at(struct session *session, uint64_t due_us);
/* UINT64_MAX: it has no deadline. */
void times_deadline_at(struct session *session, uint64_t due_us);

/* session.c: its time has come. It is APART, or has no deadline, until this says otherwise. */
void session_beat_due(struct session *session);
void session_deadline_due(struct session *session);

#endif

/* call: unanswered requests of clients: publishes, joins, leaves, questions, connects. Each is counted for its session
 * and for the instance. The count is tied to the struct call and ends with call_end, so it cannot leak.
 *
 * A session with too many calls under way is not read until half of them are done. So the calls of one client never
 * cost more than its share: at most `calls_max` calls and `call_bytes_max` bytes, and at most a quarter of the unused
 * part of the instance's `call_bytes_total_max`. Thus many greedy sessions leave room for the next one. (Choudhury and
 * Hahne, "Dynamic queue length thresholds", 1998.)
 *
 * What changes rooms for others (a room that is new here, somebody who comes or goes where the others are told of it,
 * a connect) is counted by a token bucket as well, and so is each LEASE_CHANGE_BYTES of a lease that is written, and
 * a compressed message that becomes very large (compression.h): beyond its rate the session is not read for a while.
 * Messages have such rates too, if the operator sets them: one for each session, and one for each address. */
#ifndef SENNIT_SESSION_CALL_H
#define SENNIT_SESSION_CALL_H

#include "session/session.h"

struct subscriber;

enum { CALL_ID_BYTES_MAX = 20 }; /* of the id that a client gives a request */

struct call {
    struct list of_load; /* among its session's calls; unlinked once the session is gone */
    struct list node;    /* for the call's owner */
    struct sessions *sessions;
    struct session *session;       /* NULL once gone */
    struct subscriber *subscriber; /* a reference; NULL for a connect */
    uint32_t cost;                 /* bytes */
    uint32_t room;                 /* number of the room that was joined; 0: none */
    uint32_t lease;                /* number of the lease write that records it; 0: none yet */
    bool more;                     /* the next call of the owner's list is of the same request, and is answered later */
    uint8_t id_len;
    char id[CALL_ID_BYTES_MAX]; /* of the answer */
};

/* The calls and answers of one session; it exists only while there are any. */
struct load {
    struct session *session;
    struct list calls;
    struct list questions; /* that wait for their turn, see question.h */
    struct list asker;     /* in the instance's list of sessions whose next question may go */
    struct list holder;    /* in the list of sessions whose queue holds an answer, the oldest first */
    struct list stalled;   /* in the list of sessions that are not read */
    uint32_t count, cost;
    uint32_t answer_bytes; /* of the answer that waits in its queue */
    uint64_t answered_us;
    bool asking; /* the broker is working on its question */
};

void loads_init(struct sessions *sessions);
void loads_finish(struct sessions *sessions);
/* Some sessions wait only for time to pass: reviews them again soon. */
void loads_look_later(struct sessions *sessions);

/* Begins a call in the caller's memory, and pauses reading the session if that is one too many. `bytes`: memory that
 * the call takes in this instance and the broker, without struct call. `socket` may be NULL; else it gets a reference.
 */
void call_begin(struct call *call, struct session *session, struct subscriber *subscriber, struct span ack_id,
                size_t bytes);
/* The same in new memory, which the caller frees after call_end. */
struct call *call_create(struct session *session, struct subscriber *subscriber, struct span ack_id, size_t bytes);
/* The id of the answer, for a call that was begun without one. */
void call_answers(struct call *call, struct span ack_id);
/* The call is answered, or never will be. The memory stays the owner's. */
void call_end(struct call *call);
static inline struct span call_id(const struct call *call)
{
    return span_of(call->id, call->id_len);
}

/* The load of a session; created if there is none. */
struct load *load_of(struct session *session);
/* An answer of `bytes` went into the session's queue. */
void load_answered(struct session *session, size_t bytes);
/* The session's queue is empty. */
void load_drained(struct session *session);
/* The session is gone. Its calls continue, without a receiver. */
void load_finish(struct session *session);
/* Frees the load if it is empty. */
void load_release(struct session *session);

/* A message, or another packet that the client was not asked for, has come: beyond the rate of its session, or of all
 * sessions of its address, the session is not read for a while. The message itself is taken. */
void session_message(struct session *session);
/* Rooms change for others by what this session does: so much. */
void session_change(struct session *session, size_t by);

#endif

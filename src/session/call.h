/* call: what clients have asked for and not been answered yet: publishes, joins, leaves, questions, connects. Each is
 * counted for its session and for the instance until the very object that stands for it goes, so no count can leak.
 *
 * A session that has too much under way is not read until half of it is done, so one client's calls never cost more
 * than its share: at most `calls_max` of them and `call_bytes_max` bytes, and at most a quarter of what the instance
 * has left of `call_bytes_total_max`. Many greedy sessions so leave room for the next one. (Choudhury and Hahne,
 * "Dynamic queue length thresholds", 1998.)
 *
 * What changes rooms for others (a room that is new here, somebody who comes or goes where the others are told of it,
 * a connect) is counted by a token bucket as well, and so is each LEASE_CHANGE_BYTES of a lease that is written: beyond
 * its rate the session is not read for a while. */
#ifndef SENNIT_SESSION_CALL_H
#define SENNIT_SESSION_CALL_H

#include "session/session.h"
#include "wire/socketio.h"

struct socket;

struct call {
    struct list of_load; /* among its session's; alone once that is gone */
    struct list node;    /* for whoever keeps it meanwhile */
    struct sessions *sessions;
    struct session *session; /* NULL once gone */
    struct socket *socket;   /* a reference; NULL for a connect */
    uint32_t cost;           /* bytes */
    uint32_t room;           /* number of the room that was joined; 0: none */
    uint32_t lease;          /* number of the lease write that knows of it; 0: none yet */
    uint8_t id_len;
    char id[SOCKETIO_ACK_DIGITS_MAX]; /* of the acknowledgement */
};

/* What one session has under way; it exists while that is something. */
struct load {
    struct session *session;
    struct list calls;
    struct list questions; /* those that wait for their turn, see question.h */
    struct list asker;     /* in the instance's list of sessions with one that may go */
    struct list holder;    /* in the list of those whose queue holds an answer, the oldest in front */
    struct list stalled;   /* in the list of those that are not read */
    uint32_t count, cost;
    uint32_t answer_bytes; /* of the answer that waits in its queue */
    uint64_t answered_us;
    bool asking; /* the broker has a question of it */
};

void loads_init(struct sessions *sessions);
void loads_finish(struct sessions *sessions);
/* Some wait for time to pass: they are looked at again soon. */
void loads_look_later(struct sessions *sessions);

/* Begins a call of a session, and pauses reading it when that is one too many. `bytes` is what the call makes this
 * instance and the broker hold, without the call itself. `socket` may be NULL. */
void call_begin(struct call *call, struct session *session, struct socket *socket, struct span ack_id, size_t bytes);
/* The same for one of its own. */
struct call *call_create(struct session *session, struct socket *socket, struct span ack_id, size_t bytes);
/* It is answered, or never will be. The memory is the owner's. */
void call_end(struct call *call);
static inline struct span call_id(const struct call *call)
{
    return span_of(call->id, call->id_len);
}

/* The load of a session; made when there is none. */
struct load *load_of(struct session *session);
/* An answer of so many bytes went into the session's queue. */
void load_answered(struct session *session, size_t bytes);
/* Its queue is empty. */
void load_drained(struct session *session);
/* The session is gone. What it has under way goes on, for nobody. */
void load_finish(struct session *session);
/* Frees the load if there is nothing any more. */
void load_release(struct session *session);

/* Rooms change for others by what this session does: so much. */
void session_change(struct session *session, size_t by);

#endif

/* question: what a client asks of the broker and gets answered at length: a page of a room's log, a page of those who
 * are in a room. One of a session is under way at a time, and QUESTIONS_MAX of an instance, the sessions in turn; the
 * next of a session goes when the last answer has left its queue. Answers that clients do not read are held up to
 * `answer_bytes_total_max`; then those who read nothing for longest are closed for those who wait. */
#ifndef SENNIT_SESSION_QUESTION_H
#define SENNIT_SESSION_QUESTION_H

#include "base/buf.h"
#include "session/call.h"

enum {
    QUESTIONS_MAX = 8,
    ANSWER_BYTES_MAX = 256 << 10, /* of one page; a single entry larger than it comes alone */
    ANSWER_STALL_MS = 2000,       /* unread for so long, an answer may cost its client the connection */
};

struct question {
    struct call call;
    /* Asks the broker: question_answered follows once, never before this returns. */
    void (*ask)(struct question *question);
    struct buf room; /* its name on the broker */
    bool back;       /* a page of a log: its range, see struct broker_range */
    uint8_t epoch_len;
    char epoch[BROKER_EPOCH_BYTES_MAX];
    uint64_t at; /* seq, or the cursor of a list of those present */
    uint32_t limit;
};

/* Queues a question of a connected socket, which the caller goes on to fill. */
struct question *question_create(struct socket *socket, struct span room, struct span ack_id);
/* It is filled. */
void question_put(struct question *question, void (*ask)(struct question *question));
/* The broker has answered; `args` is a JSON array for the acknowledgement, or empty for none. Frees the question. */
void question_answered(struct question *question, struct span args);
/* Whether anybody still waits for the answer. */
bool question_is_awaited(const struct question *question);

/* Asks what may be asked now: of one session; of all. */
void questions_ask_for(struct session *session);
void questions_ask(struct sessions *sessions);
/* The session is gone. */
void questions_drop(struct session *session);

#endif

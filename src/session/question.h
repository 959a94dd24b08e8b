/* question: a client's request with a long answer from the broker: a page of a room's log, or of its members. One
 * question of a session is under way at a time, and QUESTIONS_MAX of an instance; sessions take turns. The next
 * question of a session goes when the last answer has left its queue. Unread answers may take `answer_bytes_total_max`.
 * Beyond that, sessions that have read nothing for longest are closed in favour of those that wait. */
#ifndef SENNIT_SESSION_QUESTION_H
#define SENNIT_SESSION_QUESTION_H

#include "base/buf.h"
#include "session/call.h"

enum {
    QUESTIONS_MAX = 8,
    ANSWER_BYTES_MAX = 256 << 10, /* of one page; a single entry larger than it comes alone */
    ANSWER_STALL_MS = 2000,       /* after this time unread, an answer may cost its client the connection */
};

struct question {
    struct call call;
    /* Asks the broker: question_answered follows once, never before this returns. */
    void (*ask)(struct question *question);
    struct buf room; /* its name on the broker */
    bool back;       /* a page of a log: its range, see struct broker_range */
    uint8_t epoch_len;
    char epoch[BROKER_EPOCH_BYTES_MAX];
    uint64_t at; /* seq, or the cursor of a presence list */
    uint32_t limit;
};

/* A question of a connected subscriber, for the caller to fill. question_answered frees it. */
struct question *question_create(struct subscriber *subscriber, struct span room, struct span ack_id);
/* Queues the filled question. */
void question_put(struct question *question, void (*ask)(struct question *question));
/* The broker has answered; `content` is for the acknowledgement, without arguments for none. Frees the question. */
void question_answered(struct question *question, const struct content *content);
/* Whether the client still waits for the answer. */
bool question_is_awaited(const struct question *question);

/* Send the questions that may go now: of one session; of all. */
void questions_ask_for(struct session *session);
void questions_ask(struct sessions *sessions);
/* The session is gone. */
void questions_drop(struct session *session);

#endif

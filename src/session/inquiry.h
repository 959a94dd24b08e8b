/* inquiry: questions about the sockets of all instances. Each instance answers for its own (inquiry_find.c); the
 * answers come by mail (broker/mail.h) and are put together. `serve` asks for the HTTP API.
 *
 * A polling session that moves between instances is on none between two requests. So its sockets are in the answer of
 * no instance; the broker lists them (inquiry_polls.c), wherever the session is at the moment. */
#ifndef SENNIT_SESSION_INQUIRY_H
#define SENNIT_SESSION_INQUIRY_H

#include "session/subscriber.h"

enum inquiry_kind {
    INQUIRY_SOCKETS = 's', /* items: sid, JSON */
    INQUIRY_ROOMS = 'r',   /* items: room, number of its sockets */
    INQUIRY_COUNT = 'n',   /* the number of sockets alone */
    INQUIRY_ANSWERS = 'a', /* each socket is asked (survey.h). Items: sid, its answer, a body; empty: there is none */
};

enum {
    INQUIRY_QUESTIONS_MAX = 16,       /* under way, of one instance */
    INQUIRY_LIMIT_MAX = 1000,         /* items of an answer */
    INQUIRY_ROOMS_MAX = 32,           /* that a question may name, and as many exceptions */
    INQUIRY_INSTANCES_MAX = 1000,     /* whose answers are kept */
    INQUIRY_TIMEOUT_MS = 2000,        /* then what has come must do */
    INQUIRY_PATIENCE_MS = 50,         /* then an instance is awaited only if it owns leases (inquiry_owners.c) */
    INQUIRY_ANSWER_BYTES = 512 << 10, /* of one instance; beyond it, the rest is for another question */
    INQUIRY_SURVEYS_MAX = 64,         /* questions of the kind INQUIRY_ANSWERS, which do not count above */
    INQUIRY_SURVEY_MS_MAX = 300000,
    INQUIRY_EVENT_BYTES_MAX = 512 << 10,   /* of the event that asks */
    INQUIRY_SURVEYED_MAX = 10000,          /* sockets of such an answer, INQUIRY_LIMIT_MAX of an instance */
    INQUIRY_SURVEYED_BYTES_MAX = 16 << 20, /* of what all instances tell; what one tells beyond it is dropped */
};

struct inquiry_question {
    enum inquiry_kind kind;
    struct span nsp;
    const struct span *rooms; /* in one of them; none: all. Not for INQUIRY_ROOMS */
    size_t room_count;
    const struct span *excepts; /* and in none of these */
    size_t except_count;
    struct span sid;     /* this socket alone; empty: all */
    struct span after;   /* items behind this key; empty: from the first on */
    uint32_t limit;      /* 1 to INQUIRY_LIMIT_MAX */
    bool here;           /* of this instance alone */
    uint64_t timeout_ms; /* for INQUIRY_ANSWERS: 1 to INQUIRY_SURVEY_MS_MAX; then `limit` and `after` do not count */
    struct span body;    /* likewise: the event (content_encode), INQUIRY_EVENT_BYTES_MAX at most */
    struct span polls;   /* between instances: sids that are asked otherwise, as are all that poll (survey.h); NULL
                          * data: none are */
};

struct inquiry_item {
    struct span key, text;
    uint64_t number;
};

struct inquiry_found {
    const struct inquiry_item *items; /* by key, rising */
    size_t count;
    bool more; /* there are items behind the last one. Of INQUIRY_ANSWERS: a socket was not asked, or its answer dropped
                */
    uint64_t total;            /* for INQUIRY_COUNT */
    uint64_t living, answered; /* instances */
    bool incomplete;           /* one that lives and may have sockets has not answered, or the broker has not listed all
                                * that poll */
};
/* What `found` points to is borrowed until it returns. */
typedef void inquiry_found_fn(void *arg, const struct inquiry_found *found);

struct inquiries;
/* Answers the questions of other instances from now on. `sessions` is borrowed. */
struct inquiries *inquiries_create(struct sessions *sessions);
/* Answers what is under way with what has come, after the broker was destroyed. Accepts NULL. */
void inquiries_destroy(struct inquiries *inquiries);
/* Asks; `done` is called from the loop, once. False, without `done`: the most questions of this kind are under way. */
bool inquiry_ask(struct inquiries *inquiries, const struct inquiry_question *question, inquiry_found_fn *done,
                 void *arg);

/* For a bridge (outward.h): what the other servers say to the question with this number, together and as inquiry_find
 * writes it. Not `whole`: some have not answered, and the answer is incomplete. */
void inquiry_told(struct inquiries *inquiries, uint64_t number, struct span text, bool whole);

/* inquiry_polls.c: lists the sockets of sessions that move, for the question with this number. It may have ended when
 * the broker answers; `inquiries` must not, but when the broker is destroyed. */
void inquiry_polls_ask(struct inquiries *inquiries, struct sessions *sessions, const struct inquiry_question *question,
                       uint64_t number);
/* What was found, as inquiry_find writes it; NULL data: the broker did not say. */
void inquiry_polls_told(struct inquiries *inquiries, uint64_t number, struct span text);
/* The same of INQUIRY_ANSWERS: those to be asked, by their sids, and the number of those that are too many. Then all
 * others are asked. */
void inquiry_polls_ask_all(struct inquiries *inquiries, uint64_t number, const struct inquiry_question *question,
                           const struct span *sids, size_t count, size_t left);
/* Whether somebody still waits for it. */
bool inquiry_is_asked(const struct inquiries *inquiries, uint64_t number);

/* inquiry_owners.c: finds out which of the instances that live, but for the `count` ones that were heard, own leases of
 * sockets that are in no list of the broker's. Only those have sockets to answer for: one that has none may stand still
 * without a request, and would let everybody wait. */
void inquiry_owners_ask(struct inquiries *inquiries, struct sessions *sessions, uint64_t number,
                        const struct span *heard, size_t count);
/* What it has found; not called if the broker did not say. */
void inquiry_owners_told(struct inquiries *inquiries, uint64_t number, const struct span *instances, size_t count);

/* What an answer says of a socket; rooms are JSON, separated by commas. */
struct inquiry_shown {
    struct span sid, instance, address, data, handshake, auth, rooms; /* each but sid may be empty: not known */
    const char *transport;
    uint64_t session_ms;
};
/* What is kept of a client's handshake (not empty), with the payload of its CONNECT (empty: none is kept). */
void inquiry_handshake_encode(struct buf *to, struct span kept, struct span auth);
void inquiry_socket_encode(struct buf *to, const struct inquiry_shown *shown);
void inquiry_item_encode(struct buf *to, struct span key, struct span text, uint64_t number);

/* inquiry_find.c. Whether a question's namespace, rooms, exceptions and sid select this subscriber. */
bool inquiry_selects(struct subscriber *subscriber, const struct inquiry_question *question);
/* For inquiry.c: appends what this instance knows, as inquiry.c reads it. */
void inquiry_find(const struct sessions *sessions, const struct inquiry_question *question, struct buf *to);

#endif

/* check: decides whether every accepted message was delivered: none lost, none doubled, in one order for all.
 *
 * Pure: the run reports each publish, acceptance, join, receipt and resume, in the order in which the process saw them.
 * Per subscriber and room, only the messages that are missing or out of order take memory.
 *
 * A subscriber is owed every accepted message that is published in a room after its join was confirmed, except its own
 * (unless the server sends those back). When it comes back and is not recovered, the messages it has not been sent are
 * forgiven, and a new life begins. A message that was published before the join may come once. A message counts as
 * accepted when it is marked as acknowledged (messages.h) or when any subscriber has received it. */
#ifndef SENNIT_LOAD_CHECK_H
#define SENNIT_LOAD_CHECK_H

#include "load/messages.h"
#include "load/order.h"
#include "load/window.h"

/* Of one room, or of all of them. */
struct check_counts {
    uint64_t published, accepted;
    uint64_t expected;       /* deliveries that were owed, known when the check is finished */
    uint64_t lost;           /* of these, deliveries that did not come */
    uint64_t doubled;        /* came again to a subscriber that had it, in one life */
    uint64_t doubled_resent; /* of these, messages that were published again: the server did not know them */
    uint64_t reordered;      /* came in an order that contradicts what was seen before */
    uint64_t unexpected;     /* own messages that came back, messages of rooms that were not joined */
    uint64_t forgiven;       /* not delivered, in the gap before a reconnect that was not recovered */
    uint64_t early;          /* came, and were published before the join: replayed history */
};

struct check_totals {
    struct check_counts counts;
    uint64_t recovered, not_recovered; /* reconnects */
    uint64_t wrongly_recovered;        /* of the recovered ones: something in the gap was lost or doubled */
};

/* Two subscribers that saw two messages in opposite orders; the first such case. */
struct check_disagreement {
    bool found;
    uint32_t one, other;    /* `one` saw `first` before `second`, `other` the other way round */
    uint32_t first, second; /* messages */
};

/* The life of a subscriber in a room. */
struct check_membership {
    uint32_t room;
    uint32_t since;       /* numbers from here on are owed; MESSAGE_NONE: not joined */
    uint32_t last;        /* message received last in this life */
    struct window got;    /* counted from `since` */
    struct window before; /* numbers below `since` */
};

/* A reconnect. */
struct check_resume {
    uint32_t published; /* messages that had been published by then */
    bool recovered, wrong;
};

struct check_subscriber {
    struct check_membership *memberships; /* room for rooms_each, once there is any */
    uint32_t membership_count;
    struct check_resume *resumes;
    uint32_t resume_count;
};

struct check_room {
    struct check_counts counts;
    uint32_t *numbers; /* messages by number */
    uint32_t count, cap;
    struct order order;
};

/* A message that had not come when its subscriber's life ended. It is lost if the order shows that it stands before one
 * that had come. */
struct check_gap {
    uint32_t subscriber, message, last;
};

struct check {
    struct messages *messages; /* the owner's */
    bool echo;                 /* own messages come back */
    struct check_subscriber *subscribers;
    struct check_room *rooms;
    uint32_t subscriber_count, room_count, rooms_each;
    struct check_gap *gaps;
    uint32_t gap_count, gap_cap;
    struct check_disagreement disagreement;
};

/* `rooms_each`: how many rooms a subscriber joins at most. `messages` outlives the check and is filled through
 * check_publish only. */
struct check *check_create(struct messages *messages, uint32_t subscribers, uint32_t rooms, uint32_t rooms_each,
                           bool echo);
void check_destroy(struct check *check); /* accepts NULL */

/* Subscriber `publisher` publishes in `room`; returns the message. */
uint32_t check_publish(struct check *check, uint32_t publisher, uint32_t room, uint64_t sent_us);
/* It is about to join `room`: messages may come from now on. At most `rooms_each` rooms a subscriber. */
void check_enter(struct check *check, uint32_t subscriber, uint32_t room);
/* The join of `room`, which it was about to join, was confirmed: from now on messages must come. A second call is
 * harmless. */
void check_join(struct check *check, uint32_t subscriber, uint32_t room);
/* It received a message: one that was published. */
void check_receive(struct check *check, uint32_t subscriber, uint32_t message);
/* The subscriber has come back. Unless `recovered`, it is in no room and joins again. */
void check_resumed(struct check *check, uint32_t subscriber, bool recovered);

/* True while a message is missing that is owed to it, or will be owed once it is accepted. */
bool check_lacks(const struct check *check, uint32_t subscriber);

/* Judges the missing messages; called once, at the end. `away` marks subscribers that are gone at the end, whose
 * missing messages are not judged (NULL: none is). */
void check_finish(struct check *check, const bool *away, struct check_totals *totals);

#endif

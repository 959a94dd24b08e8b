/* raw_check: compares what clients of raw rooms are sent with docs/plain.md ("Raw"): each message goes to all others in
 * the room, as it came, text or binary, and the server sends nothing of its own.
 *
 * Each message says its number, from which its kind and its bytes follow. The watcher of Redis says when the broker was
 * given it. So a message is shown to others alone, of its room alone, as often as the broker had it at most, and in the
 * broker's order, which is the same for all. Nothing is logged: what must arrive is what was published while a client
 * was there, on an instance with which nothing was wrong. */
#ifndef SENNIT_SIM_RAW_CHECK_H
#define SENNIT_SIM_RAW_CHECK_H

#include "check.h"

enum { RAW_MEMBERS_MAX = 40, RAW_INSTANCES_MAX = 16, RAW_ROOMS = 4 };

/* A client as the check sees it. */
struct raw_member {
    char name[24];
    int number, room;
    uint64_t life; /* of its connection: 0: there is none, else counted over all clients */
    uint64_t open_us;
    int instance;
    uint64_t order;   /* of the message it was sent last, as the broker had it */
    struct bits seen; /* messages, on this connection */
};

struct raw_message {
    int room;
    uint64_t life;        /* of the sender's connection */
    uint32_t pushes;      /* by the broker */
    uint64_t first, last; /* of these, counted over all messages */
};

struct raw_check {
    struct check *check; /* gets the failures */
    struct raw_member *members[RAW_MEMBERS_MAX];
    int count;
    struct raw_message *messages;
    uint32_t message_count, message_cap;
    struct list dues;
    uint64_t lives, pushes, slack_us;
    uint64_t trouble_us[RAW_INSTANCES_MAX]; /* until when something may be wrong with an instance */
    struct {
        uint64_t sent, shown, owed;
    } counts;
};

void raw_check_init(struct raw_check *raw, struct check *check, uint64_t slack_us);
void raw_check_finish(struct raw_check *raw);
void raw_check_add(struct raw_check *raw, struct raw_member *member, int number);
void raw_member_finish(struct raw_member *member);

/* It is connected to this instance; its connection has ended. */
void raw_check_opened(struct raw_check *raw, struct raw_member *member, int instance);
void raw_check_closed(struct raw_check *raw, struct raw_member *member);
/* It is about to send a message: appends its bytes, and says whether they are binary. */
bool raw_check_sends(struct raw_check *raw, const struct raw_member *member, struct buf *to);
/* The broker was given an entry of a room of this name. */
void raw_check_pushed(struct raw_check *raw, struct span room, struct span body);
void raw_check_heard(struct raw_check *raw, struct raw_member *member, bool binary, struct span bytes);
/* Something is wrong with this instance for so long; -1: with all. */
void raw_check_trouble(struct raw_check *raw, int instance, uint64_t lasts_us);
/* What must have come by now has. */
void raw_check_due(struct raw_check *raw);

#endif

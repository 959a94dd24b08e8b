/* check: what really happened, against what each client was shown.
 *
 * The truth is what the broker pushed the moment it accepted it, seen by an observer with no network in between. A
 * client owes every room one thing: the next event it shows is the next entry of the room's truth that is meant for it.
 * That one rule finds what is lost, doubled, reordered, and whatever was wrongly called recovered, at once and not at
 * the end. */
#ifndef SENNIT_SIM_CHECK_H
#define SENNIT_SIM_CHECK_H

#include "base/span.h"
#include "sim.h"

enum { CHECK_ROOMS = 9, CHECK_SID_MAX = 24, CHECK_EPOCHS_MAX = 256, CHECK_EPOCH_BYTES = 20 };

/* An entry of a room's truth. */
struct truth {
    uint32_t message;
    uint16_t epoch;
    bool lost; /* by a broker that came back without it */
    char except[CHECK_SID_MAX];
    uint64_t time_us;
};

struct truth_room {
    struct truth *entries;
    size_t count, cap;
    size_t kept; /* of a snapshot of the broker's data */
};

/* One published message. */
struct message {
    uint8_t room;
    bool acked;
    uint8_t entries; /* in the truth and not lost */
    bool was_lost;
};

struct check {
    struct sim *sim;
    struct truth_room rooms[CHECK_ROOMS];
    struct message *messages;
    size_t message_count, message_cap;
    char epochs[CHECK_EPOCHS_MAX][CHECK_EPOCH_BYTES];
    uint16_t epoch_count;
    char *failure;   /* the first one; NULL: none */
    uint64_t digest; /* of what was accepted and shown so far */
    struct {
        uint64_t accepted, lost_by_broker, shown, shown_late, resumed, fresh, refused_resumes;
    } counts;
};

/* What one client is owed in one room. */
struct owed {
    bool member;       /* it wants to be, or may still be, in the room */
    bool begun;        /* an entry was shown, or the start is known: `next` holds */
    bool gap;          /* it may have been out of the room and in again: what comes next need not be the next */
    size_t next;       /* index of the first entry not shown yet */
    uint64_t left_us;  /* it left, and was told so then: what was accepted before may still come, in order; 0: never */
    uint64_t floor_us; /* not begun: nothing accepted from this moment on may be skipped; UINT64_MAX: not known yet */
};

/* A client as the check sees it. */
struct witness {
    char name[16], sid[CHECK_SID_MAX];
    struct owed rooms[CHECK_ROOMS];
    bool tainted; /* was shown what the broker lost: must be told so */
};

void check_init(struct check *check, struct sim *sim);
void check_finish(struct check *check);
/* Says what is wrong, once; printf's rules. */
void check_fail(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

uint32_t check_message_create(struct check *check, int room);
void check_accepted(struct check *check, int room, uint32_t message, struct span epoch, struct span except);
/* The broker's data is copied; it comes back without what was accepted since. */
void check_snapshot(struct check *check);
void check_restored(struct check *check);

/* The client's publish was acknowledged. */
void check_acked(struct check *check, const struct witness *witness, uint32_t message);
/* An event was shown to it, with a token of this epoch. */
void check_shown(struct check *check, struct witness *witness, int room, uint32_t message, struct span epoch);
/* It is connected anew (not recovered): nothing from before counts. `all`: a new member is replayed everything. */
void check_fresh(struct check *check, struct witness *witness, struct span sid, bool all);
/* It asks to enter a room; the answer came; it has left. */
void check_joining(struct check *check, struct witness *witness, int room, bool all);
void check_joined(struct check *check, struct witness *witness, int room);
void check_left(struct check *check, struct witness *witness, int room);
/* It is recovered, and whether it was in this room all the while is not known: it had asked to leave and heard no
 * answer, or (`anew`: then it may be told again what it knows) the broker lost what it knew of its rooms. */
void check_doubt(struct witness *witness, int room, bool anew);
/* Everything it is owed so far was shown to it. */
bool check_is_settled(const struct check *check, const struct witness *witness);
/* Nothing is under way any more: fails unless it is settled. */
void check_settled(struct check *check, const struct witness *witness);

#endif

/* truth: the messages as their senders meant them, and those that the broker accepted, log by log.
 *
 * An entry is recorded the moment it is accepted, with no network in between. Its audience follows from the sender's
 * request, not from the push; the push is compared with it. */
#ifndef SENNIT_SIM_TRUTH_H
#define SENNIT_SIM_TRUTH_H

#include "base/span.h"

struct check;
struct lease;

enum {
    ROOMS = 9,       /* 0 is the namespace itself; each has a log, what is for several rooms lies in the first */
    LOG_OWN = ROOMS, /* of one socket alone */
    SID_TEXT = 24,
    EPOCHS_MAX = 256,
    EPOCH_TEXT = 20,
    EVERYBODY = 1,             /* in a mask of rooms: all of the namespace */
    ROOM_DIRECTED = ROOMS - 1, /* where directives are given: sockets enter and leave it by directives alone */
};

/* A message as it is sent. */
struct message {
    uint16_t rooms;            /* a bit for each room; for members of at least one of them; 0: for one socket */
    uint16_t excepts;          /* not for members of these rooms */
    char to_sid[SID_TEXT];     /* the socket */
    char except_sid[SID_TEXT]; /* nor this one; empty: nobody */
    bool others;               /* nor the sender */
    int sender;                /* the client's number */
    bool logged;
    char directive; /* it is one, of this letter (session/directive.h); 0: it is an event */
    uint32_t bytes; /* that were added to make it long */
    bool unnamed;   /* it counts as often as it was sent, at most */
    bool refused;   /* it is to be refused, and counts never */
    uint32_t sends; /* of those two */
    /* Its fate at the broker. */
    bool acked;
    uint8_t entries;              /* in the truth and not lost; not logged: how often it was pushed */
    bool was_lost;                /* by a broker that came back without it */
    uint64_t sent_us;             /* first */
    uint64_t pushed_us;           /* last; 0: never */
    size_t before;                /* not logged: how many entries of its log were accepted before it */
    char pushed_except[SID_TEXT]; /* not logged: see struct truth */
};

/* An entry of a log. */
struct truth {
    uint32_t message;
    uint16_t epoch;
    bool lost;
    uint16_t swallowed; /* instances to which its push was not sent, a bit for each */
    uint16_t unnoticed; /* of those, whose link broke before anything had shown it */
    uint64_t seq;
    uint64_t time_us, time_ms; /* ours, and as it was pushed */
    char except[SID_TEXT];     /* of the sender, when it is for others */
};

/* Its push was not sent to this instance; below 0: to none. */
static inline bool truth_is_swallowed(const struct truth *entry, int instance)
{
    return instance >= 0 && (entry->swallowed & 1 << instance) != 0;
}

/* This instance has missed it and does not know; below 0: none. */
static inline bool truth_is_unnoticed(const struct truth *entry, int instance)
{
    return instance >= 0 && (entry->unnoticed & 1 << instance) != 0;
}

struct truth_log {
    struct truth *entries;
    size_t count, cap;
    size_t kept; /* of a snapshot of the broker's data */
    bool begins; /* all of its keys are gone: the next entry follows what is lost, or none */
    size_t gone; /* as many entries were in it when they went, last */
};

/* A directive that the broker accepted. */
struct truth_directive {
    uint32_t message;
    int log;
    uint64_t seq;
};

/* An epoch of the partition, and where it ended. */
struct truth_epoch {
    char name[EPOCH_TEXT];
    bool ended;
    bool forgotten; /* the broker came back from before it began */
    uint64_t end;
};

struct truths {
    struct truth_log logs[ROOMS];
    struct message *messages;
    size_t message_count, message_cap;
    struct truth_directive *directives; /* by seq */
    size_t directive_count, directive_cap;
    struct truth_epoch epochs[EPOCHS_MAX];
    uint16_t epoch_count, epochs_kept;
    uint16_t epoch, epoch_kept; /* the one that lasts */
    uint64_t seq, seq_kept;     /* of the newest entry of all */
    bool unlisted;              /* the broker's list of rooms has vanished, once at least */
    uint64_t restored_us;       /* when the broker came back with less than it had, last */
    /* The seq of the oldest entry that is left in a log, UINT64_MAX when there is none. */
    uint64_t (*oldest)(void *arg, struct span room);
    void *arg;
};

void truths_finish(struct check *check);

/* Somebody is about to send it. Returns its number. */
uint32_t check_message_create(struct check *check, const struct message *message);
/* An entry was pushed: to a room, or to the owner of a socket. */
struct pushed {
    int log;
    struct span sid; /* of the socket, for LOG_OWN */
    struct span epoch, audience;
    uint64_t seq, prev, time_ms; /* seq 0: not logged */
    uint32_t message;
    char directive;         /* 0: it is an event */
    struct span room, body; /* as the broker has them */
};
void check_pushed(struct check *check, const struct pushed *pushed);
/* An entry of a room that is not looked at. */
void check_pushed_elsewhere(struct check *check, uint64_t seq);
/* Such a room is named like this. */
bool truth_is_elsewhere(struct span name);
/* One that was pushed just now is not sent to this instance. Returns its index in its log. */
size_t check_swallowed(struct check *check, const struct pushed *pushed, int instance);
/* A link between this instance and the broker has ended, or is made anew. What it was not sent lately counts as read
 * there if other rooms went on: nobody knows. (No link that stands loses a single push, so this is no promise.) */
void check_link_lost(struct check *check, int instance);
/* An instance's link came up, with this epoch and counter. */
void check_opened(struct check *check, struct span epoch, uint64_t seq);
/* The broker's data is copied; it comes back without what was accepted since, which ends the epoch. */
void check_snapshot(struct check *check);
void check_restored(struct check *check);

/* A key of a room has vanished; now its log is there or not, and so is what is kept beside it. */
void check_room_vanished(struct check *check, struct span room, bool log_gone, bool meta_gone);
/* The list of rooms has vanished: the broker cannot tell any more that a room without keys had some. */
void check_rooms_vanished(struct check *check);

/* The log of a room, or of the holder of a lease. */
struct truth_log *truth_log_of(struct check *check, struct lease *lease, int log);
/* The number of an epoch; -1: there never was one of this name. */
int truth_epoch_find(const struct check *check, struct span name);
/* Index of the first entry that was not lost and lies above `seq`. */
size_t truth_above(const struct truth_log *log, uint64_t seq);
/* The broker's name of a log: "/", "/,room3", "@/,<sid>"; in a buffer that the next call uses again. */
struct span truth_log_name(int log, const char *sid);
/* The other way; -1: neither. `sid` is set for LOG_OWN. */
int truth_log_number(struct span name, struct span *sid);

#endif

/* leases: the leases as the broker has them: which stretches of which logs belong to a client, and how far each was
 * shown to it.
 *
 * Nothing is sent to a socket from the moment its rooms change until its lease says so. So the lease at the moment of a
 * delivery decides exactly what is owed to the client. The client's token, read with this lease, must mean exactly the
 * entries that it has been shown: then a cut at that moment neither loses nor doubles anything. */
#ifndef SENNIT_SIM_LEASES_H
#define SENNIT_SIM_LEASES_H

#include "base/map.h"
#include "hub/token.h"
#include "truth.h"

/* A stretch of a log. */
struct stay {
    int log;
    bool gone;                             /* it never began, or the broker has lost it */
    bool begun;                            /* something of it was shown */
    bool merged;                           /* found in the lease that is being read */
    uint64_t start, since, end, joined_at; /* as in the lease; end UINT64_MAX: open */
    uint64_t opened_us, closed_us;         /* when the lease said so; 0: it is open */
    size_t next;    /* index of the first entry of its log that was neither shown nor is known to be none of its own */
    size_t behind;  /* index behind the last one that was shown */
    uint64_t shown; /* the seq of that one */
    uint64_t order; /* of the last one that was shown for this room, whatever log it lies in */
};

/* An entry that the client will never be shown, which is a known limit. */
struct excuse {
    int log;
    size_t index;
};

struct lease {
    struct map_node by_pid, by_sid;
    char pid[SID_TEXT], sid[SID_TEXT];
    int client;              /* whose it is; -1: not known yet */
    struct witness *witness; /* NULL likewise */
    uint32_t number;         /* counted */
    uint64_t born_us;
    bool alive;          /* not released for good: its own room has an owner */
    bool outdated;       /* the broker came back with an older one, or with none, and nobody has written it since */
    uint64_t written_us; /* last */
    uint64_t renewed_us; /* until then it was */
    bool vanished;       /* likewise, because its key has vanished */
    bool ownerless;      /* nor does it know who owns its own room */
    uint64_t directed;   /* it says that directives up to this seq were obeyed */
    bool held;           /* its client is connected and has it */
    uint64_t away_us;    /* since when it is not, 0: it is */
    uint64_t back_us, absent_us; /* when it came back last, and after how long */
    uint64_t missed_us;          /* its instance was killed: from then on it may be missed */
    struct stay *stays;
    size_t stay_count, stay_cap;
    struct excuse *excuses;
    size_t excuse_count;
    struct truth_log own;
};

struct leases {
    struct map by_pid, by_sid;
    uint32_t count;
};

void leases_init(struct check *check);
void leases_finish(struct check *check);
struct lease *lease_by_pid(const struct check *check, struct span pid);
struct lease *lease_by_sid(const struct check *check, struct span sid);
/* The lease's rooms, written or claimed, as the product spells them. */
void check_lease_written(struct check *check, struct span pid, struct span sid, struct span rooms);
void check_lease_claimed(struct check *check, struct span pid, struct span rooms);
/* The broker has lost it, or the key that says who owns its own room, until it is written again. */
void check_lease_vanished(struct check *check, struct span pid);
void check_owner_vanished(struct check *check, struct span room);
/* All of a log's keys have vanished. A lease that was written before there was anything in it cannot tell: what was
 * there is not owed to its client. */
void lease_log_vanished(struct check *check, struct lease *lease, int log);
/* Nobody may claim it any more. */
void check_lease_ended(struct check *check, struct span pid);

/* The stretch of a room it is in, NULL: it is not. */
struct stay *lease_open_stay(const struct lease *lease, int log);
/* An entry of this stretch's log is for it, as it stood at its seq. Of what is replayed to who enters a room again, the
 * rooms it was in before may be forgotten. */
enum meant { MEANT_NOT, MEANT_MAYBE, MEANT_SURELY };
enum meant lease_meant(const struct check *check, const struct lease *lease, const struct stay *stay,
                       const struct truth *entry);
/* It was in one of these rooms (1 and above) at this seq, as its lease says. `open`: and is still. */
bool lease_was_in_one(const struct lease *lease, uint16_t rooms, uint64_t seq, bool open);
/* The entry at this index, of the stretch's log, must be shown to its client. */
bool stay_owes(struct check *check, struct lease *lease, const struct stay *stay, size_t index);
/* Index of the first one that was not shown and is below `to`; SIZE_MAX: none. */
size_t stay_missing(struct check *check, struct lease *lease, const struct stay *stay, size_t to);
/* How far a client with this token came in the stretch. */
uint64_t stay_position(const struct lease *lease, const struct stay *stay, const struct token *token);
/* Up to there it counts as sent: what was not pushed to its instance, and nothing has shown yet, will never be. (No
 * link that stands loses a single push, so this is no promise.) */
void stay_excuse(struct check *check, struct lease *lease, const struct stay *stay, uint64_t position);
/* The broker has come back with an older state of it, or none. */
void lease_restored(struct check *check, struct lease *lease);

#endif

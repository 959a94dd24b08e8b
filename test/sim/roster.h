/* roster: compares the members of rooms, as each client knows them from `presence` events, with the true ones.
 *
 * A client takes the list that it is sent and what is announced behind it. Nobody is announced who is there already, or
 * gone already; nobody is missing whose connection was cut for a moment only; and when nothing has changed for a while,
 * every client's roster is the truth. */
#ifndef SENNIT_SIM_ROSTER_H
#define SENNIT_SIM_ROSTER_H

#include "check.h"

enum {
    ROSTER_QUIET_S = 6, /* after so long without a change, all know the same */
    /* Likewise where connections go silent: their instances notice by a ping that is not answered (4 s), wait for the
     * Close to be answered (2 s), and then it may be a cut (4 s). */
    ROSTER_SILENT_S = 12,
    ROSTER_CUT_S = 3,        /* a client that is back within this time was never away */
    ROSTER_GONE_MS = 3500,   /* after the last heartbeat of an instance, those on it may be missed */
    ROSTER_MISSED_MS = 5500, /* and must be */
};

/* One client's, of one room. */
struct roster {
    bool known;           /* the list has come */
    bool more;            /* but not all of it */
    uint64_t size, count; /* listed here; as told last */
    struct bits there;    /* leases, by their numbers */
};

struct rosters {
    struct check *check;
    struct witness *const *witnesses; /* of each client */
    int count;
    bool jumps;         /* Redis' clock does: who is there may be taken for gone until its instance notices */
    uint64_t absent_us; /* when Redis refused commands, or an instance had stood still, last; 0: never */
    uint64_t quiet_us;  /* one of these two */
    bool strict;        /* no feed ever breaks: announcements come without gaps and doubles */
    struct roster *of;  /* ROOMS for each client */
    uint64_t *left_us;  /* ROOMS for each client: when it asked to leave last */
    uint64_t changed_us[ROOMS];
    bool compared[ROOMS]; /* since then */
    uint64_t trouble_us;
    uint64_t announced, compared_count;
};

void rosters_init(struct rosters *rosters, struct check *check, struct witness *const *witnesses, int count);
void rosters_finish(struct rosters *rosters);
/* The client asked to leave. */
void roster_leaving(struct rosters *rosters, const struct witness *witness, int room);
/* The members of the room may have changed, or will. */
void roster_changed(struct rosters *rosters, int room);
/* Something broke that all may feel. */
void rosters_trouble(struct rosters *rosters);
/* The client's list of a room, or of all rooms (-1), is void: a new list comes. */
void roster_forget(struct rosters *rosters, const struct witness *witness, int room);
/* The argument of a `presence` event. */
void roster_told(struct rosters *rosters, const struct witness *witness, struct span presence);
/* An answer to `who`: adds those it lists to `there`, a bit for each lease; fails when one is no member. */
void roster_listed(struct rosters *rosters, const struct witness *witness, struct span members, uint64_t *there,
                   size_t words);
/* Every room that was quiet for long enough is compared, once. */
void rosters_compare(struct rosters *rosters);
/* The holder of this lease is in the room, as far as anybody can know. */
bool roster_truth(const struct lease *lease, int room);
/* Whoever was on an instance that died, and is not back, must be missed by now. `known`: its leases, by number. */
void rosters_missed(struct rosters *rosters, const uint64_t *known, size_t words, uint64_t died_us);

#endif

/* hub_parts: the structs of the hub, and the functions that its files call in each other. For src/hub/ only.
 *
 * Why the target is exact: a room's `last` follows the feed, and `subscribed` arrives in the feed's order. An entry
 * above the present `last` will still be pushed; an entry up to it is in the log. So reading (pos, last] and holding
 * the rest leaves no gap and no overlap. A room's held entries lie above its target. A room that joins the round late
 * has a higher target than others, so read and held entries are merged by seq. */
#ifndef SENNIT_HUB_HUB_PARTS_H
#define SENNIT_HUB_HUB_PARTS_H

#include "base/map.h"
#include "base/pool.h"
#include "hub/hub.h"
#include "hub/member.h"

enum {
    /* Entries held for a member that catches up, and their bytes. Beyond that they are dropped and read again. The last
     * one may be as large as a message. */
    HUB_HELD_MAX = 1024,
    HUB_HELD_BYTES_MAX = 1 << 20,
    HUB_PAGE_ENTRIES = 1000,             /* entries of one read */
    HUB_PAGES_BYTES_MAX = 16 << 20,      /* cache of recently read pages, for other members that need the same */
    HUB_PAGES_BYTES_ALIVE = 64 << 20,    /* with more in use, members whose clients do not read give their pages back */
    HUB_ROOM_LINGER_MS = 5000,           /* an empty room stays subscribed for this long */
    HUB_ROOMS_KEEP_MS = 6 * 3600 * 1000, /* each room is confirmed again this often; the broker keeps a room's meta 24 h
                                          * longer than that */
    HUB_PASTS_MAX = 64,                  /* of one member; beyond, the oldest is dropped: see member_marks.past_floor */
};

struct page;

/* How far a membership has come. From the moment its start is known (FOUND and above) its room's pushes are held for it
 * while the member catches up. */
enum membership_state {
    MEMBERSHIP_SEEKING,          /* joined; its start is not known */
    MEMBERSHIP_SEEKING_NOTED,    /* the same, and the lease records it: it was restored from there */
    MEMBERSHIP_SEEKING_STARTING, /* the same, and member_start was called since */
    MEMBERSHIP_FOUND,            /* its start is known, and the lease does not record it */
    MEMBERSHIP_NOTED,            /* the lease records it, or is being written: a resume relies on it */
    MEMBERSHIP_STARTING,         /* member_start was called since: it takes part from the next round on */
    MEMBERSHIP_ACTIVE,           /* it takes part in rounds and deliveries */
    MEMBERSHIP_STATES,
};

/* A member in a room. With an end: the entries that it is still owed of a room it left. Owned by the member.
 *
 * MEMBERSHIP_MOVES:
 *
 *     SEEKING --start known--> FOUND --member_note--> NOTED --member_start--> STARTING --round--> ACTIVE
 *     SEEKING --member_rejoin--> SEEKING_NOTED --start known--> NOTED
 *     SEEKING_NOTED --member_start, member_rewind--> SEEKING_STARTING --start known--> STARTING
 *     NOTED --member_rewind--> STARTING
 *
 * Leaving the room, or the end of the round that sent everything it was owed, destroys it in any state. A broken link
 * changes none of them. */
struct membership {
    struct member *member;
    struct room *room;
    struct membership *next;          /* of the member */
    const struct membership_log *log; /* written by membership_log; membership_no_log: it is as at position 0 */
    uint32_t index;                   /* in the room's dense array */
    uint8_t mode;                     /* enum start_mode, until its start is known */
    uint8_t state;                    /* enum membership_state */
    /* No states: each is true or false in any state in which entries are sent, and has no effect on the others. */
    bool late : 1;     /* this round replays entries below sent_seq */
    bool resumed : 1;  /* another instance has sent its client every entry up to member_marks.resumed_seq */
    bool missed : 1;   /* it may have missed an unlogged entry; see membership_take_missed */
    bool directed : 1; /* a directive made the member join it: its `since` is that seq from the beginning */
    bool holed : 1;    /* this round reads what was never pushed: a directive in it is not to be taken for an old one */
    uint8_t mark;      /* the owner's */
};

/* Where a membership stands in its room's log. Where nothing was logged before it began, and it is settled, all of
 * this is as at position 0: then it has none of its own. */
struct membership_log {
    struct stretch stretch;
    uint64_t pos;                   /* while not settled: entries up to it were sent */
    struct membership_round *round; /* NULL: nothing is to be read */
};
extern const struct membership_log membership_no_log;

/* How far a membership is to read, and from which page. From the moment its start is sought until the member is settled
 * with it. */
struct membership_round {
    struct membership *membership;
    struct list waiter; /* of a page, or of its end */
    struct page *page;
    uint64_t target; /* of the round, or of the wait for member_start: entries above it are held */
    uint64_t upto;   /* the hub's position when the target was fixed; the room has no entry between the two */
    uint32_t page_at;
};

/* Positions of a member that has a lease, or comes back to one; and what waits or is owed to it. */
struct member_marks {
    struct past *pasts;       /* linked by `next`, the first to be left in front */
    struct member_held *held; /* entries that wait while it catches up; NULL: none */
    uint64_t resumed_seq;     /* the position it resumed from */
    uint64_t join_seq;        /* tokens up to it must name the rooms joined since */
    uint64_t past_floor;      /* pasts up to this end were dropped: a client with a token below it cannot resume */
    uint64_t directed_seq;    /* directives up to it were carried out, and the lease may say so */
    uint64_t stale_seq;
    uint8_t past_count;
    char stale_version; /* 0: none. The client keeps a token of an earlier session until it gets one of this session. If
                         * it comes back with that very token, it has received nothing yet. So we never send it a token
                         * that is spelled alike. */
};

/* Entries held for a member that catches up. */
struct member_held {
    uint32_t bytes; /* of the entries held since the round began */
    uint16_t at;    /* entries before it were sent */
    uint16_t count, cap;
    uint16_t kept_count; /* the first so many come from member_keep */
    struct entry *entries[];
};

/* A room that was left: the client may not have received all of its entries yet. */
struct past {
    struct past *next; /* of the member */
    struct stretch stretch;
    uint64_t left_us;
    size_t room_len;
    char room[];
};

enum room_state { ROOM_SUBSCRIBING, ROOM_LIVE };

struct room {
    struct map_node node;
    struct hub *hub;
    char *name;
    uint32_t number; /* unique in this process */
    uint8_t state;
    uint64_t last; /* seq of the newest entry the feed has shown */
    struct membership **members;
    size_t member_count, member_cap;
    struct list pages;
    struct list empty; /* in the hub's list of rooms without members */
    uint64_t empty_since_us;
};

/* An event that may happen to every room at once must not fill the log: a line now and then says how often it happened.
 */
struct hub_told {
    uint64_t count;   /* since it was told last */
    uint64_t told_us; /* 0: never */
};

struct hub {
    struct loop *loop;
    struct broker *broker;
    const struct member_events *events; /* of all members */
    struct map rooms;
    size_t member_count;
    struct pool memberships, logs; /* of struct membership, and struct membership_log */
    struct list empty_rooms;
    struct list pages;       /* cached ones, oldest first */
    size_t page_bytes;       /* of the cached pages */
    size_t page_bytes_alive; /* of all pages in memory */
    struct list ended;       /* memberships with an end whose entries have all been sent */
    struct task bury;
    struct timer sweep, keep;
    uint32_t rooms_made;
    char epoch[BROKER_EPOCH_BYTES_MAX];
    uint8_t epoch_len;
    uint64_t position; /* every entry of this hub's rooms up to it has been handled */
    uint64_t kept;     /* the same of kept events, which have numbers of their own */
    const struct hub_owner *owner;
    void *owner_arg;
    struct hub_told holes_told, forgotten_told;
    struct hub_counters counters;
};

/* Its start is known. */
static inline bool membership_is_found(const struct membership *membership)
{
    return membership->state >= MEMBERSHIP_FOUND;
}

static inline bool membership_takes_part(const struct membership *membership)
{
    return membership->state == MEMBERSHIP_ACTIVE;
}

/* The room may have entries that were not sent: it reads up to there. */
static inline uint64_t membership_target(const struct membership *membership)
{
    return membership->log->round != NULL ? membership->log->round->target : 0;
}

static inline struct member_held *member_held(const struct member *member)
{
    return member->marks != NULL ? member->marks->held : NULL;
}

static inline bool member_holds(const struct member *member)
{
    const struct member_held *held = member_held(member);
    return held != NULL && held->at < held->count;
}

static inline uint64_t member_join_seq(const struct member *member)
{
    return member->marks != NULL ? member->marks->join_seq : 0;
}

/* member_owner.c */

/* Its marks, made if there are none. */
struct member_marks *member_marks(struct member *member);

/* member.c */

void member_set_state(struct member *member, enum member_state state);
void member_rooms_live(struct member *member);
void member_round_begin(struct member *member);
void member_unsettle(struct member *member);
void member_link_lost(struct member *member);
void member_entry(struct membership *membership, struct entry *entry);
void member_hole(struct membership *membership, uint64_t after);
void member_held_drop(struct member *member);
void member_held_drop_room(struct member *member, uint32_t room);
/* Every entry up to `seq` was delivered; nothing more is to be for now. Held entries stay. */
void member_round_pause(struct member *member, uint64_t seq);
/* It cannot go on: calls `lost`, once. */
void member_lose(struct member *member);
/* Takes it out of the member's list; the caller frees it. */
void member_past_remove(struct member *member, struct past *past);
/* Whether entries of it are still to be read: there is a membership with its end. */
bool member_is_owed(const struct member *member, const struct past *past);
void membership_set_state(struct membership *membership, enum membership_state state);
void membership_resolve(struct membership *membership);
void membership_page_loaded(struct membership *membership);
void membership_destroy(struct membership *membership);
/* member_start was called for it, if the lease records it. */
void membership_start(struct membership *membership);
void membership_activate(struct membership *membership);
/* It delivers or holds an entry that is not logged, if it is pushed now. */
bool membership_takes(const struct membership *membership);
/* Its last seq on this instance: the room's newest entry, or the position at which the member left. */
uint64_t membership_top(const struct membership *membership);
void membership_target_fix(struct membership *membership);
/* The newest entry that the room is known to have had; see struct stretch. */
uint64_t membership_known(const struct membership *membership);

/* membership_log.c */

/* Its log, to be written: one of its own from now on. */
struct membership_log *membership_log(struct membership *membership);
/* It is settled: does without a log of its own, if it can. */
void membership_log_trim(struct membership *membership);
/* It is as at position 0. */
void membership_log_drop(struct membership *membership);
/* Its round, made if there is none. */
struct membership_round *membership_round(struct membership *membership);
/* Nothing is to be read for it; it needs its page no more. */
void membership_round_drop(struct membership *membership);
void membership_page_drop(struct membership *membership);

/* hub.c */

struct room *hub_room(struct hub *hub, struct span name);
/* Frees it at the end of the turn, because a caller may be walking the room now. */
void hub_membership_ended(struct membership *membership);
void room_member_add(struct room *room, struct membership *membership);
void room_member_remove(struct room *room, struct membership *membership);

/* Both walk a list whose current node may be removed in the body, and no other. */
#define memberships_each(name, member) \
    for (struct membership *name = (member)->memberships, *name##_next = NULL; \
         name != NULL && (name##_next = name->next, true); name = name##_next)
#define pasts_each(name, member) \
    for (struct past *name = (member)->marks != NULL ? (member)->marks->pasts : NULL, *name##_next = NULL; \
         name != NULL && (name##_next = name->next, true); name = name##_next)

#endif

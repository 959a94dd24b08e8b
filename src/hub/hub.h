/* hub: the rooms of this instance and their members; what the broker pushes goes to them, in order, each once.
 *
 * Rooms and members change together. A member that has been sent everything of its rooms up to the hub's position is
 * *settled*, and new entries go straight to it. Any other one (joining, resuming, behind a broken link, slow) is not:
 * what is meant for it is held, the log is read from where it stands up to a fixed target, then it gets what was held
 * and is settled.
 *
 *     IDLE --join--> WAITING --all rooms live--> READY --member_start--> CATCHING --> SETTLED
 *                       ^                                                   |  ^         |
 *                       +--------------------- the link broke --------------+--+---------+
 *
 * Why the target is exact: a room's `last` follows the feed, and `subscribed` stands in the feed's order. So whatever
 * lies above `last` of this moment will still be pushed, and whatever lies below is in the log: reading (pos, last] and
 * holding the rest leaves no gap and no overlap. All targets of a round lie at or below the hub's position, all held
 * entries above. */
#ifndef SENNIT_HUB_HUB_H
#define SENNIT_HUB_HUB_H

#include "base/list.h"
#include "base/map.h"
#include "broker/broker.h"
#include "hub/entry.h"
#include "hub/token.h"
#include "loop/loop.h"

enum {
    HUB_HELD_MAX = 1024,       /* entries held for a member that catches up; beyond, they are dropped and read again */
    HUB_PAGE_ENTRIES = 500,    /* entries read at once */
    HUB_PAGES_CACHED = 32,     /* recently read pages kept for others who need the same */
    HUB_ROOM_LINGER_MS = 5000, /* an empty room stays subscribed for so long */
};

struct hub;
struct member;

/* Where a membership starts in its room's log. */
enum start_mode {
    START_NOW,    /* behind the newest entry */
    START_OLDEST, /* before everything that is still there */
    START_NEWEST, /* before the newest `argument` entries (1 to BROKER_READ_LIMIT_MAX) */
    START_AT,     /* behind the position `argument` */
};

struct member_events {
    /* All joins so far are confirmed and have their start. `whole`: for START_AT, everything behind it is still in the
     * log. */
    void (*ready)(struct member *member, bool whole);
    /* One entry, in order. `token` is what the client is to remember with it. When the entry's shared frame may be
     * used, `shared` is true (its token_seq is this token's seq). */
    void (*deliver)(struct member *member, struct entry *entry, const struct token *token, bool shared);
    /* Everything up to now has been delivered. May come several times. */
    void (*settled)(struct member *member);
    /* What it needs is gone from the log, or it was sent what the broker lost: it must start anew. */
    void (*lost)(struct member *member);
    /* False while more should not be sent; member_continue says when. Asked before each replayed entry. */
    bool (*has_room)(struct member *member);
};

enum member_state { MEMBER_IDLE, MEMBER_WAITING, MEMBER_READY, MEMBER_CATCHING, MEMBER_SETTLED };

/* A member in a room. Owned by the member. */
struct membership {
    struct member *member;
    struct room *room;
    struct list of_member;
    struct list waiter; /* of a page */
    size_t index;       /* in the room's dense array */
    uint64_t start;     /* entries above it belong to this membership */
    uint64_t joined_at; /* what the client had been told when the membership was noted */
    uint64_t pos;       /* while not settled: entries up to it were sent */
    uint64_t target;    /* of the round */
    struct page *page;
    uint32_t page_at;
    uint8_t mode;  /* enum start_mode, until resolved */
    bool resolved; /* start is known */
    bool noted;    /* stands in the lease, so that a resume would count on it */
    bool starting; /* member_start was called since: takes part from the next round on */
    bool active;   /* takes part */
    bool late;     /* this round replays what lies below sent_seq */
};

/* What came while a member was catching up, and through which of its rooms. */
struct held {
    struct entry *entry;
    const struct membership *membership;
};

struct member {
    struct hub *hub;
    const struct member_events *events;
    struct list of_hub;
    struct list memberships;
    struct span sid;   /* borrowed for the member's life */
    uint64_t sent_seq; /* the position the client was last told */
    uint64_t join_seq; /* tokens up to it must name the rooms joined since */
    uint64_t stale_seq;
    char stale_version; /* 0: none. The client keeps a token of an earlier session until it gets one of this: when it
                         * comes back with that very token, it has got nothing yet. So we never send it one that is
                         * spelled alike. */
    struct held *held;
    uint16_t held_count, held_cap;
    uint16_t pending_count; /* memberships noted and not active */
    uint8_t state;          /* enum member_state */
    bool again;             /* another round is due: what was held is incomplete, or a join came in between */
    bool whole;
    bool awaits_position; /* what the client was told elsewhere has not come to this instance yet */
    bool entering;        /* between member_join and member_joined */
    bool stepping;
};

enum room_state { ROOM_SUBSCRIBING, ROOM_LIVE };

struct room {
    struct map_node node;
    struct hub *hub;
    char *name;
    uint8_t state;
    uint64_t last; /* seq of the newest entry the feed has shown */
    struct membership **members;
    size_t member_count, member_cap;
    struct list pages;
    struct list empty; /* in the hub's list of rooms without members */
    uint64_t empty_since_us;
};

struct hub {
    struct loop *loop;
    struct broker *broker;
    struct map rooms;
    struct list members;
    struct list empty_rooms;
    struct list pages; /* cached ones, oldest first */
    size_t page_count;
    struct timer sweep;
    char epoch[BROKER_EPOCH_BYTES_MAX];
    uint8_t epoch_len;
    uint64_t position; /* every entry of our rooms up to it has been handled */
    /* The layer above, told about leases that were claimed elsewhere. */
    void *owner;
    void (*superseded)(struct hub *hub, struct span pid, uint64_t generation);
    /* Told that the broker lost what it had accepted last, leases among it; those who got too much are gone. */
    void (*broker_lost)(struct hub *hub);
    struct {
        uint64_t pushed, delivered, replayed, reads, holes, lost;
    } counters;
};

/* `broker` outlives the hub. */
void hub_init(struct hub *hub, struct loop *loop, struct broker *broker);
/* All members are finished before. */
void hub_finish(struct hub *hub);

/* A member in no room yet. `sid` is not copied. */
void member_init(struct member *member, struct hub *hub, const struct member_events *events, struct span sid);
/* Leaves all rooms; harmless when it never was in one. Accepts zeroed. */
void member_finish(struct member *member);

/* Joins; `ready` follows, from the loop or at once within member_joined. Returns the membership, new or not. */
struct membership *member_join(struct member *member, struct span room, enum start_mode mode, uint64_t argument);
/* Ends a run of joins: calls `ready` when nothing is pending. */
void member_joined(struct member *member);
void member_leave(struct member *member, struct span room);
/* The membership, or NULL. */
struct membership *member_find(struct member *member, struct span room);
/* All memberships with a start are being written into the lease. From now on tokens tell the new ones' positions. */
void member_note(struct member *member);
/* Every membership has its start and stands in the lease. */
bool member_is_noted(struct member *member);
/* A membership as an earlier lease had it. */
void member_noted(struct membership *membership, uint64_t joined_at);
/* Begins to deliver, from each membership's start. */
void member_start(struct member *member);
/* has_room has become true again. */
void member_continue(struct member *member);

/* The position a settled member is told now. */
void hub_token(const struct hub *hub, uint64_t seq, struct token *token);

/* For the parts of the hub. */
void member_rooms_live(struct member *member);
void member_round_begin(struct member *member);
void member_link_lost(struct member *member);
void member_entry(struct membership *membership, struct entry *entry);
void member_hole(struct membership *membership, uint64_t after);
void membership_resolve(struct membership *membership);
void membership_page_loaded(struct membership *membership);
void membership_destroy(struct membership *membership);
struct room *hub_room(struct hub *hub, struct span name);
void room_member_add(struct room *room, struct membership *membership);
void room_member_remove(struct room *room, struct membership *membership);

#endif

/* hub: the rooms of this instance and their members; what the broker pushes goes to them, in order, each once.
 *
 * Rooms and members change together. A member that has been sent everything of its rooms up to the hub's position is
 * *settled*, and new entries go straight to it. Any other one (joining, resuming, behind a broken link, slow) is not:
 * what is meant for it is held, the log is read from where it stands up to a fixed target, then it gets what was held
 * and is settled.
 *
 *     IDLE --join--> WAITING --all rooms live--> READY --member_start--> CATCHING <--> SETTLED
 *                       ^                                                   |            |
 *                       +--------------------- the link broke --------------+------------+
 *
 * Why the target is exact: a room's `last` follows the feed, and `subscribed` stands in the feed's order. So whatever
 * lies above `last` of this moment will still be pushed, and whatever lies below is in the log: reading (pos, last] and
 * holding the rest leaves no gap and no overlap. A room's held entries lie above its target; a room that takes part
 * later than others has a higher one, so what is read and what is held are merged by seq.
 *
 * From the moment the start of one more room is known until member_start, and from leaving a room until then, nothing
 * is sent: otherwise what other rooms send meanwhile would carry positions behind entries that still wait. */
#ifndef SENNIT_HUB_HUB_H
#define SENNIT_HUB_HUB_H

#include "base/list.h"
#include "base/map.h"
#include "broker/broker.h"
#include "hub/entry.h"
#include "hub/token.h"
#include "loop/loop.h"

enum {
    /* Entries held for a member that catches up, and their bytes; beyond, they are dropped and read again. The last one
     * may be as large as a message. */
    HUB_HELD_MAX = 1024,
    HUB_HELD_BYTES_MAX = 1 << 20,
    HUB_PAGE_ENTRIES = 1000,             /* entries read at once */
    HUB_PAGES_BYTES_MAX = 16 << 20,      /* of recently read pages, kept for others who need the same */
    HUB_PAGES_BYTES_ALIVE = 64 << 20,    /* with more in use, members whose clients do not read give theirs back */
    HUB_ROOM_LINGER_MS = 5000,           /* an empty room stays subscribed for so long */
    HUB_ROOMS_KEEP_MS = 6 * 3600 * 1000, /* so often each room is confirmed again: the broker keeps what it knows of a
                                          * room for 24 h longer than that */
    HUB_PASTS_MAX = 64,                  /* of one member; beyond, the oldest is dropped: see member.past_floor */
};

struct hub;
struct member;

/* Where a membership starts in its room's log. */
enum start_mode {
    START_NOW,    /* at the hub's position */
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
    /* What it needs is gone from the log, or it was sent what the broker lost: it must start anew. Told once; nothing
     * follows. */
    void (*lost)(struct member *member);
    /* False while more should not be sent; member_continue says when. Asked before each replayed entry. */
    bool (*has_room)(struct member *member);
};

enum member_state { MEMBER_IDLE, MEMBER_WAITING, MEMBER_READY, MEMBER_CATCHING, MEMBER_SETTLED };

/* The stretch of a room's log that belongs to a member, as its lease keeps it. */
struct stretch {
    uint64_t start;     /* entries above it belong to it; may lie before the join, when history is replayed */
    uint64_t since;     /* the position of the join: entries above it were sent to the room with the member in it */
    uint64_t end;       /* it left at this position; STRETCH_OPEN: it is in the room */
    uint64_t joined_at; /* what the client had been told when it was noted */
    uint64_t known;     /* an entry of this seq is known to have been in the log, 0: none is. An entry above it that
                         * does not follow it or a later one tells that the broker has lost the room's keys. */
};
static const uint64_t STRETCH_OPEN = UINT64_MAX;

/* A member in a room, or, with an end, what it is still owed of one it left. Owned by the member. */
struct membership {
    struct member *member;
    struct room *room;
    struct list of_member;
    struct list waiter; /* of a page, or of its end */
    struct stretch stretch;
    uint64_t pos;    /* while not settled: entries up to it were sent */
    uint64_t target; /* of the round, or while it waits for member_start: what lies above is held */
    uint64_t upto;   /* the hub's position when the target was fixed: the room has nothing between the two */
    struct page *page;
    uint32_t page_at;
    uint32_t index;    /* in the room's dense array */
    uint8_t mode;      /* enum start_mode, until resolved */
    bool resolved : 1; /* start is known */
    bool noted : 1;    /* stands in the lease, so that a resume would count on it */
    bool starting : 1; /* member_start was called since: takes part from the next round on */
    bool active : 1;   /* takes part */
    bool late : 1;     /* this round replays what lies below sent_seq */
    bool resumed : 1;  /* up to member.resumed_seq its client was sent everything elsewhere */
    /* For the layer above. */
    bool present : 1;      /* the broker knows that it is there */
    bool presence_due : 1; /* who is in the room is to be told, once it is settled */
};

/* A room that was left: the client may not have got all of it yet. */
struct past {
    struct list of_member;
    struct stretch stretch;
    uint64_t left_us;
    size_t room_len;
    char room[];
};

struct member {
    struct hub *hub;
    const struct member_events *events;
    struct list of_hub;
    struct list memberships;
    struct list pasts;    /* the first to be left in front */
    struct span sid;      /* borrowed for the member's life */
    uint64_t sent_seq;    /* the position the client was last told */
    uint64_t resumed_seq; /* the position it resumed from */
    uint64_t join_seq;    /* tokens up to it must name the rooms joined since */
    uint64_t past_floor;  /* pasts up to this end were dropped: a token below it cannot be made whole */
    uint64_t stale_seq;
    struct entry **held;
    uint32_t held_bytes;                    /* of those since the round began */
    uint16_t held_at, held_count, held_cap; /* those before held_at were sent */
    uint16_t past_count;
    uint8_t state;      /* enum member_state */
    char stale_version; /* 0: none. The client keeps a token of an earlier session until it gets one of this: when it
                         * comes back with that very token, it has got nothing yet. So we never send it one that is
                         * spelled alike. */
    bool again;         /* another round is due: what was held is incomplete */
    bool whole;
    bool awaits_position; /* what the client was told elsewhere has not come to this instance yet */
    bool entering;        /* between member_join and member_joined */
    bool leaving;         /* a room that the lease knows was left: nothing goes out until it knows that, too */
    bool lease_stale;     /* a room has got its first entry since the lease was written, which is to say so */
    bool stepping;
    bool is_lost; /* told so: nothing is read for it, nor sent to it, any more */
};

enum room_state { ROOM_SUBSCRIBING, ROOM_LIVE };

struct room {
    struct map_node node;
    struct hub *hub;
    char *name;
    uint32_t number; /* no other room of this process had it */
    uint8_t state;
    uint64_t last; /* seq of the newest entry the feed has shown */
    struct membership **members;
    size_t member_count, member_cap;
    struct list pages;
    struct list empty; /* in the hub's list of rooms without members */
    uint64_t empty_since_us;
};

/* What may happen to every room at once fills no log: it is told now and then, with how often it happened. */
struct hub_told {
    uint64_t count;   /* since it was told last */
    uint64_t told_us; /* 0: never */
};

struct hub {
    struct loop *loop;
    struct broker *broker;
    struct map rooms;
    struct list members;
    struct list empty_rooms;
    struct list pages;       /* cached ones, oldest first */
    size_t page_bytes;       /* theirs */
    size_t page_bytes_alive; /* of all pages that somebody holds */
    struct list ended;       /* memberships that were owed and have been paid */
    struct task bury;
    struct timer sweep, keep;
    uint32_t rooms_made;
    char epoch[BROKER_EPOCH_BYTES_MAX];
    uint8_t epoch_len;
    uint64_t position; /* every entry of our rooms up to it has been handled */
    const struct hub_owner *owner;
    void *owner_arg;
    struct hub_told holes_told, forgotten_told;
    struct {
        uint64_t pushed, delivered, replayed, reads, holes, lost, rewound, forgotten;
    } counters;
};

/* The layer above, told what concerns no single member. Each may be NULL. */
struct hub_owner {
    /* The link is up. `lost`: the broker has lost what it had accepted last, leases maybe among it; those who got too
     * much are gone. */
    void (*up)(void *arg, bool lost);
    /* See broker_events. */
    void (*unusable)(void *arg, const char *why);
    void (*superseded)(void *arg, struct span pid, uint64_t generation);
    void (*presence)(void *arg, struct span room, const struct broker_present *who, bool entered, uint64_t count);
};

/* `broker` outlives the hub. */
void hub_init(struct hub *hub, struct loop *loop, struct broker *broker);
static inline void hub_owner_set(struct hub *hub, const struct hub_owner *owner, void *arg)
{
    hub->owner = owner;
    hub->owner_arg = arg;
}
/* All members are finished before. */
void hub_finish(struct hub *hub);
/* An unlogged entry of a room of this instance, never published, for member_tell. */
struct entry *hub_entry_create(struct hub *hub, struct span room, struct span body);
/* Gives `body`, which was never published, to the members of a room on this instance but `except`: not logged, in order
 * with what is pushed. */
void hub_room_tell(struct hub *hub, struct span room, struct span body, struct span except);
/* Somebody of this instance is in this room, or was until a moment ago. */
bool hub_has_room(const struct hub *hub, struct span room);
/* The position a settled member is told now. */
void hub_token(const struct hub *hub, uint64_t seq, struct token *token);

/* A member in no room yet. `sid` is not copied. */
void member_init(struct member *member, struct hub *hub, const struct member_events *events, struct span sid);
/* Leaves all rooms; harmless when it never was in one. Accepts zeroed. */
void member_finish(struct member *member);

/* Joins; `ready` follows, from the loop or at once within member_joined. Returns the membership, new or not. */
struct membership *member_join(struct member *member, struct span room, enum start_mode mode, uint64_t argument);
/* As an earlier lease had it; `position` is how far the client came in it. With an end, it is owed what lies between;
 * NULL when that is nothing. */
struct membership *member_rejoin(struct member *member, struct span room, const struct stretch *stretch,
                                 uint64_t position);
/* Ends a run of joins: calls `ready` when nothing is pending. */
void member_joined(struct member *member);
/* Leaves; what it was sent up to now stays its due (see struct past). When the lease knew the room, nothing is
 * delivered until member_start says that it knows better. */
void member_leave(struct member *member, struct span room);
/* The membership of a room it is in, or NULL. */
struct membership *member_find(struct member *member, struct span room);
/* It was in this room when the entry of this seq was accepted. */
bool member_was_in(const struct member *member, struct span room, uint64_t seq);
/* All memberships with a start are being written into the lease (where there is one). */
void member_note(struct member *member);
/* The lease is as member_note found it. Begins to deliver, from each new membership's start. */
void member_start(struct member *member);
/* has_room has become true again. */
void member_continue(struct member *member);
/* Everything that was delivered behind this token has not gone out and will not: the member catches up from there,
 * beginning with the next member_continue. */
void member_rewind(struct member *member, const struct token *token);
/* One unlogged entry for this member alone, now if it is settled, else in its turn. */
void member_tell(struct member *member, struct entry *entry);
/* Pasts that were left before `before_us` are known to have arrived. */
void member_pasts_drop(struct member *member, uint64_t before_us);

/* For the parts of the hub. */
void member_set_state(struct member *member, enum member_state state);
void member_rooms_live(struct member *member);
void member_round_begin(struct member *member);
void member_unsettle(struct member *member);
void member_link_lost(struct member *member);
void member_entry(struct membership *membership, struct entry *entry);
void member_hole(struct membership *membership, uint64_t after);
void member_held_drop(struct member *member);
void member_held_drop_room(struct member *member, uint32_t room);
/* It cannot go on: tells the layer above, once. */
void member_lose(struct member *member);
/* Some of it is still to be read: there is a membership with its end. */
bool member_is_owed(const struct member *member, const struct past *past);
void membership_resolve(struct membership *membership);
void membership_page_loaded(struct membership *membership);
void membership_page_drop(struct membership *membership);
void membership_destroy(struct membership *membership);
void membership_activate(struct membership *membership);
/* Where it ends for this instance: the room's newest entry, or where the member left it. */
uint64_t membership_top(const struct membership *membership);
void membership_target_fix(struct membership *membership);
/* The newest entry that the room is known to have had, see struct stretch. */
uint64_t membership_known(const struct membership *membership);
struct room *hub_room(struct hub *hub, struct span name);
/* It is of no more use; it goes at the end of the turn, for rooms may be walked now. */
void hub_membership_ended(struct membership *membership);
void room_member_add(struct room *room, struct membership *membership);
void room_member_remove(struct room *room, struct membership *membership);

#define memberships_each(name, member) \
    list_each (name##_node, &(member)->memberships) \
        for (struct membership *name = container_of(name##_node, struct membership, of_member); name != NULL; \
             name = NULL)

#endif

/* hub: the rooms of this instance and their members. It delivers the broker's pushes to each member, in order, once.
 *
 * `session` calls it and owns the members; the hub owns rooms, memberships and pages. A member that has been sent
 * every entry of its rooms up to the hub's position is *settled*: new entries go straight to it. Any other member
 * (joining, resuming, behind a broken link, slow) catches up: its new entries are held, the log is read from its
 * position up to a fixed target, then the held entries follow and the member is settled.
 *
 *     IDLE --join--> WAITING --all rooms live--> READY --member_start--> CATCHING <--> SETTLED
 *                       ^                                                   |            |
 *                       +--------------------- the link broke --------------+------------+
 *
 * Why the target is exact: a room's `last` follows the feed, and `subscribed` arrives in the feed's order. An entry
 * above the present `last` will still be pushed; an entry up to it is in the log. So reading (pos, last] and holding
 * the rest leaves no gap and no overlap. A room's held entries lie above its target. A room that joins the round late
 * has a higher target than others, so read and held entries are merged by seq.
 *
 * Nothing is sent from the moment the start of another room is known, or a room is left, until member_start. Otherwise
 * entries of other rooms would carry positions above entries that still wait. */
#ifndef SENNIT_HUB_HUB_H
#define SENNIT_HUB_HUB_H

#include "base/list.h"
#include "base/map.h"
#include "broker/broker.h"
#include "hub/entry.h"
#include "hub/token.h"
#include "loop/loop.h"

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
    HUB_PASTS_MAX = 64,                  /* of one member; beyond, the oldest is dropped: see member.past_floor */
};

struct hub;
struct member;

/* Where a membership starts in its room's log. */
enum start_mode {
    START_NOW,    /* at the hub's position */
    START_OLDEST, /* before the oldest entry of the log */
    START_NEWEST, /* before the newest `argument` entries (1 to BROKER_READ_LIMIT_MAX) */
    START_AT,     /* behind the position `argument` */
};

struct member_events {
    /* All joins so far are confirmed and have their start. `whole`: for START_AT, every entry behind it is still in the
     * log. */
    void (*ready)(struct member *member, bool whole);
    /* One entry, in order. The client remembers `token` with it. `shared`: the entry's shared frame carries this very
     * token (its token_seq is the token's seq) and may be sent. */
    void (*deliver)(struct member *member, struct entry *entry, const struct token *token, bool shared);
    /* All entries up to now have been delivered. May be called several times. */
    void (*settled)(struct member *member);
    /* An entry that it needs is gone from the log, or it was sent an entry that the broker lost: it must start anew.
     * Called once; nothing follows. */
    void (*lost)(struct member *member);
    /* False while the client's queue is full; member_continue ends the pause. Asked before each replayed entry. */
    bool (*has_room)(struct member *member);
};

enum member_state { MEMBER_IDLE, MEMBER_WAITING, MEMBER_READY, MEMBER_CATCHING, MEMBER_SETTLED };

/* The stretch of a room's log that belongs to a member, as its lease keeps it. */
struct stretch {
    uint64_t start;     /* entries above it belong to the stretch; below the join if history is replayed */
    uint64_t since;     /* the position of the join: the member was in the room for entries above it */
    uint64_t end;       /* the position at which it left; STRETCH_OPEN: it is in the room */
    uint64_t joined_at; /* the client's position when the lease first recorded the stretch */
    uint64_t known;     /* an entry of this seq is known to have been in the log; 0: none is. An entry above it that
                         * follows neither it nor a later one shows that the broker has lost the room's keys. */
};
static const uint64_t STRETCH_OPEN = UINT64_MAX;

/* A member in a room. With an end: the entries that it is still owed of a room it left. Owned by the member. */
struct membership {
    struct member *member;
    struct room *room;
    struct list of_member;
    struct list waiter; /* of a page, or of its end */
    struct stretch stretch;
    uint64_t pos;    /* while not settled: entries up to it were sent */
    uint64_t target; /* of the round, or of the wait for member_start: entries above it are held */
    uint64_t upto;   /* the hub's position when the target was fixed; the room has no entry between the two */
    struct page *page;
    uint32_t page_at;
    uint32_t index;    /* in the room's dense array */
    uint8_t mode;      /* enum start_mode, until resolved */
    bool resolved : 1; /* its start is known */
    bool noted : 1;    /* the lease records it, so a resume relies on it */
    bool starting : 1; /* member_start was called since: takes part from the next round on */
    bool active : 1;   /* takes part in rounds and deliveries */
    bool late : 1;     /* this round replays entries below sent_seq */
    bool resumed : 1;  /* another instance has sent its client every entry up to member.resumed_seq */
    /* Set and read by the session layer. */
    bool present : 1;      /* the broker lists it as present */
    bool presence_due : 1; /* once settled, it gets the list of members */
};

/* A room that was left: the client may not have received all of its entries yet. */
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
    uint64_t sent_seq;    /* the position in the client's latest token */
    uint64_t resumed_seq; /* the position it resumed from */
    uint64_t join_seq;    /* tokens up to it must name the rooms joined since */
    uint64_t past_floor;  /* pasts up to this end were dropped: a client with a token below it cannot resume */
    uint64_t stale_seq;
    struct entry **held;
    uint32_t held_bytes;                    /* of the entries held since the round began */
    uint16_t held_at, held_count, held_cap; /* entries before held_at were sent */
    uint16_t past_count;
    uint8_t state;      /* enum member_state */
    char stale_version; /* 0: none. The client keeps a token of an earlier session until it gets one of this session. If
                         * it comes back with that very token, it has received nothing yet. So we never send it a token
                         * that is spelled alike. */
    bool again;         /* the held entries are incomplete: another round is due */
    bool whole;
    bool awaits_position; /* the client's position, from another instance, is ahead of this instance's */
    bool entering;        /* between member_join and member_joined */
    bool leaving;         /* it left a room of its lease: nothing is sent until the lease records that */
    bool lease_stale;     /* a room got its first entry since the lease was written: the lease must be rewritten */
    bool stepping;        /* inside member_continue or member_rewind */
    bool is_lost;         /* `lost` was called: nothing is read for it or sent to it any more */
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
    size_t page_bytes;       /* of the cached pages */
    size_t page_bytes_alive; /* of all pages in memory */
    struct list ended;       /* memberships with an end whose entries have all been sent */
    struct task bury;
    struct timer sweep, keep;
    uint32_t rooms_made;
    char epoch[BROKER_EPOCH_BYTES_MAX];
    uint8_t epoch_len;
    uint64_t position; /* every entry of this hub's rooms up to it has been handled */
    const struct hub_owner *owner;
    void *owner_arg;
    struct hub_told holes_told, forgotten_told;
    struct {
        uint64_t pushed, delivered, replayed, reads, holes, lost, rewound, forgotten;
    } counters;
};

/* The session layer's functions for events that concern no single member. Each may be NULL. */
struct hub_owner {
    /* The link is up. `lost`: the broker has lost its latest writes, perhaps with leases. Members that had been sent a
     * lost entry have been told `lost` before. */
    void (*up)(void *arg, bool lost);
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
/* All members must have been finished. */
void hub_finish(struct hub *hub);
/* An unlogged entry of a local room, never published, for member_tell. The caller owns a reference. */
struct entry *hub_entry_create(struct hub *hub, struct span room, struct span body);
/* Delivers `body` to the local members of a room, except the sid `except`. It is neither published nor logged, and
 * keeps its place among the pushes. */
void hub_room_tell(struct hub *hub, struct span room, struct span body, struct span except);
/* A member of this instance is in this room, or was within HUB_ROOM_LINGER_MS. */
bool hub_has_room(const struct hub *hub, struct span room);
/* The token, without names of rooms, for the position `seq` of the current epoch. */
void hub_token(const struct hub *hub, uint64_t seq, struct token *token);

/* A member in no room yet. `sid` is borrowed until member_finish. */
void member_init(struct member *member, struct hub *hub, const struct member_events *events, struct span sid);
/* Leaves all rooms, if any. Accepts zeroed memory. */
void member_finish(struct member *member);

/* Joins; `ready` follows, from the loop or at once within member_joined. Returns the membership, new or not. */
struct membership *member_join(struct member *member, struct span room, enum start_mode mode, uint64_t argument);
/* Restores a stretch of an earlier lease; `position` is how far the client came in it. With an end, the member is owed
 * the entries between the two; NULL if there are none. */
struct membership *member_rejoin(struct member *member, struct span room, const struct stretch *stretch,
                                 uint64_t position);
/* Ends a run of joins: calls `ready` if nothing is pending. */
void member_joined(struct member *member);
/* Leaves a room. Entries sent up to now remain its due (see struct past). If the lease records the room, nothing is
 * delivered until the lease is rewritten and member_start is called. */
void member_leave(struct member *member, struct span room);
/* The membership of a room it is in, or NULL. */
struct membership *member_find(struct member *member, struct span room);
/* Whether it was in this room when the entry of this seq was accepted. */
bool member_was_in(const struct member *member, struct span room, uint64_t seq);
/* The caller begins to write the lease: all memberships with a start count as noted. */
void member_note(struct member *member);
/* That write is done (or there is no lease). Begins to deliver, from each new membership's start. */
void member_start(struct member *member);
/* has_room has become true again. */
void member_continue(struct member *member);
/* The entries delivered behind this token were dropped unsent. The member catches up from there, beginning with the
 * next member_continue. */
void member_rewind(struct member *member, const struct token *token);
/* Delivers one unlogged entry to this member alone: now if it is settled, else in its turn. */
void member_tell(struct member *member, struct entry *entry);
/* Forgets pasts that were left before `before_us`: their entries are known to have arrived. */
void member_pasts_drop(struct member *member, uint64_t before_us);

/* The rest is for the hub's own files. */
void member_set_state(struct member *member, enum member_state state);
void member_rooms_live(struct member *member);
void member_round_begin(struct member *member);
void member_unsettle(struct member *member);
void member_link_lost(struct member *member);
void member_entry(struct membership *membership, struct entry *entry);
void member_hole(struct membership *membership, uint64_t after);
void member_held_drop(struct member *member);
void member_held_drop_room(struct member *member, uint32_t room);
/* It cannot go on: calls `lost`, once. */
void member_lose(struct member *member);
/* Whether entries of it are still to be read: there is a membership with its end. */
bool member_is_owed(const struct member *member, const struct past *past);
void membership_resolve(struct membership *membership);
void membership_page_loaded(struct membership *membership);
void membership_page_drop(struct membership *membership);
void membership_destroy(struct membership *membership);
void membership_activate(struct membership *membership);
/* Its last seq on this instance: the room's newest entry, or the position at which the member left. */
uint64_t membership_top(const struct membership *membership);
void membership_target_fix(struct membership *membership);
/* The newest entry that the room is known to have had; see struct stretch. */
uint64_t membership_known(const struct membership *membership);
struct room *hub_room(struct hub *hub, struct span name);
/* Frees it at the end of the turn, because a caller may be walking the room now. */
void hub_membership_ended(struct membership *membership);
void room_member_add(struct room *room, struct membership *membership);
void room_member_remove(struct room *room, struct membership *membership);

#define memberships_each(name, member) \
    list_each (name##_node, &(member)->memberships) \
        for (struct membership *name = container_of(name##_node, struct membership, of_member); name != NULL; \
             name = NULL)

#endif

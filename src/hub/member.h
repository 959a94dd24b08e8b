/* member: a socket as rooms see it: what its owner, the session layer, calls and is told.
 *
 * A member that has been sent every entry of its rooms up to the hub's position is *settled*: new entries go straight
 * to it. Any other member (joining, resuming, behind a broken link, slow) catches up: its new entries are held, the log
 * is read from its position up to a fixed target, then the held entries follow and the member is settled.
 *
 * MEMBER_MOVES:
 *
 *     IDLE --join--> WAITING --all rooms live--> READY --member_start--> CATCHING --targets reached--> SETTLED
 *     WAITING --all rooms live, and it has begun before--> CATCHING
 *     SETTLED --hole, rewind, room entered or left--> CATCHING
 *     READY, CATCHING, SETTLED --link broke--> WAITING
 *     (any) --member_lose--> LOST
 *
 * The owner joins rooms, waits for `ready`, writes the lease (member_note), and calls member_start once it is written.
 * Nothing is sent from the moment the start of another room is known, or a room is left, until member_start. Otherwise
 * entries of other rooms would carry positions above entries that still wait. */
#ifndef SENNIT_HUB_MEMBER_H
#define SENNIT_HUB_MEMBER_H

#include "base/list.h"
#include "hub/entry.h"
#include "hub/token.h"

struct hub;
struct member;
struct member_marks;
struct membership;

/* Where a membership starts in its room's log. */
enum start_mode {
    START_NOW,    /* at the hub's position */
    START_OLDEST, /* before the oldest entry of the log */
    START_NEWEST, /* before the newest `argument` entries (1 to BROKER_READ_LIMIT_MAX) */
    START_AT,     /* behind the position `argument` */
};

enum { MEMBER_SID_BYTES_MAX = 20 };

/* What the owner of a hub's members is told (hub_members_set). */
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
    /* A directive, in order, in place of `deliver`. Nothing more is delivered until the owner has carried it out and
     * called member_directed. It must not do so within this call, because the hub may be walking its rooms. NULL: all
     * directives are left out. */
    void (*directed)(struct member *member, struct entry *entry);
};

enum member_state {
    MEMBER_IDLE,
    MEMBER_WAITING,
    MEMBER_READY,
    MEMBER_CATCHING,
    MEMBER_SETTLED,
    MEMBER_LOST,
    MEMBER_STATES
};

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

/* A socket as rooms see it. Its owner embeds it, because memory for each idle client counts, and reaches no field. What
 * a settled member without a lease does not need is allocated when it is needed. */
struct member {
    struct hub *hub;
    struct membership *memberships; /* linked by `next` */
    uint64_t sent_seq;              /* the position in the client's latest token */
    struct member_marks *marks;     /* what most members have not; NULL: none of it */
    char sid[MEMBER_SID_BYTES_MAX];
    uint8_t sid_len;
    uint8_t state; /* enum member_state */
    /* No states: each may hold in several states, or lasts for one call. */
    bool directed : 1; /* it was given a directive that is not carried out yet */
    bool again : 1;    /* the held entries are incomplete: another round is due */
    bool whole : 1;
    bool awaits_position : 1; /* the client's position, from another instance, is ahead of this instance's */
    bool entering : 1;        /* between member_join and member_joined */
    bool leaving : 1;         /* it left a room of its lease: nothing is sent until the lease records that */
    bool lease_stale : 1;     /* a room got its first entry since the lease was written: the lease must be rewritten */
    bool stale_told : 1;      /* and the owner has asked for that */
    bool stepping : 1;        /* inside member_continue or member_rewind */
    bool keeps : 1;           /* unlogged events are held, too, until its first round: see member_keep_begin */
};

/* A member in no room yet; its sid has MEMBER_SID_BYTES_MAX at most. What happens to the hub as a whole (a lost link,
 * the end of an epoch) reaches a member through its rooms: one that is in none hears of nothing. */
void member_init(struct member *member, struct hub *hub, struct span sid);
/* Leaves all rooms, if any. Its sid can still be asked for. Accepts zeroed memory. */
void member_finish(struct member *member);

/* Joins; `ready` follows, from the loop or at once within member_joined. Returns the membership, new or not. */
struct membership *member_join(struct member *member, struct span room, enum start_mode mode, uint64_t argument);
/* The same as a directive of this seq (> 0) demands: the membership counts from there, and nothing is delivered until
 * the lease records it. */
struct membership *member_join_directed(struct member *member, struct span room, enum start_mode mode,
                                        uint64_t argument, uint64_t seq);
/* The directive of this seq (0: an unlogged one) is carried out, except for the rooms that it made the member join:
 * they are not in the lease yet. Delivers nothing until member_start. */
void member_directed(struct member *member, uint64_t seq);
/* Restores a stretch of an earlier lease; `position` is how far the client came in it. With an end, the member is owed
 * the entries between the two; NULL if there are none. */
struct membership *member_rejoin(struct member *member, struct span room, const struct stretch *stretch,
                                 uint64_t position);
/* Behind its rejoins, before member_joined: from now on no unlogged event is missed. */
void member_keep_begin(struct member *member);
/* Behind that: an unlogged event of one of its rooms that came while it was nowhere, at
 * the position `after`. It is sent in its place among the logged ones. At most HUB_HELD_MAX. */
void member_keep(struct member *member, const struct broker_entry *event, uint64_t after);
/* Ends a run of joins: calls `ready` if nothing is pending. */
void member_joined(struct member *member);
/* Leaves a room. Entries sent up to now remain its due (see struct past). If the lease records the room, nothing is
 * delivered until the lease is rewritten and member_start is called. */
void member_leave(struct member *member, struct span room);
/* The same as a directive of this seq (0: an unlogged one) demands: the member was in the room up to there. */
void member_leave_directed(struct member *member, struct span room, uint64_t seq);
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
/* Forgets pasts that were left before `before_us`: their entries are known to have arrived. Accepts zeroed
 * memory. */
void member_pasts_drop(struct member *member, uint64_t before_us);

/* What its owner asks of a member. */

static inline struct span member_sid(const struct member *member)
{
    return span_of(member->sid, member->sid_len);
}

/* It has been initialized and not been finished. */
static inline bool member_is_in_use(const struct member *member)
{
    return member->hub != NULL;
}
/* It has been sent every entry up to the hub's position. */
static inline bool member_is_settled(const struct member *member)
{
    return member->state == MEMBER_SETTLED;
}
/* The token of everything that a settled member has been sent. False if no token can express it. */
bool member_token(struct member *member, struct token *token);
/* Between member_init and the first member_rejoin: its client was told positions up to `sent_seq`. */
void member_resume(struct member *member, uint64_t sent_seq);
/* The client keeps this token of an earlier session, see struct member. */
void member_stale_set(struct member *member, const struct token *token);
/* Whether a room has had its first entry since the lease was written, so that the lease must be rewritten; asks once.
 */
bool member_take_lease_stale(struct member *member);
/* The same, asked as often as one likes. */
bool member_lease_is_stale(const struct member *member);
/* Entries of rooms that were left up to this position may have been forgotten; see struct member. The lease keeps it.
 */
uint64_t member_floor(const struct member *member);
void member_floor_set(struct member *member, uint64_t floor);
/* The seq up to which directives were carried out. The lease keeps it, so that none is carried out twice. */
uint64_t member_directed_seq(const struct member *member);
void member_directed_seq_set(struct member *member, uint64_t seq);
/* Calls `each` for all stretches that the lease must record: rooms it is in that are noted, then rooms that it left. */
void member_stretches(const struct member *member,
                      void (*each)(void *arg, struct span room, const struct stretch *stretch), void *arg);
/* Number of rooms it is in. */
size_t member_room_count(const struct member *member);
/* The membership behind `after` (NULL: the first), also of rooms that it left but is owed entries of; NULL at the end.
 */
struct membership *member_next(const struct member *member, const struct membership *after);

/* What its owner asks of a membership. */

struct span membership_room(const struct membership *membership);
/* Number of its room, see struct entry. */
uint32_t membership_room_number(const struct membership *membership);
/* Members of this instance in its room. */
size_t membership_room_members(const struct membership *membership);
/* The member is in the room; otherwise it has left and is owed entries. */
bool membership_is_open(const struct membership *membership);
/* The lease records it. */
bool membership_is_noted(const struct membership *membership);
/* member_start was called for it. */
bool membership_has_begun(const struct membership *membership);
/* It takes part in deliveries: its start is known, too. */
bool membership_is_active(const struct membership *membership);
/* A byte of the owner's, 0 at first. */
uint8_t membership_mark(const struct membership *membership);
void membership_mark_set(struct membership *membership, uint8_t mark);
/* Whether it may have missed an unlogged entry of the room (true at first); asks once. */
bool membership_take_missed(struct membership *membership);

#endif

/* hub: the rooms of this instance. It delivers the broker's pushes to each member, in order, once.
 *
 * `serve` creates the hub; `session` calls it. The hub owns rooms, memberships and pages. Members belong to their
 * sockets: member.h has what a socket calls and is told. hub_parts.h is for the hub's own files. */
#ifndef SENNIT_HUB_HUB_H
#define SENNIT_HUB_HUB_H

#include "broker/broker.h"
#include "hub/entry.h"
#include "hub/token.h"
#include "loop/loop.h"

struct hub;
struct member_events;

/* Since the hub was created. */
struct hub_counters {
    uint64_t pushed;    /* entries pushed by the broker */
    uint64_t delivered; /* entries handed to members */
    uint64_t replayed;  /* of these, entries read from a log */
    uint64_t reads;     /* pages read */
    uint64_t holes;     /* missed pushes */
    uint64_t lost;      /* members that had to start anew */
    uint64_t rewound;   /* calls of member_rewind */
    uint64_t forgotten; /* rooms whose keys the broker has lost */
};

/* Events that concern no single member, for the session layer. Each may be NULL. */
struct hub_owner {
    /* The link is up. `lost`: the broker has lost its latest writes, perhaps with leases. Members that had been sent a
     * lost entry have been told `lost` before. */
    void (*up)(void *arg, bool lost);
    void (*superseded)(void *arg, struct span pid, uint64_t generation);
    /* The pushes of a room arrive in which there is no member yet. */
    void (*prepared)(void *arg);
    void (*presence)(void *arg, struct span room, const struct broker_present *who, bool entered, uint64_t count);
    /* An entry that is not logged came for an owned room, and no member is here to get it now or later. */
    void (*unheard)(void *arg, const struct broker_entry *entry);
    /* A room has its first member here, or its last one has left. */
    void (*room_filled)(void *arg, struct span room, bool filled);
};

/* Attaches itself to the broker. `loop` and `broker` are borrowed. The broker may be destroyed before the hub, and may
 * still answer after it. */
struct hub *hub_create(struct loop *loop, struct broker *broker);
/* Sets who is told of what concerns a member, before the first one joins. `members` is borrowed for the hub's life. */
void hub_members_set(struct hub *hub, const struct member_events *members);
/* All members must have been finished. Accepts NULL. */
void hub_destroy(struct hub *hub);
/* Sets who is told of events that concern no single member. `owner` and `arg` are borrowed for the hub's life. */
void hub_owner_set(struct hub *hub, const struct hub_owner *owner, void *arg);
/* The loop and the broker that it was created with. */
struct loop *hub_loop(const struct hub *hub);
struct broker *hub_broker(const struct hub *hub);
/* Every entry of this hub's rooms up to this seq has been handled. */
uint64_t hub_position(const struct hub *hub);
/* Every kept event of this hub's rooms up to this number (broker/record.h) has been handled. */
uint64_t hub_kept(const struct hub *hub);
const struct hub_counters *hub_counters(const struct hub *hub);
/* Rooms that this instance is subscribed to. */
size_t hub_room_count(const struct hub *hub);
/* An unlogged entry of a local room, never published, for member_tell. The caller owns a reference. */
struct entry *hub_entry_create(struct hub *hub, struct span room, struct span body);
/* Delivers `body` to the local members of a room that the audience (audience.h) admits. It is neither published nor
 * logged, and keeps its place among the pushes. */
void hub_room_tell_audience(struct hub *hub, struct span room, struct span body, struct span audience);
/* The same for all members except the sid `except` (empty: nobody). */
void hub_room_tell(struct hub *hub, struct span room, struct span body, struct span except);
/* Calls `each` for every room with members here, in no order. */
void hub_rooms_each(const struct hub *hub, void (*each)(void *arg, struct span room, size_t members), void *arg);
/* Subscribes to a room that a member is about to join; true if its pushes arrive already, else hub_owner.prepared
 * follows. It is given up after HUB_ROOM_LINGER_MS in which none has joined. */
bool hub_room_prepare(struct hub *hub, struct span room);
/* A member of this instance is in this room, or was within HUB_ROOM_LINGER_MS. */
bool hub_has_room(const struct hub *hub, struct span room);
/* The token, without names of rooms, for the position `seq` of the current epoch. */
void hub_token(const struct hub *hub, uint64_t seq, struct token *token);

#endif

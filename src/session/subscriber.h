/* subscriber: one client in one namespace of a session, with what every kind of client needs: it is a member of rooms,
 * has a lease by which it resumes, presence, and its place in the session. What its packets look like is the
 * protocol's.
 *
 * The protocol begins it, and ends it when the client leaves; the session detaches it. `app` calls it for events
 * (publish, join, leave, refuse, ack). It is counted: every answer that it awaits holds a reference.
 *
 * SUBSCRIBER_MOVES:
 *
 *     NEW --the client names a pid--> CLAIMING --the lease is ours--> RESUMING --rooms confirmed--> CONNECTED
 *     NEW, CLAIMING --there is nothing to resume--> JOINING
 *     RESUMING --an entry it needs is gone--> RESTARTING --in the next turn--> JOINING
 *     JOINING --rooms confirmed--> LEASING --first lease written--> CONNECTED
 *     JOINING --rooms confirmed, no lease needed--> CONNECTED
 *     CONNECTED --lease or history lost--> ENDING
 *     RESUMING, RESTARTING, JOINING, LEASING --lease or history lost--> FAILED
 *     CLAIMING, RESUMING, RESTARTING, JOINING --transport gone--> GONE
 *     LEASING, CONNECTED, ENDING, FAILED --transport gone, or the client left--> GONE
 *
 * In ENDING and FAILED the session is closing. In ENDING the client's last packets still count.
 *
 * The client is told first that it is connected, then gets missed events, then live ones. The stock Socket.IO client
 * never clears the events that it buffered before CONNECT, so another order would double events after a second cut. */
#ifndef SENNIT_SESSION_SUBSCRIBER_H
#define SENNIT_SESSION_SUBSCRIBER_H

#include "hub/member.h"
#include "session/call.h"
#include "session/session.h"
#include "wire/engineio.h"

enum subscriber_state {
    SUBSCRIBER_NEW,
    SUBSCRIBER_CLAIMING,
    SUBSCRIBER_RESUMING,
    SUBSCRIBER_RESTARTING,
    SUBSCRIBER_JOINING,
    SUBSCRIBER_LEASING,
    SUBSCRIBER_CONNECTED,
    SUBSCRIBER_ENDING,
    SUBSCRIBER_FAILED,
    SUBSCRIBER_GONE,
    SUBSCRIBER_STATES,
};
/* Its lease is written by one call at a time.
 *
 * LEASE_MOVES:
 *
 *     IDLE --due--> WRITING --written--> IDLE
 *     WRITING --due again--> WRITING_AGAIN --written--> WRITING
 *     WRITING, WRITING_AGAIN --the call failed--> RETRYING --after a while--> WRITING
 *     WRITING_AGAIN --the subscriber has ended meanwhile--> IDLE
 */
enum lease_state { LEASE_IDLE, LEASE_WRITING, LEASE_WRITING_AGAIN, LEASE_RETRYING, LEASE_STATES };
/* The map that a subscriber is in, by its lease. */
enum subscriber_listing { LISTED_NOWHERE, LISTED_AS_CLAIM, LISTED_AS_OWNER };

/* The lease of a subscriber, or the claim to one. */
struct subscriber_lease {
    struct subscriber *subscriber;
    struct map_node by_name; /* in sessions.sockets or sessions.claims, as `listing` says */
    struct timer retry;      /* asks the broker again after a lost link */
    uint64_t generation;     /* while it claims one, the highest that other instances have claimed since */
    uint64_t due_us;         /* time of the next rewrite; 0: no lease */
    char *name;              /* its pid and, except for "/", the namespace; NULL: no lease */
    char *stale;             /* the token that the client keeps from an earlier session, NULL: none */
    char *offset;            /* the client's offset, NULL: none */
    uint32_t writes;         /* begun so far */
    uint32_t bytes;          /* of the rooms in what was written last */
    uint8_t state;           /* enum lease_state */
    uint8_t listing;         /* enum subscriber_listing */
};

/* What many subscribers have not. */
struct subscriber_extra {
    char *presence_data;       /* JSON; NULL: none */
    struct identity *identity; /* NULL: none is known */
    struct asking *asking;     /* asking.c; NULL: nobody has asked */
    char *auth; /* JSON, of its CONNECT, for lists of sockets (sessions.keeps_auth). NULL: none is kept */
    char *data; /* the application's, of data_len bytes; it goes with the lease. NULL: none */
    void *part; /* what the application keeps with it (struct session_app, `departed`) */
    uint32_t data_len;
    struct call *connecting; /* until it is connected; NULL: it is */
    struct list calls;       /* that wait for the lease, or for the start of a room */
};

struct subscriber {
    struct session *session; /* NULL once gone */
    const struct nsp *nsp;
    union {
        struct subscriber *next;    /* of its session */
        struct sessions *left_from; /* once gone: those of its session */
    };
    struct member member;
    struct subscriber_lease *lease; /* NULL: it has none, and is to get none */
    struct subscriber_extra *extra; /* NULL: none of it; see subscriber_extra */
    uint32_t number;                /* in its session, from 1: the tag of its events */
    uint32_t refs : 24;  /* the session's, and one for each awaited answer: instance_call_bytes bounds them */
    uint32_t state : 5;  /* enum subscriber_state */
    bool roams : 1;      /* its session moves between instances: it has a lease in every namespace */
    bool lacks_kept : 1; /* the broker could not keep all that it missed meanwhile */
    bool is_moved : 1;   /* it resumes without its client's knowledge, because its session has moved */
};

/* Walks the subscribers of a session; the current one may leave it in the body, and no other. */
#define subscribers_each(name, session) \
    for (struct subscriber *name = (session)->sockets, *name##_next = NULL; \
         name != NULL && (name##_next = name->next, true); name = name##_next)

/* The sessions of its instance, also once it is gone. */
static inline struct sessions *subscriber_sessions(const struct subscriber *subscriber)
{
    return subscriber->session != NULL ? subscriber->session->sessions : subscriber->left_from;
}
/* Its extra part, made if there is none. */
struct subscriber_extra *subscriber_extra(struct subscriber *subscriber);
/* The extra part, to be read: all zero if there is none. */
static inline struct subscriber_extra subscriber_has(const struct subscriber *subscriber)
{
    return subscriber->extra != NULL ? *subscriber->extra : (struct subscriber_extra){.data_len = 0};
}
/* The generation of its lease; of one without a lease, 1. */
static inline uint64_t subscriber_generation(const struct subscriber *subscriber)
{
    return subscriber->lease != NULL ? subscriber->lease->generation : 1;
}

/* What a client brings when it connects. Each may be empty. */
struct subscriber_start {
    struct span pid;                  /* valid (engineio_sid_is_valid): of the lease that it resumes */
    struct span offset;               /* the token of the last event that it received */
    struct span presence_data;        /* JSON */
    struct span room;                 /* that it is in from the start, unless it resumes; the caller has checked it */
    struct span auth;                 /* JSON, the payload of CONNECT; for the application */
    struct span kept_auth;            /* of a moved one: that it keeps */
    bool is_moved;                    /* see struct subscriber; pid and offset are from a parcel, */
    const struct record_claim *claim; /* and the lease was claimed with it; NULL unless it is moved */
    const struct record_grant *grant; /* what it came with; likewise */
    struct identity *identity;        /* of a moved one, which takes it over; NULL: none */
    struct span asking;               /* of a moved one, and the time that it was away: see asking_restore */
    uint64_t away_ms;
};
/* A client connects to a namespace that the session is not in yet. The application decides whether it may: if not, this
 * returns why, and nothing has begun. REFUSAL_COUNT: it has begun, with a reference of the namespace. */
enum refusal subscriber_begin(struct session *session, const struct nsp *nsp, const struct subscriber_start *start)
    __attribute__((warn_unused_result));
/* Its lease says all rooms that it is in, or it has ended. */
bool subscriber_is_recorded(const struct subscriber *subscriber);
/* Nothing of it is under way, see session_is_calm. */
bool subscriber_is_calm(const struct subscriber *subscriber);
/* Appends what brings a calm subscriber back on another instance. `token` is set to its position. */
void subscriber_park(struct subscriber *subscriber, struct token *token, struct buf *to);
/* The subscriber of this namespace, or NULL. */
struct subscriber *subscriber_find(struct session *session, struct span nsp);
/* The client leaves (41): the lease is deleted. */
void subscriber_disconnect(struct subscriber *subscriber);
/* The transport is gone, for this reason. The lease stays, for a later claim. */
void subscriber_detach(struct subscriber *subscriber, enum close_reason reason);
void subscriber_unref(struct subscriber *subscriber);

enum { SUBSCRIBER_DATA_BYTES_MAX = 1024, SUBSCRIBER_AUTH_BYTES_MAX = 4096 };
/* Keeps these bytes with it (SUBSCRIBER_DATA_BYTES_MAX at most), in place of what was kept. They are written to its
 * lease, so they come along when it resumes or moves. */
void subscriber_data_set(struct subscriber *subscriber, struct span data);
/* Its state that is kept, for struct session_app. */
struct leaver subscriber_leaver(const struct subscriber *subscriber);

/* The broker's name of a room of a namespace ("/,lobby"), or of the namespace itself ("/") for an empty room; and back.
 */
void subscriber_room_name(struct buf *to, const struct nsp *nsp, struct span room);
struct span subscriber_room_of(const struct nsp *nsp, struct span name);
/* The room of one subscriber alone ("@/,<sid>"). */
void subscriber_own_room_name(struct buf *to, const struct nsp *nsp, struct span sid);
/* Whether the broker's name of a room is one of this namespace, for the subscriber with this sid. */
bool subscriber_room_is_of(const struct nsp *nsp, struct span name, struct span sid);
/* The broker's name of its lease. It includes the namespace, so that a pid of one namespace claims nothing in another.
 */
struct span subscriber_lease_name(const struct subscriber *subscriber);
/* The namespace that such a name ends with. */
struct span subscriber_lease_nsp(struct span name);
/* Whether it is in this room of its namespace. */
bool subscriber_is_in(struct subscriber *subscriber, struct span room);

/* A message to publish, and its receivers. */
struct subscriber_emit {
    const struct span *rooms; /* to members of at least one of these; none: to the whole namespace */
    size_t room_count;
    const struct span *excepts; /* not to members of one of these (a sid counts as a room) */
    size_t except_count;
    struct span to_sid; /* to this subscriber alone, on any instance; empty: to rooms */
    bool except_self;   /* not to the sender */
    bool is_volatile;   /* not to a client that cannot be written to at once; not logged */
    bool is_local;      /* to members on this instance alone, at once; not logged, and not to `to_sid` */
    const struct content *content;
    struct span id;                           /* the client's name for the message; may be empty */
    struct span ack_id;                       /* of the acknowledgement, sent on acceptance; may be empty */
    const struct broker_retention *retention; /* NULL: not logged */
};
void subscriber_publish(struct subscriber *subscriber, const struct subscriber_emit *emit);
/* Joins `count` rooms, all of them or, if one is refused, none; acknowledged once the lease records all. */
void subscriber_join(struct subscriber *subscriber, const struct span *rooms, size_t count, struct span ack_id);
/* Leaves rooms likewise. One that it is not in counts as left. */
void subscriber_leave(struct subscriber *subscriber, const struct span *rooms, size_t count, struct span ack_id);
/* Refuses one request: counts and logs the refusal, and sends it to the client if it asked for an acknowledgement.
 * `what` is the room or event concerned, for the log. */
void subscriber_refuse(struct subscriber *subscriber, enum refusal refusal, struct span what, struct span ack_id);
/* The same for what the broker has refused for good (broker_refusal_text). A client that takes any acknowledgement for
 * an acceptance gets none; where the namespace announces, it is told by the event `sennit`. */
void subscriber_refuse_publish(struct subscriber *subscriber, enum broker_result result, struct span what,
                               struct span ack_id);
enum refusal subscriber_refusal_of(enum broker_result result);
/* Ends it, while its session goes on: the client is told why, and may come back and resume. Counts the refusal. */
void subscriber_expel(struct subscriber *subscriber, enum refusal refusal);
/* Tells the client something in the event `sennit`: the arguments are `["sennit",{...}]`. */
void subscriber_tell(struct subscriber *subscriber, struct span args);

/* subscriber_identity.c: who the client is. */

/* Takes over an identity, in place of the one it had, and ends the subscriber when it expires. */
void subscriber_identity_set(struct subscriber *subscriber, struct identity *identity);
/* The same with a new token of a connected client; leaves the rooms that the new one does not allow. Refused if it is
 * of another subject; then the identity stays the caller's. */
enum refusal subscriber_identity_renew(struct subscriber *subscriber, struct identity *identity);
void subscriber_identity_drop(struct subscriber *subscriber); /* harmless without one */
/* Its identity has expired: it is about to be ended, and nothing more of it counts. */
bool subscriber_has_expired(const struct subscriber *subscriber);
/* The time until then; UINT64_MAX: never. */
uint64_t subscriber_expires_in_ms(const struct subscriber *subscriber);
/* Asks the rules. An empty room is the namespace. */
bool subscriber_may(const struct subscriber *subscriber, enum deed deed, struct span room);

/* Answers a request, unless its id is empty: with nothing, or with this content. */
void subscriber_ack(struct subscriber *subscriber, struct span ack_id);
void subscriber_answer(struct subscriber *subscriber, struct span ack_id, const struct content *content);

static inline struct span subscriber_sid(const struct subscriber *subscriber)
{
    return span_of(member_sid(&subscriber->member).data, ENGINEIO_SID_BYTES);
}
/* The client has the CONNECT reply, and its packets count. */
static inline bool subscriber_is_connected(const struct subscriber *subscriber)
{
    return subscriber->state == SUBSCRIBER_CONNECTED || subscriber->state == SUBSCRIBER_ENDING;
}
/* It has a lease, or is to get one. */
static inline bool subscriber_is_leased(const struct subscriber *subscriber)
{
    return subscriber->lease != NULL;
}
/* Its lease is its own: it is connected, or has claimed the lease that it resumes. */
static inline bool subscriber_has_lease(const struct subscriber *subscriber)
{
    return subscriber->state == SUBSCRIBER_CONNECTED || subscriber->state == SUBSCRIBER_RESUMING;
}
/* What the hub tells subscribers. */
extern const struct member_events subscriber_member_events;
/* Called by the sessions: rewrites the lease if it is due; ends a subscriber whose lease another instance claimed. */
void subscriber_lease_refresh(struct subscriber *subscriber);
void subscriber_superseded(struct sessions *sessions, struct span lease, uint64_t generation);

#endif

/* giving: a record of a polling session while it is given to this instance (broker/record.h): its leases, and what was
 * kept for it. redis_record and postgres_record decode it from what their server sends. Spans point into that. */
#ifndef SENNIT_BROKER_GIVING_H
#define SENNIT_BROKER_GIVING_H

#include "broker/broker.h"

enum { GIVING_KEPT_MAX = 1000 }; /* as record.lua and records.sql have it */

/* A lease that comes with a record. */
struct giving_lease {
    struct broker_lease lease;
    uint64_t own_last; /* seq of its own room's newest entry */
    bool fenced;       /* the hub has asked where that room's pushes stand */
};

struct giving {
    struct giving_lease *leases;
    struct record_claim *claims; /* of each lease */
    size_t count;                /* decoded so far */
    struct record_kept *kept;
    size_t kept_count; /* decoded so far */
};

/* Room for so many leases, and none for kept events. */
void giving_init(struct giving *giving, size_t leases);
/* Room for so many kept events, GIVING_KEPT_MAX at most; called once. */
void giving_kept_init(struct giving *giving, size_t kept);
void giving_finish(struct giving *giving);
/* Whether the room's owner is being told, by this record, that it owns the room: then that says where its pushes stand,
 * and no call is needed. `giving`: NULL while none is given. */
bool giving_fences(struct giving *giving, struct span room);
/* Tells the sessions (record_events.granted), while `*current` is this record; then the hub where the pushes of the
 * rooms stand that giving_fences was asked for, unless the link has broken. `position`: up to which everything has been
 * pushed. Fills in what `grant` has of claims and kept events. */
void giving_tell(struct giving *giving, struct giving **current, struct broker *broker, struct span sid,
                 uint64_t ticket, struct record_grant *grant, uint64_t position);

#endif

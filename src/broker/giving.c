/* giving: holds a record while it is given, and tells of it. */
#include "broker/giving.h"

#include <stdlib.h>

#include "base/mem.h"

void giving_init(struct giving *giving, size_t leases)
{
    *giving = (struct giving){.leases = mem_zero(leases + 1, sizeof *giving->leases),
                              .claims = mem_zero(leases + 1, sizeof *giving->claims)};
}

void giving_kept_init(struct giving *giving, size_t kept)
{
    giving->kept = mem_zero(kept + 1, sizeof *giving->kept);
}

void giving_finish(struct giving *giving)
{
    free(giving->leases);
    free(giving->claims);
    free(giving->kept);
}

bool giving_fences(struct giving *giving, struct span room)
{
    for (size_t i = 0; giving != NULL && i < giving->count; i++) {
        if (giving->claims[i].lease != NULL && span_equal(giving->leases[i].lease.own, room)) {
            giving->leases[i].fenced = true;
            return true;
        }
    }
    return false;
}

void giving_tell(struct giving *giving, struct giving **current, struct broker *broker, struct span sid,
                 uint64_t ticket, struct record_grant *grant, uint64_t position)
{
    grant->claims = giving->claims;
    grant->claim_count = giving->count;
    grant->kept = giving->kept;
    grant->kept_count = giving->kept_count;
    *current = giving;
    broker->record_events->granted(broker->record_arg, sid, ticket, grant);
    *current = NULL;
    for (size_t i = 0; i < giving->count && broker_is_up(broker); i++) {
        const struct giving_lease *lease = &giving->leases[i];
        uint64_t last = lease->own_last < position ? lease->own_last : position;
        if (lease->fenced)
            broker->events->subscribed(broker->hub, lease->lease.own, last, position);
    }
}

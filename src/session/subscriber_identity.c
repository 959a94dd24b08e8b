/* subscriber_identity: who a subscriber is: how its identity is kept, renewed and told to expire, and what it allows.
 *
 * A timer of the monotonic clock looks at the wall clock, which may jump. */
#include <stdlib.h>

#include "base/mem.h"
#include "session/subscriber_parts.h"

enum {
    LOOK_MS_MAX = 60000, /* the wall clock is looked at so often at least, */
    LOOK_MS_MIN = 20,    /* and at most: also while a subscriber that is to end is still connecting */
};

uint64_t subscriber_expires_in_ms(const struct subscriber *subscriber)
{
    const struct identity *identity = subscriber_has(subscriber).identity;
    if (identity == NULL || identity->expires_ms == IDENTITY_FOREVER)
        return UINT64_MAX;
    int64_t left_ms = identity->expires_ms - loop_wall_ms(subscriber_sessions(subscriber)->loop);
    return left_ms > 0 ? (uint64_t)left_ms : 0;
}

bool subscriber_has_expired(const struct subscriber *subscriber)
{
    return subscriber_expires_in_ms(subscriber) == 0;
}

static void tell(struct subscriber *subscriber, uint64_t left_ms)
{
    struct buf args = {0};
    buf_printf(&args, "[\"sennit\",{\"expires_in_ms\":%llu}]", (unsigned long long)left_ms);
    subscriber_tell(subscriber, buf_span(&args));
    buf_finish(&args);
}

/* When the timer is to look next: at the notice, at the end, or when the clock may have jumped. */
static uint64_t look_in_ms(const struct subscriber *subscriber, uint64_t left_ms)
{
    uint64_t notice_ms = subscriber->nsp->notice_ms;
    if (!subscriber_has(subscriber).identity->told && notice_ms > 0)
        left_ms = left_ms > notice_ms ? left_ms - notice_ms : 0;
    if (!subscriber_is_connected(subscriber) && left_ms < LOOK_MS_MIN)
        return LOOK_MS_MIN;
    return left_ms < LOOK_MS_MAX ? left_ms : LOOK_MS_MAX;
}

static void look(struct timer *timer)
{
    struct identity *identity = container_of(timer, struct identity, timer);
    struct subscriber *subscriber = identity->holder;
    uint64_t left_ms = subscriber_expires_in_ms(subscriber);
    bool is_connected = subscriber_is_connected(subscriber);
    if (left_ms == 0 && is_connected) {
        subscriber_expel(subscriber, REFUSAL_TOKEN_EXPIRED);
        return;
    }
    if (is_connected && !identity->told && left_ms <= subscriber->nsp->notice_ms) {
        identity->told = true;
        tell(subscriber, left_ms);
    }
    timer_start(subscriber_sessions(subscriber)->loop, timer, LOOP_MS(look_in_ms(subscriber, left_ms)));
}

void subscriber_identity_drop(struct subscriber *subscriber)
{
    if (subscriber_has(subscriber).identity == NULL)
        return;
    timer_stop(subscriber_sessions(subscriber)->loop, &subscriber->extra->identity->timer);
    identity_destroy(subscriber_has(subscriber).identity);
    subscriber->extra->identity = NULL;
}

void subscriber_identity_set(struct subscriber *subscriber, struct identity *identity)
{
    subscriber_identity_drop(subscriber);
    subscriber_extra(subscriber)->identity = identity;
    identity->holder = subscriber;
    timer_init(&identity->timer, look);
    uint64_t left_ms = subscriber_expires_in_ms(subscriber);
    if (left_ms != UINT64_MAX)
        timer_start(subscriber_sessions(subscriber)->loop, &identity->timer, LOOP_MS(look_in_ms(subscriber, left_ms)));
}

bool subscriber_may(const struct subscriber *subscriber, enum deed deed, struct span room)
{
    struct session_app *app = subscriber_sessions(subscriber)->app;
    return app->may == NULL || app->may(app, subscriber, deed, room);
}

/* One room that the identity does not allow, copied to `to`. */
static bool forbidden_find(struct subscriber *subscriber, struct buf *to)
{
    for (struct membership *at = member_next(&subscriber->member, NULL); at != NULL;
         at = member_next(&subscriber->member, at)) {
        struct span name = membership_room(at), room = subscriber_room_of(subscriber->nsp, name);
        if (broker_room_is_owned(name) || room.len == 0 || !membership_is_open(at) ||
            subscriber_may(subscriber, DEED_JOIN, room))
            continue;
        buf_clear(to);
        buf_append(to, room);
        return true;
    }
    return false;
}

/* Leaves what is no longer allowed, and tells the client. */
static void rooms_check(struct subscriber *subscriber)
{
    struct buf room = {0}, args = {0};
    while (forbidden_find(subscriber, &room)) {
        struct span name = buf_span(&room);
        refusals_note(&subscriber_sessions(subscriber)->refusals, REFUSAL_ROOM_FORBIDDEN, subscriber_sid(subscriber),
                      name);
        subscriber_leave(subscriber, &name, 1, (struct span){NULL, 0});
        buf_clear(&args);
        buf_append(&args, SPAN_LIT("[\"sennit\",{\"left\":\""));
        buf_append_json(&args, name);
        buf_printf(&args, "\",\"reason\":\"%s\",\"error\":\"%s\"}]", refusal_name(REFUSAL_ROOM_FORBIDDEN),
                   refusal_text(REFUSAL_ROOM_FORBIDDEN));
        subscriber_tell(subscriber, buf_span(&args));
    }
    buf_finish(&room);
    buf_finish(&args);
}

enum refusal subscriber_identity_renew(struct subscriber *subscriber, struct identity *identity)
{
    if (!span_equal(identity_subject(subscriber_has(subscriber).identity), identity_subject(identity)))
        return REFUSAL_TOKEN_OF_ANOTHER;
    subscriber_identity_set(subscriber, identity);
    rooms_check(subscriber);
    return REFUSAL_COUNT;
}

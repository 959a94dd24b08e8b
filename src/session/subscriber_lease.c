/* subscriber_lease: the lease of a subscriber: its name, when it is written and by which call, how it is given back,
 * and the maps that find a subscriber by it. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/moves.h"
#include "session/call.h"
#include "session/departed.h"
#include "session/lease.h"
#include "session/polling.h"
#include "session/presence.h"
#include "session/subscriber_parts.h"

enum {
    LEASE_CHANGE_BYTES = 1024, /* of a lease that is written count as one change */
    ROAM_MS = 120000,          /* the window of a lease that only serves to move its session */
};

#define LEASE_MOVES(MOVE) \
    MOVE(LEASE_IDLE, LEASE_WRITING) \
    MOVE(LEASE_WRITING, LEASE_IDLE) \
    MOVE(LEASE_WRITING, LEASE_WRITING_AGAIN) \
    MOVE(LEASE_WRITING, LEASE_RETRYING) \
    MOVE(LEASE_WRITING_AGAIN, LEASE_WRITING) \
    MOVE(LEASE_WRITING_AGAIN, LEASE_RETRYING) \
    MOVE(LEASE_WRITING_AGAIN, LEASE_IDLE) \
    MOVE(LEASE_RETRYING, LEASE_WRITING)

/* The only function that changes the state of its lease. */
static void set_lease_state(struct subscriber *subscriber, enum lease_state state)
{
    static const bool legal[LEASE_STATES][LEASE_STATES] = {LEASE_MOVES(MOVE_LEGAL)};
    assert(legal[subscriber->lease->state][state]);
    subscriber->lease->state = (uint8_t)state;
}

void subscriber_lease_create(struct subscriber *subscriber, timer_fn *retry)
{
    struct subscriber_lease *lease = subscriber->lease = mem_zero(1, sizeof *lease);
    lease->subscriber = subscriber;
    timer_init(&lease->retry, retry);
}

void subscriber_lease_free(struct subscriber *subscriber)
{
    struct subscriber_lease *lease = subscriber->lease;
    if (lease == NULL)
        return;
    free(lease->name);
    free(lease->stale);
    free(lease->offset);
    free(lease);
}

void subscriber_stale_set(struct subscriber *subscriber, struct span text)
{
    struct token token;
    free(subscriber->lease->stale);
    subscriber->lease->stale = text.len > 0 && text.len <= TOKEN_BYTES_MAX ? mem_text(text) : NULL;
    if (subscriber->lease->stale != NULL && token_decode(text, &token)) {
        member_stale_set(&subscriber->member, &token);
    }
}

struct span subscriber_lease_name(const struct subscriber *subscriber)
{
    struct span nsp = subscriber->nsp->name;
    return span_of(subscriber->lease->name, ENGINEIO_SID_BYTES + (nsp.len > 1 ? nsp.len : 0));
}

struct span subscriber_lease_nsp(struct span name)
{
    return name.len > ENGINEIO_SID_BYTES ? span_from(name, ENGINEIO_SID_BYTES) : SPAN_LIT("/");
}

void subscriber_lease_name_set(struct subscriber *subscriber, struct span pid)
{
    struct span nsp = subscriber->nsp->name;
    free(subscriber->lease->name);
    subscriber->lease->name = mem_alloc(pid.len + nsp.len);
    memcpy(subscriber->lease->name, pid.data, pid.len);
    memcpy(subscriber->lease->name + pid.len, nsp.data, nsp.len);
}

/* A namespace without recovery says nothing of leases; a session that moves between instances has them all the same. */
static uint64_t window_ms(const struct subscriber *subscriber)
{
    return subscriber->nsp->recoverable ? subscriber->nsp->recovery_ms : ROAM_MS;
}

/* Rewritten at half its life, so that the whole window is left whenever the instance dies. */
static void lease_due_set(struct subscriber *subscriber)
{
    subscriber->lease->due_us = loop_now_us(subscriber_sessions(subscriber)->loop) + LOOP_MS(window_ms(subscriber));
}

struct subscriber *subscriber_by_lease(const struct map *map, struct span name)
{
    struct map_node *node = map_find(map, name);
    return node != NULL ? container_of(node, struct subscriber_lease, by_name)->subscriber : NULL;
}

void subscriber_unlist(struct subscriber *subscriber)
{
    if (subscriber->lease->listing == LISTED_AS_OWNER)
        map_remove(&subscriber_sessions(subscriber)->sockets, &subscriber->lease->by_name);
    else if (subscriber->lease->listing == LISTED_AS_CLAIM)
        map_remove(&subscriber_sessions(subscriber)->claims, &subscriber->lease->by_name);
    subscriber->lease->listing = LISTED_NOWHERE;
}

/* Lists it by its lease. The same client may still seem alive on another connection to this instance; that one ends. */
void subscriber_list(struct subscriber *subscriber)
{
    struct sessions *sessions = subscriber_sessions(subscriber);
    struct span name = subscriber_lease_name(subscriber);
    struct subscriber *old = subscriber_by_lease(&sessions->sockets, name);
    if (old != NULL) {
        subscriber_unlist(old);
        subscriber_give_up(old, true, CLOSE_SUPERSEDED);
    }
    map_add(&sessions->sockets, &subscriber->lease->by_name, name);
    subscriber->lease->listing = LISTED_AS_OWNER;
    if (subscriber->lease->due_us == 0)
        lease_due_set(subscriber);
}

/* The names of a subscriber's lease and of its own room; the caller frees `own`. */
struct broker_lease subscriber_lease_of(const struct subscriber *subscriber, struct buf *own)
{
    if (subscriber->nsp->direct)
        subscriber_own_room_name(own, subscriber->nsp, subscriber_sid(subscriber));
    return (struct broker_lease){
        .pid = subscriber_lease_name(subscriber),
        .sid = subscriber_sid(subscriber),
        .own = buf_span(own),
        .generation = subscriber->lease->generation,
        .window_ms = window_ms(subscriber),
        .watch = subscriber->nsp->watch,
    };
}

static void lease_write(struct subscriber *subscriber);

static void lease_written(void *arg, enum broker_result result)
{
    struct subscriber *subscriber = arg;
    bool again = subscriber->lease->state == LEASE_WRITING_AGAIN;
    if (subscriber_has_ended(subscriber)) {
        set_lease_state(subscriber, LEASE_IDLE);
    } else if (result == BROKER_SUPERSEDED) {
        set_lease_state(subscriber, LEASE_IDLE);
        subscriber_sessions(subscriber)->counters.leases_superseded++;
        subscriber_give_up(subscriber, true, CLOSE_SUPERSEDED);
    } else if (result != BROKER_OK) {
        set_lease_state(subscriber, LEASE_RETRYING);
        timer_start(subscriber_sessions(subscriber)->loop, &subscriber->lease->retry, LOOP_MS(SUBSCRIBER_RETRY_MS));
    } else if (again) {
        subscriber_calls_answer(subscriber); /* those that this write knows of need not wait for the next */
        lease_write(subscriber);
    } else {
        set_lease_state(subscriber, LEASE_IDLE);
        lease_due_set(subscriber);
        session_stirred(subscriber->session);
        if (subscriber->state == SUBSCRIBER_LEASING) {
            subscriber_set_state(subscriber, SUBSCRIBER_CONNECTED);
            subscriber_connected(subscriber, false);
        } else if (subscriber->state == SUBSCRIBER_CONNECTED) {
            subscriber_joins_done(subscriber);
        }
    }
    subscriber_unref(subscriber);
}

/* While its session moves between requests, unlogged events of its rooms are kept for it. */
static void keep_encode(struct buf *to, const struct subscriber *subscriber, struct broker_lease *lease)
{
    const struct member *member = &subscriber->member;
    if (!subscriber->roams || subscriber->session->transport->format != TRANSPORT_POLLING)
        return;
    for (struct membership *at = member_next(member, NULL); at != NULL; at = member_next(member, at)) {
        if (!membership_is_open(at))
            continue;
        buf_append_u64(to, membership_room(at).len);
        buf_append_char(to, ' ');
        buf_append(to, membership_room(at));
    }
    lease->keep = buf_span(to);
    lease->keep_ms = polling_hold_ms(subscriber_sessions(subscriber));
}

static void lease_write(struct subscriber *subscriber)
{
    struct buf rooms = {0}, own = {0}, data = {0}, keep = {0};
    member_note(&subscriber->member);
    subscriber->lease->writes++;
    subscriber_calls_note(subscriber);
    lease_rooms_encode(&rooms, &subscriber->member);
    struct broker_lease lease = subscriber_lease_of(subscriber, &own);
    lease.rooms = buf_span(&rooms);
    lease_data_encode(&data, span_str(subscriber->lease->stale), identity_subject(subscriber_has(subscriber).identity),
                      span_of(subscriber_has(subscriber).data, subscriber_has(subscriber).data_len));
    lease.data = buf_span(&data);
    keep_encode(&keep, subscriber, &lease);
    subscriber->lease->bytes = (uint32_t)rooms.len + subscriber_has(subscriber).data_len;
    set_lease_state(subscriber, LEASE_WRITING);
    subscriber->refs++;
    lease_due_set(subscriber);
    session_change(subscriber->session, rooms.len / LEASE_CHANGE_BYTES);
    broker_lease_write(hub_broker(subscriber_sessions(subscriber)->hub), &lease, lease_written, subscriber);
    buf_finish(&rooms);
    buf_finish(&own);
    buf_finish(&keep);
    buf_finish(&data);
}

void subscriber_lease_refresh(struct subscriber *subscriber)
{
    if (subscriber_has_ended(subscriber))
        return; /* it would come back to life */
    if (subscriber->lease->state == LEASE_WRITING)
        set_lease_state(subscriber, LEASE_WRITING_AGAIN);
    else if (subscriber->lease->state != LEASE_WRITING_AGAIN)
        lease_write(subscriber);
}

/* The application is told that it has ended, and ends the lease (struct nsp, `watch`). */
static bool lease_is_apps(const struct subscriber *subscriber)
{
    return subscriber->nsp->watch.len != 0 &&
           (subscriber_has(subscriber).part != NULL || subscriber->state == SUBSCRIBER_RESUMING ||
            subscriber->state == SUBSCRIBER_RESTARTING);
}

bool subscriber_lease_is_unheard(const struct subscriber *subscriber)
{
    return subscriber->nsp->watch.len != 0 && subscriber->state == SUBSCRIBER_LEASING;
}

void subscriber_lease_release(struct subscriber *subscriber, bool for_good)
{
    struct buf own = {0};
    if (for_good && lease_is_apps(subscriber))
        return;
    struct broker_lease lease = subscriber_lease_of(subscriber, &own);
    broker_lease_release(hub_broker(subscriber_sessions(subscriber)->hub), &lease, for_good);
    buf_finish(&own);
}

static void last_written(void *arg, enum broker_result result)
{
    /* Nobody waits: the subscriber is gone, and if the link broke, so is the release that follows. */
}

void subscriber_lease_write_last(struct subscriber *subscriber)
{
    struct buf rooms = {0}, own = {0}, data = {0};
    bool has_more = subscriber->lease->state == LEASE_WRITING_AGAIN && subscriber_has(subscriber).data_len > 0;
    if (!member_lease_is_stale(&subscriber->member) && subscriber->lease->state != LEASE_RETRYING && !has_more)
        return;
    lease_rooms_encode(&rooms, &subscriber->member);
    struct broker_lease lease = subscriber_lease_of(subscriber, &own);
    lease.rooms = buf_span(&rooms);
    lease_data_encode(&data, span_str(subscriber->lease->stale), identity_subject(subscriber_has(subscriber).identity),
                      span_of(subscriber_has(subscriber).data, subscriber_has(subscriber).data_len));
    lease.data = buf_span(&data);
    subscriber->lease->bytes = (uint32_t)rooms.len + subscriber_has(subscriber).data_len;
    broker_lease_write(hub_broker(subscriber_sessions(subscriber)->hub), &lease, last_written, NULL);
    buf_finish(&rooms);
    buf_finish(&own);
    buf_finish(&data);
}

/* The connection is gone, the lease stays for whoever claims it; unless too much stays of others already. */
bool subscriber_lease_leave(struct subscriber *subscriber, const struct broker_lease *lease, const struct addr_ip *from,
                            enum close_reason reason)
{
    struct sessions *sessions = subscriber_sessions(subscriber);
    bool by_us = reason == CLOSE_DRAINED || reason == CLOSE_ROTATED;
    bool stays = departed_keep(sessions, lease->pid, from, subscriber->lease->bytes, lease->window_ms, by_us);
    if (!stays) {
        char peer[ADDR_TEXT_MAX];
        addr_ip_print(from, peer);
        refusals_note(&sessions->refusals, REFUSAL_LEASES_FULL, span_str(peer), subscriber->nsp->name);
    }
    broker_lease_release(hub_broker(sessions->hub), lease, !stays && subscriber->nsp->watch.len == 0);
    return stays;
}

void subscriber_superseded(struct sessions *sessions, struct span lease, uint64_t generation)
{
    struct subscriber *claiming = subscriber_by_lease(&sessions->claims, lease);
    struct subscriber *subscriber = subscriber_by_lease(&sessions->sockets, lease);
    if (claiming != NULL && claiming->lease->generation < generation)
        claiming->lease->generation = generation;
    if (subscriber == NULL && claiming == NULL) {
        departed_returned(sessions, lease);
        if (sessions->app->returned != NULL)
            sessions->app->returned(sessions->app, lease);
    }
    if (subscriber == NULL || subscriber->lease->generation >= generation)
        return;
    sessions->counters.leases_superseded++;
    /* The claimer may have ended the lease since, and a write from here may have created it again: ends it. */
    subscriber_lease_release(subscriber, true);
    subscriber_give_up(subscriber, true, CLOSE_SUPERSEDED);
}

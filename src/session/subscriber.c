/* subscriber: its life: connecting, claiming a lease and resuming by it, ending. Its lease is in
 * subscriber_lease.c, the traffic of a connected one in subscriber_traffic.c. */
#include "session/subscriber.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/moves.h"
#include "session/asking.h"
#include "session/call.h"
#include "session/departed.h"
#include "session/directive.h"
#include "session/lease.h"
#include "session/parcel.h"
#include "session/presence.h"
#include "session/subscriber_parts.h"
#include "session/survey.h"

enum {
    OFFSET_BYTES_MAX = TOKEN_BYTES_MAX, /* longer ones are not ours */
    REFUSED_CHANGES = 10,               /* a CONNECT that is refused counts so much: a signature was verified */
};
static const uint64_t NO_POSITION = UINT64_C(1) << 62; /* no log gets there: whoever claims it is refused */

static void fresh_begin(struct subscriber *subscriber, struct span room);

#define SUBSCRIBER_MOVES(MOVE) \
    MOVE(SUBSCRIBER_NEW, SUBSCRIBER_CLAIMING) \
    MOVE(SUBSCRIBER_NEW, SUBSCRIBER_JOINING) \
    MOVE(SUBSCRIBER_CLAIMING, SUBSCRIBER_RESUMING) \
    MOVE(SUBSCRIBER_CLAIMING, SUBSCRIBER_JOINING) \
    MOVE(SUBSCRIBER_RESUMING, SUBSCRIBER_CONNECTED) \
    MOVE(SUBSCRIBER_RESUMING, SUBSCRIBER_RESTARTING) \
    MOVE(SUBSCRIBER_RESTARTING, SUBSCRIBER_JOINING) \
    MOVE(SUBSCRIBER_JOINING, SUBSCRIBER_LEASING) \
    MOVE(SUBSCRIBER_JOINING, SUBSCRIBER_CONNECTED) \
    MOVE(SUBSCRIBER_LEASING, SUBSCRIBER_CONNECTED) \
    MOVE(SUBSCRIBER_CONNECTED, SUBSCRIBER_ENDING) \
    MOVE(SUBSCRIBER_RESUMING, SUBSCRIBER_FAILED) \
    MOVE(SUBSCRIBER_RESTARTING, SUBSCRIBER_FAILED) \
    MOVE(SUBSCRIBER_JOINING, SUBSCRIBER_FAILED) \
    MOVE(SUBSCRIBER_LEASING, SUBSCRIBER_FAILED) \
    MOVE(SUBSCRIBER_CLAIMING, SUBSCRIBER_GONE) \
    MOVE(SUBSCRIBER_RESUMING, SUBSCRIBER_GONE) \
    MOVE(SUBSCRIBER_RESTARTING, SUBSCRIBER_GONE) \
    MOVE(SUBSCRIBER_JOINING, SUBSCRIBER_GONE) \
    MOVE(SUBSCRIBER_LEASING, SUBSCRIBER_GONE) \
    MOVE(SUBSCRIBER_CONNECTED, SUBSCRIBER_GONE) \
    MOVE(SUBSCRIBER_ENDING, SUBSCRIBER_GONE) \
    MOVE(SUBSCRIBER_FAILED, SUBSCRIBER_GONE)

/* The only function that changes a subscriber's state. */
void subscriber_set_state(struct subscriber *subscriber, enum subscriber_state state)
{
    static const bool legal[SUBSCRIBER_STATES][SUBSCRIBER_STATES] = {SUBSCRIBER_MOVES(MOVE_LEGAL)};
    assert(legal[subscriber->state][state]);
    subscriber->state = (uint8_t)state;
    if (state == SUBSCRIBER_CONNECTED) {
        subscriber_connecting_end(subscriber);
        session_stirred(subscriber->session);
    }
}

/* It counts no more: the session is closing, or has closed. */
bool subscriber_has_ended(const struct subscriber *subscriber)
{
    return subscriber->state == SUBSCRIBER_ENDING || subscriber->state == SUBSCRIBER_FAILED ||
           subscriber->state == SUBSCRIBER_GONE;
}

void subscriber_unref(struct subscriber *subscriber)
{
    assert(subscriber->refs > 0);
    if (--subscriber->refs > 0) {
        if (subscriber->refs == 1 && subscriber->session != NULL)
            session_stirred(subscriber->session); /* it awaits no answer any more */
        return;
    }
    subscriber_identity_drop(subscriber);
    subscriber_connecting_end(subscriber);
    subscriber_extra_free(subscriber);
    subscriber_lease_free(subscriber);
    nsp_unref(subscriber_sessions(subscriber)->app, subscriber->nsp);
    pool_give(&subscriber_sessions(subscriber)->subscribers, subscriber);
}

static void id_create(struct sessions *sessions, char to[ENGINEIO_SID_BYTES])
{
    uint8_t random[15];
    loop_random(sessions->loop, random, sizeof random);
    engineio_sid_encode(random, to);
}

/* Another instance has its lease. The subscriber stops being present now: while its connection lingers, the new owner
 * may enter under the same sid, and a late leave from here must not remove it. */
void subscriber_give_up(struct subscriber *subscriber, bool may_return, enum close_reason reason)
{
    if (!subscriber_has_ended(subscriber))
        subscriber_set_state(subscriber,
                             subscriber->state == SUBSCRIBER_CONNECTED ? SUBSCRIBER_ENDING : SUBSCRIBER_FAILED);
    if (subscriber->lease != NULL)
        subscriber->lease->due_us = 0;
    presence_leave_all(subscriber, may_return);
    session_close(subscriber->session, reason);
}

/* Entries that it needs are gone. Starting anew leaves the rooms, which the hub may be walking now. */
static void restart(struct subscriber *subscriber)
{
    if (subscriber->is_moved) { /* its client knows nothing of this, so it must connect again */
        subscriber_set_state(subscriber, SUBSCRIBER_RESTARTING);
        subscriber_give_up(subscriber, false, CLOSE_HISTORY_LOST);
        return;
    }
    subscriber_set_state(subscriber, SUBSCRIBER_RESTARTING);
    timer_start(subscriber_sessions(subscriber)->loop, &subscriber->lease->retry, 0);
}

static void on_ready(struct member *member, bool whole)
{
    struct subscriber *subscriber = container_of(member, struct subscriber, member);
    bool is_leased = subscriber_is_leased(subscriber);
    if (subscriber->state == SUBSCRIBER_RESUMING && whole) {
        subscriber_set_state(subscriber, SUBSCRIBER_CONNECTED);
        subscriber_connected(subscriber, true);
    } else if (subscriber->state == SUBSCRIBER_RESUMING) {
        restart(subscriber);
    } else if (subscriber->state == SUBSCRIBER_JOINING && is_leased) {
        subscriber_set_state(subscriber, SUBSCRIBER_LEASING);
        subscriber_lease_refresh(subscriber);
    } else if (subscriber->state == SUBSCRIBER_JOINING) {
        subscriber_set_state(subscriber, SUBSCRIBER_CONNECTED);
        subscriber_connected(subscriber, false);
    } else if ((subscriber->state == SUBSCRIBER_LEASING || subscriber->state == SUBSCRIBER_CONNECTED) && is_leased) {
        subscriber_lease_refresh(subscriber);
    } else if (subscriber->state == SUBSCRIBER_CONNECTED) {
        subscriber_joins_done(subscriber);
    }
}

static void on_settled(struct member *member)
{
    struct subscriber *subscriber = container_of(member, struct subscriber, member);
    presence_settled(subscriber);
    session_stirred(subscriber->session);
}

static void on_lost(struct member *member)
{
    struct subscriber *subscriber = container_of(member, struct subscriber, member);
    /* Its lease would be claimed again with the same outcome. */
    if (subscriber_is_leased(subscriber))
        subscriber_lease_release(subscriber, true);
    subscriber_give_up(subscriber, false, CLOSE_HISTORY_LOST);
}

const struct member_events subscriber_member_events = {
    .ready = on_ready,
    .deliver = subscriber_deliver,
    .settled = on_settled,
    .lost = on_lost,
    .has_room = subscriber_has_room,
    .directed = subscriber_directed,
};

static void room_join(struct subscriber *subscriber, struct span room)
{
    struct session_app *app = subscriber_sessions(subscriber)->app;
    const struct room_policy *policy = app->room_policy(app, subscriber->nsp, room);
    struct buf name = {0};
    subscriber_room_name(&name, subscriber->nsp, room);
    member_join(&subscriber->member, buf_span(&name),
                subscriber_may(subscriber, DEED_HISTORY, room) ? policy->replay : START_NOW, policy->replay_entries);
    buf_finish(&name);
}

/* `room`: that it is in from the start, beside the namespace's; may be empty. */
static void fresh_begin(struct subscriber *subscriber, struct span room)
{
    const struct nsp *nsp = subscriber->nsp;
    struct subscriber_lease *lease = subscriber->lease;
    char sid[ENGINEIO_SID_BYTES];
    id_create(subscriber_sessions(subscriber), sid);
    if (lease != NULL) {
        char pid[ENGINEIO_SID_BYTES];
        id_create(subscriber_sessions(subscriber), pid);
        subscriber_lease_name_set(subscriber, span_of(pid, sizeof pid));
        lease->generation = 1;
    }
    subscriber_set_state(subscriber, SUBSCRIBER_JOINING);
    member_init(&subscriber->member, subscriber_sessions(subscriber)->hub, span_of(sid, sizeof sid));
    if (lease != NULL) {
        subscriber_stale_set(subscriber, span_str(lease->offset));
        free(lease->offset);
        lease->offset = NULL;
    }
    room_join(subscriber, (struct span){NULL, 0});
    if (room.len != 0)
        room_join(subscriber, room);
    if (nsp->direct) {
        struct buf own = {0};
        subscriber_own_room_name(&own, nsp, subscriber_sid(subscriber));
        member_join(&subscriber->member, buf_span(&own), START_NOW, 0);
        buf_finish(&own);
    }
    member_joined(&subscriber->member);
}

/* Whether the client may still be in a room of its lease: it may have come with another token. */
static bool room_is_allowed(struct subscriber *subscriber, struct span name)
{
    struct span room = subscriber_room_of(subscriber->nsp, name);
    if (broker_room_is_owned(name) || room.len == 0 || subscriber_may(subscriber, DEED_JOIN, room))
        return true;
    refusals_note(&subscriber_sessions(subscriber)->refusals, REFUSAL_ROOM_FORBIDDEN, subscriber_sid(subscriber), room);
    return false;
}

/* Restores its rooms from the lease. False if the client may lack entries of a room that is no longer recorded, or may
 * no longer be in one of them. */
static bool rooms_restore(struct subscriber *subscriber, struct span rooms, const struct token *token)
{
    struct span room;
    struct stretch stretch;
    uint64_t floor, directed;
    bool any = false;
    int more;
    if (!lease_floor_decode(&rooms, &floor) || !lease_directed_decode(&rooms, &directed))
        return false;
    member_floor_set(&subscriber->member, floor);
    member_directed_seq_set(&subscriber->member, directed);
    while ((more = lease_room_decode(&rooms, &room, &stretch)) > 0) {
        if (!subscriber_room_is_of(subscriber->nsp, room, subscriber_sid(subscriber)) ||
            !room_is_allowed(subscriber, room))
            return false;
        any = true;
        uint64_t position = stretch.start;
        if (token != NULL)
            position = token_position(token, room, stretch.since, stretch.start, stretch.joined_at);
        member_rejoin(&subscriber->member, room, &stretch, position);
    }
    /* Without a room it would wait for ever. */
    return more == 0 && any && (token != NULL ? token->seq : 0) >= floor;
}

/* Unlogged events that came while its session was nowhere; volatile ones had nobody to go to. */
static void kept_hold(struct subscriber *subscriber, const struct record_grant *grant)
{
    member_keep_begin(&subscriber->member);
    subscriber->lacks_kept = grant->kept_lost > 0;
    for (size_t i = 0; i < grant->kept_count; i++) {
        const struct record_kept *kept = &grant->kept[i];
        struct broker_entry event = {.room = kept->room, .audience = kept->audience, .body = kept->body};
        if (kept->change != 0)
            presence_keep(subscriber, kept);
        else if (content_is_volatile(kept->body))
            subscriber_sessions(subscriber)->counters.volatile_dropped++;
        else
            member_keep(&subscriber->member, &event, kept->after);
    }
}

/* Takes over the lease of another instance, or of an earlier connection to this one. */
static void resume_begin(struct subscriber *subscriber, const struct broker_lease *lease,
                         const struct record_grant *grant)
{
    struct token token = {0};
    struct span stale, subject, data;
    bool has_token = subscriber->lease->offset != NULL && token_decode(span_str(subscriber->lease->offset), &token);
    lease_data_decode(lease->data, &stale, &subject, &data);
    subscriber_data_keep(subscriber, data);
    /* The very token from before the session began: the client has received no event of the session yet. */
    if (has_token && span_equal(stale, span_str(subscriber->lease->offset)))
        has_token = false;
    if (!has_token) {
        token.seq = 0;
        free(subscriber->lease->offset);
        subscriber->lease->offset = NULL;
    }
    subscriber->lease->generation = lease->generation;
    subscriber->lease->bytes = (uint32_t)lease->rooms.len + subscriber_has(subscriber).data_len;
    departed_returned(subscriber_sessions(subscriber), lease->pid);
    subscriber_list(subscriber); /* from now on somebody else's claim must find us */
    subscriber_set_state(subscriber, SUBSCRIBER_RESUMING);
    member_init(&subscriber->member, subscriber_sessions(subscriber)->hub, lease->sid);
    member_resume(&subscriber->member, token.seq);
    subscriber_stale_set(subscriber, stale);
    if (!rooms_restore(subscriber, lease->rooms, has_token ? &token : NULL))
        restart(subscriber);
    else if (grant != NULL)
        kept_hold(subscriber, grant);
    member_joined(&subscriber->member);
}

/* News of a later claim may arrive before this answer, because they come by different links. */
static void claim_list(struct subscriber *subscriber)
{
    struct map *claims = &subscriber_sessions(subscriber)->claims;
    struct subscriber *earlier = subscriber_by_lease(claims, subscriber_lease_name(subscriber));
    if (earlier != NULL)
        subscriber_unlist(earlier); /* the same client, earlier: socket_list will end that one */
    map_add(claims, &subscriber->lease->by_name, subscriber_lease_name(subscriber));
    subscriber->lease->listing = LISTED_AS_CLAIM;
    subscriber->lease->generation = 0;
}

/* A lease belongs to one user: another one who has learned its name gets nothing by it, and its owner may still come.
 */
static bool lease_is_anothers(const struct subscriber *subscriber, const struct broker_lease *lease)
{
    struct span stale, subject, data;
    lease_data_decode(lease->data, &stale, &subject, &data);
    return !span_equal(subject, identity_subject(subscriber_has(subscriber).identity));
}

static void claimed_wrongly(struct subscriber *subscriber, const struct broker_lease *lease)
{
    const struct transport *transport = subscriber->session->transport;
    refusals_note(&subscriber_sessions(subscriber)->refusals, REFUSAL_LEASE_OF_ANOTHER, lease->sid,
                  subscriber->nsp->name);
    subscriber_sessions(subscriber)->counters.resumes_refused++;
    subscriber->lease->bytes = (uint32_t)lease->rooms.len;
    subscriber_lease_leave(subscriber, lease, transport->type->peer(transport), CLOSE_PEER_CLOSED);
    fresh_begin(subscriber, (struct span){NULL, 0});
}

/* The outcome of a claim, while it is still awaited. */
static void claim_end(struct subscriber *subscriber, enum broker_result result, const struct broker_lease *lease,
                      bool position_ok, const struct record_grant *grant)
{
    struct sessions *sessions = subscriber_sessions(subscriber);
    if (result == BROKER_LOST) {
        timer_start(sessions->loop, &subscriber->lease->retry, LOOP_MS(SUBSCRIBER_RETRY_MS));
    } else if (result == BROKER_SUPERSEDED ||
               (result == BROKER_OK && lease->generation < subscriber->lease->generation)) {
        sessions->counters.leases_superseded++;
        session_close(subscriber->session, CLOSE_SUPERSEDED);
    } else if (result == BROKER_OK && lease_is_anothers(subscriber, lease) && !subscriber->is_moved) {
        claimed_wrongly(subscriber, lease);
    } else if (result == BROKER_OK && position_ok && lease->sid.len == ENGINEIO_SID_BYTES && lease->rooms.len > 0) {
        resume_begin(subscriber, lease, grant);
    } else {
        sessions->counters.resumes_refused++;
        if (result == BROKER_OK) {
            departed_returned(sessions, lease->pid);
            subscriber_lease_ended(subscriber, lease);
            if (subscriber->nsp->watch.len == 0)
                broker_lease_release(hub_broker(sessions->hub), lease, true);
        }
        if (subscriber->is_moved)
            session_close(subscriber->session, CLOSE_HISTORY_LOST);
        else
            fresh_begin(subscriber, (struct span){NULL, 0});
    }
}

static void claimed(void *arg, enum broker_result result, const struct broker_lease *lease, bool position_ok)
{
    struct subscriber *subscriber = arg;
    subscriber_unlist(subscriber);
    if (subscriber->state != SUBSCRIBER_GONE) {
        claim_end(subscriber, result, lease, position_ok, NULL);
    } else if (result == BROKER_OK) {
        /* Its client did not wait. Whoever is next may claim it, and until then nobody owns it. */
        struct addr_ip unknown = {0}; /* its connection is gone; there are few of these */
        subscriber->lease->bytes = (uint32_t)lease->rooms.len;
        subscriber_lease_leave(subscriber, lease, &unknown, CLOSE_PEER_CLOSED);
    }
    subscriber_unref(subscriber);
}

static void claim(struct subscriber *subscriber)
{
    struct token token = {0};
    if (subscriber->lease->offset != NULL && !token_decode(span_str(subscriber->lease->offset), &token))
        token.epoch_len = 0;
    claim_list(subscriber);
    subscriber->refs++;
    broker_lease_claim(hub_broker(subscriber_sessions(subscriber)->hub), subscriber_lease_name(subscriber),
                       span_of(token.epoch, token.epoch_len), token.seq, claimed, subscriber);
}

static void retry(struct timer *timer)
{
    struct subscriber *subscriber = container_of(timer, struct subscriber_lease, retry)->subscriber;
    if (subscriber->state == SUBSCRIBER_CLAIMING && transport_peer_left(subscriber->session->transport)) {
        session_close(subscriber->session, CLOSE_PEER_CLOSED); /* it may have claimed the lease elsewhere since */
    } else if (subscriber->state == SUBSCRIBER_CLAIMING) {
        claim(subscriber);
    } else if (subscriber->state == SUBSCRIBER_RESTARTING) {
        subscriber_sessions(subscriber)->counters.resumes_refused++;
        const struct leaver leaver = subscriber_leaver(subscriber);
        subscriber_departed(subscriber_sessions(subscriber), &leaver, DEPARTURE_ENDED, CLOSE_HISTORY_LOST);
        subscriber_data_keep(subscriber, SPAN_LIT(""));
        member_finish(&subscriber->member);
        subscriber_unlist(subscriber);
        subscriber_lease_release(subscriber, true);
        fresh_begin(subscriber, (struct span){NULL, 0});
    } else if (subscriber->lease->state == LEASE_RETRYING) {
        subscriber_lease_refresh(subscriber);
    }
}

/* Asks the application. What it costs to refuse a client counts, so that one that tries again and again is slowed. */
static enum refusal admit(struct session *session, const struct nsp *nsp, const struct subscriber_start *start,
                          struct admission *admission)
{
    struct session_app *app = session->sessions->app;
    struct client_proof proof = {.auth = start->auth,
                                 .token = span_str(session_has(session).token),
                                 .handshake = span_str(session_has(session).handshake),
                                 .peer = session->transport->type->peer(session->transport)};
    *admission = (struct admission){.refusal = REFUSAL_COUNT, .identity = start->identity};
    if (start->is_moved || app->admit == NULL)
        return REFUSAL_COUNT;
    app->admit(app, nsp, &proof, admission);
    if (admission->refusal != REFUSAL_COUNT)
        session_change(session, REFUSED_CHANGES);
    free(session->sessions->denial);
    session->sessions->denial = admission->denial;
    return admission->refusal;
}

enum refusal subscriber_begin(struct session *session, const struct nsp *nsp, const struct subscriber_start *start)
{
    struct admission admission;
    enum refusal refusal = admit(session, nsp, start, &admission);
    if (refusal != REFUSAL_COUNT)
        return refusal;
    struct subscriber *subscriber = pool_take(&session->sessions->subscribers);
    subscriber->session = session;
    subscriber->nsp = nsp_ref(session->sessions->app, nsp);
    subscriber->refs = 1;
    subscriber->state = SUBSCRIBER_NEW;
    subscriber->is_moved = start->is_moved;
    subscriber->roams = start->is_moved || (session->transport->format == TRANSPORT_POLLING &&
                                            broker_has_records(hub_broker(session->sessions->hub)));
    if (nsp->recoverable || subscriber->roams || nsp->watch.len != 0)
        subscriber_lease_create(subscriber, retry);
    subscriber_link(subscriber);
    subscriber->number = ++session->sockets_made;
    session->sessions->socket_count++;
    subscriber_connecting_begin(subscriber);
    session_change(session, 1);
    subscriber_shown_keep(
        subscriber, admission.presence_data != NULL ? span_str(admission.presence_data) : start->presence_data, start);
    free(admission.presence_data);
    if (admission.identity != NULL)
        subscriber_identity_set(subscriber, admission.identity);
    asking_restore(subscriber, start->asking, start->away_ms);
    if (start->pid.len != 0 && (nsp->recoverable || start->is_moved)) {
        subscriber_lease_name_set(subscriber, start->pid);
        if (start->offset.len != 0 && start->offset.len <= OFFSET_BYTES_MAX && span_find(start->offset, '\0') < 0)
            subscriber->lease->offset = mem_text(start->offset);
        subscriber_set_state(subscriber, SUBSCRIBER_CLAIMING);
        if (start->claim == NULL)
            claim(subscriber);
        else
            claim_end(subscriber,
                      start->claim->superseded      ? BROKER_SUPERSEDED
                      : start->claim->lease == NULL ? BROKER_NONE
                                                    : BROKER_OK,
                      start->claim->lease, start->claim->position_ok, start->grant);
    } else {
        fresh_begin(subscriber, start->room);
    }
    return REFUSAL_COUNT;
}

static void detach(struct subscriber *subscriber, bool for_good, enum close_reason reason)
{
    struct sessions *sessions = subscriber_sessions(subscriber);
    enum departure departure =
        !for_good && (reason == CLOSE_PARKED || reason == CLOSE_SUPERSEDED) ? DEPARTURE_MOVED : DEPARTURE_ENDED;
    if (member_is_in_use(&subscriber->member))
        presence_leave_all(subscriber, !for_good);
    if (subscriber_is_leased(subscriber) && (for_good || subscriber_lease_is_unheard(subscriber))) {
        subscriber_lease_release(subscriber, true);
    } else if (subscriber_is_leased(subscriber) && subscriber->lease->due_us != 0 && reason != CLOSE_PARKED) {
        struct buf own = {0};
        struct broker_lease lease = subscriber_lease_of(subscriber, &own);
        const struct transport *transport = subscriber->session->transport;
        if (subscriber->state == SUBSCRIBER_CONNECTED)
            subscriber_lease_write_last(subscriber);
        if (subscriber_lease_leave(subscriber, &lease, transport->type->peer(transport), reason) &&
            departure == DEPARTURE_ENDED)
            departure = DEPARTURE_CUT;
        buf_finish(&own);
    }
    asking_end(subscriber, reason == CLOSE_PARKED, departure != DEPARTURE_ENDED);
    survey_left(subscriber, departure != DEPARTURE_ENDED);
    if (subscriber_has(subscriber).part != NULL || subscriber->state == SUBSCRIBER_RESUMING) {
        const struct leaver leaver = subscriber_leaver(subscriber);
        subscriber_departed(sessions, &leaver, departure, reason);
    }
    if (subscriber->extra != NULL)
        subscriber->extra->part = NULL;
    subscriber_set_state(subscriber, SUBSCRIBER_GONE);
    if (subscriber->lease != NULL)
        timer_stop(sessions->loop, &subscriber->lease->retry);
    subscriber_identity_drop(subscriber);
    subscriber_calls_drop(subscriber);
    member_finish(&subscriber->member);
    if (subscriber->lease != NULL)
        subscriber_unlist(subscriber);
    subscriber_unlink(subscriber);
    sessions->socket_count--;
    subscriber->session = NULL;
    subscriber->left_from = sessions;
    subscriber_unref(subscriber);
}

bool subscriber_is_recorded(const struct subscriber *subscriber)
{
    return subscriber->session == NULL ||
           ((subscriber->lease == NULL || subscriber->lease->state == LEASE_IDLE) &&
            !subscriber_is_awaited(subscriber) && member_is_settled(&subscriber->member));
}

bool subscriber_is_calm(const struct subscriber *subscriber)
{
    return subscriber->state == SUBSCRIBER_CONNECTED && subscriber_is_recorded(subscriber) &&
           !subscriber_has_expired(subscriber) && subscriber->refs == 1;
}

void subscriber_park(struct subscriber *subscriber, struct token *token, struct buf *to)
{
    const struct identity *identity = subscriber_has(subscriber).identity;
    struct buf offset = {0}, asking = {0};
    if (!member_token(&subscriber->member, token))
        token->seq = NO_POSITION;
    token_encode(&offset, token);
    asking_park(subscriber, &asking);
    struct parcel_socket parcel = {
        .nsp = subscriber->nsp->name,
        .pid = span_sub(subscriber_lease_name(subscriber), 0, ENGINEIO_SID_BYTES),
        .offset = buf_span(&offset),
        .presence_data = span_str(subscriber_has(subscriber).presence_data),
        .claims = identity != NULL ? identity_claims(identity) : SPAN_LIT(""),
        .expires_ms = identity != NULL ? (uint64_t)identity->expires_ms : 0,
        .told = identity != NULL && identity->told,
        .asking = buf_span(&asking),
        .auth = span_str(subscriber_has(subscriber).auth),
    };
    parcel_socket_encode(to, &parcel);
    buf_finish(&offset);
    buf_finish(&asking);
}

void subscriber_detach(struct subscriber *subscriber, enum close_reason reason)
{
    detach(subscriber, false, reason);
}

void subscriber_disconnect(struct subscriber *subscriber)
{
    detach(subscriber, true, CLOSE_NONE);
}

void subscriber_expel(struct subscriber *subscriber, enum refusal refusal)
{
    struct session *session = subscriber->session;
    struct buf args = {0};
    refusals_note(&subscriber_sessions(subscriber)->refusals, refusal, subscriber_sid(subscriber),
                  subscriber->nsp->name);
    buf_printf(&args, "[\"sennit\",{\"disconnected\":true,\"reason\":\"%s\",\"error\":\"%s\"}]", refusal_name(refusal),
               refusal_text(refusal));
    subscriber_tell(subscriber, buf_span(&args));
    buf_finish(&args);
    if (session->protocol->disconnected == NULL) {
        session_close(session, CLOSE_EXPELLED);
        return;
    }
    session->protocol->disconnected(subscriber);
    session->expelled = true;
    detach(subscriber, false, CLOSE_NONE);
    session_stirred(session);
}

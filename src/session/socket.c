/* socket: a socket's life: connecting, claiming a lease and resuming by it, ending. Its lease is in socket_lease.c, the
 * traffic of a connected socket in socket_traffic.c. */
#include "session/socket.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/moves.h"
#include "session/call.h"
#include "session/departed.h"
#include "session/lease.h"
#include "session/presence.h"
#include "session/socket_traffic.h"
#include "wire/json.h"

enum {
    RETRY_MS = 200,
    OFFSET_BYTES_MAX = TOKEN_BYTES_MAX, /* longer ones are not ours */
    CONNECT_BYTES = 2048,               /* what a socket that connects makes this instance and the broker hold */
};

static void fresh_begin(struct socket *socket);

static void connecting_end(struct socket *socket)
{
    if (socket->connecting == NULL)
        return;
    call_end(socket->connecting);
    free(socket->connecting);
    socket->connecting = NULL;
}

#define SOCKET_MOVES(MOVE) \
    MOVE(SOCKET_NEW, SOCKET_CLAIMING) \
    MOVE(SOCKET_NEW, SOCKET_JOINING) \
    MOVE(SOCKET_CLAIMING, SOCKET_RESUMING) \
    MOVE(SOCKET_CLAIMING, SOCKET_JOINING) \
    MOVE(SOCKET_RESUMING, SOCKET_CONNECTED) \
    MOVE(SOCKET_RESUMING, SOCKET_RESTARTING) \
    MOVE(SOCKET_RESTARTING, SOCKET_JOINING) \
    MOVE(SOCKET_JOINING, SOCKET_LEASING) \
    MOVE(SOCKET_JOINING, SOCKET_CONNECTED) \
    MOVE(SOCKET_LEASING, SOCKET_CONNECTED) \
    MOVE(SOCKET_CONNECTED, SOCKET_ENDING) \
    MOVE(SOCKET_RESUMING, SOCKET_FAILED) \
    MOVE(SOCKET_RESTARTING, SOCKET_FAILED) \
    MOVE(SOCKET_JOINING, SOCKET_FAILED) \
    MOVE(SOCKET_LEASING, SOCKET_FAILED) \
    MOVE(SOCKET_CLAIMING, SOCKET_GONE) \
    MOVE(SOCKET_RESUMING, SOCKET_GONE) \
    MOVE(SOCKET_RESTARTING, SOCKET_GONE) \
    MOVE(SOCKET_JOINING, SOCKET_GONE) \
    MOVE(SOCKET_LEASING, SOCKET_GONE) \
    MOVE(SOCKET_CONNECTED, SOCKET_GONE) \
    MOVE(SOCKET_ENDING, SOCKET_GONE) \
    MOVE(SOCKET_FAILED, SOCKET_GONE)

/* The only function that changes a socket's state. */
void socket_set_state(struct socket *socket, enum socket_state state)
{
    static const bool legal[SOCKET_STATES][SOCKET_STATES] = {SOCKET_MOVES(MOVE_LEGAL)};
    assert(legal[socket->state][state]);
    socket->state = (uint8_t)state;
    if (state == SOCKET_CONNECTED)
        connecting_end(socket);
}

/* It counts no more: the session is closing, or has closed. */
bool socket_has_ended(const struct socket *socket)
{
    return socket->state == SOCKET_ENDING || socket->state == SOCKET_FAILED || socket->state == SOCKET_GONE;
}

void socket_unref(struct socket *socket)
{
    assert(socket->refs > 0);
    if (--socket->refs > 0)
        return;
    free(socket->offset);
    free(socket->stale);
    free(socket->presence_data);
    free(socket->lease_name);
    connecting_end(socket);
    free(socket);
}

static struct span sid_span(const char id[ENGINEIO_SID_BYTES])
{
    return span_of(id, ENGINEIO_SID_BYTES);
}

static void id_create(struct sessions *sessions, char to[ENGINEIO_SID_BYTES])
{
    uint8_t random[15];
    loop_random(sessions->loop, random, sizeof random);
    engineio_sid_encode(random, to);
}

/* Another instance has its lease. The socket stops being present now: while its connection lingers, the new owner may
 * enter under the same sid, and a late leave from here must not remove it. */
void socket_give_up(struct socket *socket, bool may_return, enum close_reason reason)
{
    if (!socket_has_ended(socket))
        socket_set_state(socket, socket->state == SOCKET_CONNECTED ? SOCKET_ENDING : SOCKET_FAILED);
    socket->lease_due_us = 0;
    presence_leave_all(socket, may_return);
    session_close(socket->session, reason);
}

/* Entries that it needs are gone. Starting anew leaves the rooms, which the hub may be walking now. */
static void restart(struct socket *socket)
{
    socket_set_state(socket, SOCKET_RESTARTING);
    timer_start(socket->sessions->loop, &socket->retry, 0);
}

static void on_ready(struct member *member, bool whole)
{
    struct socket *socket = container_of(member, struct socket, member);
    bool recoverable = socket->nsp->recoverable;
    if (socket->state == SOCKET_RESUMING && whole) {
        socket_set_state(socket, SOCKET_CONNECTED);
        socket_connected(socket, true);
    } else if (socket->state == SOCKET_RESUMING) {
        restart(socket);
    } else if (socket->state == SOCKET_JOINING && recoverable) {
        socket_set_state(socket, SOCKET_LEASING);
        socket_lease_refresh(socket);
    } else if (socket->state == SOCKET_JOINING) {
        socket_set_state(socket, SOCKET_CONNECTED);
        socket_connected(socket, false);
    } else if ((socket->state == SOCKET_LEASING || socket->state == SOCKET_CONNECTED) && recoverable) {
        socket_lease_refresh(socket);
    } else if (socket->state == SOCKET_CONNECTED) {
        socket_joins_done(socket);
    }
}

static void on_settled(struct member *member)
{
    presence_settled(container_of(member, struct socket, member));
}

static void on_lost(struct member *member)
{
    struct socket *socket = container_of(member, struct socket, member);
    /* Its lease would be claimed again with the same outcome. */
    if (socket->nsp->recoverable)
        socket_lease_release(socket, true);
    socket_give_up(socket, false, CLOSE_HISTORY_LOST);
}

static const struct member_events member_events = {
    .ready = on_ready,
    .deliver = socket_deliver,
    .settled = on_settled,
    .lost = on_lost,
    .has_room = socket_has_room,
};

/* The lease records a token that the client keeps from an earlier session, because we cannot make the client forget it.
 */
static void stale_set(struct socket *socket, struct span text)
{
    struct token token;
    free(socket->stale);
    socket->stale = text.len > 0 && text.len <= OFFSET_BYTES_MAX ? mem_text(text) : NULL;
    if (socket->stale != NULL && token_decode(text, &token)) {
        member_stale_set(&socket->member, &token);
    }
}

static void fresh_begin(struct socket *socket)
{
    const struct nsp *nsp = socket->nsp;
    struct buf room = {0};
    socket->generation = 1;
    id_create(socket->sessions, socket->sid);
    if (nsp->recoverable) {
        char pid[ENGINEIO_SID_BYTES];
        id_create(socket->sessions, pid);
        socket_lease_name_set(socket, sid_span(pid));
    }
    socket_set_state(socket, SOCKET_JOINING);
    member_init(&socket->member, socket->sessions->hub, &member_events, socket_sid(socket));
    stale_set(socket, span_str(socket->offset));
    free(socket->offset);
    socket->offset = NULL;
    struct span all = {NULL, 0};
    const struct room_policy *policy = socket->sessions->app->room_policy(socket->sessions->app, nsp, all);
    socket_room_name(&room, nsp, all);
    member_join(&socket->member, buf_span(&room), policy->replay, policy->replay_entries);
    if (nsp->direct) {
        buf_clear(&room);
        socket_own_room_name(&room, nsp, socket_sid(socket));
        member_join(&socket->member, buf_span(&room), START_NOW, 0);
    }
    buf_finish(&room);
    member_joined(&socket->member);
}

/* Restores its rooms from the lease. False if the client may lack entries of a room that is no longer recorded. */
static bool rooms_restore(struct socket *socket, struct span rooms, const struct token *token)
{
    struct span room;
    struct stretch stretch;
    uint64_t floor;
    bool any = false;
    int more;
    if (!lease_floor_decode(&rooms, &floor))
        return false;
    member_floor_set(&socket->member, floor);
    while ((more = lease_room_decode(&rooms, &room, &stretch)) > 0) {
        if (!socket_room_is_of(socket->nsp, room, socket_sid(socket)))
            return false;
        any = true;
        uint64_t position = stretch.start;
        if (token != NULL)
            position = token_position(token, room, stretch.since, stretch.start, stretch.joined_at);
        member_rejoin(&socket->member, room, &stretch, position);
    }
    /* Without a room it would wait for ever. */
    return more == 0 && any && (token != NULL ? token->seq : 0) >= floor;
}

/* Takes over the lease of another instance, or of an earlier connection to this one. */
static void resume_begin(struct socket *socket, const struct broker_lease *lease)
{
    struct token token = {0};
    bool has_token = socket->offset != NULL && token_decode(span_str(socket->offset), &token);
    /* The very token from before the session began: the client has received no event of the session yet. */
    if (has_token && span_equal(lease->data, span_str(socket->offset)))
        has_token = false;
    if (!has_token) {
        token.seq = 0;
        free(socket->offset);
        socket->offset = NULL;
    }
    memcpy(socket->sid, lease->sid.data, ENGINEIO_SID_BYTES);
    socket->generation = lease->generation;
    socket->lease_bytes = (uint32_t)lease->rooms.len;
    departed_returned(socket->sessions, lease->pid);
    socket_list(socket); /* from now on somebody else's claim must find us */
    socket_set_state(socket, SOCKET_RESUMING);
    member_init(&socket->member, socket->sessions->hub, &member_events, socket_sid(socket));
    member_resume(&socket->member, token.seq);
    stale_set(socket, lease->data);
    if (!rooms_restore(socket, lease->rooms, has_token ? &token : NULL))
        restart(socket);
    member_joined(&socket->member);
}

/* News of a later claim may arrive before this answer, because they come by different links. */
static void claim_list(struct socket *socket)
{
    struct map *claims = &socket->sessions->claims;
    struct socket *earlier = socket_by_lease(claims, socket_lease_name(socket));
    if (earlier != NULL)
        socket_unlist(earlier); /* the same client, earlier: socket_list will end that one */
    map_add(claims, &socket->by_lease, socket_lease_name(socket));
    socket->listing = LISTED_AS_CLAIM;
    socket->generation = 0;
}

static void claimed(void *arg, enum broker_result result, const struct broker_lease *lease, bool position_ok)
{
    struct socket *socket = arg;
    struct sessions *sessions = socket->sessions;
    socket_unlist(socket);
    if (socket->state == SOCKET_GONE) {
        /* Its client did not wait. Whoever is next may claim it, and until then nobody owns it. */
        if (result == BROKER_OK) {
            struct addr_ip unknown = {0}; /* its connection is gone; there are few of these */
            socket->lease_bytes = (uint32_t)lease->rooms.len;
            socket_lease_leave(socket, lease, &unknown, CLOSE_PEER_CLOSED);
        }
        socket_unref(socket);
        return;
    }
    if (result == BROKER_LOST) {
        timer_start(sessions->loop, &socket->retry, LOOP_MS(RETRY_MS));
    } else if (result == BROKER_OK && lease->generation < socket->generation) {
        sessions->counters.leases_superseded++;
        session_close(socket->session, CLOSE_SUPERSEDED);
    } else if (result == BROKER_OK && position_ok && lease->sid.len == ENGINEIO_SID_BYTES && lease->rooms.len > 0) {
        resume_begin(socket, lease);
    } else {
        sessions->counters.resumes_refused++;
        if (result == BROKER_OK) {
            departed_returned(sessions, lease->pid);
            broker_lease_release(hub_broker(sessions->hub), lease, true);
        }
        fresh_begin(socket);
    }
    socket_unref(socket);
}

static void claim(struct socket *socket)
{
    struct token token = {0};
    if (socket->offset != NULL && !token_decode(span_str(socket->offset), &token))
        token.epoch_len = 0;
    claim_list(socket);
    socket->refs++;
    broker_lease_claim(hub_broker(socket->sessions->hub), socket_lease_name(socket),
                       span_of(token.epoch, token.epoch_len), token.seq, claimed, socket);
}

static void retry(struct timer *timer)
{
    struct socket *socket = container_of(timer, struct socket, retry);
    if (socket->state == SOCKET_CLAIMING) {
        claim(socket);
    } else if (socket->state == SOCKET_RESTARTING) {
        socket->sessions->counters.resumes_refused++;
        member_finish(&socket->member);
        socket_unlist(socket);
        socket_lease_release(socket, true);
        fresh_begin(socket);
    } else if (socket->lease_state == LEASE_RETRYING) {
        socket_lease_refresh(socket);
    }
}

/* `{"pid":"...","offset":"..."}` of a client that comes back. */
static bool resume_wanted(struct socket *socket, struct span payload)
{
    struct buf text = {0};
    bool wanted = false;
    if (payload.data == NULL || !socket->nsp->recoverable)
        return false;
    struct span pid = json_object_get(payload, SPAN_LIT("pid"));
    struct span offset = json_object_get(payload, SPAN_LIT("offset"));
    if (pid.data != NULL && json_string_decode(pid, &text) && engineio_sid_is_valid(buf_span(&text))) {
        socket_lease_name_set(socket, buf_span(&text));
        wanted = true;
        buf_clear(&text);
        if (offset.data != NULL && offset.len <= OFFSET_BYTES_MAX && json_string_decode(offset, &text) &&
            span_find(buf_span(&text), '\0') < 0)
            socket->offset = mem_text(buf_span(&text));
    }
    buf_finish(&text);
    return wanted;
}

/* Its presence data; none if that is too large. */
static void tells_read(struct socket *socket, struct span payload)
{
    const char *key = socket->nsp->presence_key;
    struct span value = {NULL, 0};
    if (key != NULL && payload.data != NULL)
        value = json_object_get(payload, span_str(key));
    if (value.data == NULL)
        return;
    if (value.len <= BROKER_DATA_BYTES_MAX)
        socket->presence_data = mem_text(value);
    else
        socket_refuse(socket, REFUSAL_PRESENCE_DATA, socket->nsp->name, (struct span){NULL, 0});
}

void socket_connect(struct session *session, const struct nsp *nsp, const struct socketio_packet *packet)
{
    struct socket *socket = mem_zero(1, sizeof *socket);
    socket->session = session;
    socket->sessions = session->sessions;
    socket->nsp = nsp;
    socket->refs = 1;
    socket->state = SOCKET_NEW;
    timer_init(&socket->retry, retry);
    list_init(&socket->of_session);
    list_append(&session->sockets, &socket->of_session);
    list_init(&socket->acks);
    socket->number = ++session->sockets_made;
    session->socket_count++;
    session->sessions->socket_count++;
    socket->connecting = call_create(session, NULL, (struct span){NULL, 0}, CONNECT_BYTES);
    session_change(session, 1);
    tells_read(socket, packet->payload);
    if (resume_wanted(socket, packet->payload)) {
        socket_set_state(socket, SOCKET_CLAIMING);
        claim(socket);
    } else {
        fresh_begin(socket);
    }
}

struct socket *socket_find(struct session *session, struct span nsp)
{
    list_each (node, &session->sockets) {
        struct socket *socket = container_of(node, struct socket, of_session);
        if (span_equal(socket->nsp->name, nsp))
            return socket;
    }
    return NULL;
}

static void detach(struct socket *socket, bool for_good, enum close_reason reason)
{
    struct sessions *sessions = socket->sessions;
    if (member_is_in_use(&socket->member))
        presence_leave_all(socket, !for_good);
    if (socket->nsp->recoverable && for_good) {
        socket_lease_release(socket, true);
    } else if (socket->nsp->recoverable && socket->lease_due_us != 0) {
        struct buf own = {0};
        struct broker_lease lease = socket_lease_of(socket, &own);
        const struct transport *transport = socket->session->transport;
        socket_lease_leave(socket, &lease, transport->type->peer(transport), reason);
        buf_finish(&own);
    }
    socket_set_state(socket, SOCKET_GONE);
    timer_stop(sessions->loop, &socket->retry);
    socket_calls_drop(socket);
    member_finish(&socket->member);
    socket_unlist(socket);
    list_remove(&socket->of_session);
    socket->session->socket_count--;
    sessions->socket_count--;
    socket->session = NULL;
    socket_unref(socket);
}

void socket_detach(struct socket *socket, enum close_reason reason)
{
    detach(socket, false, reason);
}

void socket_disconnect(struct socket *socket)
{
    detach(socket, true, CLOSE_NONE);
}

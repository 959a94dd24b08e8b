/* socket: connecting, resuming, and writing and claiming leases. The traffic of a connected socket is in
 * socket_traffic.c. */
#include "session/socket.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "session/call.h"
#include "session/departed.h"
#include "session/lease.h"
#include "session/presence.h"
#include "session/socket_traffic.h"
#include "wire/json.h"

enum {
    RETRY_MS = 200,
    OFFSET_BYTES_MAX = TOKEN_BYTES_MAX, /* longer ones are not ours */
    LEASE_CHANGE_BYTES = 1024,          /* of a lease that is written count as one change */
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

static void set_state(struct socket *socket, enum socket_state state)
{
    static const uint8_t legal[] = {
        [SOCKET_CLAIMING] = 1 << SOCKET_JOINING | 1 << SOCKET_GONE,
        [SOCKET_JOINING] = 1 << SOCKET_JOINING | 1 << SOCKET_LEASING | 1 << SOCKET_CONNECTED | 1 << SOCKET_GONE,
        [SOCKET_LEASING] = 1 << SOCKET_CONNECTED | 1 << SOCKET_GONE,
        [SOCKET_CONNECTED] = 1 << SOCKET_GONE,
        [SOCKET_GONE] = 0,
    };
    assert(legal[socket->state] & 1 << state);
    socket->state = (uint8_t)state;
    if (state == SOCKET_CONNECTED)
        connecting_end(socket);
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

struct span socket_lease_name(const struct socket *socket)
{
    struct span nsp = socket->nsp->name;
    return span_of(socket->lease_name, ENGINEIO_SID_BYTES + (nsp.len > 1 ? nsp.len : 0));
}

static void lease_name_set(struct socket *socket, struct span pid)
{
    struct span nsp = socket->nsp->name;
    free(socket->lease_name);
    socket->lease_name = mem_alloc(pid.len + nsp.len);
    memcpy(socket->lease_name, pid.data, pid.len);
    memcpy(socket->lease_name + pid.len, nsp.data, nsp.len);
}

/* Rewritten at half its life, so that the whole window is left whenever the instance dies. */
static void lease_due_set(struct socket *socket)
{
    socket->lease_due_us = loop_now_us(socket->sessions->loop) + LOOP_MS(socket->nsp->recovery_ms);
}

/* Another instance has its lease. The socket stops being present now: while its connection lingers, the new owner may
 * enter under the same sid, and a late leave from here must not remove it. */
static void give_up(struct socket *socket, bool may_return, enum close_reason reason)
{
    socket->given_up = true;
    socket->lease_due_us = 0;
    presence_leave_all(socket, may_return);
    session_close(socket->session, reason);
}

static struct socket *socket_by_lease(const struct map *map, struct span name)
{
    struct map_node *node = map_find(map, name);
    return node != NULL ? container_of(node, struct socket, by_lease) : NULL;
}

static void unlist(struct socket *socket)
{
    if (socket->listed)
        map_remove(&socket->sessions->sockets, &socket->by_lease);
    if (socket->claiming)
        map_remove(&socket->sessions->claims, &socket->by_lease);
    socket->listed = socket->claiming = false;
}

/* Lists it by its lease. The same client may still seem alive on another connection to this instance; that one ends. */
void socket_list(struct socket *socket)
{
    struct sessions *sessions = socket->sessions;
    struct span name = socket_lease_name(socket);
    struct socket *old = socket_by_lease(&sessions->sockets, name);
    if (old != NULL) {
        unlist(old);
        give_up(old, true, CLOSE_SUPERSEDED);
    }
    map_add(&sessions->sockets, &socket->by_lease, name);
    socket->listed = true;
    if (socket->lease_due_us == 0)
        lease_due_set(socket);
}

/* The names of a socket's lease and of its own room; the caller frees `own`. */
static struct broker_lease lease_of(const struct socket *socket, struct buf *own)
{
    if (socket->nsp->direct)
        socket_own_room_name(own, socket->nsp, sid_span(socket->sid));
    return (struct broker_lease){
        .pid = socket_lease_name(socket),
        .sid = sid_span(socket->sid),
        .own = buf_span(own),
        .generation = socket->generation,
        .window_ms = socket->nsp->recovery_ms,
    };
}

static void lease_written(void *arg, enum broker_result result)
{
    struct socket *socket = arg;
    socket->lease_busy = false;
    if (socket->state == SOCKET_GONE || socket->given_up) {
        socket_unref(socket);
        return;
    }
    if (result == BROKER_SUPERSEDED) {
        socket->sessions->counters.leases_superseded++;
        give_up(socket, true, CLOSE_SUPERSEDED);
    } else if (result != BROKER_OK) {
        socket->lease_again = true;
        timer_start(socket->sessions->loop, &socket->retry, LOOP_MS(RETRY_MS));
    } else if (socket->lease_again) {
        socket_calls_answer(socket); /* those that this write knows of need not wait for the next */
        socket_lease_refresh(socket);
    } else {
        lease_due_set(socket);
        if (socket->state == SOCKET_LEASING) {
            set_state(socket, SOCKET_CONNECTED);
            socket_connected(socket);
        } else if (socket->state == SOCKET_CONNECTED) {
            socket_joins_done(socket);
        }
    }
    socket_unref(socket);
}

void socket_lease_refresh(struct socket *socket)
{
    if (socket->given_up)
        return; /* it would come back to life */
    if (socket->lease_busy) {
        socket->lease_again = true;
        return;
    }
    struct buf rooms = {0}, own = {0};
    member_note(&socket->member);
    socket->lease_writes++;
    socket_calls_note(socket);
    lease_rooms_encode(&rooms, &socket->member);
    struct broker_lease lease = lease_of(socket, &own);
    lease.rooms = buf_span(&rooms);
    lease.data = span_str(socket->stale);
    socket->lease_bytes = (uint32_t)rooms.len;
    socket->lease_busy = true;
    socket->lease_again = false;
    socket->refs++;
    lease_due_set(socket);
    session_change(socket->session, rooms.len / LEASE_CHANGE_BYTES);
    broker_lease_write(hub_broker(socket->sessions->hub), &lease, lease_written, socket);
    buf_finish(&rooms);
    buf_finish(&own);
}

static void lease_release(struct socket *socket, bool for_good)
{
    struct buf own = {0};
    struct broker_lease lease = lease_of(socket, &own);
    broker_lease_release(hub_broker(socket->sessions->hub), &lease, for_good);
    buf_finish(&own);
}

/* The connection is gone, the lease stays for whoever claims it; unless too much stays of others already. */
static void lease_leave(struct socket *socket, const struct broker_lease *lease, const struct addr_ip *from,
                        enum close_reason reason)
{
    struct sessions *sessions = socket->sessions;
    bool by_us = reason == CLOSE_DRAINED || reason == CLOSE_ROTATED;
    bool stays = departed_keep(sessions, lease->pid, from, socket->lease_bytes, lease->window_ms, by_us);
    if (!stays) {
        char peer[ADDR_TEXT_MAX];
        addr_ip_print(from, peer);
        refusals_note(&sessions->refusals, REFUSAL_LEASES_FULL, span_str(peer), socket->nsp->name);
    }
    broker_lease_release(hub_broker(sessions->hub), lease, !stays);
}

static void on_ready(struct member *member, bool whole)
{
    struct socket *socket = container_of(member, struct socket, member);
    if (socket->state == SOCKET_JOINING && socket->recovered) {
        if (whole) {
            set_state(socket, SOCKET_CONNECTED);
            socket_connected(socket);
        } else {
            /* Starting anew leaves the rooms, which the hub is walking now. */
            socket->recovered = false;
            timer_start(socket->sessions->loop, &socket->retry, 0);
        }
    } else if (socket->state == SOCKET_JOINING && !timer_running(&socket->retry)) {
        set_state(socket, socket->nsp->recoverable ? SOCKET_LEASING : SOCKET_CONNECTED);
        if (socket->nsp->recoverable)
            socket_lease_refresh(socket);
        else
            socket_connected(socket);
    } else if (socket->state == SOCKET_LEASING || socket->state == SOCKET_CONNECTED) {
        if (socket->nsp->recoverable)
            socket_lease_refresh(socket);
        else
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
        lease_release(socket, true);
    give_up(socket, false, CLOSE_HISTORY_LOST);
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
    const struct namespace *nsp = socket->nsp;
    struct buf room = {0};
    socket->recovered = false;
    socket->generation = 1;
    id_create(socket->sessions, socket->sid);
    if (nsp->recoverable) {
        char pid[ENGINEIO_SID_BYTES];
        id_create(socket->sessions, pid);
        lease_name_set(socket, sid_span(pid));
    }
    if (socket->state != SOCKET_JOINING)
        set_state(socket, SOCKET_JOINING);
    member_init(&socket->member, socket->sessions->hub, &member_events, sid_span(socket->sid));
    stale_set(socket, span_str(socket->offset));
    free(socket->offset);
    socket->offset = NULL;
    struct span all = {NULL, 0};
    const struct room_policy *policy = socket->sessions->app->room_policy(socket->sessions->app, nsp, all);
    socket_room_name(&room, nsp, all);
    member_join(&socket->member, buf_span(&room), policy->replay, policy->replay_entries);
    if (nsp->direct) {
        buf_clear(&room);
        socket_own_room_name(&room, nsp, sid_span(socket->sid));
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
        if (!socket_room_is_of(socket->nsp, room, sid_span(socket->sid)))
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
    socket->recovered = true;
    socket->lease_bytes = (uint32_t)lease->rooms.len;
    departed_returned(socket->sessions, lease->pid);
    socket_list(socket); /* from now on somebody else's claim must find us */
    set_state(socket, SOCKET_JOINING);
    member_init(&socket->member, socket->sessions->hub, &member_events, sid_span(socket->sid));
    member_resume(&socket->member, token.seq);
    stale_set(socket, lease->data);
    if (!rooms_restore(socket, lease->rooms, has_token ? &token : NULL)) {
        socket->recovered = false;
        timer_start(socket->sessions->loop, &socket->retry, 0);
    }
    member_joined(&socket->member);
}

/* News of a later claim may arrive before this answer, because they come by different links. */
static void claim_list(struct socket *socket)
{
    struct map *claims = &socket->sessions->claims;
    struct socket *earlier = socket_by_lease(claims, socket_lease_name(socket));
    if (earlier != NULL)
        unlist(earlier); /* the same client, earlier: socket_list will end that one */
    map_add(claims, &socket->by_lease, socket_lease_name(socket));
    socket->claiming = true;
    socket->generation = 0;
}

static void claimed(void *arg, enum broker_result result, const struct broker_lease *lease, bool position_ok)
{
    struct socket *socket = arg;
    struct sessions *sessions = socket->sessions;
    unlist(socket);
    if (socket->state == SOCKET_GONE) {
        /* Its client did not wait. Whoever is next may claim it, and until then nobody owns it. */
        if (result == BROKER_OK) {
            struct addr_ip unknown = {0}; /* its connection is gone; there are few of these */
            socket->lease_bytes = (uint32_t)lease->rooms.len;
            lease_leave(socket, lease, &unknown, CLOSE_PEER_CLOSED);
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
    } else if (socket->state == SOCKET_JOINING && !socket->recovered) {
        /* Entries that it needs to resume are gone. */
        socket->sessions->counters.resumes_refused++;
        member_finish(&socket->member);
        unlist(socket);
        lease_release(socket, true);
        fresh_begin(socket);
    } else if (socket->lease_again && !socket->lease_busy) {
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
        lease_name_set(socket, buf_span(&text));
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

void socket_connect(struct session *session, const struct namespace *nsp, const struct socketio_packet *packet)
{
    struct socket *socket = mem_zero(1, sizeof *socket);
    socket->session = session;
    socket->sessions = session->sessions;
    socket->nsp = nsp;
    socket->refs = 1;
    socket->state = SOCKET_CLAIMING;
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
    if (resume_wanted(socket, packet->payload))
        claim(socket);
    else
        fresh_begin(socket);
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
        lease_release(socket, true);
    } else if (socket->nsp->recoverable && socket->lease_due_us != 0) {
        struct buf own = {0};
        struct broker_lease lease = lease_of(socket, &own);
        const struct transport *transport = socket->session->transport;
        lease_leave(socket, &lease, transport->type->peer(transport), reason);
        buf_finish(&own);
    }
    set_state(socket, SOCKET_GONE);
    timer_stop(sessions->loop, &socket->retry);
    socket_calls_drop(socket);
    member_finish(&socket->member);
    unlist(socket);
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

void socket_superseded(struct sessions *sessions, struct span lease, uint64_t generation)
{
    struct socket *claiming = socket_by_lease(&sessions->claims, lease);
    struct socket *socket = socket_by_lease(&sessions->sockets, lease);
    if (claiming != NULL && claiming->generation < generation)
        claiming->generation = generation;
    if (socket == NULL && claiming == NULL)
        departed_returned(sessions, lease);
    if (socket == NULL || socket->generation >= generation)
        return;
    sessions->counters.leases_superseded++;
    /* The claimer may have ended the lease since, and a write from here may have created it again: ends it. */
    lease_release(socket, true);
    give_up(socket, true, CLOSE_SUPERSEDED);
}

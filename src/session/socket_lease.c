/* socket_lease: the lease of a socket: its name, when it is written and by which call, how it is given back, and the
 * maps that find a socket by it. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/moves.h"
#include "session/call.h"
#include "session/departed.h"
#include "session/lease.h"
#include "session/presence.h"
#include "session/socket_traffic.h"

enum {
    RETRY_MS = 200,
    LEASE_CHANGE_BYTES = 1024, /* of a lease that is written count as one change */
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
static void set_lease_state(struct socket *socket, enum lease_state state)
{
    static const bool legal[LEASE_STATES][LEASE_STATES] = {LEASE_MOVES(MOVE_LEGAL)};
    assert(legal[socket->lease_state][state]);
    socket->lease_state = (uint8_t)state;
}

struct span socket_lease_name(const struct socket *socket)
{
    struct span nsp = socket->nsp->name;
    return span_of(socket->lease_name, ENGINEIO_SID_BYTES + (nsp.len > 1 ? nsp.len : 0));
}

void socket_lease_name_set(struct socket *socket, struct span pid)
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

struct socket *socket_by_lease(const struct map *map, struct span name)
{
    struct map_node *node = map_find(map, name);
    return node != NULL ? container_of(node, struct socket, by_lease) : NULL;
}

void socket_unlist(struct socket *socket)
{
    if (socket->listing == LISTED_AS_OWNER)
        map_remove(&socket->sessions->sockets, &socket->by_lease);
    else if (socket->listing == LISTED_AS_CLAIM)
        map_remove(&socket->sessions->claims, &socket->by_lease);
    socket->listing = LISTED_NOWHERE;
}

/* Lists it by its lease. The same client may still seem alive on another connection to this instance; that one ends. */
void socket_list(struct socket *socket)
{
    struct sessions *sessions = socket->sessions;
    struct span name = socket_lease_name(socket);
    struct socket *old = socket_by_lease(&sessions->sockets, name);
    if (old != NULL) {
        socket_unlist(old);
        socket_give_up(old, true, CLOSE_SUPERSEDED);
    }
    map_add(&sessions->sockets, &socket->by_lease, name);
    socket->listing = LISTED_AS_OWNER;
    if (socket->lease_due_us == 0)
        lease_due_set(socket);
}

/* The names of a socket's lease and of its own room; the caller frees `own`. */
struct broker_lease socket_lease_of(const struct socket *socket, struct buf *own)
{
    if (socket->nsp->direct)
        socket_own_room_name(own, socket->nsp, socket_sid(socket));
    return (struct broker_lease){
        .pid = socket_lease_name(socket),
        .sid = socket_sid(socket),
        .own = buf_span(own),
        .generation = socket->generation,
        .window_ms = socket->nsp->recovery_ms,
    };
}

static void lease_write(struct socket *socket);

static void lease_written(void *arg, enum broker_result result)
{
    struct socket *socket = arg;
    bool again = socket->lease_state == LEASE_WRITING_AGAIN;
    if (socket_has_ended(socket)) {
        set_lease_state(socket, LEASE_IDLE);
    } else if (result == BROKER_SUPERSEDED) {
        set_lease_state(socket, LEASE_IDLE);
        socket->sessions->counters.leases_superseded++;
        socket_give_up(socket, true, CLOSE_SUPERSEDED);
    } else if (result != BROKER_OK) {
        set_lease_state(socket, LEASE_RETRYING);
        timer_start(socket->sessions->loop, &socket->retry, LOOP_MS(RETRY_MS));
    } else if (again) {
        socket_calls_answer(socket); /* those that this write knows of need not wait for the next */
        lease_write(socket);
    } else {
        set_lease_state(socket, LEASE_IDLE);
        lease_due_set(socket);
        if (socket->state == SOCKET_LEASING) {
            socket_set_state(socket, SOCKET_CONNECTED);
            socket_connected(socket, false);
        } else if (socket->state == SOCKET_CONNECTED) {
            socket_joins_done(socket);
        }
    }
    socket_unref(socket);
}

static void lease_write(struct socket *socket)
{
    struct buf rooms = {0}, own = {0};
    member_note(&socket->member);
    socket->lease_writes++;
    socket_calls_note(socket);
    lease_rooms_encode(&rooms, &socket->member);
    struct broker_lease lease = socket_lease_of(socket, &own);
    lease.rooms = buf_span(&rooms);
    lease.data = span_str(socket->stale);
    socket->lease_bytes = (uint32_t)rooms.len;
    set_lease_state(socket, LEASE_WRITING);
    socket->refs++;
    lease_due_set(socket);
    session_change(socket->session, rooms.len / LEASE_CHANGE_BYTES);
    broker_lease_write(hub_broker(socket->sessions->hub), &lease, lease_written, socket);
    buf_finish(&rooms);
    buf_finish(&own);
}

void socket_lease_refresh(struct socket *socket)
{
    if (socket_has_ended(socket))
        return; /* it would come back to life */
    if (socket->lease_state == LEASE_WRITING)
        set_lease_state(socket, LEASE_WRITING_AGAIN);
    else if (socket->lease_state != LEASE_WRITING_AGAIN)
        lease_write(socket);
}

void socket_lease_release(struct socket *socket, bool for_good)
{
    struct buf own = {0};
    struct broker_lease lease = socket_lease_of(socket, &own);
    broker_lease_release(hub_broker(socket->sessions->hub), &lease, for_good);
    buf_finish(&own);
}

/* The connection is gone, the lease stays for whoever claims it; unless too much stays of others already. */
void socket_lease_leave(struct socket *socket, const struct broker_lease *lease, const struct addr_ip *from,
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
    socket_lease_release(socket, true);
    socket_give_up(socket, true, CLOSE_SUPERSEDED);
}

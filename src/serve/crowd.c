/* crowd: assigns places, and ends members whose time is over. */
#include "serve/crowd.h"

#include <stdlib.h>

#include "base/mem.h"
#include "serve/client.h"

enum {
    SWEEP_MS = 250,
    CROWDED_PERCENT = 80,
    FREE_BYTES = 2048, /* of a request, for each connection, whatever the others keep */
};

static bool is_crowded(const struct crowd *crowd)
{
    return door_is_above(&crowd->door, CROWDED_PERCENT);
}

static uint32_t now_ms(const struct crowd *crowd)
{
    return (uint32_t)(loop_now_us(crowd->loop) / 1000);
}

/* True when it has become old enough to be ended by now. */
static bool is_overdue(const struct crowd *crowd, const struct crowd_member *member, uint64_t allowed_ms)
{
    return now_ms(crowd) - member->since_ms >= allowed_ms;
}

static void move(struct crowd_member *member, struct list *to)
{
    list_remove(&member->node);
    list_append(to, &member->node);
}

/* Ends those that are overdue, until there is room. An ended one gives its place back when it is closed, which a
 * goodbye delays: `room` counts what is needed. */
static void speaking_sweep(struct crowd *crowd, uint64_t *room)
{
    list_each (node, &crowd->speaking) {
        struct crowd_member *member = container_of(node, struct crowd_member, node);
        struct client *client = container_of(member, struct client, crowd);
        bool answering = http_is_answering(&client->http);
        uint64_t allowed_ms = answering ? crowd->limits->crowded_response_timeout : crowd->limits->crowded_head_timeout;
        if (*room == 0 || !is_overdue(crowd, member, crowd->limits->crowded_head_timeout))
            return;
        if (!is_overdue(crowd, member, allowed_ms))
            continue;
        move(member, &crowd->rest);
        (*room)--;
        if (answering)
            conn_close(&client->http.conn, CLOSE_RESPONSE_TIMEOUT_CROWDED);
        else
            http_time_out(&client->http, CLOSE_HEAD_TIMEOUT_CROWDED);
    }
}

static void unjoined_sweep(struct crowd *crowd, uint64_t *room)
{
    list_each (node, &crowd->unjoined) {
        struct crowd_member *member = container_of(node, struct crowd_member, node);
        struct client *client = container_of(member, struct client, crowd);
        struct session *session = client_session(client); /* NULL: it probes */
        if (session != NULL && session->joined) {
            move(member, &crowd->rest);
            continue;
        }
        if (*room == 0 || !is_overdue(crowd, member, crowd->limits->crowded_connect_timeout))
            return;
        move(member, &crowd->rest);
        (*room)--;
        if (session != NULL)
            session_close(session, CLOSE_CONNECT_PACKET_TIMEOUT_CROWDED);
        else
            conn_close(&client->http.conn, CLOSE_CONNECT_PACKET_TIMEOUT_CROWDED);
    }
}

static void sweep(struct timer *timer)
{
    struct crowd *crowd = container_of(timer, struct crowd, sweep);
    uint64_t enough = crowd->limits->connections * CROWDED_PERCENT / 100;
    uint64_t room = crowd->door.count > enough ? crowd->door.count - enough : 0;
    speaking_sweep(crowd, &room);
    unjoined_sweep(crowd, &room);
    if (is_crowded(crowd))
        timer_start(crowd->loop, timer, LOOP_MS(SWEEP_MS));
}

void crowd_init(struct crowd *crowd, struct loop *loop, const struct serve_limits *limits, uint64_t spare_max,
                bool counts_private)
{
    uint64_t seed[2];
    *crowd = (struct crowd){.loop = loop, .limits = limits, .spare_max = spare_max};
    loop_random(loop, seed, sizeof seed);
    door_init(&crowd->door, seed, (uint32_t)limits->connections, (uint32_t)limits->connections_per_address,
              counts_private ? DOOR_EXEMPTS_NONE : DOOR_EXEMPTS_PRIVATE);
    list_init(&crowd->spare);
    list_init(&crowd->speaking);
    list_init(&crowd->unjoined);
    list_init(&crowd->rest);
    timer_init(&crowd->sweep, sweep);
}

void crowd_finish(struct crowd *crowd)
{
    if (crowd->loop == NULL)
        return;
    timer_stop(crowd->loop, &crowd->sweep);
    door_finish(&crowd->door);
}

static void spare_enter(struct crowd *crowd, struct crowd_member *member, enum refusal refusal)
{
    if (crowd->spare_count >= crowd->spare_max && !list_empty(&crowd->spare)) {
        struct crowd_member *first = container_of(crowd->spare.next, struct crowd_member, node);
        move(first, &crowd->rest);
        client_give_way(container_of(first, struct client, crowd));
    }
    crowd->spare_count++;
    member->place = CROWD_SPARE;
    member->refusal = (uint8_t)refusal;
    list_append(&crowd->spare, &member->node);
}

void crowd_enter(struct crowd *crowd, struct crowd_member *member, const struct addr *peer)
{
    struct addr_ip ip;
    addr_ip_of(peer, &ip);
    if (crowd->behind_proxies) /* a proxy is many clients */
        ip = (struct addr_ip){.is_unix = true};
    list_init(&member->node);
    member->since_ms = now_ms(crowd);
    enum door_answer answer = door_enter(&crowd->door, &ip, &member->address);
    if (answer != DOOR_ENTERED) {
        spare_enter(crowd, member, answer == DOOR_FULL ? REFUSAL_CONNECTIONS_FULL : REFUSAL_ADDRESS_FULL);
        return;
    }
    member->place = CROWD_SPEAKING;
    list_append(&crowd->speaking, &member->node);
    if (is_crowded(crowd) && !timer_running(&crowd->sweep))
        timer_start(crowd->loop, &crowd->sweep, LOOP_MS(SWEEP_MS));
}

void crowd_asked(struct crowd *crowd, struct crowd_member *member)
{
    if (member->place != CROWD_SPEAKING)
        return;
    member->since_ms = now_ms(crowd);
    move(member, &crowd->speaking);
}

bool crowd_is_for(struct crowd *crowd, struct crowd_member *member, const struct addr_ip *client)
{
    return !crowd->behind_proxies || member->address == NULL || door_move(&crowd->door, client, &member->address);
}

void crowd_upgraded(struct crowd *crowd, struct crowd_member *member)
{
    member->place = CROWD_UPGRADED;
    member->since_ms = now_ms(crowd);
    move(member, &crowd->unjoined);
}

void crowd_leave(struct crowd *crowd, struct crowd_member *member)
{
    if (member->place == CROWD_SPARE)
        crowd->spare_count--;
    member->place = CROWD_NOWHERE;
    list_remove(&member->node);
    door_leave(&crowd->door, member->address);
    member->address = NULL;
}

void crowd_each(struct crowd *crowd, void (*each)(struct client *client, void *arg), void *arg)
{
    struct list *lists[] = {&crowd->spare, &crowd->speaking, &crowd->unjoined, &crowd->rest};
    for (size_t i = 0; crowd->loop != NULL && i < sizeof lists / sizeof lists[0]; i++) {
        list_each (node, lists[i]) {
            each(container_of(node, struct client, crowd.node), arg);
        }
    }
}

bool crowd_keeps(struct crowd *crowd, uint32_t *kept, uint64_t bytes)
{
    crowd->waiting_bytes += bytes - *kept;
    *kept = (uint32_t)bytes;
    return bytes <= FREE_BYTES || crowd->waiting_bytes <= crowd->limits->request_bytes;
}

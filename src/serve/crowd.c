/* crowd: counts connections by address, assigns places, and ends members whose time is over. */
#include "serve/crowd.h"

#include <stdlib.h>

#include "base/mem.h"
#include "serve/client.h"

enum {
    SWEEP_MS = 250,
    CROWDED_PERCENT = 80,
    FREE_BYTES = 2048, /* of a request, for each connection, whatever the others keep */
};

/* Connections from one address. */
struct crowd_address {
    struct map_node node;
    uint8_t key[16];
    uint64_t count;
};

bool crowd_is_public(const struct addr_ip *ip)
{
    const uint8_t *b = ip->bytes;
    if (ip->is_unix)
        return false;
    if (addr_ip_is_v4(ip)) {
        const uint8_t *v4 = b + 12;
        return !(v4[0] == 127 || v4[0] == 10 || (v4[0] == 172 && v4[1] >> 4 == 1) || (v4[0] == 192 && v4[1] == 168) ||
                 (v4[0] == 169 && v4[1] == 254) || (v4[0] == 100 && v4[1] >> 6 == 1));
    }
    static const uint8_t loopback[16] = {[15] = 1};
    return memcmp(b, loopback, sizeof loopback) != 0 && (b[0] & 0xfe) != 0xfc && !(b[0] == 0xfe && b[1] >> 6 == 2);
}

static bool is_crowded(const struct crowd *crowd)
{
    return crowd->count * 100 > crowd->limits->connections * CROWDED_PERCENT;
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

/* Ends those that are overdue, until there is room. What is ended gives its place back when it is closed, which a
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
        list_remove(node);
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
        if (client->session->joined) {
            list_remove(node);
            continue;
        }
        if (*room == 0 || !is_overdue(crowd, member, crowd->limits->crowded_connect_timeout))
            return;
        list_remove(node);
        (*room)--;
        session_close(client->session, CLOSE_CONNECT_PACKET_TIMEOUT_CROWDED);
    }
}

static void sweep(struct timer *timer)
{
    struct crowd *crowd = container_of(timer, struct crowd, sweep);
    uint64_t enough = crowd->limits->connections * CROWDED_PERCENT / 100;
    uint64_t room = crowd->count > enough ? crowd->count - enough : 0;
    speaking_sweep(crowd, &room);
    unjoined_sweep(crowd, &room);
    if (is_crowded(crowd))
        timer_start(crowd->loop, timer, LOOP_MS(SWEEP_MS));
}

void crowd_init(struct crowd *crowd, struct loop *loop, const struct serve_limits *limits, uint64_t spare_max)
{
    uint64_t seed[2];
    *crowd = (struct crowd){.loop = loop, .limits = limits, .spare_max = spare_max};
    loop_random(loop, seed, sizeof seed);
    map_init(&crowd->addresses, seed);
    list_init(&crowd->spare);
    list_init(&crowd->speaking);
    list_init(&crowd->unjoined);
    timer_init(&crowd->sweep, sweep);
}

void crowd_finish(struct crowd *crowd)
{
    if (crowd->loop == NULL)
        return;
    timer_stop(crowd->loop, &crowd->sweep);
    map_finish(&crowd->addresses);
}

/* Counts one more from this address; false when it has as many as it may. */
static bool address_enter(struct crowd *crowd, struct crowd_member *member, const struct addr_ip *ip)
{
    uint64_t most = crowd->limits->connections_per_address;
    uint8_t key[16] = {0};
    if (most == 0 || ip->is_unix || (!crowd->counts_private && !crowd_is_public(ip)))
        return true;
    addr_ip_network(ip, key);
    struct map_node *node = map_find(&crowd->addresses, span_of(key, sizeof key));
    struct crowd_address *address = node != NULL ? container_of(node, struct crowd_address, node) : NULL;
    if (address != NULL && address->count >= most)
        return false;
    if (address == NULL) {
        address = mem_zero(1, sizeof *address);
        memcpy(address->key, key, sizeof key);
        map_add(&crowd->addresses, &address->node, span_of(address->key, sizeof address->key));
    }
    address->count++;
    member->address = address;
    return true;
}

static void address_leave(struct crowd *crowd, struct crowd_member *member)
{
    struct crowd_address *address = member->address;
    member->address = NULL;
    if (address == NULL || --address->count > 0)
        return;
    map_remove(&crowd->addresses, &address->node);
    free(address);
}

static void spare_enter(struct crowd *crowd, struct crowd_member *member, enum refusal refusal)
{
    if (crowd->spare_count >= crowd->spare_max && !list_empty(&crowd->spare)) {
        struct list *first = list_take(&crowd->spare);
        client_give_way(container_of(first, struct client, crowd.node));
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
    list_init(&member->node);
    member->since_ms = now_ms(crowd);
    if (crowd->count >= crowd->limits->connections) {
        spare_enter(crowd, member, REFUSAL_CONNECTIONS_FULL);
        return;
    }
    if (!address_enter(crowd, member, &ip)) {
        spare_enter(crowd, member, REFUSAL_ADDRESS_FULL);
        return;
    }
    crowd->count++;
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
    list_remove(&member->node);
    list_append(&crowd->speaking, &member->node);
}

void crowd_upgraded(struct crowd *crowd, struct crowd_member *member)
{
    crowd_keeps(crowd, member, 0);
    member->place = CROWD_UPGRADED;
    member->since_ms = now_ms(crowd);
    list_remove(&member->node);
    list_append(&crowd->unjoined, &member->node);
}

void crowd_leave(struct crowd *crowd, struct crowd_member *member)
{
    crowd_keeps(crowd, member, 0);
    if (member->place == CROWD_SPARE)
        crowd->spare_count--;
    else if (member->place != CROWD_NOWHERE)
        crowd->count--;
    member->place = CROWD_NOWHERE;
    list_remove(&member->node);
    address_leave(crowd, member);
}

bool crowd_keeps(struct crowd *crowd, struct crowd_member *member, uint64_t bytes)
{
    crowd->waiting_bytes += bytes - member->waiting_bytes;
    member->waiting_bytes = (uint32_t)bytes;
    return bytes <= FREE_BYTES || crowd->waiting_bytes <= crowd->limits->request_bytes;
}

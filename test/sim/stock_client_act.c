/* stock_client_act: see stock_client.h. Here: its own actions. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "stock_client_parts.h"
#include "wire/engineio.h"

enum { WAITING_MAX = 64, LARGE_BYTES = 40000 };

static int room_pick(const struct stock_client *client)
{
    return 1 + (int)sim_below(client->world->sim, (uint64_t)client_rooms(client->world) - 1);
}

static void rooms_append(struct buf *to, uint16_t rooms, const char *sid)
{
    bool several = (rooms & (rooms - 1)) != 0 || (rooms != 0 && sid[0] != '\0'), first = true;
    if (several)
        buf_append_char(to, '[');
    for (int room = 1; room < ROOMS; room++) {
        if (!(rooms & 1 << room))
            continue;
        buf_printf(to, "%s\"room%d\"", first ? "" : ",", room);
        first = false;
    }
    if (sid[0] != '\0')
        buf_printf(to, "%s\"%s\"", first ? "" : ",", sid);
    if (several)
        buf_append_char(to, ']');
}

/* The event that says to whom; see the configuration (fleet.c). */
static const char *event_of(const struct message *message)
{
    if (message->rooms == EVERYBODY)
        return message->logged ? message->others ? "others" : "all" : message->others ? "cursor" : "wave";
    if (message->rooms == 0)
        return message->logged ? "dm" : "poke";
    return message->logged ? message->others ? "tell" : "say" : message->others ? "whisper" : "hum";
}

static void message_send(struct stock_client *client, uint32_t number, uint32_t ack)
{
    const struct message *message = &client->world->check->truths.messages[number];
    struct buf text = {0};
    buf_printf(&text, message_has_bytes(number) ? "451-" : "42");
    if (ack != 0)
        buf_append_u64(&text, ack);
    buf_printf(&text, "[\"%s\",", event_of(message));
    if (message->rooms == 0)
        buf_printf(&text, "\"%s\",", message->to_sid);
    else if (message->rooms != EVERYBODY)
        rooms_append(&text, message->rooms, ""), buf_append_char(&text, ',');
    buf_printf(&text, "{\"id\":%u", number);
    if (message->bytes > 0)
        buf_printf(&text, ",\"pad\":\"%0*d\"", (int)message->bytes, 0);
    if (message_has_bytes(number))
        buf_append(&text, SPAN_LIT(",\"bytes\":{\"_placeholder\":true,\"num\":0}"));
    buf_append_char(&text, '}');
    if (message->excepts != 0 || message->except_sid[0] != '\0') {
        buf_append_char(&text, ',');
        rooms_append(&text, message->excepts, message->except_sid);
    }
    buf_append_char(&text, ']');
    client_send(client, buf_span(&text));
    if (message_has_bytes(number)) {
        buf_clear(&text);
        message_bytes(&text, number);
        client_send_bytes(client, buf_span(&text));
    }
    buf_finish(&text);
}

void client_publish_send(struct stock_client *client, size_t index)
{
    client->waiting[index].ack = client->ack_next++;
    message_send(client, client->waiting[index].message, client->waiting[index].ack);
}

void client_room_send(struct stock_client *client, int room)
{
    char text[80];
    bool joins = client->wishes[room] == WISH_JOINING;
    client->room_acks[room] = client->ack_next++;
    client->room_asks[room] = client_ask(client);
    if (client->world->rosters != NULL) {
        roster_changed(client->world->rosters, room);
        roster_forget(client->world->rosters, &client->witness, room);
        if (!joins)
            roster_leaving(client->world->rosters, &client->witness, room);
    }
    snprintf(text, sizeof text, "42%u[\"%s\",\"room%d\"]", client->room_acks[room], joins ? "join" : "leave", room);
    client_send(client, span_str(text));
}

/* Somebody's sid: of a client that is connected, or cut, or of one who has another by now, or of nobody. */
static void sid_pick(struct stock_client *client, char to[SID_TEXT])
{
    struct client_world *world = client->world;
    const struct stock_client *other = &world->clients[sim_below(world->sim, (uint64_t)world->count)];
    uint64_t dice = sim_below(world->sim, 100);
    to[0] = '\0';
    if (dice < 80) {
        if (other != client && other->witness.lease != NULL)
            memcpy(to, other->witness.lease->sid, SID_TEXT);
    } else if (dice < 95) {
        uint64_t number = sim_below(world->sim, world->check->leases.count + 1);
        struct map_node *node = NULL;
        for (uint64_t i = 0; i < number && (node = map_next(&world->check->leases.by_sid, node)) != NULL; i++)
            ;
        const struct lease *lease = node != NULL ? container_of(node, struct lease, by_sid) : NULL;
        if (lease != NULL && lease->client != client->number)
            memcpy(to, lease->sid, SID_TEXT);
    } else {
        for (int i = 0; i < ENGINEIO_SID_BYTES; i++)
            to[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[sim_below(world->sim, 36)];
        to[ENGINEIO_SID_BYTES] = '\0';
    }
}

/* To whom: everybody, a room or several that it is in, or a socket. False: to nobody this time. */
static bool target_pick(struct stock_client *client, struct message *message)
{
    struct sim *sim = client->world->sim;
    uint64_t dice = sim_below(sim, 100);
    int wanted = dice < 12 ? 0 : dice < 65 ? 1 : dice < 80 ? 2 + (int)sim_below(sim, 2) : -1;
    if (wanted == 0)
        message->rooms = EVERYBODY;
    if (wanted < 0)
        sid_pick(client, message->to_sid);
    for (; wanted > 0; wanted--) {
        int room = room_pick(client);
        if (client->wishes[room] == WISH_IN)
            message->rooms |= (uint16_t)(1 << room);
    }
    client->world->counts.directs += message->to_sid[0] != '\0';
    client->world->counts.wide += (message->rooms & (message->rooms - 1)) != 0;
    return message->rooms != 0 || message->to_sid[0] != '\0';
}

static bool compose(struct stock_client *client, struct message *message)
{
    struct sim *sim = client->world->sim;
    *message = (struct message){.sender = client->number};
    if (!target_pick(client, message))
        return false;
    if (message->rooms != 0) {
        message->others = sim_chance(sim, 500);
        if (sim_chance(sim, 200))
            message->excepts |= (uint16_t)(1 << room_pick(client));
        if (message->excepts != 0 && sim_chance(sim, 300))
            message->excepts |= (uint16_t)(1 << room_pick(client));
        if (sim_chance(sim, 120))
            sid_pick(client, message->except_sid);
    }
    if (client->world->large && sim_chance(sim, 400))
        message->bytes = (uint32_t)(1000 + sim_below(sim, LARGE_BYTES));
    return true;
}

bool stock_client_pass(struct stock_client *client, uint32_t *number)
{
    struct message message;
    if (client->state != CLIENT_CONNECTED || !compose(client, &message))
        return false;
    *number = check_message_create(client->world->check, &message);
    message_send(client, *number, 0);
    return true;
}

static void publish(struct stock_client *client)
{
    struct message message;
    if (client->waiting_count == WAITING_MAX || !compose(client, &message))
        return;
    message.logged = true;
    if (client->waiting_count == client->waiting_cap) {
        client->waiting_cap = client->waiting_cap != 0 ? client->waiting_cap * 2 : 8;
        client->waiting = mem_resize(client->waiting, client->waiting_cap * sizeof *client->waiting);
    }
    size_t index = client->waiting_count++;
    client->waiting[index] = (struct waiting){.message = check_message_create(client->world->check, &message)};
    if (client->state == CLIENT_CONNECTED)
        client_publish_send(client, index);
}

/* Enters or leaves a room. Events that wait for a room are sent before the request to leave it, because only members
 * may send. */
static void wander(struct stock_client *client)
{
    int room = room_pick(client);
    for (size_t i = 0; i < client->waiting_count; i++)
        if (client->world->check->truths.messages[client->waiting[i].message].rooms & 1 << room)
            return;
    if (client->wishes[room] != WISH_OUT && client->wishes[room] != WISH_IN)
        return;
    client->wishes[room] = client->wishes[room] == WISH_OUT ? WISH_JOINING : WISH_LEAVING;
    client_room_send(client, room);
}

/* A position to read from: one it has seen, its own offset, one beyond everything, of no epoch, or none at all. */
static void position_pick(struct stock_client *client, char at[PAGE_AT_TEXT])
{
    struct client_world *world = client->world;
    const struct truths *truths = &world->check->truths;
    const char *epoch = truths->epochs[sim_below(world->sim, truths->epoch_count)].name;
    uint64_t dice = sim_below(world->sim, 100);
    at[0] = '\0';
    if (dice < 30)
        return;
    if (dice < 60)
        memcpy(at, client->ats[sim_below(world->sim, ATS_KEPT)], PAGE_AT_TEXT);
    else if (dice < 70 && client->offset.len < PAGE_AT_TEXT)
        snprintf(at, PAGE_AT_TEXT, SPAN_FMT, SPAN_ARG(buf_span(&client->offset)));
    else if (dice < 88)
        snprintf(at, PAGE_AT_TEXT, "1%s.%llu", epoch, (unsigned long long)sim_below(world->sim, 1000));
    else if (dice < 92)
        snprintf(at, PAGE_AT_TEXT, "1%s.zzzzz", truths->epochs[truths->epoch].name);
    else if (dice < 96)
        snprintf(at, PAGE_AT_TEXT, "1nosuch.%llu", (unsigned long long)sim_below(world->sim, 1000));
    else
        snprintf(at, PAGE_AT_TEXT, "yesterday");
}

static void page_send(struct stock_client *client)
{
    struct page_ask *page = &client->page;
    struct buf text = {0};
    page->ack = client->ack_next++;
    page_asked(client->world->check, page);
    buf_printf(&text, "42%u[\"past\",", page->ack);
    if (page->room == 0)
        buf_printf(&text, "null");
    else
        buf_printf(&text, "\"room%d\"", page->room);
    buf_printf(&text, ",{\"limit\":%u", page->limit);
    if (page->at[0] != '\0')
        buf_printf(&text, ",\"%s\":\"%s\"", page->back ? "before" : "after", page->at);
    buf_printf(&text, "}]");
    client_send(client, buf_span(&text));
    buf_finish(&text);
}

static void page_begin(struct stock_client *client)
{
    struct sim *sim = client->world->sim;
    struct page_ask *page = &client->page;
    int room = (int)sim_below(sim, ROOMS);
    if (page->ack != 0 || (room > 0 && client->wishes[room] != WISH_IN))
        return;
    *page = (struct page_ask){.room = room, .limit = 1 + (uint32_t)sim_below(sim, sim_chance(sim, 500) ? 8 : 60)};
    position_pick(client, page->at);
    page->back = page->at[0] == '\0' || sim_chance(sim, 500);
    page_send(client);
}

void client_page_more(struct stock_client *client, bool more, const char *first, const char *last)
{
    struct page_ask *page = &client->page;
    if (!more || first[0] == '\0' || client->quiet || !sim_chance(client->world->sim, 700) ||
        (page->room > 0 && client->wishes[page->room] != WISH_IN))
        return;
    memcpy(page->at, page->back ? first : last, PAGE_AT_TEXT);
    page_send(client);
}

void client_stall_over(struct timer *timer)
{
    struct stock_client *client = container_of(timer, struct stock_client, stall);
    client->stalled = false;
    client->read_since_us = sim_now_us(client->world->sim);
    sim_timer_stop(client->world->sim, timer);
    engine_client_hold(&client->engine, false);
    if (client->witness.polls)
        client_rooms_changed(client);
    client_patience(client, client->patience_us);
}

/* Reads nothing for a while, but not so often that it answers no ping. */
static void stall(struct stock_client *client)
{
    struct sim *sim = client->world->sim;
    if (client->stalled || sim_now_us(sim) - client->read_since_us < LOOP_S(3))
        return;
    client->stalled = true;
    client->world->counts.stalls++;
    engine_client_hold(&client->engine, true);
    if (client->witness.polls) /* without a request it counts as away */
        client_rooms_changed(client);
    sim_timer_stop(sim, &client->silence);
    sim_timer_start(sim, &client->stall, LOOP_MS(500 + sim_below(sim, 5000)));
}

void client_act(struct timer *timer)
{
    struct stock_client *client = container_of(timer, struct stock_client, act);
    struct client_world *world = client->world;
    struct sim *sim = world->sim;
    bool connected = client->state == CLIENT_CONNECTED;
    uint32_t number;
    if (client->quiet)
        return;
    uint64_t dice = sim_below(sim, 1000);
    if (dice < 60 && connected) {
        wander(client);
    } else if (dice < 63 && connected) {
        /* Says goodbye and, being what it is, comes back under the pid it still has: whether that is recovered depends
         * on what was faster, but it is honest in either case. */
        client_send(client, SPAN_LIT("41"));
        client->left_once = true;
        for (int room = 0; room < ROOMS && world->rosters != NULL; room++)
            roster_leaving(world->rosters, &client->witness, room);
        client_hang_up(client);
    } else if (world->quiet && dice < 960) {
        ; /* nothing this time */
    } else if (dice < 150) {
        stock_client_pass(client, &number);
    } else if (dice < 200 && connected && world->pages) {
        page_begin(client);
    } else if (dice < 240 && connected && world->stalls) {
        stall(client);
    } else {
        publish(client);
    }
    sim_timer_start(sim, timer, LOOP_MS(world->busy ? 20 + sim_below(sim, 400) : 100 + sim_below(sim, 2500)));
}

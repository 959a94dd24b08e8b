/* stock_client_hear: see stock_client.h. Here: the Socket.IO packets that it receives. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "stock_client_parts.h"
#include "wire/json.h"

enum { LEASE_US_MAX = 1000000 }; /* from an instance's link being up again to its leases being written */

/* An event of another epoch: the instance's link to the broker is up again. */
static void epoch_seen(struct stock_client *client, const struct token *token)
{
    struct span epoch = span_of(token->epoch, token->epoch_len);
    if (span_equal(epoch, span_str(client->epoch)))
        return;
    snprintf(client->epoch, sizeof client->epoch, SPAN_FMT, SPAN_ARG(epoch));
    client->sure_us = sim_now_us(client->world->sim) + LEASE_US_MAX;
}

void stock_client_broker_lost(struct stock_client *client, uint64_t snapshot_us)
{
    client->sure_us = 0;
    client->doubtful |= client->rooms_us >= snapshot_us;
    for (int room = 1; room < ROOMS; room++)
        client->doubtful |= client->wishes[room] == WISH_JOINING || client->wishes[room] == WISH_LEAVING;
}

/* Recovered: it is in the rooms that it was in, unless the broker has lost what it knew: then it asks again. (A real
 * one would have to ask its application.) */
static void rooms_compare(struct stock_client *client)
{
    struct client_world *world = client->world;
    bool excused = client->doubtful;
    if (world->leases_follow && client->sure_us != 0 && sim_now_us(world->sim) >= client->sure_us)
        excused = false;
    for (int room = 1; room < client_rooms(world); room++) {
        bool in = check_is_in(&client->witness, room);
        uint8_t *wish = &client->wishes[room];
        if ((*wish == WISH_IN && !in) || (*wish == WISH_OUT && in)) {
            if (!excused)
                check_fail(world->check, "%s: was recovered, and its lease has room %d wrongly", client->witness.name,
                           room);
            *wish = *wish == WISH_IN ? WISH_JOINING : WISH_LEAVING;
        }
    }
}

static void rooms_anew(struct stock_client *client)
{
    for (int room = 1; room < ROOMS; room++)
        if (client->wishes[room] == WISH_LEAVING)
            client->wishes[room] = WISH_OUT;
        else if (client->wishes[room] == WISH_IN)
            client->wishes[room] = WISH_JOINING;
}

static void connected(struct stock_client *client, struct span payload)
{
    struct client_world *world = client->world;
    struct buf sid = {0}, pid = {0};
    json_string_decode(json_object_get(payload, SPAN_LIT("sid")), &sid);
    json_string_decode(json_object_get(payload, SPAN_LIT("pid")), &pid);
    struct check_connect connect = {
        .sid = buf_span(&sid),
        .pid = buf_span(&pid),
        .instance = world->number_of(world->arg, engine_client_port(&client->engine)),
        .came_back = client->pid[0] != '\0',
        .let_off = client->left_once || check_is_dismissed(world->check, client->witness.lease),
        .asked = client->connect_ask,
    };
    connect.recovered = connect.came_back && span_equal(connect.pid, span_str(client->pid));
    client->state = CLIENT_CONNECTED;
    client->connected_us = sim_now_us(world->sim);
    client_patience(client, client->patience_us);
    check_connected(world->check, &client->witness, &connect);
    if (connect.recovered)
        rooms_compare(client);
    else
        rooms_anew(client);
    client->left_once = client->doubtful = false;
    snprintf(client->pid, sizeof client->pid, SPAN_FMT, SPAN_ARG(connect.pid));
    for (int room = 0; room < ROOMS && world->rosters != NULL; room++)
        if (room == 0 || client->wishes[room] != WISH_OUT)
            roster_changed(world->rosters, room);
    for (int room = 1; room < ROOMS; room++)
        if (client->wishes[room] == WISH_JOINING || client->wishes[room] == WISH_LEAVING)
            client_room_send(client, room);
    for (size_t i = 0; i < client->waiting_count; i++)
        client_publish_send(client, i);
    buf_finish(&sid);
    buf_finish(&pid);
}

static void room_acked(struct stock_client *client, int room)
{
    struct client_world *world = client->world;
    client->room_acks[room] = 0;
    client->rooms_us = sim_now_us(world->sim);
    if (world->rosters != NULL)
        roster_changed(world->rosters, room);
    if (client->wishes[room] == WISH_JOINING) {
        client->wishes[room] = WISH_IN;
        check_joined(world->check, &client->witness, room, &client->room_asks[room]);
    } else {
        client->wishes[room] = WISH_OUT;
        check_left(world->check, &client->witness, room);
    }
}

/* The object of a message: the first argument, or the second one behind rooms or a socket. */
static struct span body_of(struct span args)
{
    struct span body = json_array_at(args, 1);
    if (body.data == NULL || json_type(body) != JSON_OBJECT)
        body = json_array_at(args, 2);
    return body;
}

static void bytes_check(struct stock_client *client, struct span args, uint64_t number)
{
    if (!message_bytes_match(&client->attached, body_of(args), number))
        check_fail(client->world->check, "%s: message %llu came with other bytes", client->witness.name,
                   (unsigned long long)number);
}

static void page_bytes_check(struct stock_client *client, struct span answer)
{
    struct span entries = json_object_get(answer, SPAN_LIT("entries")), entry;
    uint64_t number;
    if (json_type(entries) != JSON_ARRAY)
        return;
    while (json_array_next(&entries, &entry)) {
        struct span args = json_object_get(entry, SPAN_LIT("args"));
        if (span_to_u64(json_object_get(body_of(args), SPAN_LIT("id")), &number))
            bytes_check(client, args, number);
    }
}

static void page_acked(struct stock_client *client, struct span args)
{
    struct client_world *world = client->world;
    struct span answer = json_array_at(args, 0);
    page_bytes_check(client, answer);
    char first[PAGE_AT_TEXT], last[PAGE_AT_TEXT];
    client->page.ack = 0;
    for (int room = 1; room < ROOMS; room++) {
        client->page.leaving |= (uint16_t)((client->wishes[room] == WISH_LEAVING) << room);
        client->page.joining |= (uint16_t)((client->wishes[room] == WISH_JOINING) << room);
    }
    world->counts.pages++;
    bool more = page_answered(world->check, &client->witness, &client->page, answer, first, last);
    world->counts.page_entries += first[0] != '\0';
    for (int i = 0; i < 2 && first[0] != '\0'; i++)
        memcpy(client->ats[sim_below(world->sim, ATS_KEPT)], i == 0 ? first : last, PAGE_AT_TEXT);
    client_page_more(client, more, first, last);
}

static void who_send(struct stock_client *client, struct span cursor)
{
    struct buf text = {0};
    client->who_ack = client->ack_next++;
    buf_printf(&text, "42%u[\"who\",", client->who_ack);
    if (client->who_room == 0)
        buf_printf(&text, "null,{\"limit\":30");
    else
        buf_printf(&text, "\"room%d\",{\"limit\":30", client->who_room);
    if (cursor.data != NULL)
        buf_printf(&text, ",\"cursor\":" SPAN_FMT, SPAN_ARG(cursor));
    buf_printf(&text, "}]");
    client_send(client, buf_span(&text));
    buf_finish(&text);
}

void stock_client_who(struct stock_client *client, int room)
{
    struct check *check = client->world->check;
    client->who_words = check->leases.count / 64 + 1;
    client->who_there = mem_resize(client->who_there, client->who_words * sizeof *client->who_there);
    memset(client->who_there, 0, client->who_words * sizeof *client->who_there);
    client->who_room = room;
    who_send(client, (struct span){NULL, 0});
}

static void who_acked(struct stock_client *client, struct span args)
{
    struct client_world *world = client->world;
    struct span answer = json_array_at(args, 0), cursor = json_object_get(answer, SPAN_LIT("cursor"));
    uint64_t count = 0, there = 0, named = 0;
    client->who_ack = 0;
    roster_listed(world->rosters, &client->witness, json_object_get(answer, SPAN_LIT("members")), client->who_there,
                  client->who_words);
    if (json_type(cursor) == JSON_STRING) {
        who_send(client, cursor);
        return;
    }
    for (int i = 0; i < world->count; i++) {
        const struct lease *lease = world->clients[i].witness.lease;
        if (lease == NULL || !roster_truth(lease, client->who_room))
            continue;
        there++;
        if (lease->number / 64 < client->who_words)
            named += client->who_there[lease->number / 64] >> lease->number % 64 & 1;
    }
    if (!span_to_u64(json_object_get(answer, SPAN_LIT("count")), &count) || count != there || named != there)
        check_fail(world->check, "%s: asked who is in room %d: %llu are, was told %llu and named %llu of them",
                   client->witness.name, client->who_room, (unsigned long long)there, (unsigned long long)count,
                   (unsigned long long)named);
}

/* Nobody else keeps it waiting. */
static void ack_took(struct stock_client *client, uint32_t number)
{
    struct client_world *world = client->world;
    uint64_t sent = world->check->truths.messages[number].sent_us;
    uint64_t took = sim_now_us(world->sim) - (sent > client->connected_us ? sent : client->connected_us);
    if (took > world->ack_us_most)
        world->ack_us_most = took;
    if (world->ack_us_max != 0 && took > world->ack_us_max)
        check_fail(world->check, "%s: message %u was acknowledged after %.3f s", client->witness.name, number,
                   (double)took / 1e6);
}

static void acked(struct stock_client *client, uint64_t ack, struct span args)
{
    for (size_t i = 0; i < client->waiting_count; i++) {
        if (client->waiting[i].ack != ack)
            continue;
        check_acked(client->world->check, &client->witness, client->waiting[i].message);
        ack_took(client, client->waiting[i].message);
        client->waiting[i] = client->waiting[--client->waiting_count];
        return;
    }
    for (int room = 1; room < ROOMS; room++) {
        if (client->room_acks[room] == ack) {
            room_acked(client, room);
            return;
        }
    }
    if (client->page.ack == ack)
        page_acked(client, args);
    else if (client->who_ack == ack)
        who_acked(client, args);
    else
        check_fail(client->world->check, "%s: an answer to what it did not ask", client->witness.name);
}

/* `{"id":<number>,"pad":"..."}`. False when it is none. */
static bool message_read(struct span args, uint64_t *number, size_t *pad)
{
    struct span body = body_of(args);
    if (body.data == NULL || json_type(body) != JSON_OBJECT)
        return false;
    struct span value = json_object_get(body, SPAN_LIT("pad"));
    *pad = value.len > 2 ? value.len - 2 : 0;
    return span_to_u64(json_object_get(body, SPAN_LIT("id")), number);
}

/* The handlers of the page: the event is shown. */
static void event_shown(struct stock_client *client, struct span args)
{
    struct check *check = client->world->check;
    size_t count = 0, pad;
    struct span rest = args, value, last = {NULL, 0}, name = json_array_at(args, 0);
    struct token token;
    uint64_t number;
    while (json_array_next(&rest, &value)) {
        last = value;
        count++;
    }
    /* The stock client takes this string for its offset. */
    if (count < 2 || json_type(last) != JSON_STRING) {
        check_fail(check, "%s: an event without a token", client->witness.name);
        return;
    }
    buf_clear(&client->offset);
    json_string_decode(last, &client->offset);
    if (token_decode(buf_span(&client->offset), &token))
        epoch_seen(client, &token);
    if (json_string_equal(name, SPAN_LIT("sennit"))) {
        check_token(check, &client->witness, buf_span(&client->offset));
    } else if (json_string_equal(name, SPAN_LIT("presence"))) {
        check_token(check, &client->witness, buf_span(&client->offset));
        if (client->world->rosters == NULL)
            check_fail(check, "%s: is told who is where, and nobody should be", client->witness.name);
        else
            roster_told(client->world->rosters, &client->witness, json_array_at(args, 1));
    } else if (!message_read(args, &number, &pad) || number >= check->truths.message_count) {
        check_fail(check, "%s: an event that nobody sent", client->witness.name);
    } else {
        if (pad != check->truths.messages[number].bytes)
            check_fail(check, "%s: message %llu has changed on its way", client->witness.name,
                       (unsigned long long)number);
        bytes_check(client, args, number);
        check_shown(check, &client->witness, (uint32_t)number, buf_span(&client->offset));
    }
}

/* A backend has told it to end. A stock client would not come back by itself; this one does, and begins anew. */
static void client_dismissed(struct stock_client *client)
{
    client->world->counts.dismissed++;
    client->left_once = true;
    client_hang_up(client);
}

static void packet_whole(struct stock_client *client, const struct socketio_packet *whole)
{
    struct socketio_packet packet = *whole;
    uint64_t ack;
    if (packet.type == SOCKETIO_BINARY_EVENT || packet.type == SOCKETIO_BINARY_ACK)
        packet.type = packet.type == SOCKETIO_BINARY_EVENT ? SOCKETIO_EVENT : SOCKETIO_ACK;
    if (packet.type == SOCKETIO_CONNECT && client->state == CLIENT_CONNECTING)
        connected(client, packet.payload);
    else if (packet.type == SOCKETIO_EVENT && client->state == CLIENT_CONNECTED)
        event_shown(client, packet.payload);
    else if (packet.type == SOCKETIO_EVENT)
        check_fail(client->world->check, "%s: an event before CONNECT: the stock client would double it",
                   client->witness.name);
    else if (packet.type == SOCKETIO_ACK && span_to_u64(packet.ack_id, &ack) && ack != 0)
        acked(client, ack, packet.payload);
    else if (packet.type == SOCKETIO_DISCONNECT && check_is_dismissed(client->world->check, client->witness.lease))
        client_dismissed(client);
    else
        check_fail(client->world->check, "%s: a packet of type %d", client->witness.name, packet.type);
}

void client_packet(struct stock_client *client, struct span text)
{
    struct socketio_packet packet;
    if (client->attached.wanted != 0 || socketio_decode(text, &packet) < 0) {
        check_fail(client->world->check, "%s: an invalid Socket.IO packet, or one in front of attachments",
                   client->witness.name);
        return;
    }
    client->attached.wanted = packet.attachments;
    if (packet.attachments != 0)
        buf_append(&client->attached.text, text);
    else
        packet_whole(client, &packet);
}

void client_attachment(struct stock_client *client, struct span bytes)
{
    struct attached *attached = &client->attached;
    struct socketio_packet packet;
    if (attached->wanted == 0) {
        check_fail(client->world->check, "%s: an attachment out of the blue", client->witness.name);
        return;
    }
    buf_append(&attached->bytes[attached->count++], bytes);
    if (attached->count < attached->wanted)
        return;
    struct buf text = attached->text;
    attached->text = (struct buf){0};
    attached->wanted = 0;
    if (socketio_decode(buf_span(&text), &packet) > 0)
        packet_whole(client, &packet);
    buf_finish(&text);
    attached_clear(attached);
}

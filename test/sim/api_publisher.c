/* api_publisher: its messages, and how often each is sent. See api_publisher.h. */
#include "api_publisher.h"

#include <stdio.h>

enum { ACT_MS_MIN = 20, ACT_MS_MAX = 160, LATE_US = 3000000, AGAIN_US = 200000, NO_CLIENT = -1, SENDS_MAX = 4 };

static uint64_t now_us(const struct api_publisher *publisher)
{
    return sim_now_us(publisher->world->sim);
}

static struct message *message_of(struct api_publisher *publisher, uint32_t number)
{
    return &publisher->world->check->truths.messages[number];
}

static void rooms_append(struct buf *to, const char *name, uint16_t rooms)
{
    const char *separator = "";
    if ((rooms & ~EVERYBODY) == 0)
        return;
    buf_printf(to, ",\"%s\":[", name);
    for (int room = 1; room < ROOMS; room++) {
        if (!(rooms & 1 << room))
            continue;
        buf_printf(to, "%s\"room%d\"", separator, room);
        separator = ",";
    }
    buf_append_char(to, ']');
}

static void send_slot(struct api_publisher *publisher, struct publishing *slot)
{
    struct client_world *world = publisher->world;
    struct message *message = message_of(publisher, slot->message);
    struct buf body = {0}, text = {0};
    uint16_t port = world->instance_pick(world->arg);
    slot->late_us = now_us(publisher) + (port != 0 ? LATE_US : AGAIN_US);
    if (port == 0)
        return;
    buf_printf(&body, "{\"event\":\"say\",\"args\":[\"room1\",{\"id\":%u}]", slot->message);
    if (slot->has_id)
        buf_printf(&body, ",\"id\":\"number %u\"", slot->named);
    rooms_append(&body, "rooms", message->rooms);
    rooms_append(&body, "except", message->excepts);
    buf_append_char(&body, '}');
    buf_printf(&text,
               "POST /api/v1/publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
               "Connection: close\r\nContent-Length: %zu\r\n\r\n" SPAN_FMT,
               body.len, SPAN_ARG(buf_span(&body)));
    message->sends++;
    publisher->counts.sent++;
    slot->tag = poll_line_ask(&publisher->line, port, buf_span(&text));
    buf_finish(&body);
    buf_finish(&text);
}

static uint16_t room_pick(struct api_publisher *publisher)
{
    return (uint16_t)(1 << sim_below(publisher->world->sim, ROOMS));
}

static void begin(struct api_publisher *publisher, struct publishing *slot)
{
    struct sim *sim = publisher->world->sim;
    struct message message = {.sender = NO_CLIENT, .logged = true, .rooms = room_pick(publisher)};
    bool has_id = sim_chance(sim, 600);
    if (message.rooms != EVERYBODY && sim_chance(sim, 200))
        message.rooms |= room_pick(publisher) & (uint16_t)~EVERYBODY;
    if (sim_chance(sim, 150))
        message.excepts = room_pick(publisher) & (uint16_t)~EVERYBODY;
    message.unnamed = !has_id;
    uint32_t number = check_message_create(publisher->world->check, &message);
    if (message_has_bytes(number))
        return; /* it is one of those that come with attachments */
    *slot = (struct publishing){.message = number, .named = number, .busy = true, .has_id = has_id};
    publisher->counts.published++;
    send_slot(publisher, slot);
}

/* Another message under the same name, to the same room: it is refused. */
static void begin_taken(struct api_publisher *publisher, struct publishing *slot)
{
    struct message message = *message_of(publisher, slot->named);
    message = (struct message){.sender = NO_CLIENT,
                               .logged = true,
                               .rooms = message.rooms,
                               .excepts = message.excepts,
                               .unnamed = true,
                               .refused = true};
    uint32_t number = check_message_create(publisher->world->check, &message);
    if (message_has_bytes(number))
        return;
    *slot = (struct publishing){.message = number, .named = slot->named, .busy = true, .has_id = true};
    send_slot(publisher, slot);
}

static bool is_refusal(const struct publishing *slot)
{
    return slot->named != slot->message;
}

static void accepted(struct api_publisher *publisher, struct publishing *slot)
{
    struct sim *sim = publisher->world->sim;
    bool was_accepted = slot->is_accepted;
    if (is_refusal(slot))
        check_fail(publisher->world->check, "message %u is accepted by the API under the name of message %u",
                   slot->message, slot->named);
    check_acked(publisher->world->check, &publisher->witness, slot->message);
    slot->busy = false;
    if (!slot->has_id || publisher->quiet || was_accepted)
        return;
    slot->is_accepted = true;
    if (sim_chance(sim, 250)) {
        slot->busy = true;
        publisher->counts.repeated++;
        send_slot(publisher, slot);
    } else if (sim_chance(sim, 80)) {
        begin_taken(publisher, slot);
    }
}

static void lost(struct api_publisher *publisher, struct publishing *slot)
{
    slot->tag = 0;
    if (slot->has_id || message_of(publisher, slot->message)->sends < SENDS_MAX)
        slot->late_us = now_us(publisher) + AGAIN_US; /* it is sent again then */
    else
        slot->busy = false;
}

static void answered(void *owner, uint64_t tag, int status, struct span body)
{
    struct api_publisher *publisher = owner;
    const struct client_world *world = publisher->world;
    for (int i = 0; i < PUBLISHING_MAX; i++) {
        struct publishing *slot = &publisher->slots[i];
        if (!slot->busy || slot->tag != tag)
            continue;
        slot->tag = 0;
        if (status == 200) {
            accepted(publisher, slot);
        } else if (status == 409 && is_refusal(slot)) {
            publisher->counts.refused++;
            slot->busy = false;
        } else if (!world->stays && (status == 0 || status == 503 || status == 504)) {
            lost(publisher, slot);
        } else {
            check_fail(world->check, "the API answers message %u with %d: " SPAN_FMT, slot->message, status,
                       SPAN_ARG(body));
        }
        return;
    }
}

static void act(struct timer *timer)
{
    struct api_publisher *publisher = container_of(timer, struct api_publisher, act);
    struct sim *sim = publisher->world->sim;
    bool begun = publisher->quiet;
    for (int i = 0; i < PUBLISHING_MAX; i++) {
        struct publishing *slot = &publisher->slots[i];
        if (slot->busy && slot->tag != 0 && now_us(publisher) > slot->late_us) {
            poll_line_drop(&publisher->line, slot->tag, true);
            lost(publisher, slot);
        } else if (slot->busy && slot->tag == 0 && now_us(publisher) > slot->late_us) {
            publisher->counts.repeated++;
            send_slot(publisher, slot);
        } else if (!slot->busy && !begun) {
            begin(publisher, slot);
            begun = true;
        }
    }
    sim_timer_start(sim, timer, LOOP_MS(ACT_MS_MIN + sim_below(sim, ACT_MS_MAX - ACT_MS_MIN)));
}

void api_publisher_init(struct api_publisher *publisher, struct client_world *world)
{
    *publisher = (struct api_publisher){.world = world, .witness = {.name = "the publisher", .number = NO_CLIENT}};
    poll_line_init(&publisher->line, world->sim, answered, publisher);
    timer_init(&publisher->act, act);
    sim_timer_start(world->sim, &publisher->act, LOOP_S(1));
}

void api_publisher_quiet(struct api_publisher *publisher)
{
    publisher->quiet = true;
}

bool api_publisher_is_settled(const struct api_publisher *publisher)
{
    bool settled = true;
    for (int i = 0; i < PUBLISHING_MAX; i++)
        settled = settled && !publisher->slots[i].busy;
    return settled;
}

void api_publisher_check(const struct api_publisher *publisher)
{
    for (int i = 0; i < PUBLISHING_MAX; i++)
        if (publisher->slots[i].busy)
            check_fail(publisher->world->check, "message %u was never accepted by the API",
                       publisher->slots[i].message);
}

void api_publisher_finish(struct api_publisher *publisher)
{
    if (publisher->world == NULL)
        return;
    sim_timer_stop(publisher->world->sim, &publisher->act);
    poll_line_finish(&publisher->line);
}

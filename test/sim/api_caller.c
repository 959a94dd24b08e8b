/* api_caller: makes each request, sends it, and matches the answer with the truth. See api_caller.h. */
#include "api_caller.h"

#include <stdio.h>

#include "wire/json.h"

enum { ACT_MS_MIN = 60, ACT_MS_MAX = 400, LATE_US = 12000000, NO_CLIENT = -1 };

static void selection_append(struct buf *to, const struct message *message, uint32_t number)
{
    bool first = true;
    if (message->to_sid[0] != '\0')
        buf_printf(to, "\"socket\":\"%s\",", message->to_sid);
    if ((message->rooms & ~EVERYBODY) != 0) {
        buf_append(to, SPAN_LIT("\"rooms\":["));
        for (int room = 1; room < ROOMS; room++) {
            if (message->rooms & 1 << room)
                buf_printf(to, "%s\"room%d\"", first ? "" : ",", room);
            first = first && !(message->rooms & 1 << room);
        }
        buf_append(to, SPAN_LIT("],"));
    }
    buf_append(to, SPAN_LIT("\"except\":["));
    for (int room = 1; room < ROOMS; room++)
        if (message->excepts & 1 << room)
            buf_printf(to, "\"room%d\",", room);
    /* Nobody is in this room: it tells the check which directive this is. */
    buf_printf(to, "\"number %u\"]", number);
}

static uint16_t room_pick(struct api_caller *caller)
{
    return (uint16_t)(1 << (1 + sim_below(caller->world->sim, ROOM_DIRECTED - 1)));
}

static const struct lease *lease_pick(struct api_caller *caller)
{
    const struct client_world *world = caller->world;
    return world->clients[sim_below(world->sim, (uint64_t)world->count)].witness.lease;
}

/* Whom it is for: a socket, rooms, or everybody. False: nobody this time. */
static bool receivers_pick(struct api_caller *caller, struct message *message)
{
    struct sim *sim = caller->world->sim;
    uint64_t dice = sim_below(sim, 100);
    const struct lease *lease = lease_pick(caller);
    if (dice < 40 && lease == NULL)
        return false;
    if (dice < 40)
        memcpy(message->to_sid, lease->sid, SID_TEXT);
    else if (dice < 50)
        message->rooms = EVERYBODY;
    else
        message->rooms = room_pick(caller);
    if (dice >= 75)
        message->rooms |= room_pick(caller);
    if (sim_chance(sim, 200))
        message->excepts = room_pick(caller);
    return true;
}

static void ask(struct api_caller *caller, const char *path, struct span body)
{
    const struct client_world *world = caller->world;
    struct buf text = {0};
    uint16_t port = world->instance_pick(world->arg);
    buf_printf(&text,
               "POST /api/v1/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
               "Connection: close\r\nContent-Length: %zu\r\n\r\n" SPAN_FMT,
               path, body.len, SPAN_ARG(body));
    caller->asked = poll_line_ask(&caller->line, port, buf_span(&text));
    buf_finish(&text);
}

static void direct(struct api_caller *caller)
{
    static const char *const paths[] = {"join", "leave", "disconnect", "disconnect"};
    static const char ops[] = "jldc";
    struct sim *sim = caller->world->sim;
    struct message message = {.sender = NO_CLIENT, .logged = true};
    struct buf body = {0};
    uint64_t dice = sim_below(sim, 100);
    int op = dice < 50 ? 0 : dice < 85 ? 1 : dice < 95 ? 2 : 3;
    if (!receivers_pick(caller, &message))
        return;
    /* Few are told to end. */
    const struct lease *lease = lease_pick(caller);
    if (op >= 2 && lease != NULL) {
        message.rooms = message.excepts = 0;
        memcpy(message.to_sid, lease->sid, SID_TEXT);
    }
    message.directive = ops[op];
    caller->message = check_message_create(caller->world->check, &message);
    buf_append_char(&body, '{');
    if (op < 2)
        buf_printf(&body, "\"%s\":\"room%d\",", paths[op], ROOM_DIRECTED);
    if (op == 3)
        buf_append(&body, SPAN_LIT("\"close\":true,"));
    selection_append(&body, &message, caller->message);
    buf_append_char(&body, '}');
    char path[32];
    snprintf(path, sizeof path, "sockets/%s", paths[op]);
    ask(caller, path, buf_span(&body));
    caller->counts.directives++;
    buf_finish(&body);
}

static void publish(struct api_caller *caller)
{
    struct sim *sim = caller->world->sim;
    struct message message = {.sender = NO_CLIENT, .logged = true, .rooms = 1 << ROOM_DIRECTED};
    struct buf body = {0};
    if (sim_chance(sim, 200))
        message.rooms |= room_pick(caller);
    caller->message = check_message_create(caller->world->check, &message);
    if (message_has_bytes(caller->message))
        return; /* it is one of those that come with attachments */
    buf_printf(&body, "{\"event\":\"say\",\"id\":\"number %u\",\"args\":[\"room%d\",{\"id\":%u}],\"rooms\":[\"room%d\"",
               caller->message, ROOM_DIRECTED, caller->message, ROOM_DIRECTED);
    for (int room = 1; room < ROOM_DIRECTED; room++)
        if (message.rooms & 1 << room)
            buf_printf(&body, ",\"room%d\"", room);
    buf_append(&body, SPAN_LIT("]}"));
    ask(caller, "publish", buf_span(&body));
    caller->counts.published++;
    buf_finish(&body);
}

static void act(struct timer *timer)
{
    struct api_caller *caller = container_of(timer, struct api_caller, act);
    struct sim *sim = caller->world->sim;
    if (caller->asked != 0) {
        /* An answer that is late is waited for no longer. */
        poll_line_drop(&caller->line, caller->asked, true);
        caller->asked = 0;
    } else if (sim_chance(sim, 400)) {
        direct(caller);
    } else {
        publish(caller);
    }
    sim_timer_start(sim, timer,
                    caller->asked != 0 ? LATE_US : LOOP_MS(ACT_MS_MIN + sim_below(sim, ACT_MS_MAX - ACT_MS_MIN)));
}

static void answered(void *owner, uint64_t tag, int status, struct span body)
{
    struct api_caller *caller = owner;
    struct client_world *world = caller->world;
    if (tag != caller->asked)
        return;
    caller->asked = 0;
    sim_timer_start(world->sim, &caller->act, LOOP_MS(ACT_MS_MIN + sim_below(world->sim, ACT_MS_MAX - ACT_MS_MIN)));
    caller->refused += status != 200;
    if (status == 200)
        check_acked(world->check, &caller->witness, caller->message);
    else if (world->stays || (status != 0 && status != 503 && status != 504))
        check_fail(world->check, "the API answers message %u with %d: " SPAN_FMT, caller->message, status,
                   SPAN_ARG(body));
}

void api_caller_init(struct api_caller *caller, struct client_world *world)
{
    *caller = (struct api_caller){.world = world, .witness = {.name = "the backend", .number = NO_CLIENT}};
    poll_line_init(&caller->line, world->sim, answered, caller);
    timer_init(&caller->act, act);
    sim_timer_start(world->sim, &caller->act, LOOP_S(1));
}

void api_caller_finish(struct api_caller *caller)
{
    if (caller->world == NULL)
        return; /* there is none */
    sim_timer_stop(caller->world->sim, &caller->act);
    poll_line_finish(&caller->line);
    caller->asked = 0;
}

/* fleet_watch: everything Redis does, as it happens: what it accepts, what leases say, who gives a sign of life, and,
 * as a fault, which pushes it does not send. */
#include <stdio.h>

#include "broker_scripts.h"
#include "fake_redis_parts.h"
#include "fleet_parts.h"
#include "hub/audience.h"
#include "session/content.h"
#include "session/directive.h"
#include "session/lease.h"
#include "wire/json.h"

enum { SWALLOW_PER_MILLE = 120 };

static bool take_u64(struct span *rest, uint64_t *number)
{
    struct span part;
    return span_next(rest, ' ', &part) && span_to_u64(part, number);
}

/* A message to a room's channel, or, `entry <bytes of room>\n<room>...`, to an inbox: `<epoch> <ms>\n` and entries.
 * False when it is something else: who came and went, a digest. */
static bool push_read(struct span channel, struct span message, struct pushed *pushed, struct span *entries)
{
    static const char rooms[] = "sennit:{0}:push:", inboxes[] = "sennit:{0}:inbox:";
    struct span room = span_from(channel, sizeof rooms - 1), head;
    uint64_t len;
    if (span_starts_with(channel, span_str(inboxes))) {
        if (!span_starts_with(message, SPAN_LIT("entry ")) || !span_next(&message, '\n', &head) ||
            !span_to_u64(span_from(head, 6), &len) || len > message.len)
            return false;
        room = span_sub(message, 0, len);
        message = span_from(message, len);
    } else if (!span_starts_with(channel, span_str(rooms))) {
        return false;
    }
    pushed->room = room;
    pushed->log = truth_log_number(room, &pushed->sid);
    bool elsewhere = pushed->log < 0 && truth_is_elsewhere(room);
    if ((pushed->log < 0 && !elsewhere) || !span_next(&message, '\n', &head) || head.len == 0 ||
        span_find(SPAN_LIT("+-^"), head.data[0]) >= 0)
        return false;
    *entries = message;
    return span_next(&head, ' ', &pushed->epoch) && span_to_u64(head, &pushed->time_ms);
}

/* A directive: its number is the name of a room in its audience (api_caller.c). */
static bool directive_read(struct span body, struct pushed *pushed)
{
    static const char named[] = "/,number ";
    struct directive directive;
    struct span rest = pushed->audience, text;
    enum audience_sign sign;
    uint64_t number;
    if (!directive_decode(body, &directive))
        return false;
    while (audience_next(&rest, &sign, &text) > 0)
        if (sign == AUDIENCE_EXCEPT && span_starts_with(text, span_str(named)) &&
            span_to_u64(span_from(text, sizeof named - 1), &number)) {
            pushed->message = (uint32_t)number;
            pushed->directive = (char)directive.op;
            return true;
        }
    return false;
}

/* Takes the next entry off, `<seq> <prev> <bytes of audience> <bytes of body>\n<audience><body>`. */
static bool push_next(struct span *entries, struct pushed *pushed)
{
    struct span head, body;
    uint64_t audience, len, number;
    if (entries->len == 0 || !span_next(entries, '\n', &head) || !take_u64(&head, &pushed->seq) ||
        !take_u64(&head, &pushed->prev) || !take_u64(&head, &audience) || !span_to_u64(head, &len) ||
        audience + len > entries->len)
        return false;
    pushed->audience = span_sub(*entries, 0, audience);
    pushed->body = span_sub(*entries, audience, len);
    pushed->directive = 0;
    if (pushed->log < 0) {
        *entries = span_from(*entries, audience + len);
        return true;
    }
    struct content content;
    struct span whole = span_sub(*entries, audience, len);
    *entries = span_from(*entries, audience + len);
    if (audience_is_directive(pushed->audience))
        return directive_read(whole, pushed);
    if (!content_decode(whole, &content))
        return false;
    body = json_array_at(content.args, 1);
    if (body.data == NULL || json_type(body) != JSON_OBJECT)
        body = json_array_at(content.args, 2);
    if (body.data == NULL || !span_to_u64(json_object_get(body, SPAN_LIT("id")), &number))
        return false;
    pushed->message = (uint32_t)number;
    return true;
}

static void published(void *arg, struct span channel, struct span message)
{
    struct fleet *fleet = arg;
    struct pushed pushed;
    struct span entries;
    if (!push_read(channel, message, &pushed, &entries))
        return;
    while (push_next(&entries, &pushed)) {
        if (pushed.log < 0) {
            check_pushed_elsewhere(&fleet->check, pushed.seq);
            guests_pushed(fleet, &pushed);
            continue;
        }
        if (fleet->plan->traced >= 0)
            fleet_say(fleet, "accepted " SPAN_FMT ".%llu in log %d " SPAN_FMT ", audience \"" SPAN_FMT "\": message %u",
                      SPAN_ARG(pushed.epoch), (unsigned long long)pushed.seq, pushed.log, SPAN_ARG(pushed.sid),
                      SPAN_ARG(pushed.audience), pushed.message);
        check_pushed(&fleet->check, &pushed);
    }
    if (entries.len > 0)
        check_fail(&fleet->check, "a push that cannot be read: " SPAN_FMT, SPAN_ARG(message));
}

static bool heard(void *arg, uint64_t client, void *out_arg, struct span channel, struct span message)
{
    struct fleet *fleet = arg;
    struct pushed pushed;
    struct span entries;
    if (fleet->plan->tape != NULL)
        tape_heard(fleet->plan->tape, client, channel, message);
    if (fleet->plan->unheard > 0 && !fleet->healed && span_starts_with(message, SPAN_LIT("record ")) &&
        sim_chance(fleet->sim, (uint64_t)fleet->plan->unheard)) {
        fleet->unheard++;
        fleet_say(fleet, "instance %u does not hear: " SPAN_FMT, redis_stream_instance(out_arg)->port,
                  SPAN_ARG(span_sub(message, 0, message.len < 60 ? message.len : 60)));
        return false;
    }
    if (fleet->swallow_left == 0 || !push_read(channel, message, &pushed, &entries) ||
        !sim_chance(fleet->sim, SWALLOW_PER_MILLE))
        return true;
    const struct instance *instance = redis_stream_instance(out_arg);
    fleet->swallow_left--;
    fleet->swallowed_count++;
    while (push_next(&entries, &pushed)) {
        fleet_say(fleet, "a push of log %d to instance %u is lost: %s %llu", pushed.log, instance->port,
                  pushed.seq != 0 ? "entry" : "not logged,", (unsigned long long)pushed.seq);
        if (pushed.seq != 0)
            due_swallowed(fleet, instance, &pushed);
    }
    return false;
}

static void expired(void *arg, struct span key)
{
    struct fleet *fleet = arg;
    if (fleet->plan->tape != NULL)
        tape_expired(fleet->plan->tape, key);
}

static void left(void *arg, uint64_t client)
{
    struct fleet *fleet = arg;
    if (fleet->plan->tape != NULL)
        tape_left(fleet->plan->tape, client);
}

/* The script's number, -1: none that is watched. Learns their names as they are loaded. */
static int script_of(struct fleet *fleet, const struct span *args, size_t count, struct span reply)
{
    static const char *const texts[WATCHED_COUNT] = {script_open,          script_lease_write, script_lease_claim,
                                                     script_lease_release, script_pulse,       script_read};
    if (count == 3 && span_equal(args[0], SPAN_LIT("SCRIPT")) && reply.len > 45 && reply.data[0] == '$') {
        for (int i = 0; i < WATCHED_COUNT; i++)
            if (span_equal(args[2], span_str(texts[i])))
                snprintf(fleet->watched[i], sizeof fleet->watched[i], "%.40s", reply.data + 5);
        return -1;
    }
    if (count < 3 || !span_equal(args[0], SPAN_LIT("EVALSHA")) || reply.len == 0 || reply.data[0] == '-')
        return -1;
    for (int i = 0; i < WATCHED_COUNT; i++)
        if (span_equal(args[1], span_str(fleet->watched[i])))
            return i;
    return -1;
}

/* `<instance's name>:<random>`. */
static void pulsed(struct fleet *fleet, struct span life)
{
    struct span name;
    span_next(&life, ':', &name);
    for (int i = 0; i < fleet->plan->instances; i++) {
        struct instance *instance = &fleet->instances[i];
        if (instance->loop != NULL && span_equal(name, span_sub(span_str(instance->server->config.instance), 0, 40)))
            instance->pulsed_us = sim_now_us(fleet->sim);
    }
}

/* The rooms of a lease of a namespace that is not looked at: that comes first. */
static bool is_elsewhere(struct span rooms)
{
    struct span name;
    struct stretch stretch;
    uint64_t floor, directed;
    return lease_floor_decode(&rooms, &floor) && lease_directed_decode(&rooms, &directed) &&
           lease_room_decode(&rooms, &name, &stretch) > 0 && truth_is_elsewhere(name);
}

/* The lease of an instance, for its sockets without one (session/unleased.h). */
static bool is_unleased(struct span pid)
{
    return pid.len > 0 && pid.data[0] == '~';
}

/* The leases of sockets of a program: what they have, and who has them. */
static void program_watched(struct fleet *fleet, int script, const struct span *argv, const struct resp *reply)
{
    struct span stale, subject, data;
    if (script == WATCHED_WRITE && reply->integer == 1 && is_elsewhere(argv[2])) {
        lease_data_decode(argv[3], &stale, &subject, &data);
        program_check_lease_written(&fleet->program, argv[8], argv[1], data);
    } else if (script == WATCHED_CLAIM && reply->item_count >= 7) {
        program_check_lease_claimed(&fleet->program, argv[4].len != 0 ? argv[4] : reply->items[7].text);
    } else if (script == WATCHED_RELEASE && reply->integer == 1 && span_equal(argv[2], SPAN_LIT("1"))) {
        program_check_lease_ended(&fleet->program, argv[1]);
    }
}

static void watched_ran(struct fleet *fleet, int script, const struct span *argv, const struct resp *reply)
{
    struct check *check = &fleet->check;
    uint64_t seq = 0;
    if (fleet->plan->programs > 0)
        program_watched(fleet, script, argv, reply);
    switch (script) {
    case WATCHED_OPEN:
        if (reply->item_count >= 4 && span_to_u64(reply->items[1].text, &seq))
            check_opened(check, reply->items[0].text, seq);
        break;
    case WATCHED_WRITE:
        if (reply->integer == 1 && !is_elsewhere(argv[2]) && !is_unleased(argv[8]))
            check_lease_written(check, argv[8], argv[1], argv[2]);
        break;
    case WATCHED_CLAIM:
        if (reply->item_count == 7 && !is_elsewhere(reply->items[3].text))
            check_lease_claimed(check, argv[4], reply->items[3].text);
        break;
    case WATCHED_RELEASE:
        if (reply->integer == 1 && span_equal(argv[2], SPAN_LIT("1")))
            check_lease_ended(check, argv[1]);
        break;
    case WATCHED_PULSE:
        if (reply->integer > 0)
            pulsed(fleet, argv[0]);
        break;
    default:
        break;
    }
}

static bool names(const struct span *args, size_t count, struct span text)
{
    for (size_t i = 0; i < count; i++)
        if (memmem(args[i].data, args[i].len, text.data, text.len) != NULL)
            return true;
    return false;
}

/* For the analysis of a failed seed. */
static void ran_print(struct fleet *fleet, uint64_t client, const struct span *args, size_t count, struct span reply)
{
    struct buf text = {0};
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, " " SPAN_FMT, SPAN_ARG(span_sub(args[i], 0, args[i].len < 200 ? args[i].len : 200)));
    buf_append(&text, SPAN_LIT(": "));
    buf_append(&text, span_sub(reply, 0, reply.len < 200 ? reply.len : 200));
    fleet_say(fleet, "Redis is asked by %llu:" SPAN_FMT, (unsigned long long)client, SPAN_ARG(buf_span(&text)));
    buf_finish(&text);
}

static void ran(void *arg, uint64_t client, const struct span *args, size_t count, struct span reply)
{
    struct fleet *fleet = arg;
    const struct resp *decoded;
    uint64_t keys;
    if (fleet->plan->tape != NULL)
        tape_ran(fleet->plan->tape, client, fleet->redis->now_us, args, count, reply);
    if (fleet->plan->asked != NULL && names(args, count, span_str(fleet->plan->asked)))
        ran_print(fleet, client, args, count, reply);
    int script = script_of(fleet, args, count, reply);
    if (script == WATCHED_READ)
        vanish_read(fleet, client, args, count);
    if (script < 0 || script == WATCHED_READ || !span_to_u64(args[2], &keys))
        return;
    resp_feed(fleet->replies, reply);
    if (resp_next(fleet->replies, &decoded) > 0)
        watched_ran(fleet, script, args + 3 + keys, decoded);
}

const struct fake_redis_watcher fleet_watcher = {ran, published, heard, expired, left};

/* relay: applies the rule of each event: reads its arguments, and publishes, joins, leaves or asks. */
#include "app/relay.h"

#include <stdlib.h>

#include "app/relay_access.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pattern.h"
#include "session/asking.h"
#include "session/history.h"
#include "session/presence.h"
#include "wire/json.h"

enum { ID_BYTES_MAX = 128, WEAK_ID_BYTES = 12, EVENT_NAME_BYTES_MAX = 256 };

const struct relay_rooms *relay_rooms_find(const struct relay_nsp *config, struct span room)
{
    list_each (node, &config->rooms) {
        const struct relay_rooms *rooms = container_of(node, struct relay_rooms, of_nsp);
        if (room.len != 0 && pattern_matches(span_of(rooms->pattern, rooms->pattern_len), room))
            return rooms;
    }
    return &config->all;
}

static const struct relay_nsp *nsp_of(const struct nsp *nsp)
{
    return container_of(nsp, struct relay_nsp, nsp)->like;
}

static const struct room_policy *room_policy(struct session_app *app, const struct nsp *nsp, struct span room)
{
    return &relay_rooms_find(nsp_of(nsp), room)->policy;
}

static struct relay_rule *rule_find(struct subscriber *subscriber, struct span event)
{
    struct buf name = {0};
    struct map_node *node = NULL;
    if (event.len <= EVENT_NAME_BYTES_MAX && json_string_decode(event, &name))
        node = map_find(&nsp_of(subscriber->nsp)->rules, buf_span(&name));
    buf_finish(&name);
    return node != NULL ? container_of(node, struct relay_rule, by_event) : NULL;
}

const struct broker_retention *relay_retention(const struct nsp *nsp, struct span event, struct span room)
{
    const struct relay_nsp *config = nsp_of(nsp);
    struct map_node *node = event.len != 0 ? map_find(&config->rules, event) : NULL;
    const struct relay_rule *rule = node != NULL ? container_of(node, struct relay_rule, by_event) : NULL;
    if (rule != NULL && rule->logged && rule->own_retention)
        return &rule->retention;
    return (rule != NULL ? rule->logged : nsp->recoverable) ? &relay_rooms_find(config, room)->retention : NULL;
}

/* An argument that is not there: `undefined` on the client's side becomes null before other arguments. */
static bool is_absent(struct span value)
{
    return value.len == 0 || json_type(value) == JSON_NULL;
}

/* The message's id as raw JSON, string or number; empty when the client gave none. False when it cannot be read:
 * without an id, the message might count twice. */
static bool id_read(const struct relay_rule *rule, const struct client_event *asked, struct span *id)
{
    struct span value = asked->message_id;
    *id = (struct span){"", 0};
    if (value.len == 0 && rule->has_id) {
        value = json_array_at(asked->content.args, (size_t)rule->id_argument + 1);
        if (value.data != NULL && rule->id_member != NULL)
            value = json_type(value) == JSON_OBJECT ? json_object_get(value, span_str(rule->id_member))
                                                    : (struct span){NULL, 0};
    }
    if (is_absent(value))
        return true;
    *id = value;
    return value.len <= ID_BYTES_MAX && (json_type(value) == JSON_STRING || json_type(value) == JSON_NUMBER);
}

/* Names belong to the room: a client that guesses the next one can take it first. A number, or a string too short for
 * 64 random bits, can be guessed. */
static void id_weigh(struct relay *relay, struct relay_rule *rule, struct span id)
{
    if (id.len == 0 || !rule->logged || (json_type(id) == JSON_STRING && id.len >= WEAK_ID_BYTES + 2))
        return;
    relay->weak_ids++;
    if (rule->weak_id_told)
        return;
    rule->weak_id_told = true;
    log_event(LOG_WARNING,
              "a message's name can be guessed, and taken by others: name messages by random strings, like "
              "crypto.randomUUID()",
              LOG_C("event", rule->event), LOG_S("id", span_sub(id, 0, WEAK_ID_BYTES)));
}

/* A name may be a number, as ids come from a database. It is the same as the number's text. */
static bool name_decode(struct span value, struct buf *to)
{
    if (json_type(value) != JSON_NUMBER)
        return json_string_decode(value, to);
    buf_append(to, value);
    return true;
}

/* Names that an argument holds: one, or an array of them. */
struct names {
    struct buf text;
    size_t ends[RELAY_ROOMS_MAX];
    struct span list[RELAY_ROOMS_MAX]; /* once all are there */
    size_t count;
};

static bool name_add(struct names *names, struct span value)
{
    size_t before = names->text.len;
    if (names->count == RELAY_ROOMS_MAX || !name_decode(value, &names->text) || names->text.len == before)
        return false;
    names->ends[names->count++] = names->text.len;
    return true;
}

/* False when there is no such argument, or it has another type, or names too many. */
static bool names_read(struct names *names, struct span args, uint32_t argument)
{
    struct span value = json_array_at(args, (size_t)argument + 1), one;
    *names = (struct names){.count = 0};
    if (value.data == NULL)
        return false;
    if (json_type(value) == JSON_ARRAY) {
        while (json_array_next(&value, &one))
            if (!name_add(names, one))
                return false;
    } else if (!name_add(names, value)) {
        return false;
    }
    for (size_t i = 0; i < names->count; i++) {
        size_t begin = i > 0 ? names->ends[i - 1] : 0;
        names->list[i] = span_sub(buf_span(&names->text), begin, names->ends[i] - begin);
    }
    return names->count > 0;
}

static bool is_in_all(struct subscriber *subscriber, const struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        if (!subscriber_is_in(subscriber, names->list[i]))
            return false;
    return true;
}

/* Reads the exceptions. An argument that is present and unreadable restricts the event in an unknown way, so it is
 * refused. */
static bool excepts_read(struct names *excepts, const struct relay_rule *rule, struct span args)
{
    *excepts = (struct names){.count = 0};
    if (!rule->has_except)
        return true;
    struct span value = json_array_at(args, (size_t)rule->except_argument + 1), rest = value, one;
    if (is_absent(value) || (json_type(value) == JSON_ARRAY && !json_array_next(&rest, &one)))
        return true;
    return names_read(excepts, args, rule->except_argument);
}

static void publish(struct subscriber *subscriber, struct relay_rule *rule, const struct names *to,
                    const struct client_event *asked)
{
    struct relay *relay = container_of(subscriber_sessions(subscriber)->app, struct relay, app);
    struct content content = asked->content;
    struct span args = content.args, id;
    struct names excepts;
    if (!id_read(rule, asked, &id)) {
        subscriber_refuse(subscriber, REFUSAL_ID_INVALID, asked->name, asked->id);
        return;
    }
    if (!excepts_read(&excepts, rule, args)) {
        subscriber_refuse(subscriber, REFUSAL_EXCEPT_INVALID, asked->name, asked->id);
        buf_finish(&excepts.text);
        return;
    }
    id_weigh(relay, rule, id);
    while (args.data[args.len - 1] != ']') /* white space behind the array */
        args.len--;
    content.args = args;
    struct subscriber_emit emit = {
        .content = &content,
        .id = id,
        .ack_id = asked->id,
        .is_volatile = rule->is_volatile,
        .is_local = rule->is_local,
        .except_self = asked->except_self || rule->action == RELAY_OTHERS || rule->action == RELAY_ROOM_OTHERS,
    };
    struct span room = {NULL, 0};
    if (rule->action == RELAY_SOCKET) {
        emit.to_sid = to->list[0];
    } else if (to != NULL) {
        emit.rooms = to->list;
        emit.room_count = to->count;
        if (to->count == 1)
            room = to->list[0];
    }
    emit.excepts = excepts.list;
    emit.except_count = excepts.count;
    if (!rule->logged)
        emit.id = SPAN_LIT(""); /* names are remembered with the log */
    else
        emit.retention =
            rule->own_retention ? &rule->retention : &relay_rooms_find(nsp_of(subscriber->nsp), room)->retention;
    if (rule->ask_ms != 0 && asked->id.len != 0)
        asking_ask(subscriber, &emit, rule->ask_ms);
    else
        subscriber_publish(subscriber, &emit);
    buf_finish(&excepts.text);
}

/* The options of a question: `{limit, cursor}` or `{limit, after, before}`. False when one of them cannot be read. */
struct options {
    uint32_t limit;
    struct buf cursor, after, before;
};

static bool limit_read(struct span options, uint32_t max, uint32_t *limit)
{
    struct span value = json_object_get(options, SPAN_LIT("limit"));
    uint64_t number;
    if (is_absent(value))
        return true;
    if (!span_to_u64(value, &number) || number == 0)
        return false;
    *limit = number < max ? (uint32_t)number : max;
    return true;
}

static bool text_read(struct span options, const char *name, struct buf *to)
{
    struct span value = json_object_get(options, span_str(name));
    return is_absent(value) || json_string_decode(value, to);
}

static bool options_read(struct options *options, const struct relay_rule *rule, const struct client_event *asked,
                         uint32_t limit, uint32_t max)
{
    struct span given = json_array_at(asked->content.args, (size_t)rule->argument + 2);
    *options = (struct options){.limit = limit};
    if (is_absent(given))
        return true;
    return json_type(given) == JSON_OBJECT && limit_read(given, max, &options->limit) &&
           text_read(given, "cursor", &options->cursor) && text_read(given, "after", &options->after) &&
           text_read(given, "before", &options->before) && (options->after.len == 0 || options->before.len == 0);
}

static void options_finish(struct options *options)
{
    buf_finish(&options->cursor);
    buf_finish(&options->after);
    buf_finish(&options->before);
}

static void who(struct subscriber *subscriber, const struct relay_rule *rule, struct span room,
                const struct client_event *asked)
{
    struct options options;
    uint64_t cursor = 0;
    if (options_read(&options, rule, asked, BROKER_PRESENT_LIMIT_MAX, BROKER_PRESENT_LIMIT_MAX) &&
        (options.cursor.len == 0 || span_to_u64(buf_span(&options.cursor), &cursor)))
        presence_who(subscriber, room, cursor, options.limit, asked->id);
    else
        subscriber_refuse(subscriber, REFUSAL_RANGE_INVALID, asked->name, asked->id);
    options_finish(&options);
}

static void history(struct subscriber *subscriber, const struct relay_rule *rule, struct span room,
                    const struct client_event *asked)
{
    struct options options;
    if (options_read(&options, rule, asked, HISTORY_LIMIT_DEFAULT, BROKER_READ_LIMIT_MAX)) {
        struct history_range range = {
            .after = buf_span(&options.after),
            .before = buf_span(&options.before),
            .limit = options.limit,
        };
        history_read(subscriber, room, &range, asked->id);
    } else {
        subscriber_refuse(subscriber, REFUSAL_RANGE_INVALID, asked->name, asked->id);
    }
    options_finish(&options);
}

/* The action of an event that names rooms or a socket. */
static void named_event(struct subscriber *subscriber, struct relay_rule *rule, const struct client_event *asked)
{
    struct names names;
    bool to_socket = rule->action == RELAY_SOCKET;
    if (!names_read(&names, asked->content.args, rule->argument)) {
        subscriber_refuse(subscriber, to_socket ? REFUSAL_SOCKET_INVALID : REFUSAL_ROOM_INVALID, asked->name,
                          asked->id);
    } else if (rule->action == RELAY_JOIN) {
        subscriber_join(subscriber, names.list, names.count, asked->id);
    } else if (rule->action == RELAY_LEAVE) {
        subscriber_leave(subscriber, names.list, names.count, asked->id);
    } else if (to_socket && !engineio_sid_is_valid(names.list[0])) {
        subscriber_refuse(subscriber, REFUSAL_SOCKET_INVALID, names.list[0], asked->id);
    } else if (!to_socket && !is_in_all(subscriber, &names)) {
        subscriber_refuse(subscriber, REFUSAL_ROOM_NOT_JOINED, names.list[0], asked->id);
    } else if (relay_may_send(subscriber, rule, names.list, to_socket ? 0 : names.count, asked)) {
        publish(subscriber, rule, &names, asked);
    }
    buf_finish(&names.text);
}

/* A question about a room the sender is in, or about the namespace itself (null). */
static void question(struct subscriber *subscriber, const struct relay_rule *rule, const struct client_event *asked)
{
    struct span value = json_array_at(asked->content.args, (size_t)rule->argument + 1);
    struct buf room = {0};
    if (asked->id.len == 0)
        subscriber_refuse(subscriber, REFUSAL_ACK_MISSING, asked->name, asked->id);
    else if (!is_absent(value) && (!name_decode(value, &room) || room.len == 0))
        subscriber_refuse(subscriber, REFUSAL_ROOM_INVALID, asked->name, asked->id);
    else if (room.len != 0 && !subscriber_is_in(subscriber, buf_span(&room)))
        subscriber_refuse(subscriber, REFUSAL_ROOM_NOT_JOINED, buf_span(&room), asked->id);
    else if (rule->action == RELAY_WHO)
        who(subscriber, rule, buf_span(&room), asked);
    else
        history(subscriber, rule, buf_span(&room), asked);
    buf_finish(&room);
}

static void broadcast(struct subscriber *subscriber, struct relay_rule *rule, const struct client_event *asked)
{
    if (relay_may_send(subscriber, rule, NULL, 0, asked))
        publish(subscriber, rule, NULL, asked);
}

static void event(struct session_app *app, struct subscriber *subscriber, const struct client_event *asked)
{
    struct relay_rule *rule = rule_find(subscriber, asked->name);
    if (relay_renew(subscriber, asked))
        return;
    if (rule == NULL)
        subscriber_refuse(subscriber, REFUSAL_EVENT_UNKNOWN, asked->name, asked->id);
    else if (asked->room.len != 0)
        relay_event_to_room(subscriber, rule, asked);
    else if (rule->action == RELAY_OTHERS || rule->action == RELAY_EVERYONE)
        broadcast(subscriber, rule, asked);
    else if (rule->action == RELAY_WHO || rule->action == RELAY_HISTORY)
        question(subscriber, rule, asked);
    else
        named_event(subscriber, rule, asked);
}

struct relay_nsp *relay_nsp_open(struct relay *relay, struct span name)
{
    struct err err;
    struct yaml_node *nothing = yaml_parse("a namespace of the program", SPAN_LIT("{auth: none, events: {}}"), &err);
    struct relay_nsp *config = relay_nsp_add(relay, name);
    config->logs = relay_nsp_read(config, nothing, relay->namespaces.seed, &err);
    config->nsp.recoverable = config->nsp.direct = true;
    yaml_destroy(nothing);
    return config;
}

bool relay_init(struct relay *relay, struct loop *loop, const struct yaml_node *namespaces, struct err *err)
{
    uint64_t seed[2];
    *relay = (struct relay){.app = {.nsp_find = relay_nsp_find,
                                    .admit = relay_admit,
                                    .may = relay_may,
                                    .room_policy = room_policy,
                                    .event = event,
                                    .request = relay_request,
                                    .nsp_ref = relay_nsp_ref,
                                    .nsp_unref = relay_nsp_unref},
                            .made_max = RELAY_NAMESPACES_MADE_MAX};
    list_init(&relay->patterns);
    loop_random(loop, seed, sizeof seed);
    map_init(&relay->namespaces, seed);
    list_init(&relay->raw.rooms);
    access_init(&relay->raw.access);
    relay->raw.like = &relay->raw;
    relay->raw.nsp.name = SPAN_LIT("raw"); /* without a slash: no namespace of the configuration has its rooms */
    if (!yaml_expect(namespaces, YAML_MAPPING, err))
        return false;
    for (size_t i = 0; i < namespaces->count; i++) {
        const struct yaml_pair *pair = &namespaces->pairs[i];
        if (!relay_nsp_name_check(pair, err))
            return false;
        if (!relay_nsp_read(relay_nsp_add(relay, pair->key), pair->value, seed, err))
            return false;
    }
    return true;
}

void relay_finish(struct relay *relay)
{
    relay_nsps_finish(relay);
    jwt_finish(&relay->jwt);
}

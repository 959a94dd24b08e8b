/* relay_config: a namespace's rules from YAML. See relay.h for the form. */
#include <stdlib.h>

#include "app/relay.h"
#include "base/mem.h"

enum {
    ARGUMENT_MAX = 15,
    ENTRIES_MAX = 10000000,
    ROOM_LOG_ENTRIES = 10000,
    ROOM_LOG_AGE_MS = 3600 * 1000,
    RECOVERY_MS = 120 * 1000,
};
static const uint64_t age_ms_max = 366ull * 24 * 3600 * 1000;

static bool log_read(const struct yaml_node *node, struct broker_retention *retention, struct err *err)
{
    static const char *const keys[] = {"entries", "age", NULL};
    if (!yaml_only(node, keys, err))
        return false;
    const struct yaml_node *entries = yaml_get(node, "entries"), *age = yaml_get(node, "age");
    if (entries != NULL && !yaml_u64(entries, 1, ENTRIES_MAX, &retention->entries_max, err))
        return false;
    return age == NULL || yaml_duration_ms(age, 1000, age_ms_max, &retention->age_ms_max, err);
}

static bool target_read(const struct yaml_node *node, enum relay_target *target, struct err *err)
{
    static const struct {
        const char *name;
        enum relay_target target;
    } names[] = {
        {"others", RELAY_OTHERS},
        {"everyone", RELAY_EVERYONE},
        {"room", RELAY_ROOM},
        {"room-others", RELAY_ROOM_OTHERS},
    };
    struct span text;
    if (!yaml_string(node, &text, err))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (span_equal(text, span_str(names[i].name))) {
            *target = names[i].target;
            return true;
        }
    }
    return yaml_error(err, node, "expected one of others, everyone, room, room-others, found \"" SPAN_FMT "\"",
                      SPAN_ARG(text));
}

/* `0` or `0.id`: an argument, or a member of it. */
static bool id_read(const struct yaml_node *node, struct relay_rule *rule, struct err *err)
{
    struct span rest, argument;
    uint64_t number;
    if (!yaml_string(node, &rest, err))
        return false;
    if (!span_next(&rest, '.', &argument) || !span_to_u64(argument, &number) || number > ARGUMENT_MAX ||
        (rest.data != NULL && rest.len == 0))
        return yaml_error(err, node,
                          "expected the argument that holds the message's id, like 0 for the first one or 0.id for its "
                          "member \"id\"");
    rule->has_id = true;
    rule->id_argument = (uint32_t)number;
    if (rest.data != NULL)
        rule->id_member = mem_text(rest);
    return true;
}

static bool argument_read(const struct yaml_node *node, uint32_t *argument, struct err *err)
{
    uint64_t number;
    if (!yaml_u64(node, 0, ARGUMENT_MAX, &number, err))
        return false;
    *argument = (uint32_t)number;
    return true;
}

/* `log: true`, `log: false`, or limits of its own. */
static bool rule_log_read(const struct yaml_node *node, struct relay_rule *rule, struct err *err)
{
    if (node->type == YAML_MAPPING) {
        rule->logged = true;
        return log_read(node, &rule->retention, err);
    }
    return yaml_bool(node, &rule->logged, err);
}

static bool rule_read(const struct yaml_node *node, struct relay_rule *rule, struct err *err)
{
    static const char *const keys[] = {"to", "room", "join", "leave", "log", "id", NULL};
    if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, keys, err))
        return false;
    const struct yaml_node *to = yaml_get(node, "to"), *room = yaml_get(node, "room"), *join = yaml_get(node, "join"),
                           *leave = yaml_get(node, "leave"), *log = yaml_get(node, "log"), *id = yaml_get(node, "id");
    if ((to != NULL) + (join != NULL) + (leave != NULL) != 1)
        return yaml_error(err, node, "an event needs exactly one of to, join and leave");
    if (join != NULL || leave != NULL) {
        rule->target = join != NULL ? RELAY_JOIN : RELAY_LEAVE;
        if (room != NULL || log != NULL || id != NULL)
            return yaml_error(err, node, "room, log and id go with `to:` only");
        return argument_read(join != NULL ? join : leave, &rule->room_argument, err);
    }
    if (!target_read(to, &rule->target, err))
        return false;
    bool to_room = rule->target == RELAY_ROOM || rule->target == RELAY_ROOM_OTHERS;
    if (to_room && room == NULL)
        return yaml_error(err, node, "`to: room` needs `room: N`, the argument that names the room, counted from 0");
    if (!to_room && room != NULL)
        return yaml_error(err, room, "goes with `to: room` and `to: room-others` only");
    if (room != NULL && !argument_read(room, &rule->room_argument, err))
        return false;
    if (log != NULL && !rule_log_read(log, rule, err))
        return false;
    if (id != NULL && !rule->logged)
        return yaml_error(err, id, "an id is remembered with the log, so it needs `log: true`");
    return id == NULL || id_read(id, rule, err);
}

static bool events_read(struct relay_namespace *namespace, const struct yaml_node *events,
                        const struct broker_retention *retention, struct err *err)
{
    if (!yaml_expect(events, YAML_MAPPING, err))
        return false;
    for (size_t i = 0; i < events->count; i++) {
        struct span name = events->pairs[i].key;
        if (socketio_event_is_reserved(name))
            return yaml_error(err, events->pairs[i].value, "\"" SPAN_FMT "\" is a name that Socket.IO keeps to itself",
                              SPAN_ARG(name));
        struct relay_rule *rule = mem_zero(1, sizeof *rule);
        rule->event = mem_text(name);
        rule->retention = *retention;
        map_add(&namespace->rules, &rule->by_event, span_of(rule->event, name.len));
        if (!rule_read(events->pairs[i].value, rule, err))
            return false;
        namespace->nsp.recoverable |= rule->logged;
    }
    return true;
}

/* `none`, `all`, or how many of the newest entries. */
static bool replay_read(struct namespace *nsp, const struct yaml_node *node, struct err *err)
{
    struct span text;
    if (!yaml_string(node, &text, err))
        return false;
    if (span_equal(text, SPAN_LIT("none"))) {
        nsp->replay = START_NOW;
    } else if (span_equal(text, SPAN_LIT("all"))) {
        nsp->replay = START_OLDEST;
    } else if (span_to_u64(text, &nsp->replay_entries) && nsp->replay_entries >= 1 &&
               nsp->replay_entries <= BROKER_READ_LIMIT_MAX) {
        nsp->replay = START_NEWEST;
    } else {
        return yaml_error(err, node, "expected none, all, or a number of entries from 1 to %d, found \"" SPAN_FMT "\"",
                          BROKER_READ_LIMIT_MAX, SPAN_ARG(text));
    }
    return true;
}

bool relay_namespace_read(struct relay_namespace *namespace, const struct yaml_node *node, const uint64_t seed[2],
                          struct err *err)
{
    static const char *const keys[] = {"log", "replay", "events", "recovery", "announce", NULL};
    struct broker_retention retention = {.entries_max = ROOM_LOG_ENTRIES, .age_ms_max = ROOM_LOG_AGE_MS};
    struct namespace *nsp = &namespace->nsp;
    map_init(&namespace->rules, seed);
    nsp->recovery_ms = RECOVERY_MS;
    nsp->replay = START_NOW;
    if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, keys, err))
        return false;
    const struct yaml_node *log = yaml_get(node, "log"), *replay = yaml_get(node, "replay"),
                           *events = yaml_get(node, "events"), *recovery = yaml_get(node, "recovery"),
                           *announce = yaml_get(node, "announce");
    if (log != NULL && (!yaml_expect(log, YAML_MAPPING, err) || !log_read(log, &retention, err)))
        return false;
    if (events == NULL)
        return yaml_error(err, node,
                          "needs `events:`, a mapping from event names to rules, like drawing: {to: others}");
    if (!events_read(namespace, events, &retention, err))
        return false;
    if (replay != NULL && !replay_read(nsp, replay, err))
        return false;
    if (replay != NULL && nsp->replay != START_NOW && !nsp->recoverable)
        return yaml_error(err, replay, "there is nothing to replay: no event of this namespace has `log: true`");
    if (recovery != NULL && !yaml_duration_ms(recovery, 1000, age_ms_max, &nsp->recovery_ms, err))
        return false;
    return announce == NULL || yaml_bool(announce, &nsp->announce, err);
}

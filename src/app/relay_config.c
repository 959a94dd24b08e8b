/* relay_config: reads a namespace's rules from YAML; relay.h has the form. */
#include <stdlib.h>

#include "app/relay.h"
#include "base/mem.h"
#include "base/shown.h"
#include "session/asking_entry.h"
#include "wire/socketio.h"

enum {
    ARGUMENT_MAX = 15,
    EVENT_BYTES_MAX = 128,  /* of an event's name */
    MEMBER_BYTES_MAX = 256, /* of the name of a member of an argument or of the CONNECT payload */
    ENTRIES_MAX = 10000000,
    LOG_ENTRIES = 10000,
    LOG_AGE_MS = 3600 * 1000,
    LOG_BYTES = 64 << 20,
    ASK_MS = 10000,
    RECOVERY_MS = 120 * 1000,
    RECOVERY_MS_MAX = 12 * 3600 * 1000, /* what a broker remembers of a room must outlive every lease */
};
static const uint64_t age_ms_max = 366ull * 24 * 3600 * 1000, bytes_max = 16ull << 30;

bool relay_nsp_name_is_valid(struct span name)
{
    return span_starts_with(name, SPAN_LIT("/")) && span_find(name, ',') < 0 && name.len <= RELAY_NAMESPACE_BYTES_MAX;
}

bool relay_nsp_name_check(const struct yaml_pair *pair, struct err *err)
{
    struct span name = pair->key;
    if (name.len == 0 || name.data[0] != '/' || span_find(name, ',') >= 0)
        return yaml_error(err, pair->value, "a namespace begins with \"/\" and has no comma");
    return name.len <= RELAY_NAMESPACE_BYTES_MAX ||
           yaml_error(err, pair->value, "a namespace's name has at most %d bytes, this one %zu: shorten it",
                      RELAY_NAMESPACE_BYTES_MAX, name.len);
}

static bool log_read(const struct yaml_node *node, struct broker_retention *retention, struct err *err)
{
    static const char *const keys[] = {"entries", "bytes", "age", NULL};
    if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, keys, err))
        return false;
    const struct yaml_node *entries = yaml_get(node, "entries"), *bytes = yaml_get(node, "bytes"),
                           *age = yaml_get(node, "age");
    if (entries != NULL && !yaml_u64(entries, 1, ENTRIES_MAX, &retention->entries_max, err))
        return false;
    if (bytes != NULL && !yaml_bytes(bytes, 1024, bytes_max, &retention->bytes_max, err))
        return false;
    return age == NULL || yaml_duration_ms(age, 1000, age_ms_max, &retention->age_ms_max, err);
}

static bool target_read(const struct yaml_node *node, enum relay_action *action, struct err *err)
{
    static const struct {
        const char *name;
        enum relay_action action;
    } names[] = {
        {"others", RELAY_OTHERS},           {"everyone", RELAY_EVERYONE}, {"room", RELAY_ROOM},
        {"room-others", RELAY_ROOM_OTHERS}, {"socket", RELAY_SOCKET},
    };
    struct span text;
    if (!yaml_string(node, &text, err))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (span_equal(text, span_str(names[i].name))) {
            *action = names[i].action;
            return true;
        }
    }
    if (span_equal(text, SPAN_LIT("servers")))
        return yaml_error(err, node,
                          "events between servers (serverSideEmit) are not supported yet: they may come later");
    return yaml_error(err, node, "expected one of others, everyone, room, room-others, socket, found %s",
                      SHOWN_FOUND(text));
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
    if (rest.len > MEMBER_BYTES_MAX)
        return yaml_error(err, node, "a member's name has at most %d bytes, this one %zu", MEMBER_BYTES_MAX, rest.len);
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
        rule->logged = rule->own_retention = true;
        return log_read(node, &rule->retention, err);
    }
    return yaml_bool(node, &rule->logged, err);
}

/* The argument that `room:` or `socket:` names. Some targets require it, and all others forbid it. */
static bool named_argument_read(const struct yaml_node *rule_node, const char *key, bool goes, struct relay_rule *rule,
                                struct err *err)
{
    const struct yaml_node *node = yaml_get(rule_node, key);
    if (goes && node == NULL)
        return yaml_error(err, rule_node, "needs `%s: N`, the argument that names it, counted from 0", key);
    if (!goes && node != NULL)
        return yaml_error(err, node, "goes with `to: %s` only", key);
    return node == NULL || argument_read(node, &rule->argument, err);
}

/* `ack: receiver`, and how long its answer is awaited. */
static bool ack_read(const struct yaml_node *node, struct relay_rule *rule, struct err *err)
{
    const struct yaml_node *ack = yaml_get(node, "ack"), *timeout = yaml_get(node, "timeout");
    struct span text;
    uint64_t ms = ASK_MS;
    if (ack == NULL)
        return timeout == NULL || yaml_error(err, timeout, "goes with `ack: receiver` only");
    if (!yaml_string(ack, &text, err))
        return false;
    bool is_receiver = span_equal(text, SPAN_LIT("receiver"));
    if (!is_receiver && !span_equal(text, SPAN_LIT("broker")))
        return yaml_error(err, ack, "expected broker or receiver, found %s", SHOWN_FOUND(text));
    if (!is_receiver)
        return timeout == NULL || yaml_error(err, timeout, "goes with `ack: receiver` only");
    if (rule->action != RELAY_SOCKET)
        return yaml_error(err, ack, "`receiver` goes with `to: socket` only: one socket answers");
    if (rule->logged)
        return yaml_error(err, ack,
                          "`receiver` does not go with `log:`: an event that asks for an answer is not logged");
    if (timeout != NULL && !yaml_duration_ms(timeout, 1, ASKING_MS_MAX, &ms, err))
        return false;
    rule->ask_ms = (uint32_t)ms;
    return true;
}

/* `volatile` and `local`: neither goes with a log. */
static bool flags_read(const struct yaml_node *node, struct relay_rule *rule, struct err *err)
{
    const struct yaml_node *is_volatile = yaml_get(node, "volatile"), *is_local = yaml_get(node, "local");
    if (is_volatile != NULL && !yaml_bool(is_volatile, &rule->is_volatile, err))
        return false;
    if (is_local != NULL && !yaml_bool(is_local, &rule->is_local, err))
        return false;
    if (rule->logged && (rule->is_volatile || rule->is_local))
        return yaml_error(err, rule->is_volatile ? is_volatile : is_local,
                          "does not go with `log:`: a logged event reaches every receiver");
    if (rule->is_volatile && rule->ask_ms != 0)
        return yaml_error(err, is_volatile, "does not go with `ack: receiver`");
    return !rule->is_local || rule->action != RELAY_SOCKET ||
           yaml_error(err, is_local, "does not go with `to: socket`: one socket gets the event, wherever it is");
}

static bool publish_read(const struct yaml_node *node, struct relay_rule *rule, struct err *err)
{
    const struct yaml_node *log = yaml_get(node, "log"), *id = yaml_get(node, "id"), *except = yaml_get(node, "except");
    if (!target_read(yaml_get(node, "to"), &rule->action, err))
        return false;
    bool to_room = rule->action == RELAY_ROOM || rule->action == RELAY_ROOM_OTHERS;
    if (!named_argument_read(node, "room", to_room, rule, err) ||
        !named_argument_read(node, "socket", rule->action == RELAY_SOCKET, rule, err))
        return false;
    if (except != NULL && rule->action == RELAY_SOCKET)
        return yaml_error(err, except, "does not go with `to: socket`");
    if (except != NULL && !argument_read(except, &rule->except_argument, err))
        return false;
    rule->has_except = except != NULL;
    if (log != NULL && !rule_log_read(log, rule, err))
        return false;
    if (id != NULL && !rule->logged)
        return yaml_error(err, id, "an id is remembered with the log, so it needs `log: true`");
    return (id == NULL || id_read(id, rule, err)) && ack_read(node, rule, err) && flags_read(node, rule, err);
}

static bool rule_read(const struct yaml_node *node, struct relay_rule *rule, struct err *err)
{
    static const char *const keys[] = {"to", "join",   "leave", "who",   "history",  "room",    "socket", "log",
                                       "id", "except", "ack",   "local", "volatile", "timeout", NULL};
    static const struct {
        const char *key;
        enum relay_action action;
    } others[] = {{"join", RELAY_JOIN}, {"leave", RELAY_LEAVE}, {"who", RELAY_WHO}, {"history", RELAY_HISTORY}};
    const struct yaml_node *chosen = NULL;
    int verbs = 0;
    if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, keys, err))
        return false;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (yaml_get(node, others[i].key) == NULL)
            continue;
        chosen = yaml_get(node, others[i].key);
        rule->action = others[i].action;
        verbs++;
    }
    if (verbs + (yaml_get(node, "to") != NULL) != 1)
        return yaml_error(err, node, "an event needs exactly one of to, join, leave, who and history");
    if (chosen == NULL)
        return publish_read(node, rule, err);
    if (node->count != 1)
        return yaml_error(err, node, "room, socket, log, id, except, ack, local and volatile go with `to:` only");
    return argument_read(chosen, &rule->argument, err);
}

static bool events_read(struct relay_nsp *config, const struct yaml_node *events, struct err *err)
{
    if (!yaml_expect(events, YAML_MAPPING, err))
        return false;
    for (size_t i = 0; i < events->count; i++) {
        struct span name = events->pairs[i].key;
        if (socketio_event_is_reserved(name))
            return yaml_error(err, events->pairs[i].value, "\"" SPAN_FMT "\" is a name that Socket.IO keeps to itself",
                              SPAN_ARG(name));
        if (name.len > EVENT_BYTES_MAX)
            return yaml_error(err, events->pairs[i].value, "an event's name has at most %d bytes, this one %zu",
                              EVENT_BYTES_MAX, name.len);
        struct relay_rule *rule = mem_zero(1, sizeof *rule);
        rule->event = mem_text(name);
        rule->retention = config->all.retention;
        map_add(&config->rules, &rule->by_event, span_of(rule->event, name.len));
        if (!rule_read(events->pairs[i].value, rule, err))
            return false;
        if (config->first[rule->action] == NULL)
            config->first[rule->action] = rule;
        config->logs |= rule->logged;
        /* A socket that can be sent to has a lease, which says where it is. */
        config->nsp.recoverable |= rule->logged || rule->action == RELAY_SOCKET;
        config->nsp.direct |= rule->action == RELAY_SOCKET;
    }
    return true;
}

/* `none`, `all`, or how many of the newest entries. */
static bool replay_read(struct room_policy *policy, const struct yaml_node *node, struct err *err)
{
    struct span text;
    if (!yaml_string(node, &text, err))
        return false;
    if (span_equal(text, SPAN_LIT("none"))) {
        policy->replay = START_NOW;
    } else if (span_equal(text, SPAN_LIT("all"))) {
        policy->replay = START_OLDEST;
    } else if (span_to_u64(text, &policy->replay_entries) && policy->replay_entries >= 1 &&
               policy->replay_entries <= BROKER_READ_LIMIT_MAX) {
        policy->replay = START_NEWEST;
    } else {
        return yaml_error(err, node, "expected none, all, or a number of entries from 1 to %d, found %s",
                          BROKER_READ_LIMIT_MAX, SHOWN_FOUND(text));
    }
    return true;
}

/* log, replay and presence of the namespace, or of rooms. */
static bool rooms_policy_read(struct relay_rooms *rooms, const struct yaml_node *node, struct err *err)
{
    const struct yaml_node *log = yaml_get(node, "log"), *replay = yaml_get(node, "replay"),
                           *presence = yaml_get(node, "presence");
    if (log != NULL && !log_read(log, &rooms->retention, err))
        return false;
    if (replay != NULL && !replay_read(&rooms->policy, replay, err))
        return false;
    return presence == NULL || presence->type == YAML_MAPPING || yaml_bool(presence, &rooms->policy.presence, err);
}

/* `slow`: what becomes of events for a client that reads too slowly. */
static bool slow_read(struct nsp *nsp, const struct yaml_node *node, struct err *err)
{
    static const char *const names[] = {[SLOW_REREAD] = "reread", [SLOW_DROP] = "drop", [SLOW_CLOSE] = "close"};
    struct span text;
    if (node == NULL)
        return true;
    if (!yaml_string(node, &text, err))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (span_equal(text, span_str(names[i]))) {
            nsp->slow = (enum slow_policy)i;
            return true;
        }
    }
    return yaml_error(err, node, "expected reread, drop or close, found %s", SHOWN_FOUND(text));
}

/* `presence: {data: KEY}`: the data of each socket is a member of its CONNECT payload. */
static bool presence_read(struct relay_nsp *config, const struct yaml_node *presence, struct err *err)
{
    static const char *const keys[] = {"data", "claims", NULL};
    struct span text;
    if (presence == NULL || presence->type != YAML_MAPPING)
        return true;
    if (!yaml_only(presence, keys, err))
        return false;
    config->all.policy.presence = true;
    const struct yaml_node *data = yaml_get(presence, "data");
    if (data == NULL)
        return true;
    if (!yaml_string(data, &text, err))
        return false;
    if (text.len == 0 || text.len > MEMBER_BYTES_MAX)
        return yaml_error(err, data, "expected the name of a member of the CONNECT payload, 1 to %d bytes, found %zu",
                          MEMBER_BYTES_MAX, text.len);
    config->nsp.presence_key = mem_text(text);
    return true;
}

static bool rooms_read(struct relay_nsp *config, const struct yaml_node *node, struct err *err)
{
    static const char *const keys[] = {"log", "replay", "presence", NULL};
    if (node == NULL)
        return true;
    if (!yaml_expect(node, YAML_MAPPING, err))
        return false;
    for (size_t i = 0; i < node->count; i++) {
        const struct yaml_pair *pair = &node->pairs[i];
        if (pair->key.len == 0)
            return yaml_error(err, pair->value,
                              "expected a pattern of room names, like \"game-*\", found an empty one");
        struct relay_rooms *rooms = mem_zero(1, sizeof *rooms);
        *rooms = config->all;
        rooms->pattern = mem_text(pair->key);
        rooms->pattern_len = pair->key.len;
        list_init(&rooms->of_nsp);
        list_append(&config->rooms, &rooms->of_nsp);
        const struct yaml_node *presence = NULL;
        if (!yaml_expect(pair->value, YAML_MAPPING, err) || !yaml_only(pair->value, keys, err))
            return false;
        presence = yaml_get(pair->value, "presence");
        if (presence != NULL && !yaml_expect(presence, YAML_SCALAR, err))
            return false;
        if (!rooms_policy_read(rooms, pair->value, err))
            return false;
    }
    return true;
}

/* `replay`, of the namespace or of rooms, needs a log. */
static bool replay_check(const struct relay_nsp *config, const struct yaml_node *node, struct err *err)
{
    const struct yaml_node *replay = yaml_get(node, "replay");
    return config->logs || replay == NULL || span_equal(replay->text, SPAN_LIT("none")) ||
           yaml_error(err, replay, "there is nothing to replay: no event of this namespace has `log: true`");
}

static bool lists_who_is_present(const struct relay_nsp *config)
{
    bool lists = config->all.policy.presence;
    list_each (node, &config->rooms)
        lists |= container_of(node, struct relay_rooms, of_nsp)->policy.presence;
    return lists;
}

/* Checks the settings of a namespace that depend on each other. */
static bool parts_check(const struct relay_nsp *config, const struct yaml_node *node, struct err *err)
{
    const struct yaml_node *rooms = yaml_get(node, "rooms"), *events = yaml_get(node, "events");
    if (!replay_check(config, node, err))
        return false;
    for (size_t i = 0; rooms != NULL && i < rooms->count; i++)
        if (!replay_check(config, rooms->pairs[i].value, err))
            return false;
    for (size_t i = 0; i < events->count; i++) {
        const struct yaml_node *rule = events->pairs[i].value;
        if (yaml_get(rule, "history") != NULL && !config->logs)
            return yaml_error(err, rule, "there is no history: no event of this namespace has `log: true`");
        if (yaml_get(rule, "who") != NULL && !lists_who_is_present(config))
            return yaml_error(err, rule,
                              "nobody is listed: neither this namespace nor any of its `rooms:` has "
                              "`presence: true`");
    }
    return true;
}

bool relay_nsp_read(struct relay_nsp *config, const struct yaml_node *node, const uint64_t seed[2], struct err *err)
{
    static const char *const keys[] = {"log",  "replay", "presence", "rooms",  "recovery", "announce",
                                       "slow", "events", "auth",     "access", NULL};
    struct nsp *nsp = &config->nsp;
    map_init(&config->rules, seed);
    nsp->recovery_ms = RECOVERY_MS;
    config->all = (struct relay_rooms){
        .policy = {.replay = START_NOW},
        .retention = {.entries_max = LOG_ENTRIES, .bytes_max = LOG_BYTES, .age_ms_max = LOG_AGE_MS},
    };
    if (!yaml_expect(node, YAML_MAPPING, err) || !yaml_only(node, keys, err))
        return false;
    const struct yaml_node *events = yaml_get(node, "events"), *recovery = yaml_get(node, "recovery"),
                           *announce = yaml_get(node, "announce");
    if (events == NULL)
        return yaml_error(err, node,
                          "needs `events:`, a mapping from event names to rules, like drawing: {to: others}");
    if (!rooms_policy_read(&config->all, node, err) || !presence_read(config, yaml_get(node, "presence"), err) ||
        !rooms_read(config, yaml_get(node, "rooms"), err) || !events_read(config, events, err) ||
        !parts_check(config, node, err) || !slow_read(nsp, yaml_get(node, "slow"), err))
        return false;
    if (recovery != NULL && !yaml_duration_ms(recovery, 1000, RECOVERY_MS_MAX, &nsp->recovery_ms, err))
        return false;
    return announce == NULL || yaml_bool(announce, &nsp->announce, err);
}

/* relay: see relay.h. */
#include "app/relay.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "wire/json.h"

enum { ID_BYTES_MAX = 128, EVENT_NAME_BYTES_MAX = 256 };

static const struct namespace *namespace_find(struct session_app *app, struct span name)
{
    struct relay *relay = container_of(app, struct relay, app);
    struct map_node *node = map_find(&relay->namespaces, name);
    return node != NULL ? &container_of(node, struct relay_namespace, by_name)->nsp : NULL;
}

static const struct relay_rule *rule_find(struct socket *socket, struct span event)
{
    const struct relay_namespace *namespace = container_of(socket->nsp, struct relay_namespace, nsp);
    struct buf name = {0};
    struct map_node *node = NULL;
    if (event.len <= EVENT_NAME_BYTES_MAX && json_string_decode(event, &name))
        node = map_find(&namespace->rules, buf_span(&name));
    buf_finish(&name);
    return node != NULL ? container_of(node, struct relay_rule, by_event) : NULL;
}

/* The text of a string argument; false when there is none. */
static bool room_read(struct span args, uint32_t argument, struct buf *room)
{
    struct span value = json_array_at(args, (size_t)argument + 1);
    return value.data != NULL && json_string_decode(value, room) && room->len > 0;
}

/* The message's id as raw JSON, string or number; empty when the client gave none. */
static struct span id_read(const struct relay_rule *rule, struct span args)
{
    static const struct span none = {"", 0};
    if (!rule->has_id)
        return none;
    struct span value = json_array_at(args, (size_t)rule->id_argument + 1);
    if (value.data != NULL && rule->id_member != NULL)
        value = json_type(value) == JSON_OBJECT ? json_object_get(value, span_str(rule->id_member)) : none;
    if (value.data == NULL || value.len > ID_BYTES_MAX)
        return none;
    return json_type(value) == JSON_STRING || json_type(value) == JSON_NUMBER ? value : none;
}

static bool in_room(struct socket *socket, struct span room)
{
    struct buf name = {0};
    socket_room_name(&name, socket->nsp, room);
    bool in = member_find(&socket->member, buf_span(&name)) != NULL;
    buf_finish(&name);
    return in;
}

static void publish(struct socket *socket, const struct relay_rule *rule, struct span room,
                    const struct socketio_packet *packet)
{
    bool except_self = rule->target == RELAY_OTHERS || rule->target == RELAY_ROOM_OTHERS;
    struct span args = packet->payload;
    while (args.data[args.len - 1] != ']') /* white space behind the array */
        args.len--;
    socket_publish(socket, room, except_self, args, id_read(rule, args), rule->logged ? &rule->retention : NULL,
                   packet->ack_id);
}

static void event(struct session_app *app, struct socket *socket, const struct socketio_packet *packet)
{
    struct relay *relay = container_of(app, struct relay, app);
    const struct relay_rule *rule = rule_find(socket, packet->event);
    struct buf room = {0};
    bool done = false;
    if (rule == NULL) {
        relay->events_dropped++;
        log_event(LOG_DEBUG, "event without a rule", LOG_S("namespace", socket->nsp->name),
                  LOG_S("event", packet->event));
        return;
    }
    switch (rule->target) {
    case RELAY_OTHERS:
    case RELAY_EVERYONE:
        publish(socket, rule, (struct span){NULL, 0}, packet);
        done = true;
        break;
    case RELAY_ROOM:
    case RELAY_ROOM_OTHERS:
        if ((done = room_read(packet->payload, rule->room_argument, &room) && in_room(socket, buf_span(&room))))
            publish(socket, rule, buf_span(&room), packet);
        break;
    case RELAY_JOIN:
        if ((done = room_read(packet->payload, rule->room_argument, &room)))
            socket_join(socket, buf_span(&room), packet->ack_id);
        break;
    case RELAY_LEAVE:
        if ((done = room_read(packet->payload, rule->room_argument, &room)))
            socket_leave(socket, buf_span(&room), packet->ack_id);
        break;
    }
    if (!done) {
        relay->events_dropped++;
        log_event(LOG_DEBUG, "event names no room the sender is in", LOG_S("event", packet->event));
    }
    buf_finish(&room);
}

bool relay_init(struct relay *relay, struct loop *loop, const struct yaml_node *namespaces, struct err *err)
{
    uint64_t seed[2];
    *relay = (struct relay){.app = {.namespace_find = namespace_find, .event = event}};
    loop_random(loop, seed, sizeof seed);
    map_init(&relay->namespaces, seed);
    if (!yaml_expect(namespaces, YAML_MAPPING, err))
        return false;
    for (size_t i = 0; i < namespaces->count; i++) {
        const struct yaml_pair *pair = &namespaces->pairs[i];
        if (pair->key.len == 0 || pair->key.data[0] != '/' || span_find(pair->key, ',') >= 0)
            return yaml_error(err, pair->value, "a namespace begins with \"/\" and has no comma");
        struct relay_namespace *namespace = mem_zero(1, sizeof *namespace);
        namespace->name = mem_text(pair->key);
        namespace->nsp.name = span_of(namespace->name, pair->key.len);
        map_add(&relay->namespaces, &namespace->by_name, namespace->nsp.name);
        if (!relay_namespace_read(namespace, pair->value, seed, err))
            return false;
    }
    return true;
}

static void rules_destroy(struct map *rules)
{
    struct map_node *node;
    while ((node = map_next(rules, NULL)) != NULL) {
        struct relay_rule *rule = container_of(node, struct relay_rule, by_event);
        map_remove(rules, node);
        free(rule->event);
        free(rule->id_member);
        free(rule);
    }
    map_finish(rules);
}

void relay_finish(struct relay *relay)
{
    struct map_node *node;
    while ((node = map_next(&relay->namespaces, NULL)) != NULL) {
        struct relay_namespace *namespace = container_of(node, struct relay_namespace, by_name);
        map_remove(&relay->namespaces, node);
        rules_destroy(&namespace->rules);
        free(namespace->name);
        free(namespace);
    }
    map_finish(&relay->namespaces);
}

/* access: evaluates conditions, and matches rooms with claims. A condition about an unknown value does not hold. */
#include "app/access.h"

#include "base/pattern.h"
#include "broker/broker.h"
#include "wire/json.h"

/* The values of a claim as texts: of a list each, of `scope` each word (RFC 8693 section 4.2), of any other claim the
 * one. */
struct values {
    struct span rest;
    bool is_list, is_scope, is_begun;
    struct buf text;
};

static void values_begin(struct values *values, const struct identity *identity, struct span claim)
{
    struct span value = identity != NULL ? identity_claim(identity, claim) : (struct span){NULL, 0};
    *values = (struct values){.rest = value};
    values->is_list = json_type(value) == JSON_ARRAY;
    values->is_scope = json_type(value) == JSON_STRING && span_equal(claim, SPAN_LIT("scope"));
    if (values->is_scope && json_string_decode(value, &values->text))
        values->rest = buf_span(&values->text);
}

/* The text of a value; false for what is none, like null or an object. */
static bool value_text(struct values *values, struct span value, struct span *text)
{
    enum json_type type = json_type(value);
    *text = value;
    if (type == JSON_NUMBER || type == JSON_TRUE || type == JSON_FALSE)
        return true;
    buf_clear(&values->text);
    if (type != JSON_STRING || !json_string_decode(value, &values->text))
        return false;
    *text = buf_span(&values->text);
    return true;
}

static bool values_next(struct values *values, struct span *text)
{
    struct span one;
    if (values->is_scope)
        return span_next(&values->rest, ' ', text);
    while (values->is_list && json_array_next(&values->rest, &one))
        if (value_text(values, one, text))
            return true;
    if (values->is_list || values->is_begun)
        return false;
    values->is_begun = true;
    return value_text(values, values->rest, text);
}

/* Where in the room one may stand behind a part of the pattern. */
struct reach {
    bool at[BROKER_ROOM_BYTES_MAX + 1];
};

static void reach_any(struct reach *reach, size_t len)
{
    for (size_t i = 1; i <= len; i++)
        reach->at[i] |= reach->at[i - 1];
}

static void reach_text(const struct reach *from, struct reach *to, struct span room, struct span text)
{
    for (size_t i = 0; text.len > 0 && i + text.len <= room.len; i++)
        to->at[i + text.len] |= from->at[i] && span_equal(span_sub(room, i, text.len), text);
}

static void reach_claim(const struct reach *from, struct reach *to, struct span room, const struct identity *identity,
                        struct span claim)
{
    struct values values;
    struct span text;
    values_begin(&values, identity, claim);
    while (values_next(&values, &text))
        reach_text(from, to, room, text);
    buf_finish(&values.text);
}

/* Takes the next part off the pattern: `*`, `{claim}`, or a text. */
static struct span part_take(struct span *pattern)
{
    size_t len = 1;
    if (pattern->data[0] == '{')
        len = (size_t)span_find(*pattern, '}') + 1;
    else if (pattern->data[0] != '*')
        while (len < pattern->len && pattern->data[len] != '*' && pattern->data[len] != '{')
            len++;
    struct span part = span_sub(*pattern, 0, len);
    *pattern = span_from(*pattern, len);
    return part;
}

/* The room is the pattern with the client's claims in the places of `{claim}`. All ways to divide the room are tried at
 * once, so that none is missed: claims may be lists, and `*` may come before one. */
static bool is_own(struct span pattern, const struct identity *identity, struct span room)
{
    struct reach reach = {{true}};
    if (room.len > BROKER_ROOM_BYTES_MAX || identity == NULL)
        return false;
    while (pattern.len > 0) {
        struct span part = part_take(&pattern);
        struct reach next = {{false}};
        if (part.data[0] == '*') {
            reach_any(&reach, room.len);
            continue;
        }
        if (part.data[0] == '{')
            reach_claim(&reach, &next, room, identity, span_sub(part, 1, part.len - 2));
        else
            reach_text(&reach, &next, room, part);
        reach = next;
    }
    return reach.at[room.len];
}

static bool demand_holds(const struct access_demand *demand, const struct identity *identity)
{
    struct values values;
    struct span text;
    bool holds = false;
    values_begin(&values, identity, span_str(demand->claim));
    while (!holds && values_next(&values, &text))
        for (size_t i = 0; i < demand->count && !holds; i++)
            holds = pattern_matches(span_str(demand->values[i]), text);
    buf_finish(&values.text);
    return holds;
}

static bool way_holds(const struct access_way *way, const struct identity *identity, struct span pattern,
                      struct span room)
{
    if (way->kind == ACCESS_ANYONE || way->kind == ACCESS_NOBODY)
        return way->kind == ACCESS_ANYONE;
    if (way->kind == ACCESS_OWN)
        return is_own(pattern, identity, room);
    for (size_t i = 0; i < way->count; i++)
        if (!demand_holds(&way->demands[i], identity))
            return false;
    return true;
}

static bool holds_for(const struct access_condition *condition, const struct identity *identity, struct span pattern,
                      struct span room)
{
    for (size_t i = 0; i < condition->count; i++)
        if (way_holds(&condition->ways[i], identity, pattern, room))
            return true;
    return condition->count == 0;
}

static bool holds(const struct access_condition *condition, const struct identity *identity)
{
    return holds_for(condition, identity, SPAN_LIT(""), SPAN_LIT(""));
}

static const struct access_rule *rule_find(const struct list *rules, struct span name)
{
    list_each (node, rules) {
        const struct access_rule *rule = container_of(node, struct access_rule, node);
        if (pattern_matches(span_str(rule->shape), name))
            return rule;
    }
    return NULL;
}

bool access_connects(const struct access *access, const struct identity *identity)
{
    return holds(&access->connect, identity);
}

bool access_allows(const struct access *access, const struct identity *identity, enum deed deed, struct span room)
{
    if (room.len == 0)
        return deed == DEED_JOIN || holds(&access->history, identity);
    const struct access_rule *rule = rule_find(&access->rooms, room);
    if (rule == NULL)
        return !access->has_rooms;
    return holds_for(deed == DEED_HISTORY && rule->has_history ? &rule->history : &rule->join, identity,
                     span_str(rule->pattern), room);
}

bool access_sends_event(const struct access *access, const struct identity *identity, struct span event)
{
    const struct access_rule *rule = rule_find(&access->events, event);
    return rule == NULL || holds(&rule->send, identity);
}

bool access_sends(const struct access *access, const struct identity *identity, struct span event, struct span room)
{
    if (!access_sends_event(access, identity, event))
        return false;
    if (room.len == 0)
        return holds(&access->send, identity);
    const struct access_rule *rule = rule_find(&access->rooms, room);
    if (rule == NULL)
        return !access->has_rooms;
    return holds_for(rule->has_send ? &rule->send : &rule->join, identity, span_str(rule->pattern), room);
}

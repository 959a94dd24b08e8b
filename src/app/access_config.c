/* access_config: reads `access:` of a namespace. */
#include <stdlib.h>

#include "app/access.h"
#include "base/mem.h"
#include "base/shown.h"

static bool texts_read(struct access_demand *demand, const struct yaml_node *node, struct err *err)
{
    bool is_list = node->type == YAML_LIST;
    size_t count = is_list ? node->count : 1;
    if (count == 0 || count > ACCESS_LIST_MAX)
        return yaml_error(err, node, "expected a value, or a list of 1 to %d, found %zu", ACCESS_LIST_MAX, count);
    demand->values = mem_zero(count, sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *one = is_list ? node->items[i] : node;
        struct span text;
        if (!yaml_string(one, &text, err))
            return false;
        if (span_find(text, '\0') >= 0)
            return yaml_error(err, one, "a value has no NUL");
        demand->values[demand->count++] = mem_text(text);
    }
    return true;
}

static bool way_read(struct access_way *way, const struct yaml_node *node, bool is_room, struct err *err)
{
    static const struct {
        const char *word;
        enum access_kind kind;
    } words[] = {{"anyone", ACCESS_ANYONE}, {"nobody", ACCESS_NOBODY}, {"own", ACCESS_OWN}};
    struct span text;
    if (node->type == YAML_MAPPING) {
        way->kind = ACCESS_CLAIMS;
        if (node->count == 0 || node->count > ACCESS_LIST_MAX)
            return yaml_error(err, node, "expected 1 to %d claims, found %zu", ACCESS_LIST_MAX, node->count);
        way->demands = mem_zero(node->count, sizeof *way->demands);
        for (size_t i = 0; i < node->count; i++) {
            struct access_demand *demand = &way->demands[way->count++];
            demand->claim = mem_text(node->pairs[i].key);
            if (!texts_read(demand, node->pairs[i].value, err))
                return false;
        }
        return true;
    }
    if (!yaml_string(node, &text, err))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        way->kind = words[i].kind;
        if (span_equal(text, span_str(words[i].word)) && (is_room || way->kind != ACCESS_OWN))
            return true;
    }
    return yaml_error(err, node, "expected anyone, nobody%s, claims like {role: admin}, or a list of such, found %s",
                      is_room ? ", own" : "", SHOWN_FOUND(text));
}

/* `is_room`: its pattern has a `{claim}`, so `own` means something. */
static bool condition_read(struct access_condition *condition, const struct yaml_node *node, bool is_room,
                           struct err *err)
{
    if (node == NULL)
        return true;
    bool is_list = node->type == YAML_LIST;
    size_t count = is_list ? node->count : 1;
    if (count == 0 || count > ACCESS_LIST_MAX)
        return yaml_error(err, node, "expected 1 to %d conditions, found %zu", ACCESS_LIST_MAX, count);
    condition->ways = mem_zero(count, sizeof *condition->ways);
    for (size_t i = 0; i < count; i++)
        if (!way_read(&condition->ways[condition->count++], is_list ? node->items[i] : node, is_room, err))
            return false;
    return true;
}

/* Fills pattern and shape. */
static bool pattern_read(struct access_rule *rule, const struct yaml_pair *pair, bool is_room, bool *has_claim,
                         struct err *err)
{
    struct span rest = pair->key;
    struct buf shape = {0};
    size_t parts = 0;
    bool ok = rest.len > 0 && rest.len <= ACCESS_PATTERN_BYTES_MAX && span_find(rest, '\0') < 0;
    *has_claim = false;
    while (ok && rest.len > 0) {
        ptrdiff_t end = span_find(rest, '}');
        bool is_claim = is_room && rest.data[0] == '{';
        ok = !is_claim || (end > 1 && ++parts <= ACCESS_LIST_MAX);
        buf_append_char(&shape, is_claim ? '*' : rest.data[0]);
        rest = span_from(rest, is_claim && ok ? (size_t)end + 1 : 1);
        *has_claim |= is_claim;
    }
    rule->pattern = mem_text(pair->key);
    rule->shape = mem_text(buf_span(&shape));
    buf_finish(&shape);
    return ok || yaml_error(err, pair->value,
                            "expected a pattern of 1 to %d bytes, like \"*\"%s; a brace begins the name of a claim",
                            ACCESS_PATTERN_BYTES_MAX, is_room ? ", or \"team-{team}\" with a claim's name" : "");
}

static struct access_rule *rule_add(struct list *rules)
{
    struct access_rule *rule = mem_zero(1, sizeof *rule);
    list_init(&rule->node);
    list_append(rules, &rule->node);
    return rule;
}

static bool rooms_read(struct access *access, const struct yaml_node *node, struct err *err)
{
    static const char *const keys[] = {"join", "send", "history", NULL};
    access->has_rooms = node != NULL;
    if (node == NULL)
        return true;
    if (!yaml_expect(node, YAML_MAPPING, err))
        return false;
    for (size_t i = 0; i < node->count; i++) {
        const struct yaml_node *value = node->pairs[i].value;
        struct access_rule *rule = rule_add(&access->rooms);
        bool has_claim;
        if (!pattern_read(rule, &node->pairs[i], true, &has_claim, err) || !yaml_expect(value, YAML_MAPPING, err) ||
            !yaml_only(value, keys, err))
            return false;
        const struct yaml_node *join = yaml_get(value, "join"), *send = yaml_get(value, "send"),
                               *history = yaml_get(value, "history");
        if (join == NULL)
            return yaml_error(err, value,
                              "needs `join:`, like join: %s; send and history are as join unless they are "
                              "given",
                              has_claim ? "own" : "anyone");
        rule->has_send = send != NULL;
        rule->has_history = history != NULL;
        if (!condition_read(&rule->join, join, has_claim, err) || !condition_read(&rule->send, send, has_claim, err) ||
            !condition_read(&rule->history, history, has_claim, err))
            return false;
    }
    return true;
}

static bool events_read(struct access *access, const struct yaml_node *node, struct err *err)
{
    if (node == NULL)
        return true;
    if (!yaml_expect(node, YAML_MAPPING, err))
        return false;
    for (size_t i = 0; i < node->count; i++) {
        struct access_rule *rule = rule_add(&access->events);
        bool has_claim;
        if (!pattern_read(rule, &node->pairs[i], false, &has_claim, err) ||
            !condition_read(&rule->send, node->pairs[i].value, false, err))
            return false;
    }
    return true;
}

void access_init(struct access *access)
{
    *access = (struct access){.has_rooms = false};
    list_init(&access->rooms);
    list_init(&access->events);
}

bool access_rules_read(struct access *access, const struct yaml_node *node, struct err *err)
{
    static const char *const keys[] = {"connect", "send", "history", "rooms", "events", NULL};
    if (node == NULL)
        return true;
    return yaml_expect(node, YAML_MAPPING, err) && yaml_only(node, keys, err) &&
           condition_read(&access->connect, yaml_get(node, "connect"), false, err) &&
           condition_read(&access->send, yaml_get(node, "send"), false, err) &&
           condition_read(&access->history, yaml_get(node, "history"), false, err) &&
           rooms_read(access, yaml_get(node, "rooms"), err) && events_read(access, yaml_get(node, "events"), err);
}

static void condition_finish(struct access_condition *condition)
{
    for (size_t i = 0; i < condition->count; i++) {
        struct access_way *way = &condition->ways[i];
        for (size_t j = 0; j < way->count; j++) {
            struct access_demand *demand = &way->demands[j];
            for (size_t k = 0; k < demand->count; k++)
                free(demand->values[k]);
            free(demand->values);
            free(demand->claim);
        }
        free(way->demands);
    }
    free(condition->ways);
}

static void rules_finish(struct list *rules)
{
    struct list *node;
    while ((node = list_take(rules)) != NULL) {
        struct access_rule *rule = container_of(node, struct access_rule, node);
        condition_finish(&rule->join);
        condition_finish(&rule->send);
        condition_finish(&rule->history);
        free(rule->pattern);
        free(rule->shape);
        free(rule);
    }
}

void access_finish(struct access *access)
{
    condition_finish(&access->connect);
    condition_finish(&access->send);
    condition_finish(&access->history);
    rules_finish(&access->rooms);
    rules_finish(&access->events);
}

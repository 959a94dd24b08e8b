/* relay_nsp: the namespaces of a relay, by their names. Those of the configuration live as long as the relay. A pattern
 * makes a namespace for the first client that names it, which lives until the last of its clients has gone. It has the
 * pattern's rules, and rooms and logs of its own: its name is in the names of its rooms. */
#include <assert.h>
#include <stdlib.h>

#include "app/relay_access.h"
#include "base/mem.h"
#include "base/pattern.h"

static struct relay *relay_of(struct session_app *app)
{
    return container_of(app, struct relay, app);
}

const struct relay_nsp *relay_pattern_find(const struct relay *relay, struct span name)
{
    if (name.len > RELAY_NAMESPACE_BYTES_MAX)
        return NULL;
    list_each (node, &relay->patterns) {
        const struct relay_nsp *pattern = container_of(node, const struct relay_nsp, of_patterns);
        if (pattern_matches(pattern->nsp.name, name))
            return pattern;
    }
    return NULL;
}

static struct relay_nsp *make(struct relay *relay, const struct relay_nsp *pattern, struct span name)
{
    struct relay_nsp *made = mem_zero(1, sizeof *made);
    made->like = pattern;
    made->name = mem_text(name);
    made->nsp = pattern->nsp;
    made->nsp.name = span_of(made->name, name.len);
    list_init(&made->of_patterns);
    list_init(&made->rooms);
    map_add(&relay->namespaces, &made->by_name, made->nsp.name);
    relay->made++;
    return made;
}

const struct nsp *relay_nsp_find(struct session_app *app, struct span name, enum refusal *refusal)
{
    struct relay *relay = relay_of(app);
    struct map_node *node = map_find(&relay->namespaces, name);
    const struct relay_nsp *pattern = node == NULL ? relay_pattern_find(relay, name) : NULL;
    struct relay_nsp *found = NULL;
    if (node != NULL)
        found = container_of(node, struct relay_nsp, by_name);
    else if (pattern == NULL)
        *refusal = REFUSAL_NAMESPACE_UNKNOWN;
    else if (relay->made >= relay->made_max)
        *refusal = REFUSAL_INSTANCE_NAMESPACES_FULL;
    else
        found = make(relay, pattern, name);
    if (found == NULL)
        return NULL;
    found->refs++;
    return &found->nsp;
}

/* Whoever owns a reference may count. */
static struct relay_nsp *counted(const struct nsp *nsp)
{
    return (struct relay_nsp *)container_of(nsp, const struct relay_nsp, nsp);
}

void relay_nsp_ref(struct session_app *app, const struct nsp *nsp)
{
    (void)app;
    counted(nsp)->refs++;
}

void relay_nsp_unref(struct session_app *app, const struct nsp *nsp)
{
    struct relay *relay = relay_of(app);
    struct relay_nsp *used = counted(nsp);
    assert(used->refs > 0);
    if (--used->refs > 0 || used->like == used)
        return;
    map_remove(&relay->namespaces, &used->by_name);
    relay->made--;
    free(used->name);
    free(used);
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

static void nsp_destroy(struct relay_nsp *config)
{
    struct list *node;
    rules_destroy(&config->rules);
    while ((node = list_take(&config->rooms)) != NULL) {
        struct relay_rooms *rooms = container_of(node, struct relay_rooms, of_nsp);
        free(rooms->pattern);
        free(rooms);
    }
    relay_access_finish(config);
    free(config->nsp.presence_key);
    free(config->name);
    free(config);
}

struct relay_nsp *relay_nsp_add(struct relay *relay, struct span name)
{
    struct relay_nsp *config = mem_zero(1, sizeof *config);
    config->like = config;
    config->name = mem_text(name);
    config->nsp.name = span_of(config->name, name.len);
    list_init(&config->rooms);
    access_init(&config->access);
    list_init(&config->of_patterns);
    if (span_find(name, '*') >= 0)
        list_append(&relay->patterns, &config->of_patterns);
    else
        map_add(&relay->namespaces, &config->by_name, config->nsp.name);
    return config;
}

struct relay_nsp *relay_nsp_configured(struct relay *relay, struct span name)
{
    struct map_node *node = map_find(&relay->namespaces, name);
    list_each (at, &relay->patterns) {
        struct relay_nsp *pattern = container_of(at, struct relay_nsp, of_patterns);
        if (span_equal(pattern->nsp.name, name))
            return pattern;
    }
    return node != NULL ? container_of(node, struct relay_nsp, by_name) : NULL;
}

void relay_nsps_finish(struct relay *relay)
{
    struct list *pattern;
    struct map_node *node;
    assert(relay->made == 0);
    while ((node = map_next(&relay->namespaces, NULL)) != NULL) {
        map_remove(&relay->namespaces, node);
        nsp_destroy(container_of(node, struct relay_nsp, by_name));
    }
    map_finish(&relay->namespaces);
    while (relay->patterns.next != NULL && (pattern = list_take(&relay->patterns)) != NULL)
        nsp_destroy(container_of(pattern, struct relay_nsp, of_patterns));
}

/* relay_access_config: reads tokens and rules for namespaces that relay_init has read. */
#include <stdlib.h>

#include "app/relay_access.h"
#include "base/mem.h"
#include "base/pattern.h"
#include "base/shown.h"

/* `auth: none` or `auth: jwt`. Without either, it depends on whether the instance has keys. */
static bool auth_read(struct relay_nsp *config, const struct yaml_pair *pair, const struct relay *relay,
                      bool on_platform, struct err *err)
{
    const struct yaml_node *node = yaml_get(pair->value, "auth");
    struct span text;
    config->needs_token = relay->jwt.is_set;
    if (node == NULL)
        return relay->jwt.is_set || !on_platform || yaml_get(pair->value, "access") != NULL ||
               yaml_error(err, pair->value,
                          "K_SERVICE is set, so strangers reach this instance, and nothing says who may connect to "
                          "\"" SPAN_FMT "\": add `auth: none` here to let everybody in, or give the instance `jwt:` "
                          "with keys, so that a token is needed (docs/access.md)",
                          SPAN_ARG(pair->key));
    if (!yaml_string(node, &text, err))
        return false;
    config->needs_token = span_equal(text, SPAN_LIT("jwt"));
    if (!config->needs_token && !span_equal(text, SPAN_LIT("none")))
        return yaml_error(err, node, "expected none or jwt, found %s", SHOWN_FOUND(text));
    return !config->needs_token || relay->jwt.is_set ||
           yaml_error(err, node,
                      "tokens need keys: add `jwt: {keys: [{file: public.pem, alg: RS256}]}` beside "
                      "`namespaces:`");
}

/* A rule for an event that is not relayed is a slip. */
static bool events_check(const struct relay_nsp *config, const struct yaml_node *access, struct err *err)
{
    const struct yaml_node *events = access != NULL ? yaml_get(access, "events") : NULL;
    for (size_t i = 0; events != NULL && i < events->count; i++) {
        bool fits = false;
        for (struct map_node *node = map_next(&config->rules, NULL); node != NULL && !fits;
             node = map_next(&config->rules, node))
            fits = pattern_matches(events->pairs[i].key, node->key);
        if (!fits)
            return yaml_error(err, events->pairs[i].value, "no event of this namespace has this name");
    }
    return true;
}

/* `presence: {claims: [sub, name]}`: what of the token the others in a room are told. */
static bool presence_read(struct relay_nsp *config, const struct yaml_node *presence, struct err *err)
{
    const struct yaml_node *list =
        presence != NULL && presence->type == YAML_MAPPING ? yaml_get(presence, "claims") : NULL;
    if (list == NULL)
        return true;
    if (!yaml_expect(list, YAML_LIST, err))
        return false;
    if (!config->needs_token || config->nsp.presence_key != NULL)
        return yaml_error(err, list, "claims are those of tokens: they go with `auth: jwt`, and without `data:`");
    if (list->count == 0 || list->count > RELAY_CLAIMS_MAX)
        return yaml_error(err, list, "expected 1 to %d names of claims, found %zu", RELAY_CLAIMS_MAX, list->count);
    for (size_t i = 0; i < list->count; i++) {
        struct span text;
        if (!yaml_string(list->items[i], &text, err))
            return false;
        config->presence_claims[config->presence_claim_count++] = mem_text(text);
    }
    return true;
}

bool relay_access_read(struct relay *relay, struct loop *loop, const struct yaml_node *jwt,
                       const struct yaml_node *namespaces, bool on_platform, struct err *err)
{
    relay->loop = loop;
    if (!jwt_read(&relay->jwt, loop, jwt, err))
        return false;
    relay->raw.needs_token = relay->jwt.is_set; /* a raw client has no place for one, so it is not let in */
    for (size_t i = 0; i < namespaces->count; i++) {
        const struct yaml_pair *pair = &namespaces->pairs[i];
        struct relay_nsp *config = relay_nsp_configured(relay, pair->key);
        const struct yaml_node *access = yaml_get(pair->value, "access");
        config->nsp.notice_ms = relay->jwt.notice_ms;
        if (!auth_read(config, pair, relay, on_platform, err) || !access_rules_read(&config->access, access, err) ||
            !events_check(config, access, err) || !presence_read(config, yaml_get(pair->value, "presence"), err))
            return false;
    }
    return true;
}

void relay_access_finish(struct relay_nsp *config)
{
    access_finish(&config->access);
    for (size_t i = 0; i < config->presence_claim_count; i++)
        free(config->presence_claims[i]);
}
